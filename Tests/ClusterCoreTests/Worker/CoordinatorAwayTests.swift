import Testing

@testable import ClusterCore
@testable import Protocol

/// The coordinator is away, or this worker's disk is full. No training may get lost because of it.
struct CoordinatorAwayTests {
    private let ref = WorkerBench.ref

    private func artifact(_ number: Int) -> Artifact {
        let text = String(number, radix: 16)
        return Artifact(sha256: String(repeating: "0", count: 64 - text.count) + text, sizeBytes: 1)
    }

    @Test func anHourWithoutACoordinatorCostsNoIteration() throws {
        var bench = WorkerBench.training()
        var removed: [String] = []
        // One iteration a second, a row every ten, a snapshot every minute, a checkpoint every five minutes.
        for second in 1...3600 {
            let effects = bench.play(.tick, after: .seconds(1))
            #expect(!effects.contains { if case .wish = $0 { true } else { false } })
            bench.play(.iterated(ref, iteration: second, totalIterations: 10_000, secondsPerIteration: 1))
            if second % 10 == 0 {
                let row = MetricsBlock.Row(iteration: second, unixSeconds: 0, values: [Float(second)])
                bench.play(.metrics(ref, columns: ["l1"], rows: [row]))
            }
            for (kind, every) in [(ArtifactRole.snapshot, 60), (.checkpoint, 300)]
            where second % every == 0 {
                let effects = bench.play(
                    .spooled(ref, kind, iteration: second, artifact(second), file: "\(kind) \(second)"))
                removed += effects.compactMap { if case .removeFile(_, let file) = $0 { file } else { nil } }
            }
        }
        let waiting = try #require(bench.state.attempts[ref]).files
        #expect(waiting.count { $0.hasPrefix("checkpoint") } <= 2 && waiting.contains("checkpoint 3600"))
        #expect(removed.allSatisfy { $0.hasPrefix("checkpoint") }, "sixty snapshots fit")

        // The coordinator is back. The worker delivers everything in order, and training has continued meanwhile.
        var effects = bench.play(.tick, after: .seconds(40))
        let hello = try #require(
            effects.bodies.compactMap { if case .hello(let hello) = $0 { hello } else { nil } }.last)
        #expect(hello.running.map(\.iteration) == [3600])
        effects = bench.welcome()
        var rows: [UInt64] = []
        var offered: [UInt64] = []
        while true {
            var next: [WorkerState.Effect] = []
            for batch in effects.metrics {
                rows += batch.rows.map(\.iteration)
                next += bench.acknowledge(batch.requestID)
            }
            for offer in effects.offers {
                offered.append(offer.iteration)
                next += bench.hear(WorkerBench.receipt(offer))
            }
            if next.metrics.isEmpty, next.offers.isEmpty { break }
            effects = next
        }
        #expect(rows == (1...360).map { UInt64($0 * 10) })
        #expect(offered.contains(3600) && bench.state.attempts[ref]?.files.isEmpty == true)
    }

    @Test func whatWaitsInMemoryIsBounded() throws {
        var bench = WorkerBench.training()
        let long = String(repeating: "x", count: Limits.maxLogLineBytes)
        for number in 0..<2000 { bench.log("\(number) \(long)") }
        let items = try #require(bench.state.attempts[ref]).reports.items
        #expect(items.reduce(0) { $0 + $1.weight } <= SpoolLimits.reportBytes)
        #expect(items.count > 400)
        guard case .log(let last)? = items.last?.content else {
            Issue.record("the newest is gone")
            return
        }
        #expect(last[0].message.hasPrefix("1999 "))
    }

    @Test func aFullDiskHandsTheJobBackAtNoCostAndAsksForNoOtherUntilThereIsSpace() throws {
        var bench = WorkerBench.training(slots: 1)
        let failure = WorkerState.Ending.failed(
            code: .fileSystem, reason: "cannot write checkpoint: No space left on device", isRetryable: true)
        let effects = bench.play(.ended(ref, failure))
        #expect(effects.fails.isEmpty)
        let handBack = try #require(effects.handBacks.first)
        #expect(handBack.reason.contains("No space left on device"))
        #expect(bench.acknowledge(handBack.requestID).contains(.removeFolder(ref)))
        for _ in 0..<30 {
            #expect(bench.play(.tick, after: .seconds(1)).workRequests.isEmpty)
            bench.hear(.heartbeatReply(WireHeartbeatReply()))
        }
        #expect(bench.play(.storage(problem: nil)).workRequests.count == 1)
    }

    @Test func aDownloadThatCannotBeWrittenIsHandedBackToo() throws {
        var bench = WorkerBench()
        bench.play(.tick)
        bench.welcome()
        let transfer = try #require(bench.hear(WorkerBench.assign()).artifactRequests.first).transferID
        let effects = bench.play(
            .downloadFailed(ref, transferID: transfer, reason: "cannot write the exemplar: File too large"))
        #expect(effects.handBacks.count == 1 && effects.fails.isEmpty && effects.workRequests.isEmpty)
    }

    @Test func anAssignmentThatCrossedTheTroubleIsHandedBackAtOnce() throws {
        var bench = WorkerBench()
        bench.play(.tick)
        bench.welcome()
        bench.play(.storage(problem: "full"))
        let effects = bench.hear(WorkerBench.assign())
        #expect(effects.handBacks.count == 1 && effects.artifactRequests.isEmpty)
    }

    @Test func aLostLeaseIsExplained() throws {
        for number in 0..<3 {
            var bench = WorkerBench.training()
            let effects: [WorkerState.Effect]
            switch number {
            case 0:
                var reply = WireHeartbeatReply()
                reply.lost = [ref.wire]
                effects = bench.hear(.heartbeatReply(reply))
            case 1:
                let offer = try #require(bench.spool(.checkpoint, 1).offers.first)
                var answer = WireAcknowledgement()
                answer.requestID = offer.transferID
                answer.code = .leaseLost
                answer.message = "attempt 2 of the job was given to forge"
                effects = bench.hear(.acknowledgement(answer))
            default:
                bench.hear(.helloAgain(WireHelloAgain()))
                var welcome = WireWelcome()
                welcome.version = 1
                welcome.coordinatorID = "c"
                welcome.heartbeatMilliseconds = 1000
                welcome.lost = [ref.wire]
                effects = bench.hear(.welcome(welcome))
            }
            #expect(effects.contains(.wish(ref, .abandon)))
            let said = effects.compactMap { if case .logError(_, let text) = $0 { text } else { nil } }
            #expect(said.count == 1 && said[0].contains("the lease is lost"))
            if number == 1 { #expect(said[0].contains("given to forge")) }
        }
    }

    @Test func aRefusalOfThisProcessEndsItAndOneOfAnotherDoesNot() {
        var refusal = WireRefusal()
        refusal.code = .duplicateWorker
        refusal.message = "another worker with this id is connected"
        var bench = WorkerBench()
        bench.play(.tick)
        bench.hear(.refusal(refusal), session: 6)
        #expect(bench.hear(.refusal(refusal)).contains(.exit(.duplicate(refusal.message))))
    }

    @Test func anOlderCoordinatorsRefusalNamesTheSideToUpgradeAndEndsTheWorker() {
        var refusal = WireRefusal()
        refusal.code = .versionUnsupported
        refusal.message = "upgrade the coordinator"
        var bench = WorkerBench()
        bench.play(.tick)
        // Sent by a side that could not read the session.
        let effects = bench.hear(.refusal(refusal), session: 1)
        #expect(effects.contains(.exit(.refused("upgrade the coordinator"))))
    }

    private static func refusal(_ message: String) -> WorkerState.Event {
        .received(.refusal(.versionUnsupported, message: message), session: 1)
    }

    /// The coordinator was upgraded and does not read the agreed version, but may well speak another one.
    @Test func aVersionThatIsRefusedInMidTrainingIsNegotiatedAnew() {
        var bench = WorkerBench.training()
        // One refusal for each message that was on its way.
        for _ in 0..<20 {
            let effects = bench.play(Self.refusal("upgrade"))
            #expect(!effects.contains { if case .exit = $0 { true } else if case .wish = $0 { true } else { false } })
        }
        bench.welcome()
        #expect(bench.state.link == .welcomed && bench.state.attempts[ref]?.phase == .training)
    }

    @Test func aWorkerWhoseHellosAreRefusedLeavesItsCheckpointAndEnds() {
        var bench = WorkerBench.training()
        bench.play(Self.refusal("upgrade the worker"))
        var effects: [WorkerState.Effect] = []
        for _ in 0..<20 where !effects.contains(.wish(ref, .checkpointAndStop)) {
            effects += bench.play(.tick, after: .seconds(1)) + bench.play(Self.refusal("upgrade the worker"))
        }
        #expect(effects.contains(.wish(ref, .checkpointAndStop)))
        #expect(!effects.contains { if case .exit = $0 { true } else { false } })
        bench.spool(.checkpoint, 5)
        let end = bench.play(.ended(ref, .stopped(iteration: 5)))
        #expect(end.contains(.exit(.refused("upgrade the worker"))))
    }

    @Test func aWorkerThatWasNeverWelcomedEndsWithTheReasonOfTheHandshake() {
        var bench = WorkerBench()
        bench.play(.tick)
        let effects = bench.play(.unwelcome(reason: "another key", isFinal: false))
        #expect(effects.contains(.exit(.refused("another key"))))
    }

    /// The coordinator may have been replaced by mistake, and comes back.
    @Test func aWorkerThatTrainsSurvivesAFailedHandshakeButNotARevokedKey() {
        var bench = WorkerBench.training()
        for _ in 0..<20 {
            let effects = bench.play(.unwelcome(reason: "another key", isFinal: false))
            #expect(effects == [.rejected("another key")] && bench.state.attempts[ref]?.phase == .training)
        }
        #expect(bench.play(.unwelcome(reason: "revoked", isFinal: true)).contains(.wish(ref, .checkpointAndStop)))
        bench.spool(.checkpoint, 5)
        #expect(bench.play(.ended(ref, .stopped(iteration: 5))).contains(.exit(.refused("revoked"))))
    }

    @Test func aRefusalOfTheKeyCountsOnlyForItsSession() {
        var bench = WorkerBench.training()
        var refusal = WireRefusal()
        refusal.code = .notAuthorised
        refusal.message = "the key was revoked"
        #expect(bench.hear(.refusal(refusal), session: 6).isEmpty)
        #expect(bench.hear(.refusal(refusal)).contains(.wish(ref, .checkpointAndStop)))
    }

    @Test func aTrainerThatDoesNotStopEndsItsWorkerOnceNothingElseRuns() {
        var bench = WorkerBench.training(slots: 1)
        var reply = WireHeartbeatReply()
        reply.lost = [ref.wire]
        bench.hear(.heartbeatReply(reply))
        #expect(!bench.play(.tick, after: .seconds(600)).contains { if case .exit = $0 { true } else { false } })
        let effects = bench.play(.tick, after: WorkerState.hangPatience)
        #expect(effects.contains { if case .exit(.hung) = $0 { true } else { false } })
    }

    /// The disk must take as much as did not fit before. Otherwise the worker fetches the job and hands it back for ever.
    @Test func aDiskIsTrustedAgainOnceItTakesWhatItDidNotTake() throws {
        var bench = WorkerBench.training()
        let failure = WorkerState.Ending.failed(
            code: .fileSystem, reason: "full", isRetryable: true, neededBytes: 400 << 20)
        bench.play(.ended(ref, failure))
        #expect(bench.state.storageNeed == 400 << 20)
        bench.play(.storage(problem: nil))
        #expect(bench.state.storageNeed == 0)
    }

    @Test func aCheckpointOfAnotherVersionCostsNoRetry() throws {
        var bench = WorkerBench.training()
        let failure = WorkerState.Ending.failed(
            code: .foreignCheckpoint, reason: "texloom 9 wrote it", isRetryable: true)
        let fail = try #require(bench.play(.ended(ref, failure)).fails.first)
        // The coordinator falls back to the previous checkpoint and counts no failure.
        #expect(fail.code == "damagedCheckpoint" && fail.reason.contains("texloom 9"))
    }
}
