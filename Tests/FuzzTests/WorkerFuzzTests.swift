import Protocol
import Testing

@testable import Worker

@Suite struct WorkerFuzzTests {
    @Test func messages() throws {
        let ref = WireAttemptRef(jobID: "0000000001", attempt: 1)
        let corpus = try WireCorpus.fromCoordinator(ref).map(WireCorpus.pack)
        var state = try Self.worker(training: ref)
        var now = Instant(sinceStart: .zero)
        var (handled, exits) = (0, 0)
        try Fuzzer(name: "messages to a worker", corpus: corpus).run(executions: 20_000) { bytes in
            let message = try WireCorpus.unpack(bytes)
            handled += 1
            if handled % 50 == 0 { state = try Self.worker(training: ref) }
            now = now + .milliseconds(300)
            var hasExited = false
            for effect in state.handle(.received(message), at: now) + state.handle(.tick, at: now) {
                switch effect {
                // Files and frames are made of what was heard; that they can be is not the input's affair.
                case .send(let body):
                    #expect(throws: Never.self) { try WireMessage(body, session: WireCorpus.session).frames() }
                case .remember(let record):
                    #expect(throws: Never.self) {
                        let kept = try AttemptRecord(record.encoded())
                        #expect(kept == record)
                    }
                case .train(let assignment, _):
                    _ = state.handle(.ended(assignment.attempt, .abandoned), at: now)
                case .wish(let ref, .checkpointAndStop):
                    _ = state.handle(.ended(ref, .stopped(iteration: 7)), at: now)
                case .wish(let ref, .abandon): _ = state.handle(.ended(ref, .abandoned), at: now)
                case .exit: hasExited = true
                default: break
                }
            }
            // One that has ended hears nothing any more.
            if hasExited {
                exits += 1
                state = try Self.worker(training: ref)
            }
        }
        #expect(exits > 20 && handled > 1000, "\(handled) handled, \(exits) exits")
    }

    /// A worker that trains one attempt, delivers its checkpoint and log, and has more slots.
    private static func worker(training ref: WireAttemptRef) throws -> WorkerState {
        var hello = WireHello()
        hello.minVersion = 1
        hello.maxVersion = 1
        hello.workerID = "worker-1"
        hello.slots = 2
        let start = Instant(sinceStart: .zero)
        var state = WorkerState(hello: hello, session: WireCorpus.session, at: start)
        _ = state.handle(.tick, at: start)
        var welcome = WireWelcome()
        welcome.version = 1
        welcome.coordinatorID = "coordinator"
        welcome.heartbeatMilliseconds = 5000
        _ = state.handle(.received(WireMessage(.welcome(welcome), session: WireCorpus.session)), at: start)
        var assign = WireAssign()
        assign.attempt = ref
        assign.exemplar = WireArtifact(sha256: WireCorpus.digest, sizeBytes: 9)
        _ = state.handle(.received(WireMessage(.assign(assign), session: WireCorpus.session)), at: start)
        let transfer = try #require(state.attempts[ref]?.downloads.first?.transferID)
        _ = state.handle(.downloaded(ref, transferID: transfer), at: start)
        _ = state.handle(
            .spooled(
                ref, .checkpoint, iteration: 5, WireArtifact(sha256: WireCorpus.digest, sizeBytes: 9), file: "c"),
            at: start)
        _ = state.handle(.log(ref, level: "info", message: "text", unixSeconds: 1), at: start)
        #expect(state.attempts[ref]?.phase == .training && state.attempts[ref]?.files == ["c"])
        return state
    }
}
