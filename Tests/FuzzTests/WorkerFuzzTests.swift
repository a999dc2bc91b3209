import Testing

@testable import ClusterCore
@testable import Protocol
@testable import Worker

@Suite struct WorkerFuzzTests {
    @Test func noMessageTrapsTheWorker() throws {
        let ref = AttemptReference(job: JobID(sequence: 1, salt: 1), number: 1)
        let corpus = try WireCorpus.fromCoordinator(ref.wire).map(WireCorpus.pack)
        var state = try Self.worker(training: ref)
        var now = Instant.origin
        var (handled, exits) = (0, 0)
        try Fuzzer(name: "messages to a worker", corpus: corpus).run(executions: 20_000) { bytes in
            let message = try WireCorpus.unpack(bytes)
            handled += 1
            if handled % 50 == 0 { state = try Self.worker(training: ref) }
            now = now + .milliseconds(300)
            var hasExited = false
            let heard =
                MessageToWorker(message).map { WorkerState.Event.received($0, session: message.session) } ?? .tick
            for effect in state.handle(heard, at: now) + state.handle(.tick, at: now) {
                switch effect {
                // The worker makes files and frames from what it hears. They must be valid for any input.
                case .send(let content):
                    #expect(WireMessage.breach(content) == nil)
                case .remember(let record):
                    #expect(throws: Never.self) {
                        let kept = try AttemptRecord(record.encoded())
                        #expect(kept == record)
                    }
                case .start(let assignment, _):
                    _ = state.handle(.ended(assignment.attempt, .abandoned), at: now)
                case .wish(let ref, .checkpointAndStop):
                    _ = state.handle(.ended(ref, .stopped(iteration: 7)), at: now)
                case .wish(let ref, .abandon): _ = state.handle(.ended(ref, .abandoned), at: now)
                case .exit: hasExited = true
                default: break
                }
            }
            // A worker that has exited hears nothing more.
            if hasExited {
                exits += 1
                state = try Self.worker(training: ref)
            }
        }
        #expect(exits > 20 && handled > 1000, "\(handled) handled, \(exits) exits")
    }

    /// A worker that trains one attempt, delivers its checkpoint and log, and has more slots.
    private static func worker(training ref: AttemptReference) throws -> WorkerState {
        let worker = WorkerIdentity(
            id: "worker-1", name: "worker-1", softwareVersion: "1", slots: 2, threadsPerSlot: 1, cpu: "test")
        let start = Instant.origin
        var state = WorkerState(
            worker: worker, session: WireCorpus.session, versions: 1...2, breach: WireMessage.breach, at: start)
        func hear(_ message: MessageToWorker) {
            _ = state.handle(.received(message, session: WireCorpus.session), at: start)
        }
        _ = state.handle(.tick, at: start)
        let greeting = Greeting(
            version: 2, coordinatorID: "coordinator", softwareVersion: "1", heartbeat: .seconds(5), lease: .seconds(20))
        hear(.welcome(greeting, lost: []))
        let exemplar = JobInput(
            name: JobInput.exemplar, artifact: Artifact(sha256: WireCorpus.digest, sizeBytes: 9), fileName: "x.png")
        hear(.assign(requestID: 1, Assignment(attempt: ref, name: "job", spec: "base: draft", inputs: [exemplar])))
        let transfer = try #require(state.attempts[ref]?.downloads.first?.transferID)
        _ = state.handle(.downloaded(ref, transferID: transfer), at: start)
        _ = state.handle(
            .spooled(
                ref, .checkpoint, iteration: 5, Artifact(sha256: WireCorpus.digest, sizeBytes: 9), file: "c"),
            at: start)
        _ = state.handle(.log(ref, LogLine(unixSeconds: 1, level: .info, message: "text")), at: start)
        #expect(state.attempts[ref]?.phase == .training && state.attempts[ref]?.files == ["c"])
        return state
    }
}
