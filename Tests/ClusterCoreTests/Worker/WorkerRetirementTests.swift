import Testing

@testable import ClusterCore
@testable import Protocol

/// Workers that end by themselves.
struct WorkerRetirementTests {
    private let ref = WorkerBench.ref

    private func said(_ effects: [WorkerState.Effect]) -> [String] {
        effects.compactMap { if case .retire(let reason) = $0 { reason } else { nil } }
    }

    @Test func atTheEndOfItsLifetimeAWorkerHandsItsJobsBackAndRetires() throws {
        var bench = WorkerBench.training(limits: WorkerLimits(lifetime: .seconds(100)))
        #expect(said(bench.play(.tick, after: .seconds(99))) == [])
        bench.welcome()
        var effects = bench.play(.tick, after: .seconds(1))
        #expect(said(effects) == ["its lifetime is over"])
        #expect(effects.contains(.wish(ref, .checkpointAndStop)))
        let offer = try #require(bench.spool(.checkpoint, 5).offers.first)
        bench.play(.ended(ref, .stopped(iteration: 5)))
        let handBack = try #require(bench.hear(WorkerBench.receipt(offer)).handBacks.first)
        effects = bench.acknowledge(handBack.requestID)
        #expect(effects.contains(.exit(.retired("its lifetime is over"))))
    }

    @Test func aWorkerSaysOnceThatTheCoordinatorAsksItToDrain() {
        var drain = WireDrain()
        drain.reason = "asked by a person"
        var reply = WireHeartbeatReply()
        reply.drain = true
        var bench = WorkerBench.training()
        let effects = bench.hear(.drain(drain))
        #expect(said(effects) == ["the coordinator asks it to drain (asked by a person)"])
        #expect(effects.contains(.wish(ref, .checkpointAndStop)))
        #expect(said(bench.hear(.drain(drain)) + bench.hear(.heartbeatReply(reply))) == [])
        // A worker that missed the message learns of it from a heartbeat's answer.
        var other = WorkerBench.training()
        #expect(said(other.hear(.heartbeatReply(reply))) == ["the coordinator asks it to drain"])
        // The signal has been logged where it arrived.
        var third = WorkerBench.training()
        #expect(said(third.play(.drain)) == [])
    }

    @Test func aWorkerThatCannotDeliverDoesNotRetire() {
        var bench = WorkerBench.training(limits: WorkerLimits(lifetime: .seconds(1)))
        bench.play(.tick, after: .seconds(1))
        bench.play(.ended(ref, .stopped(iteration: 5)))
        // Its folder holds what the coordinator does not have.
        #expect(bench.play(.tick, after: bench.state.drainPatience).contains(.exit(.stopped)))
    }

    @Test func aWorkerWithoutAJobForLongRetires() throws {
        var bench = WorkerBench(limits: WorkerLimits(idle: .seconds(30)))
        bench.play(.tick)
        bench.welcome()
        #expect(said(bench.play(.tick, after: .seconds(29))) == [])
        // A job begins at the last moment. From its end the time counts again.
        bench.hear(WorkerBench.assign())
        bench.download()
        #expect(said(bench.play(.tick, after: .seconds(31))) == [])
        bench.welcome()
        bench.play(.ended(ref, .failed(code: FailureCode(rawValue: "x"), reason: "x", isRetryable: true)))
        let failure = try #require(bench.play(.tick, after: .seconds(1)).fails.first)
        _ = bench.acknowledge(failure.requestID)
        #expect(said(bench.play(.tick, after: .seconds(29))) == [])
        let effects = bench.play(.tick, after: .seconds(1))
        #expect(effects.contains(.exit(.retired("it had no job for as long as it may idle"))))
    }

    @Test func theTimeInWhichAWorkerReadsItsFolderIsNotIdle() {
        var bench = WorkerBench(limits: WorkerLimits(idle: .seconds(30)))
        let effects = bench.play(.recovered([]), after: .seconds(30))
        #expect(said(effects) == [] && effects.bodies.contains { if case .hello = $0 { true } else { false } })
        #expect(said(bench.play(.tick, after: .seconds(29))) == [])
        #expect(said(bench.play(.tick, after: .seconds(1))).count == 1)
    }

    @Test func withoutACoordinatorAnIdleWorkerRetiresToo() {
        var bench = WorkerBench(limits: WorkerLimits(idle: .seconds(30)))
        bench.play(.tick)
        #expect(said(bench.play(.tick, after: .seconds(30))).count == 1)
    }

    @Test func withoutLimitsAWorkerStays() {
        var bench = WorkerBench()
        bench.play(.tick)
        #expect(said(bench.play(.tick, after: .seconds(1_000_000))) == [])
    }
}
