import Protocol
import Testing

@testable import Worker

@Suite struct WorkerFuzzTests {
    @Test func messages() throws {
        let ref = WireAttemptRef(jobID: "0000000001", attempt: 1)
        let corpus = try WireCorpus.fromCoordinator(ref).map(WireCorpus.pack)
        func worker() -> WorkerState {
            var hello = WireHello()
            hello.minVersion = 1
            hello.maxVersion = 1
            hello.workerID = "worker-1"
            hello.slots = 2
            var state = WorkerState(hello: hello, session: WireCorpus.session, at: Instant(sinceStart: .zero))
            _ = state.handle(.tick, at: Instant(sinceStart: .zero))
            return state
        }
        var state = worker()
        var now = Instant(sinceStart: .zero)
        var count = 0
        try Fuzzer(name: "messages to a worker", corpus: corpus).run(executions: 20_000) { bytes in
            let message = try WireCorpus.unpack(bytes)
            count += 1
            if count % 50 == 0 { state = worker() }
            now = now + .milliseconds(300)
            for effect in state.handle(.received(message), at: now) {
                // Files and frames are made of what was heard.
                if case .send(let body) = effect { _ = try WireMessage(body, session: WireCorpus.session).frames() }
                if case .train(let assignment) = effect {
                    _ = state.handle(.ended(assignment.attempt, .abandoned), at: now)
                }
            }
            _ = state.handle(.tick, at: now)
        }
    }
}
