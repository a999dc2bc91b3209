import Foundation
import Imaging
import Synchronization
import Testing

@testable import ClusterCore
@testable import TextureGAN
@testable import Worker

@Suite(.timeLimit(.minutes(10)))
struct ProductRunnerTests {
    private final class Posted: Sendable {
        private let state = Mutex<[WorkerState.Event]>([])
        var events: [WorkerState.Event] { state.withLock { $0 } }
        func add(_ event: WorkerState.Event) { state.withLock { $0.append(event) } }
        var ending: WorkerState.Ending? {
            events.lazy.compactMap { if case .ended(_, let ending) = $0 { ending } else { nil } }.first
        }
    }

    /// - Parameter spoil: changes the files before the run.
    private func run(
        _ spec: String, availableBytes: Int, slots: Int, spoil: (ProductRun.Input) throws -> Void
    ) async throws -> WorkerState.Ending {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("runner-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let recipe = Recipe.draft
        let (network, exemplar) = (folder.appendingPathComponent("g"), folder.appendingPathComponent("e.png"))
        try Checkpoint.network(
            Generator(recipe, trained: false).parameters, kind: "generator", recipe: recipe, origin: [:]
        ).write(to: network)
        try Image(width: 64, height: 64, pixels: [UInt8](repeating: 9, count: 64 * 64 * 3)).png().write(to: exemplar)
        let input = ProductRun.Input(
            exemplar: .photograph(exemplar), exemplarName: "wall.png", generator: network, generatorSHA256: "",
            threads: 1, availableBytes: availableBytes, concurrentRuns: slots, limits: .cluster, folder: folder)
        try spoil(input)
        let posted = Posted()
        ProductRunner(wish: CurrentWish()).start(
            Assignment(
                attempt: AttemptReference(job: JobID(sequence: 1, salt: 0), number: 1), kind: .expand, name: "wall",
                spec: spec, inputs: [], checkpoint: nil), input
        ) { posted.add($0) }
        while true {
            if let ending = posted.ending { return ending }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private struct Failure {
        var code: FailureCode
        var reason: String
        var isRetryable: Bool
    }

    private func failure(
        _ spec: String, availableBytes: Int = 1 << 40, slots: Int = 1,
        spoil: (ProductRun.Input) throws -> Void = { _ in }
    ) async throws -> Failure? {
        Self.failure(try await run(spec, availableBytes: availableBytes, slots: slots, spoil: spoil))
    }

    private static func failure(_ ending: WorkerState.Ending) -> Failure? {
        if case .failed(let code, let reason, let isRetryable, _) = ending {
            return Failure(code: code, reason: reason, isRetryable: isRetryable)
        }
        return nil
    }

    /// Another worker may have more. People read what is missing and what they can do.
    @Test func workThatDoesNotFitHereIsLeftToOthers() async throws {
        for (slots, advice) in [(1, "with more memory and retry"), (3, "memory or fewer --slots and retry")] {
            let found = try await failure("size=1024x1024", availableBytes: 100 << 20, slots: slots)
            let failure = try #require(found)
            #expect(failure.code == .memory && failure.isRetryable)
            #expect(failure.reason.hasPrefix("1024x1024 pixels need "), "\(failure)")
            #expect(failure.reason.contains("this worker has 100 MiB per slot"), "\(failure)")
            #expect(failure.reason.contains(advice) && !failure.reason.contains("--memory"), "\(failure)")
        }
    }

    @Test func whatNoWorkerCanDoIsNotRepeated() async throws {
        for spec in ["size=32768x32768", "variations=300"] {
            let found = try await failure(spec)
            let failure = try #require(found)
            #expect(failure.code == .badRequest && !failure.isRetryable)
        }
        let found = try await failure("times=1") { try Data("no picture".utf8).write(to: photograph(of: $0)) }
        let failure = try #require(found)
        #expect(failure.code == FailureCode(TrainingError.Code.badExemplar) && !failure.isRetryable)
    }

    private func photograph(of input: ProductRun.Input) throws -> URL {
        guard case .photograph(let file) = input.exemplar else { throw CocoaError(.featureUnsupported) }
        return file
    }

    /// The files are in the worker's own folder.
    @Test func filesThatCannotBeReadAreTheDisksFault() async throws {
        let pictureIsGone = try await failure("times=1") { try FileManager.default.removeItem(at: photograph(of: $0)) }
        let generatorIsGone = try await failure("times=1") { try FileManager.default.removeItem(at: $0.generator) }
        for found in [pictureIsGone, generatorIsGone] {
            let failure = try #require(found)
            #expect(failure.code == .fileSystem && failure.isRetryable, "\(failure)")
            #expect(failure.reason.contains("cannot be read: No such file or directory"), "\(failure)")
        }
    }

    @Test func errorsThatNobodyExpectsMayBeRetried() throws {
        struct Surprise: Error {}
        let folder = FileManager.default.temporaryDirectory
        let input = ProductRun.Input(
            exemplar: .photograph(folder), exemplarName: "wall.png", generator: folder, generatorSHA256: "", threads: 1,
            availableBytes: 1 << 30, concurrentRuns: 1, limits: .cluster, folder: folder)
        for (error, code) in [
            (CocoaError(.fileWriteOutOfSpace), .fileSystem), (POSIXError(.EIO), .fileSystem),
            (Surprise(), .internalFault),
        ] as [(any Error, FailureCode)] {
            let failure = try #require(Self.failure(ProductRunner(wish: CurrentWish()).ending(of: error, input)))
            #expect(failure.code == code && failure.isRetryable, "\(error): \(failure)")
        }
    }
}
