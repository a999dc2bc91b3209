import Testing

@testable import ClusterCore
@testable import Protocol

struct WorkerStateTests {
    private let ref = WorkerBench.ref
    private static let digests = WorkerBench.digests

    @Test func helloIsRepeatedWithBackOffUntilWelcome() {
        var bench = WorkerBench()
        var hellos: [Int] = []
        for second in 0..<40 {
            let said = bench.play(.tick, after: second == 0 ? .zero : .seconds(1)).bodies
            if said.contains(where: { if case .hello = $0 { true } else { false } }) { hellos.append(second) }
        }
        #expect(hellos == [0, 1, 3, 7, 15, 31])
    }

    @Test func aWorkRequestKeepsItsIdUntilAnswered() throws {
        var bench = WorkerBench()
        bench.play(.tick)
        let first = try #require(bench.welcome().workRequests.first)
        let second = try #require(bench.play(.tick, after: .seconds(1)).workRequests.first)
        #expect(first == second)
        var none = WireNoWork()
        none.requestID = first.requestID
        none.retryAfterMilliseconds = 3000
        bench.hear(.noWork(none))
        #expect(bench.play(.tick, after: .seconds(1)).workRequests.isEmpty)
        let third = try #require(bench.play(.tick, after: .seconds(2)).workRequests.first)
        #expect(third.requestID != first.requestID)
    }

    @Test func aRepeatedAssignmentStartsNothingTwice() {
        var bench = WorkerBench.training()
        let effects = bench.hear(WorkerBench.assign())
        #expect(!effects.contains { if case .start = $0 { true } else { false } })
        #expect(!effects.bodies.contains { if case .artifactRequest = $0 { true } else { false } })
    }

    @Test func finishWaitsForTheReceiptsOfItsArtifacts() throws {
        var bench = WorkerBench.training()
        var effects: [WorkerState.Effect] = []
        let kinds: [ArtifactRole] = [.checkpoint, .generator, .discriminator]
        for (index, kind) in kinds.enumerated() {
            let artifact = Artifact(sha256: Self.digests[2 + index], sizeBytes: 1)
            effects += bench.play(.spooled(ref, kind, iteration: 9, artifact, file: kind.rawValue))
        }
        effects += bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")))
        for kind in [WireArtifactKind.checkpoint, .generator, .discriminator] {
            #expect(effects.finishes.isEmpty)
            let offer = try #require(effects.offers.first)
            #expect(offer.kind == kind)
            // The answer is lost, so the worker repeats the same offer.
            #expect(bench.play(.tick, after: .seconds(1)).offers.first == offer)
            effects = bench.hear(WorkerBench.receipt(offer))
            #expect(effects.contains(.removeFile(ref, "\(kind)")))
        }
        let finish = try #require(effects.finishes.first)
        #expect(finish.generatorSha256 == Self.digests[3])
        #expect(bench.play(.tick, after: .seconds(1)).finishes.first == finish)
        effects = bench.acknowledge(finish.requestID)
        #expect(effects.contains(.removeFolder(ref)))
        #expect(bench.state.attempts.isEmpty)
    }

    @Test func aRunResumedFromItsLastCheckpointFinishesWithIt() throws {
        var bench = WorkerBench()
        bench.play(.tick)
        bench.welcome()
        var assign = WorkerBench.assignment()
        assign.checkpoint = WireArtifact(sha256: Self.digests[5], sizeBytes: 1)
        assign.checkpointIteration = 9
        bench.hear(.assign(assign))
        bench.download()
        bench.download()
        var effects: [WorkerState.Effect] = []
        for (index, kind) in [ArtifactRole.generator, .discriminator].enumerated() {
            effects += bench.spool(kind, 2 + index)
        }
        bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")))
        effects = bench.hear(WorkerBench.receipt(try #require(effects.offers.first)))
        effects = bench.hear(WorkerBench.receipt(try #require(effects.offers.first)))
        #expect(try #require(effects.finishes.first).checkpointSha256 == Self.digests[5])
    }

    @Test func aNewerCheckpointSupersedesAWaitingOneButNotTheOneUnderWay() {
        var bench = WorkerBench.training()
        for number in 1...3 {
            let artifact = Artifact(sha256: Self.digests[number], sizeBytes: 1)
            let effects = bench.play(.spooled(ref, .checkpoint, iteration: number, artifact, file: "\(number)"))
            #expect(effects.contains(.removeFile(ref, "2")) == (number == 3))
        }
        #expect(bench.state.attempts[ref]?.results.items.count == 2)
    }

    @Test func helloAgainInMidTrainingNamesTheAttemptAndStopsNothing() throws {
        var bench = WorkerBench.training()
        bench.play(.iterated(ref, iteration: 70, totalIterations: 100, secondsPerIteration: 1))
        let effects = bench.hear(.helloAgain(WireHelloAgain()))
        let hello = try #require(
            effects.bodies.compactMap { if case .hello(let hello) = $0 { hello } else { nil } }.first)
        #expect(hello.running.map(\.iteration) == [70])
        #expect(!effects.contains { if case .wish = $0 { true } else { false } })
    }

    @Test func silenceReconnectsAndTrainingGoesOn() {
        var bench = WorkerBench.training()
        var reconnects = 0
        for _ in 0..<60 {
            let effects = bench.play(.tick, after: .seconds(1))
            reconnects += effects.count { $0 == .reconnect }
            #expect(!effects.contains { if case .wish = $0 { true } else { false } })
        }
        #expect((3...7).contains(reconnects))
        #expect(bench.state.attempts[ref]?.phase == .training)
    }

    @Test func aLostLeaseStopsTheTrainerAndItsReports() {
        var bench = WorkerBench.training()
        var reply = WireHeartbeatReply()
        reply.lost = [ref.wire]
        #expect(bench.hear(.heartbeatReply(reply)).contains(.wish(ref, .abandon)))
        let late = Artifact(sha256: Self.digests[2], sizeBytes: 1)
        let effects = bench.play(.spooled(ref, .snapshot, iteration: 1, late, file: "late"))
        #expect(effects.contains(.removeFile(ref, "late")) && effects.offers.isEmpty)
        #expect(bench.play(.ended(ref, .abandoned)).contains(.removeFolder(ref)))
        #expect(bench.state.attempts.isEmpty)
    }

    @Test func aCancelDuringDownloadLeavesNothing() throws {
        var bench = WorkerBench()
        bench.play(.tick)
        bench.welcome()
        let transfer = try #require(bench.hear(WorkerBench.assign()).artifactRequests.first).transferID
        var cancel = WireCancel()
        cancel.attempt = ref.wire
        #expect(bench.hear(.cancel(cancel)).contains(.removeFolder(ref)))
        #expect(bench.state.freeSlots == 2)
        #expect(
            bench.play(.downloaded(ref, transferID: transfer)).allSatisfy {
                if case .start = $0 { false } else { true }
            })
    }

    @Test func drainDeliversTheCheckpointThenHandsBackThenSaysGoodbye() throws {
        var bench = WorkerBench.training()
        #expect(bench.play(.drain).contains(.wish(ref, .checkpointAndStop)))
        let artifact = Artifact(sha256: Self.digests[2], sizeBytes: 1)
        var effects = bench.play(.spooled(ref, .checkpoint, iteration: 5, artifact, file: "c"))
        let offer = try #require(effects.offers.first)
        bench.play(.ended(ref, .stopped(iteration: 5)))
        effects = bench.hear(WorkerBench.receipt(offer))
        let handBack = try #require(
            effects.bodies.compactMap { if case .handBack(let handBack) = $0 { handBack } else { nil } }.first)
        #expect(handBack.iteration == 5)
        effects = bench.acknowledge(handBack.requestID)
        #expect(effects.contains(.exit(.stopped)))
    }

    @Test func aDrainWithoutCoordinatorEnds() {
        var bench = WorkerBench.training()
        bench.play(.drain)
        #expect(bench.play(.tick, after: bench.state.drainPatience).contains(.exit(.stopped)))
    }

    @Test func anotherSessionsMessagesAreIgnored() {
        var bench = WorkerBench.training()
        var cancel = WireCancel()
        cancel.attempt = ref.wire
        bench.hear(.cancel(cancel), session: 6)
        #expect(bench.state.attempts[ref]?.isDisowned == false)
    }

    private func news(_ effects: [WorkerState.Effect]) -> [String] {
        effects.compactMap { effect in
            switch effect {
            case .connected(let coordinator, _): "connected to \(coordinator)"
            case .away: "away"
            case .rejected: "rejected"
            default: nil
            }
        }
    }

    @Test func aWorkerSaysOnceThatItIsConnectedAndOnceThatTheCoordinatorIsAway() {
        var bench = WorkerBench()
        var said: [String] = []
        for _ in 0..<60 { said += news(bench.play(.tick, after: .seconds(1))) }
        #expect(said == ["away"], "it has never been there")
        said = news(bench.welcome()) + news(bench.welcome())
        #expect(said == ["connected to c"])
        said = []
        for _ in 0..<200 { said += news(bench.play(.tick, after: .seconds(1))) }
        #expect(said == ["away"])
        #expect(news(bench.welcome()) == ["connected to c"])
        // A restarted coordinator asks for HELLO at once.
        #expect(news(bench.hear(.helloAgain(WireHelloAgain()))).isEmpty)
        #expect(news(bench.welcome()) == ["connected to c"])
    }

    @Test func endingsAreSaidInWords() {
        let endings: [WorkerState.Ending] = [
            .finished(iteration: 60, trainingSeconds: 12.4, reportJSON: "{}"), .stopped(iteration: 7), .abandoned,
            .failed(code: FailureCode(rawValue: "notFinite"), reason: "l1 is NaN", isRetryable: true),
            .failed(code: FailureCode(rawValue: "badExemplar"), reason: "no image", isRetryable: false),
        ]
        #expect(
            endings.map { "training \($0.words(of: .train))" } == [
                "training finished at iteration 60 after 12 s", "training stopped at iteration 7, with a checkpoint",
                "training was abandoned", "training failed (notFinite): l1 is NaN",
                "training failed (badExemplar, for good): no image",
            ])
        #expect(endings.prefix(2).map { $0.words(of: .expand) } == ["finished after 12 s", "stopped"])
        #expect("\(WorkerExit.hung("job 1 does not stop"))" == "a trainer hangs: job 1 does not stop")
    }
}
