import Protocol
import Testing
import TextureGAN
import Transport

@testable import Worker

struct WorkerStateTests {
    private let ref = WireAttemptRef(jobID: "job", attempt: 1)
    private static let digests = "0123456789abcdef".map { String(repeating: $0, count: 64) }

    /// A worker with its clock, and what it said last.
    private struct Bench {
        var state: WorkerState
        var now = Instant(sinceStart: .zero)

        init(slots: UInt32 = 2) {
            var hello = WireHello()
            hello.minVersion = 1
            hello.maxVersion = 1
            hello.workerID = "w"
            hello.slots = slots
            state = WorkerState(hello: hello, session: 5, at: Instant(sinceStart: .zero))
        }

        @discardableResult mutating func play(_ event: WorkerState.Event, after: Duration = .zero)
            -> [WorkerState.Effect]
        {
            now = now + after
            return state.handle(event, at: now)
        }
        @discardableResult mutating func hear(_ body: WireMessage.Body) -> [WorkerState.Effect] {
            play(.received(WireMessage(body, session: 5, payload: nil)))
        }
        @discardableResult mutating func welcome() -> [WorkerState.Effect] {
            var welcome = WireWelcome()
            welcome.version = 1
            welcome.coordinatorID = "c"
            welcome.heartbeatMilliseconds = 1000
            return hear(.welcome(welcome))
        }
        mutating func acknowledge(_ id: UInt64, _ code: WireCode = .ok) -> [WorkerState.Effect] {
            var answer = WireAcknowledgement()
            answer.requestID = id
            answer.code = code
            return hear(.acknowledgement(answer))
        }
    }

    private func assign(_ requestID: UInt64 = 1) -> WireMessage.Body {
        var assign = WireAssign()
        assign.requestID = requestID
        assign.attempt = ref
        assign.exemplar = WireArtifact(sha256: Self.digests[1], sizeBytes: 10)
        return .assign(assign)
    }

    private func training(slots: UInt32 = 2) -> Bench {
        var bench = Bench(slots: slots)
        bench.play(.tick)
        bench.welcome()
        bench.hear(assign())
        bench.play(.downloaded(ref, sha256: Self.digests[1]))
        return bench
    }

    private func bodies(_ effects: [WorkerState.Effect]) -> [WireMessage.Body] {
        effects.compactMap { if case .send(let body) = $0 { body } else { nil } }
    }
    private func offers(_ effects: [WorkerState.Effect]) -> [WireArtifactOffer] {
        bodies(effects).compactMap { if case .artifactOffer(let offer) = $0 { offer } else { nil } }
    }
    private func finishes(_ effects: [WorkerState.Effect]) -> [WireFinish] {
        bodies(effects).compactMap { if case .finish(let finish) = $0 { finish } else { nil } }
    }
    private func requests(_ effects: [WorkerState.Effect]) -> [WireWorkRequest] {
        bodies(effects).compactMap { if case .workRequest(let request) = $0 { request } else { nil } }
    }
    private func receipt(_ offer: WireArtifactOffer) -> WireMessage.Body {
        var receipt = WireArtifactReceipt()
        receipt.transferID = offer.transferID
        receipt.sha256 = offer.artifact.sha256
        return .artifactReceipt(receipt)
    }

    @Test func helloIsRepeatedWithBackOffUntilWelcome() {
        var bench = Bench()
        var hellos: [Int] = []
        for second in 0..<40 {
            let said = bodies(bench.play(.tick, after: second == 0 ? .zero : .seconds(1)))
            if said.contains(where: { if case .hello = $0 { true } else { false } }) { hellos.append(second) }
        }
        #expect(hellos == [0, 1, 3, 7, 15, 31])
    }

    @Test func aWorkRequestKeepsItsIdUntilAnswered() throws {
        var bench = Bench()
        bench.play(.tick)
        let first = try #require(requests(bench.welcome()).first)
        let second = try #require(requests(bench.play(.tick, after: .seconds(1))).first)
        #expect(first == second)
        var none = WireNoWork()
        none.requestID = first.requestID
        none.retryAfterMilliseconds = 3000
        bench.hear(.noWork(none))
        #expect(requests(bench.play(.tick, after: .seconds(1))).isEmpty)
        let third = try #require(requests(bench.play(.tick, after: .seconds(2))).first)
        #expect(third.requestID != first.requestID)
    }

    @Test func aRepeatedAssignmentStartsNothingTwice() {
        var bench = training()
        let effects = bench.hear(assign())
        #expect(!effects.contains { if case .train = $0 { true } else { false } })
        #expect(!bodies(effects).contains { if case .artifactRequest = $0 { true } else { false } })
    }

    @Test func finishWaitsForTheReceiptsOfItsArtifacts() throws {
        var bench = training()
        var effects: [WorkerState.Effect] = []
        let kinds: [TrainingRun.ArtifactKind] = [.checkpoint, .generator, .discriminator]
        for (index, kind) in kinds.enumerated() {
            let artifact = WireArtifact(sha256: Self.digests[2 + index], sizeBytes: 1)
            effects += bench.play(.spooled(ref, kind, iteration: 9, artifact, file: kind.rawValue))
        }
        effects += bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")))
        for kind in [WireArtifactKind.checkpoint, .generator, .discriminator] {
            #expect(finishes(effects).isEmpty)
            let offer = try #require(offers(effects).first)
            #expect(offer.kind == kind)
            // The answer is lost: the same offer comes again.
            #expect(offers(bench.play(.tick, after: .seconds(1))).first == offer)
            effects = bench.hear(receipt(offer))
            #expect(effects.contains(.removeFile(ref, "\(kind)")))
        }
        let finish = try #require(finishes(effects).first)
        #expect(finish.generatorSha256 == Self.digests[3])
        #expect(finishes(bench.play(.tick, after: .seconds(1))).first == finish)
        effects = bench.acknowledge(finish.requestID)
        #expect(effects.contains(.removeFolder(ref)))
        #expect(bench.state.attempts.isEmpty)
    }

    @Test func aNewerCheckpointSupersedesAWaitingOneButNotTheOneUnderWay() {
        var bench = training()
        for number in 1...3 {
            let artifact = WireArtifact(sha256: Self.digests[number], sizeBytes: 1)
            let effects = bench.play(.spooled(ref, .checkpoint, iteration: number, artifact, file: "\(number)"))
            #expect(effects.contains(.removeFile(ref, "2")) == (number == 3))
        }
        #expect(bench.state.attempts[ref]?.undelivered.count == 2)
    }

    @Test func helloAgainInMidTrainingNamesTheAttemptAndStopsNothing() throws {
        var bench = training()
        bench.play(.iterated(ref, iteration: 70, totalIterations: 100, secondsPerIteration: 1))
        let effects = bench.hear(.helloAgain(WireHelloAgain()))
        let hello = try #require(
            bodies(effects).compactMap { if case .hello(let hello) = $0 { hello } else { nil } }.first)
        #expect(hello.running.map(\.iteration) == [70])
        #expect(!effects.contains { if case .wish = $0 { true } else { false } })
    }

    @Test func silenceReconnectsAndTrainingGoesOn() {
        var bench = training()
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
        var bench = training()
        var reply = WireHeartbeatReply()
        reply.lost = [ref]
        #expect(bench.hear(.heartbeatReply(reply)).contains(.wish(ref, .abandon)))
        let late = WireArtifact(sha256: Self.digests[2], sizeBytes: 1)
        let effects = bench.play(.spooled(ref, .snapshot, iteration: 1, late, file: "late"))
        #expect(effects.contains(.removeFile(ref, "late")) && offers(effects).isEmpty)
        #expect(bench.play(.ended(ref, .abandoned)).contains(.removeFolder(ref)))
        #expect(bench.state.attempts.isEmpty)
    }

    @Test func aCancelDuringDownloadLeavesNothing() {
        var bench = Bench()
        bench.play(.tick)
        bench.welcome()
        bench.hear(assign())
        var cancel = WireCancel()
        cancel.attempt = ref
        #expect(bench.hear(.cancel(cancel)).contains(.removeFolder(ref)))
        #expect(bench.state.freeSlots == 2)
        #expect(
            bench.play(.downloaded(ref, sha256: Self.digests[1])).allSatisfy {
                if case .train = $0 { false } else { true }
            })
    }

    @Test func drainDeliversTheCheckpointThenHandsBackThenSaysGoodbye() throws {
        var bench = training()
        #expect(bench.play(.drain("signal")).contains(.wish(ref, .checkpointAndStop)))
        let artifact = WireArtifact(sha256: Self.digests[2], sizeBytes: 1)
        var effects = bench.play(.spooled(ref, .checkpoint, iteration: 5, artifact, file: "c"))
        let offer = try #require(offers(effects).first)
        bench.play(.ended(ref, .stopped(iteration: 5)))
        effects = bench.hear(receipt(offer))
        let handBack = try #require(
            bodies(effects).compactMap { if case .handBack(let handBack) = $0 { handBack } else { nil } }.first)
        #expect(handBack.iteration == 5)
        effects = bench.acknowledge(handBack.requestID)
        #expect(effects.contains(.exit(.stopped)))
    }

    @Test func aDrainWithoutCoordinatorEnds() {
        var bench = training()
        bench.play(.drain("signal"))
        #expect(bench.play(.tick, after: WorkerState.drainTime).contains(.exit(.stopped)))
    }

    @Test func anotherSessionsMessagesAreIgnored() {
        var bench = training()
        var cancel = WireCancel()
        cancel.attempt = ref
        bench.play(.received(WireMessage(.cancel(cancel), session: 6)))
        #expect(bench.state.attempts[ref]?.isDisowned == false)
    }
}
