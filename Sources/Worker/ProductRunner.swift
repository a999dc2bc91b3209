import ClusterCore
import Foundation
import OperatingSystem
import TextureGAN
import Transport

/// One attempt at work with a trained generator, on a thread of its own.
struct ProductRunner: Sendable {
    /// The kinds of work that it does.
    static let kinds: Set<JobKind> = [.expand, .export]

    let wish: CurrentWish

    /// Starts the thread; every event goes to `post`, the last one is `.ended`.
    func start(
        _ assignment: Assignment, _ input: ProductRun.Input, post: @escaping @Sendable (WorkerState.Event) -> Void
    ) {
        let thread = Thread { [self] in
            let ref = assignment.attempt
            let began = ContinuousClock.now
            post(.iterated(ref, iteration: 0, totalIterations: ProductRun.steps, secondsPerIteration: 0))
            do {
                let json = try run(assignment, input) { report in
                    post(try Self.event(report, assignment, began))
                }
                // Without an iteration after 0, a short run would not show that it has ended.
                post(
                    .iterated(
                        ref, iteration: ProductRun.steps, totalIterations: nil,
                        secondsPerIteration: (ContinuousClock.now - began) / .seconds(1) / Double(ProductRun.steps)))
                post(
                    .ended(
                        ref,
                        .finished(
                            iteration: ProductRun.steps,
                            trainingSeconds: (ContinuousClock.now - began) / .seconds(1), reportJSON: json)))
            } catch {
                post(.ended(ref, ending(of: error, input)))
            }
        }
        thread.name = "texloom-product"
        thread.stackSize = 8 << 20
        thread.start()
    }

    private func run(
        _ assignment: Assignment, _ input: ProductRun.Input, report: @escaping (ProductRun.Report) throws -> Void
    ) throws -> String {
        if assignment.kind == .export {
            return try ProductRun.export(ExportOptions(assignment.spec), input, report: report)
        }
        return try ProductRun.expand(
            ExpansionOptions(assignment.spec), input, proceeds: { [self] in wish.value == .proceed }, report: report)
    }

    func ending(of error: any Error, _ input: ProductRun.Input) -> WorkerState.Ending {
        switch error {
        case let shortage as MemoryShortage:
            // Another worker may have more.
            .failed(code: .memory, reason: Self.reason(of: shortage, input), isRetryable: true)
        case is ProductRun.Stopped: wish.value == .abandon ? .abandoned : .stopped(iteration: 0)
        case let error as FileFailure:
            .failed(code: .fileSystem, reason: "\(error)", isRetryable: true)
        case let error as TransportError:
            .failed(code: .fileSystem, reason: error.message, isRetryable: true)
        case let error as TrainingError:
            .failed(code: FailureCode(error.code), reason: error.message, isRetryable: error.isRetryable)
        // Options that nothing can be made of.
        case let error as ExpansionFailure:
            .failed(code: .badRequest, reason: error.message, isRetryable: false)
        default:
            // Foundation's errors are about files.
            if let message = error.systemMessage {
                .failed(code: .fileSystem, reason: message, isRetryable: true)
            } else {
                .failed(code: .internalFault, reason: "\(error)", isRetryable: true)
            }
        }
    }

    /// What a person who runs the cluster can do.
    private static func reason(of shortage: MemoryShortage, _ input: ProductRun.Input) -> String {
        "\(shortage.need), and this worker has \(shortage.availableBytes >> 20) MiB per slot: start a worker with more "
            + "memory\(input.concurrentRuns > 1 ? " or fewer --slots" : "") and retry the job, or ask for a smaller "
            + "size\(shortage.alternative)"
    }

    private static func event(
        _ report: ProductRun.Report, _ assignment: Assignment, _ began: ContinuousClock.Instant
    ) throws(TransportError) -> WorkerState.Event {
        let ref = assignment.attempt
        func spooled(
            _ role: ArtifactRole, _ number: Int, _ file: URL
        ) throws(TransportError) -> WorkerState.Event {
            .spooled(ref, role, iteration: number, try ArtifactFile.identify(file), file: file.lastPathComponent)
        }
        switch report {
        case .advanced(let step):
            let seconds = (ContinuousClock.now - began) / .seconds(1)
            return .iterated(
                ref, iteration: step, totalIterations: nil, secondsPerIteration: seconds / Double(max(1, step)))
        case .product(let number, let file):
            return try spooled(assignment.kind == .export ? .model : .picture, number, file)
        case .materialX(let number, let file): return try spooled(.material, number, file)
        case .preview(let number, let file): return try spooled(.snapshot, number, file)
        case .log(let message):
            return .log(ref, LogLine(unixSeconds: Date().timeIntervalSince1970, level: .info, message: message))
        }
    }
}
