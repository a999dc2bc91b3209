import Testing

@testable import ClusterCore
@testable import Protocol

/// A failed delivery ends at most its own attempt.
struct WorkerFailureTests {
    private let ref = WorkerBench.ref

    @Test func aReportThatBreaksTheProtocolIsDroppedAndTheNextOnesGo() throws {
        var bench = WorkerBench.training()
        let row = MetricsBlock.Row(iteration: 1, unixSeconds: 0, values: [1, 2])
        let effects = bench.play(.metrics(ref, columns: ["l1"], rows: [row]))
        #expect(effects.hasLoggedAnError && effects.metrics.isEmpty)
        #expect(bench.log("alive").logs.first?.lines.map(\.message) == ["alive"])
    }

    @Test func aResultThatBreaksTheProtocolFailsTheAttempt() throws {
        var bench = WorkerBench.training()
        for (number, kind) in [ArtifactRole.checkpoint, .generator, .discriminator].enumerated() {
            let offer = try #require(bench.spool(kind, number).offers.first)
            bench.hear(WorkerBench.receipt(offer))
        }
        let report = String(repeating: " ", count: Limits.maxReportBytes + 1)
        let effects = bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: report)))
        let fail = try #require(effects.fails.first)
        #expect(fail.code == "invalidReport" && fail.reason.contains("report_json") && !fail.retryable)
        #expect(bench.acknowledge(fail.requestID).contains(.removeFolder(ref)))
    }

    @Test(arguments: [Double.nan, .infinity, -1, 1e300])
    func anImpossibleIterationDoesNotSilenceTheHeart(_ seconds: Double) throws {
        var bench = WorkerBench.training()
        bench.play(.iterated(ref, iteration: .max, totalIterations: .max, secondsPerIteration: seconds))
        let beats = bench.play(.tick, after: .seconds(1)).bodies.filter {
            if case .heartbeat = $0 { true } else { false }
        }
        #expect(throws: Never.self) { try WireMessage(try #require(beats.first), session: 5).frames() }
    }

    @Test func anUnreadableSnapshotIsDroppedAndWhatFollowsGoes() throws {
        var bench = WorkerBench.training()
        bench.spool(.snapshot, 1)
        bench.spool(.checkpoint, 2)
        let effects = bench.play(.unreadable(ref, file: "snapshot-1", reason: "gone"))
        #expect(effects.hasLoggedAnError)
        #expect(effects.offers.map(\.kind) == [.checkpoint])
        #expect(bench.state.attempts[ref]?.verdict == nil)
    }

    @Test func anUnreadableCheckpointIsMissedOnlyByTheResultThatNamesIt() throws {
        var bench = WorkerBench.training()
        bench.spool(.checkpoint, 1)
        var effects = bench.play(.unreadable(ref, file: "checkpoint-1", reason: "gone"))
        #expect(!effects.contains(.wish(ref, .abandon)))
        bench.spool(.checkpoint, 2)
        bench.spool(.generator, 3)
        bench.spool(.discriminator, 4)
        bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")))
        effects = bench.play(.unreadable(ref, file: "checkpoint-2", reason: "gone again"))
        let handBack = try #require(effects.handBacks.first)
        #expect(handBack.reason.contains("gone again") && effects.fails.isEmpty, "the disk's fault and not the job's")
    }

    @Test func bytesThatNeverMatchTheirDigestAreGivenUp() throws {
        var bench = WorkerBench.training()
        let offer = try #require(bench.spool(.generator, 1).offers.first)
        for _ in 1..<WorkerState.maxTransfers {
            #expect(!bench.acknowledge(offer.transferID, .digestMismatch).contains(.wish(ref, .abandon)))
            #expect(bench.play(.tick, after: .seconds(1)).offers == [offer])
        }
        #expect(bench.acknowledge(offer.transferID, .digestMismatch).contains(.wish(ref, .abandon)))
    }

    @Test func aResultWhoseArtifactsTheCoordinatorLostFailsAndMayBeRetried() throws {
        var bench = WorkerBench.training()
        for (number, kind) in [ArtifactRole.checkpoint, .generator, .discriminator].enumerated() {
            let offer = try #require(bench.spool(kind, number).offers.first)
            bench.hear(WorkerBench.receipt(offer))
        }
        let effects = bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")))
        let finish = try #require(effects.finishes.first)
        let fail = try #require(bench.acknowledge(finish.requestID, .unknownArtifact).fails.first)
        #expect(fail.code == "artifactsLost" && fail.retryable)
    }

    @Test func aRefusedArtifactHoldsTheSlotUntilItsTrainerHasEnded() throws {
        var bench = WorkerBench.training(slots: 1)
        let offer = try #require(bench.spool(.checkpoint, 1).offers.first)
        var effects = bench.acknowledge(offer.transferID, .tooLarge)
        #expect(effects.contains(.wish(ref, .abandon)))
        effects += bench.play(.tick, after: .seconds(1))
        #expect(effects.fails.isEmpty && effects.workRequests.isEmpty && bench.state.freeSlots == 0)
        // Later reports of the trainer belong to no attempt.
        #expect(bench.spool(.generator, 2).contains(.removeFile(ref, "generator-2")))
        effects = bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")))
        #expect(effects.fails.map(\.code) == ["artifactRefused"] && effects.workRequests.count == 1)
    }

    @Test func aDamagedDownloadIsFetchedAgainButNotForEver() throws {
        var bench = WorkerBench()
        bench.play(.tick)
        bench.welcome()
        var transfer = try #require(bench.hear(WorkerBench.assign()).artifactRequests.first).transferID
        func damaged() -> WorkerState.Event { .downloadDamaged(ref, transferID: transfer, reason: "other bytes") }
        for _ in 1..<WorkerState.maxTransfers {
            let effects = bench.play(damaged())
            let request = try #require(effects.artifactRequests.first)
            #expect(request.offset == 0 && request.transferID > transfer)
            #expect(effects.fails.isEmpty)
            // A late message about the earlier transfer does not count for this one.
            #expect(bench.play(damaged()).artifactRequests.isEmpty)
            transfer = request.transferID
        }
        let fail = try #require(bench.play(damaged()).fails.first)
        #expect(fail.code == "download" && fail.reason.contains("other bytes") && fail.retryable)
    }

    /// A hash takes a while. Meanwhile the worker may lose the lease and get the very same attempt again.
    @Test func whatAnEarlierDownloadEndsWithIsNotTakenForTheNewOnes() throws {
        var bench = WorkerBench()
        bench.play(.tick)
        bench.welcome()
        let old = try #require(bench.hear(WorkerBench.assign()).artifactRequests.first).transferID
        var reply = WireHeartbeatReply()
        reply.lost = [ref.wire]
        bench.hear(.heartbeatReply(reply))
        #expect(bench.state.attempts.isEmpty)
        let new = try #require(bench.hear(WorkerBench.assign(2)).artifactRequests.first).transferID
        for stale in [
            WorkerState.Event.downloaded(ref, transferID: old),
            .downloadDamaged(ref, transferID: old, reason: "half of it"),
            .downloadFailed(ref, transferID: old, reason: "no such file"),
        ] {
            #expect(bench.play(stale).isEmpty)
        }
        #expect(
            bench.play(.downloaded(ref, transferID: new)).contains { if case .start = $0 { true } else { false } })
    }

    @Test func metricsAndLogsDoNotWaitForACheckpointUnderWay() throws {
        var bench = WorkerBench.training()
        #expect(bench.spool(.checkpoint, 1).offers.count == 1)
        #expect(bench.log("meanwhile").logs.count == 1)
    }

    @Test func aCheckpointWaitsForTheReportsBeforeItAndForNoneAfterIt() throws {
        var bench = WorkerBench.training()
        let before = try #require(bench.log("before").logs.first)
        #expect(bench.spool(.checkpoint, 1).offers.isEmpty)
        bench.log("after")
        let effects = bench.acknowledge(before.requestID)
        #expect(effects.offers.count == 1 && effects.logs.first?.lines.map(\.message) == ["after"])
    }

    @Test func theLastWordWaitsForTheLogThatExplainsIt() throws {
        var bench = WorkerBench.training()
        let batch = try #require(bench.log("not finite").logs.first)
        let ending = WorkerState.Ending.failed(
            code: FailureCode(rawValue: "notFinite"), reason: "l1", isRetryable: false)
        #expect(bench.play(.ended(ref, ending)).fails.isEmpty)
        #expect(bench.acknowledge(batch.requestID).fails.count == 1)
    }

    @Test func aLongDrainDeliversItsCheckpointAsLongAsTheCoordinatorAnswers() throws {
        var bench = WorkerBench.training()
        bench.play(.drain)
        for _ in 0..<200 {
            let effects = bench.play(.tick, after: .seconds(1))
            #expect(!effects.contains(.exit(.stopped)))
            bench.hear(.heartbeatReply(WireHeartbeatReply()))
        }
        let offer = try #require(bench.spool(.checkpoint, 1).offers.first)
        bench.play(.ended(ref, .stopped(iteration: 1)))
        let handBack = try #require(bench.hear(WorkerBench.receipt(offer)).handBacks.first)
        #expect(bench.acknowledge(handBack.requestID).contains(.exit(.stopped)))
    }

    @Test func aDrainGivesUpAfterItsPatienceWithoutAWord() {
        var bench = WorkerBench.training()
        bench.play(.drain)
        bench.play(.tick, after: .seconds(50))
        bench.hear(.heartbeatReply(WireHeartbeatReply()))
        #expect(!bench.play(.tick, after: .seconds(59)).contains(.exit(.stopped)))
        #expect(bench.play(.tick, after: .seconds(1)).contains(.exit(.stopped)))
    }

    @Test func aDrainDoesNotWaitForATrainerWhoseLeaseIsLost() {
        var bench = WorkerBench.training()
        var reply = WireHeartbeatReply()
        reply.lost = [ref.wire]
        bench.hear(.heartbeatReply(reply))
        #expect(bench.play(.drain).contains(.exit(.stopped)))
    }
}
