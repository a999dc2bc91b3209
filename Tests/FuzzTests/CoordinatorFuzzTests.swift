import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// The coordinator's inputs: messages, and its own database.
@Suite struct CoordinatorFuzzTests {
    /// A cluster with a running attempt of the corpus's session.
    private static func cluster() -> (ClusterState, AttemptReference) {
        var state = ClusterState(at: .origin)
        let input = JobInput(
            name: JobInput.exemplar, artifact: Artifact(sha256: WireCorpus.digest, sizeBytes: 9), fileName: "job.png")
        let submission = Submission(name: "job", inputs: [input], spec: "base: draft", priority: 0, key: "key")
        _ = state.handle(.submit(RequestToken(number: 1), [submission, submission], salts: [1, 2]), at: .origin)
        let worker = WorkerIdentity(
            id: "worker-1", name: "fuzz", softwareVersion: "1", slots: 2, threadsPerSlot: 1, cpu: "cpu")
        let hello = Hello(minVersion: 1, maxVersion: 2, worker: worker)
        _ = state.handle(.received(.hello(hello), session: WireCorpus.session), at: .origin)
        let request = MessageToCoordinator.workRequest(requestID: 1, freeSlots: 1)
        _ = state.handle(.received(request, session: WireCorpus.session), at: .origin)
        return (state, state.leases.values.first!.attempt)
    }

    @Test func noMessageTrapsTheCoordinator() throws {
        let (fresh, attempt) = Self.cluster()
        var state = fresh
        var now = Instant.origin
        let corpus = try WireCorpus.fromWorker(attempt.wire).map(WireCorpus.pack)
        var count = 0
        try Fuzzer(name: "messages to the coordinator", corpus: corpus).run(executions: 20_000) { bytes in
            let message = try WireCorpus.unpack(bytes)
            count += 1
            // A hostile worker may have sent anything before.
            if count % 50 == 0 { state = fresh }
            now = now + .milliseconds(300)
            if case .message(let content, _) = InboundMessage(message) {
                _ = state.handle(.received(content, session: message.session), at: now)
            }
            _ = state.handle(.tick, at: now)
        }
    }

    @Test func noDamagedStoreTrapsTheCoordinator() async throws {
        let folder = try ScratchFolder()
        let (state, attempt) = Self.cluster()
        let original = folder.file("original.sqlite")
        let store = try JobStore(file: original, newCoordinatorID: "fuzz")
        let job = state.job(attempt.job)!
        let row = MetricsBlock.Row(iteration: 3, unixSeconds: 1, values: [1, 2])
        try await store.apply(
            [
                .job(job), .attempt(job.id, job.attempt!),
                .artifact(job.id, .checkpoint, iteration: 20, job.inputs[0].artifact),
                .metrics(job.id, attempt: 1, MetricsBlock(columns: ["l1", "style"], rows: [row])),
                .log(
                    job.id, attempt: 1, session: 1, requestID: 1,
                    [LogLine(unixSeconds: 1, level: .info, message: "text")]),
                .worker(
                    state.sessions[WireCorpus.session]!.worker, session: WireCorpus.session, isDraining: true,
                    isConnected: true),
            ], at: Date())
        try store.close()
        let corpus = [[UInt8](try Data(contentsOf: original))]
        let file = folder.file("input.sqlite")
        try Fuzzer(name: "SQLite file", corpus: corpus).run(executions: 500) { bytes in
            for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: file.path + suffix) }
            // Much of a database is empty, so a few more changes are needed to have an effect.
            var more = Mutator(seed: UInt64(bytes.count) &+ bytes.reduce(0) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
            var bytes = bytes
            if bytes != corpus[0], !bytes.isEmpty {
                for _ in 0..<40 { bytes[more.below(bytes.count)] = UInt8(more.below(256)) }
            }
            try Data(bytes).write(to: file)
            let store = try JobStore(file: file, newCoordinatorID: "fuzz")
            defer { try? store.close() }
            _ = try StoreCheck.records(in: store, onlyNeeded: true)
            var state = ClusterState(restoring: try store.load(), at: .origin)
            _ = state.handle(.tick, at: .origin + .seconds(100))
        }
    }
}
