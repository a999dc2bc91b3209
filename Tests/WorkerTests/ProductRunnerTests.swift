import Foundation
import Imaging
import Synchronization
import Testing

@testable import ClusterCore
@testable import TextureGAN
@testable import Worker

@Suite(.timeLimit(.minutes(3)))
struct ProductRunnerTests {
    private final class Posted: Sendable {
        private let state = Mutex<[WorkerState.Event]>([])
        var events: [WorkerState.Event] { state.withLock { $0 } }
        func add(_ event: WorkerState.Event) { state.withLock { $0.append(event) } }
        var ending: WorkerState.Ending? {
            events.lazy.compactMap { if case .ended(_, let ending) = $0 { ending } else { nil } }.first
        }
    }

    private func run(_ spec: String, availableBytes: Int, slots: Int) async throws -> WorkerState.Ending {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("runner-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let recipe = Recipe.draft
        let (network, exemplar) = (folder.appendingPathComponent("g"), folder.appendingPathComponent("e.png"))
        try Checkpoint.network(
            Generator(recipe, trained: false).parameters, kind: "generator", recipe: recipe, origin: [:]
        ).write(to: network)
        try Image(width: 64, height: 64, pixels: [UInt8](repeating: 9, count: 64 * 64 * 3)).png().write(to: exemplar)
        let posted = Posted()
        ProductRunner().start(
            Assignment(
                attempt: AttemptReference(job: JobID(sequence: 1, salt: 0), number: 1), kind: .expand, name: "wall",
                spec: spec, inputs: [], checkpoint: nil),
            ProductRun.Input(
                exemplar: .photograph(exemplar), exemplarName: "wall.png", generator: network, generatorSHA256: "",
                threads: 1,
                availableBytes: availableBytes, concurrentRuns: slots, limits: .cluster, folder: folder)
        ) { posted.add($0) }
        while true {
            if let ending = posted.ending { return ending }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private struct Failure {
        var code: String
        var reason: String
        var isRetryable: Bool
    }

    private func failure(_ spec: String, availableBytes: Int, slots: Int) async throws -> Failure? {
        let ending: WorkerState.Ending = try await run(spec, availableBytes: availableBytes, slots: slots)
        if case .failed(let code, let reason, let retryable, _) = ending {
            return Failure(code: code, reason: reason, isRetryable: retryable)
        }
        return nil
    }

    /// Another worker may have more. People read what is missing and what they can do.
    @Test func workThatDoesNotFitHereIsLeftToOthers() async throws {
        for (slots, advice) in [(1, "with more memory and retry"), (3, "memory or fewer --slots and retry")] {
            let found = try await failure("size=1024x1024", availableBytes: 100 << 20, slots: slots)
            let failure = try #require(found)
            #expect(failure.code == FailureCode.memory && failure.isRetryable)
            #expect(failure.reason.hasPrefix("1024x1024 pixels need "), "\(failure)")
            #expect(failure.reason.contains("this worker has 100 MiB per slot"), "\(failure)")
            #expect(failure.reason.contains(advice) && !failure.reason.contains("--memory"), "\(failure)")
        }
    }

    @Test func whatNoWorkerCanDoIsNotRepeated() async throws {
        for spec in ["size=32768x32768", "variations=300"] {
            let found = try await failure(spec, availableBytes: 1 << 40, slots: 1)
            let failure = try #require(found)
            #expect(failure.code == "badRequest" && !failure.isRetryable)
        }
    }
}
