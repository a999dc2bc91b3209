import Testing

@testable import ClusterCore
@testable import Protocol

/// A worker's process ends while the coordinator is away. Another process starts with the same folder.
struct RecoveryTests {
    private let ref = WorkerBench.ref

    /// The record that a process leaves after these effects.
    private func record(after effects: [WorkerState.Effect]) -> AttemptRecord? {
        effects.reduce(nil) { record, effect in
            switch effect {
            case .remember(let record): record.results.isEmpty ? nil : record
            case .removeFolder: nil
            default: record
            }
        }
    }

    private func recovered(_ record: AttemptRecord?, canTrain: Bool = true) -> WorkerState.Event {
        .recovered(record.map { [RecoveredAttempt(record: $0, canTrain: canTrain)] } ?? [])
    }

    /// The record of a training worker that has written checkpoints of these iterations and delivered none.
    private func left(_ iterations: Int...) -> AttemptRecord? {
        var bench = WorkerBench.training()
        return record(after: iterations.flatMap { bench.spool(.checkpoint, $0) })
    }

    private func hello(_ effects: [WorkerState.Effect]) -> WireHello? {
        effects.bodies.compactMap { if case .hello(let hello) = $0 { hello } else { nil } }.first
    }

    private func trained(_ effects: [WorkerState.Effect]) -> [Assignment] {
        effects.compactMap { if case .start(let assignment, .some) = $0 { assignment } else { nil } }
    }

    @Test func itGoesOnFromItsNewestCheckpointAndClaimsTheAttempt() throws {
        var bench = WorkerBench()
        let effects = bench.play(recovered(left(3, 4)))
        let assignment = try #require(trained(effects).first)
        #expect(
            assignment.checkpoint?.artifact.sha256 == WorkerBench.digests[4] && assignment.checkpoint?.iteration == 4)
        #expect(assignment.input(JobInput.exemplar)?.artifact.sha256 == WorkerBench.digests[1])
        #expect(hello(effects)?.running.map(\.attempt) == [ref.wire])
        #expect(hello(effects)?.running.map(\.iteration) == [4])
        #expect(bench.state.freeSlots == 1)
        // The coordinator is back. It gets both checkpoints, and the attempt continues.
        var offers = bench.welcome().offers
        #expect(offers.map(\.iteration) == [3])
        offers = bench.hear(WorkerBench.receipt(try #require(offers.first))).offers
        #expect(offers.map(\.iteration) == [4])
        let last = bench.hear(WorkerBench.receipt(try #require(offers.first)))
        #expect(last.contains { if case .remember(let record) = $0 { record.results.isEmpty } else { false } })
        #expect(bench.state.attempts[ref]?.phase == .training)
    }

    @Test func aResultThatWaitedIsDeliveredByTheNextProcess() throws {
        var bench = WorkerBench.training()
        var effects: [WorkerState.Effect] = []
        for (number, kind) in [ArtifactRole.checkpoint, .generator, .discriminator].enumerated() {
            effects += bench.spool(kind, number)
        }
        effects += bench.play(.ended(ref, .finished(iteration: 9, trainingSeconds: 1, reportJSON: "{}")))
        var heir = WorkerBench()
        effects = heir.play(recovered(record(after: effects)))
        #expect(trained(effects).isEmpty && hello(effects)?.running.map(\.iteration) == [9])
        effects = heir.welcome()
        for kind in [WireArtifactKind.checkpoint, .generator, .discriminator] {
            let offer = try #require(effects.offers.first)
            #expect(offer.kind == kind)
            effects = heir.hear(WorkerBench.receipt(offer))
        }
        let finish = try #require(effects.finishes.first)
        #expect(finish.generatorSha256 == WorkerBench.digests[1])
        #expect(heir.acknowledge(finish.requestID).contains(.removeFolder(ref)))
    }

    /// The new process makes the networks again. If it offered them twice, the first receipt would remove the second
    /// file.
    @Test func networksOfARunThatHadNotEndedAreDropped() {
        var bench = WorkerBench.training()
        let left = bench.spool(.checkpoint, 9) + bench.spool(.generator, 10)
        var heir = WorkerBench()
        let effects = heir.play(recovered(record(after: left)))
        #expect(trained(effects).map { $0.checkpoint?.iteration } == [9])
        #expect(
            effects.contains(.removeFile(ref, "generator-10")) && heir.state.attempts[ref]?.files == ["checkpoint-9"])
        #expect(record(after: effects)?.results.count == 1)
    }

    @Test func whatTheCoordinatorHasAlreadyIsNotClaimed() throws {
        var bench = WorkerBench.training()
        var effects = bench.spool(.checkpoint, 3)
        effects += bench.hear(WorkerBench.receipt(try #require(effects.offers.first)))
        #expect(record(after: effects) == nil)
        // Snapshots alone do not justify keeping the job from other workers.
        effects = bench.spool(.snapshot, 4)
        var heir = WorkerBench()
        effects = heir.play(recovered(record(after: effects)))
        #expect(effects.contains(.removeFolder(ref)) && hello(effects)?.running.isEmpty == true)
    }

    @Test func aLeaseThatWasLostMeanwhileEndsIt() {
        var bench = WorkerBench()
        bench.play(recovered(left(3)))
        var welcome = WireWelcome()
        welcome.version = 1
        welcome.coordinatorID = "c"
        welcome.heartbeatMilliseconds = 1000
        welcome.lost = [ref.wire]
        let effects = bench.hear(.welcome(welcome))
        #expect(effects.contains(.wish(ref, .abandon)) && effects.offers.isEmpty)
        #expect(bench.play(.ended(ref, .abandoned)).contains(.removeFolder(ref)))
    }

    @Test func anAttemptThatEndsItsProcessesIsGivenBackWithItsCheckpoint() throws {
        var kept = left(3)
        for _ in 0..<WorkerState.maxResumptions {
            var bench = WorkerBench()
            let effects = bench.play(recovered(kept))
            #expect(trained(effects).count == 1)
            kept = record(after: effects)
        }
        var bench = WorkerBench()
        var effects = bench.play(recovered(kept))
        #expect(trained(effects).isEmpty)
        effects = bench.welcome()
        effects = bench.hear(WorkerBench.receipt(try #require(effects.offers.first)))
        #expect(effects.handBacks.first?.reason.contains("before the next checkpoint") == true)
    }

    @Test func aNewCheckpointShowsThatItDoesNot() {
        var kept = left(3)
        for number in 4...9 {
            var bench = WorkerBench()
            let effects = bench.play(recovered(kept))
            #expect(trained(effects).count == 1)
            kept = record(after: effects + bench.spool(.checkpoint, number))
        }
    }

    @Test func withoutItsExemplarOrASlotItIsDeliveredAndGivenBack() throws {
        var bench = WorkerBench()
        bench.play(recovered(left(3), canTrain: false))
        let effects = bench.welcome()
        #expect(effects.offers.map(\.iteration) == [3] && bench.state.freeSlots == 2)
        #expect(
            bench.hear(WorkerBench.receipt(try #require(effects.offers.first))).handBacks.map(\.iteration) == [3])
    }

    /// The trainer makes the pictures since the checkpoint again, under the same names.
    @Test func aPictureThatIsMadeAgainIsDeliveredOnceAndAsItIs() throws {
        var bench = WorkerBench.training()
        let left = bench.spool(.checkpoint, 3) + bench.spool(.snapshot, 4)
        var heir = WorkerBench()
        heir.play(recovered(record(after: left)))
        heir.spool(.snapshot, 4)
        #expect(heir.state.attempts[ref]?.files == ["checkpoint-3", "snapshot-4"])
        let other = Artifact(sha256: WorkerBench.digests[5], sizeBytes: 1)
        heir.play(.spooled(ref, .snapshot, iteration: 4, other, file: "snapshot-4"))
        #expect(heir.state.attempts[ref]?.files == ["checkpoint-3", "snapshot-4"])
        let effects = heir.welcome()
        #expect(
            heir.hear(WorkerBench.receipt(try #require(effects.offers.first))).offers.map(\.artifact.sha256)
                == [WorkerBench.digests[5]])
    }

    /// The coordinator would think that its own checkpoint, where the attempt began, is the damaged one.
    @Test(arguments: [FailureCode.damagedCheckpoint, .foreignCheckpoint, .badCheckpoint])
    func aCheckpointOfItsOwnThatCannotBeUsedIsNotBlamedOnTheJob(_ code: FailureCode) throws {
        var bench = WorkerBench()
        bench.play(recovered(left(3)))
        bench.welcome()
        let effects = bench.play(.ended(ref, .failed(code: code, reason: "wrong sum", isRetryable: true)))
        #expect(effects.fails.isEmpty && effects.contains(.removeFile(ref, "checkpoint-3")))
        #expect(effects.handBacks.first?.reason.contains("wrong sum") == true)
    }

    /// A hand-back only holds for the process that stops.
    @Test func aWorkerThatWasStoppedWhileTheCoordinatorWasAwayGoesOn() {
        var bench = WorkerBench.training()
        var effects = bench.play(.drain) + bench.spool(.checkpoint, 5)
        effects += bench.play(.ended(ref, .stopped(iteration: 5)))
        var heir = WorkerBench()
        #expect(trained(heir.play(recovered(record(after: effects)))).map { $0.checkpoint?.iteration } == [5])
    }
}
