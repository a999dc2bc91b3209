import Foundation
import Logging
import Synchronization
import Testing

@testable import ClusterCore
@testable import Protocol
@testable import TextureGAN
@testable import Worker

/// Trains as a closure says.
private struct FakeTrainer: AttemptTrainer {
    typealias Body =
        @Sendable (TrainingRunner.Input, () -> TrainingRun.Wish, (TrainingRun.Report) -> Void) -> TrainingRun.Outcome
    var body: Body

    func train(
        recipeYAML: String, input: TrainingRunner.Input, wish: () -> TrainingRun.Wish,
        report: (TrainingRun.Report) -> Void
    ) throws(TrainingError) -> TrainingRun.Outcome {
        guard recipeYAML == "recipe" else { throw TrainingError(.badRecipe, "recipe is '\(recipeYAML)'") }
        return body(input, wish, report)
    }
}

private final class Flag: Sendable {
    private let state = Mutex(false)
    var isRaised: Bool { state.withLock { $0 } }
    func raise() { state.withLock { $0 = true } }
}

/// A whole worker against a scripted coordinator, over real sockets and files.
@Suite(.timeLimit(.minutes(10)))
final class WorkerTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("worker-\(UUID().uuidString)")
    private let ref = AttemptReference(job: JobID(sequence: 1, salt: 0), number: 3)
    private let exemplar = (0..<(2 * Limits.chunkBytes + 77)).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 2) }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private func start(
        _ coordinator: borrowing ScriptedCoordinator, drainPatience: Duration = .seconds(600),
        limits: WorkerLimits = WorkerLimits(), _ body: @escaping FakeTrainer.Body
    ) -> Task<WorkerExit, any Error> {
        var configuration = WorkerConfiguration(dataFolder: folder)
        configuration.coordinator = coordinator.socket.endpoint
        configuration.slots = .exactly(1)
        configuration.threadsPerSlot = .exactly(1)
        configuration.drainPatience = drainPatience
        // Its GOODBYE arrives, however slow this machine is.
        configuration.closingPatience = .seconds(600)
        configuration.limits = limits
        let worker = Worker(
            configuration: configuration, trainer: FakeTrainer(body: body),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        return Task { try await worker.run() }
    }

    private var attempts: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path + "/attempts") }
    }

    private static func write(_ name: String, _ content: [UInt8], _ input: TrainingRunner.Input) -> URL {
        let file = input.folder.appendingPathComponent(name)
        #expect(throws: Never.self) { try Data(content).write(to: file) }
        return file
    }

    @Test func aJobIsFetchedTrainedDeliveredAndFinished() async throws {
        var coordinator = try ScriptedCoordinator()
        let generator = (0..<(3 * Limits.chunkBytes + 5)).map { UInt8(truncatingIfNeeded: $0 &* 13 >> 3) }
        let run = start(coordinator) { [exemplar] input, wish, report in
            #expect((try? Data(contentsOf: input.exemplar)) == Data(exemplar))
            report(.started(iteration: 0, totalIterations: 2))
            let row = TrainingRun.MetricsRow(iteration: 1, unixSeconds: 0, values: [0.5])
            report(.metrics(columns: ["l1"], rows: [row]))
            report(.log(level: .info, message: "half way"))
            report(.artifact(.checkpoint, iteration: 2, file: Self.write("checkpoint", [1], input)))
            report(.artifact(.generator, iteration: 2, file: Self.write("generator", generator, input)))
            report(.artifact(.discriminator, iteration: 2, file: Self.write("discriminator", [3], input)))
            return .finished(iteration: 2, trainingSeconds: 1, reportJSON: "{}")
        }
        let hello = try await coordinator.welcome()
        #expect(hello.slots == 1 && hello.running.isEmpty)
        try await coordinator.assign(ref, exemplar: exemplar)
        // The first try arrives damaged, but its checksums are right: as from a damaged disk.
        try await coordinator.serve(exemplar) { $0[5] ^= 1 }
        try await coordinator.serve(exemplar)

        let metrics = try await coordinator.expect { if case .metrics(let batch) = $0 { batch } else { nil } }
        #expect(metrics.attempt == ref.wire && metrics.columns == ["l1"] && metrics.rows.map(\.values) == [[0.5]])
        coordinator.acknowledge(metrics.requestID)
        let log = try await coordinator.expect { if case .log(let batch) = $0 { batch } else { nil } }
        #expect(log.lines.map(\.message) == ["half way"])
        coordinator.acknowledge(log.requestID)
        var received: [WireArtifactKind: [UInt8]] = [:]
        for _ in 0..<3 {
            let (offer, content) = try await coordinator.receiveArtifact()
            received[offer.kind] = content
        }
        #expect(received == [.checkpoint: [1], .generator: generator, .discriminator: [3]])
        let finish = try await coordinator.expect { if case .finish(let finish) = $0 { finish } else { nil } }
        #expect(finish.generatorSha256 == ScriptedCoordinator.identify(generator).sha256)
        #expect(finish.iteration == 2 && finish.reportJson == "{}")
        coordinator.acknowledge(finish.requestID)
        try await coordinator.drain()
        #expect(try await run.value == .stopped)
        #expect(try attempts == [])
        await coordinator.socket.close()
    }

    @Test func anAttemptReportsWhatItsIterationsTakeOnAverage() async {
        // Every second iteration is without the style loss.
        let trainer = FakeTrainer { _, _, report in
            report(.started(iteration: 0, totalIterations: 4))
            for (index, seconds) in [1.0, 3, 1, 3].enumerated() {
                report(.iterated(iteration: index + 1, secondsPerIteration: seconds))
            }
            return .finished(iteration: 4, trainingSeconds: 8, reportJSON: "{}")
        }
        let (events, source) = AsyncStream.makeStream(of: WorkerState.Event.self)
        let input = TrainingRunner.Input(exemplar: folder, exemplarName: "x", threads: 1, folder: folder)
        TrainingRunner(wish: CurrentWish()).start(ref, recipeYAML: "recipe", input: input, trainer: trainer) { event in
            source.yield(event)
            if case .ended = event { source.finish() }
        }
        var reported: [Double] = []
        for await case .iterated(_, _, _, let seconds) in events { reported.append(seconds) }
        #expect(reported.first == 0 && reported.dropFirst().first == 1 && reported.last == 2)
    }

    @Test func aCancelledJobLeavesNothingAndItsSlotIsFreeOnceTheTrainerHasEnded() async throws {
        var coordinator = try ScriptedCoordinator()
        let ended = Flag()
        let run = start(coordinator) { input, wish, report in
            report(.log(level: .info, message: "begun"))
            while wish() != .abandon { Thread.sleep(forTimeInterval: 0.001) }
            report(.artifact(.snapshot, iteration: 1, file: Self.write("late", [1], input)))
            ended.raise()
            return .abandoned
        }
        _ = try await coordinator.welcome()
        try await coordinator.assign(ref, exemplar: exemplar)
        try await coordinator.serve(exemplar)
        _ = try await coordinator.expect { if case .log(let batch) = $0 { batch } else { nil } }
        var cancel = WireCancel()
        cancel.attempt = ref.wire
        coordinator.say(.cancel(cancel))
        // The only slot asks for work again.
        _ = try await coordinator.expect { if case .workRequest(let request) = $0 { request } else { nil } }
        #expect(ended.isRaised)
        try await coordinator.drain()
        #expect(try await run.value == .stopped)
        #expect(try attempts == [])
        await coordinator.socket.close()
    }

    @Test func aDrainCheckpointsDeliversAndHandsBack() async throws {
        var coordinator = try ScriptedCoordinator()
        let run = start(coordinator) { input, wish, report in
            report(.log(level: .info, message: "begun"))
            while wish() == .proceed { Thread.sleep(forTimeInterval: 0.001) }
            #expect(wish() == .checkpointAndStop)
            report(.artifact(.checkpoint, iteration: 7, file: Self.write("checkpoint", [9, 9], input)))
            return .stopped(iteration: 7)
        }
        _ = try await coordinator.welcome()
        try await coordinator.assign(ref, exemplar: exemplar)
        try await coordinator.serve(exemplar)
        let log = try await coordinator.expect { if case .log(let batch) = $0 { batch } else { nil } }
        coordinator.acknowledge(log.requestID)
        coordinator.say(.drain(WireDrain()))
        let (offer, content) = try await coordinator.receiveArtifact()
        #expect(offer.kind == .checkpoint && offer.iteration == 7 && content == [9, 9])
        let handBack = try await coordinator.expect { if case .handBack(let back) = $0 { back } else { nil } }
        #expect(handBack.attempt == ref.wire && handBack.iteration == 7)
        coordinator.acknowledge(handBack.requestID)
        try await coordinator.expectGoodbye()
        #expect(try await run.value == .stopped)
        await coordinator.socket.close()
    }

    @Test func anIdleWorkerSaysGoodbyeAndRetires() async throws {
        var coordinator = try ScriptedCoordinator()
        let run = start(coordinator, limits: WorkerLimits(idle: .seconds(1))) { _, _, _ in .abandoned }
        _ = try await coordinator.welcome()
        try await coordinator.expectGoodbye()
        guard case .retired = try await run.value else {
            Issue.record("the worker ended otherwise")
            return
        }
        await coordinator.socket.close()
    }

    @Test func whatWasTrainedWhileTheCoordinatorWasAwayIsGoneOnWithByTheNextProcess() async throws {
        var coordinator = try ScriptedCoordinator()
        // Its patience ends at once, as in a killed process.
        let first = start(coordinator, drainPatience: .zero) { input, wish, report in
            #expect(input.checkpoint == nil && !input.repeatsHistory)
            report(.artifact(.checkpoint, iteration: 7, file: Self.write("checkpoint-7", [9, 9], input)))
            while wish() == .proceed { Thread.sleep(forTimeInterval: 0.001) }
            return .abandoned
        }
        _ = try await coordinator.welcome()
        try await coordinator.assign(ref, exemplar: exemplar)
        try await coordinator.serve(exemplar)
        // The test receives the offer but no longer answers it.
        _ = try await coordinator.expect { if case .artifactOffer(let offer) = $0 { offer } else { nil } }
        first.cancel()
        #expect(try await first.value == .stopped)
        try await coordinator.expectGoodbye()

        let second = start(coordinator) { [exemplar] input, wish, report in
            #expect((try? Data(contentsOf: input.exemplar)) == Data(exemplar) && input.repeatsHistory)
            #expect(input.checkpoint.flatMap { try? Data(contentsOf: $0) } == Data([9, 9]))
            report(.artifact(.generator, iteration: 9, file: Self.write("generator", [1], input)))
            report(.artifact(.discriminator, iteration: 9, file: Self.write("discriminator", [2], input)))
            return .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")
        }
        let hello = try await coordinator.welcome()
        #expect(hello.running.map(\.attempt) == [ref.wire])
        let expected: [(WireArtifactKind, [UInt8])] = [
            (.checkpoint, [9, 9]), (.generator, [1]), (.discriminator, [2]),
        ]
        for (kind, content) in expected {
            let (offer, bytes) = try await coordinator.receiveArtifact()
            #expect(offer.kind == kind && bytes == content && offer.attempt == ref.wire)
        }
        let finish = try await coordinator.expect { if case .finish(let finish) = $0 { finish } else { nil } }
        #expect(finish.checkpointSha256 == ScriptedCoordinator.identify([9, 9]).sha256)
        coordinator.acknowledge(finish.requestID)
        try await coordinator.drain()
        #expect(try await second.value == .stopped)
        #expect(try attempts == [])
        await coordinator.socket.close()
    }

    @Test func aSpooledFileThatVanishesEndsTheAttemptAndNotTheWorker() async throws {
        var coordinator = try ScriptedCoordinator()
        let run = start(coordinator) { input, wish, report in
            let file = Self.write("generator", [1, 2, 3], input)
            report(.artifact(.generator, iteration: 1, file: file))
            #expect(throws: Never.self) { try FileManager.default.removeItem(at: file) }
            while wish() != .abandon { Thread.sleep(forTimeInterval: 0.001) }
            return .abandoned
        }
        _ = try await coordinator.welcome()
        try await coordinator.assign(ref, exemplar: exemplar)
        try await coordinator.serve(exemplar)
        let offer = try await coordinator.expect { if case .artifactOffer(let offer) = $0 { offer } else { nil } }
        let receiver = ArtifactReceiver(transferID: offer.transferID, artifact: Artifact(offer.artifact))
        try await vanish()
        coordinator.grant(receiver.credit(rewind: true))
        let handBack = try await coordinator.expect { if case .handBack(let back) = $0 { back } else { nil } }
        #expect(handBack.reason.contains("generator"))
        coordinator.acknowledge(handBack.requestID)
        try await coordinator.drain()
        #expect(try await run.value == .stopped)
        await coordinator.socket.close()
    }

    /// Returns once the trainer's file is gone.
    private func vanish() async throws {
        let file = folder.appendingPathComponent("attempts/\(ref.job)-3/reports/generator")
        while FileManager.default.fileExists(atPath: file.path) { try await Task.sleep(for: .milliseconds(1)) }
    }
}
