import ClusterFixtures
import Testing

@testable import ClusterCore

@Suite("Cluster state: jobs that kill workers, workers that fail jobs")
struct ClusterStateLossTests {
    /// Lets a job take its worker with it several times. A new process of the same worker follows each time.
    private func kill(_ cluster: ClusterDriver, with job: JobID, times: Int, from session: UInt64 = 1) throws {
        for round in 0..<UInt64(times) {
            cluster.hello(session + round, worker: "w")
            #expect(cluster.take(session + round)?.job == job)
        }
        cluster.hello(session + UInt64(times), worker: "w")
    }

    @Test func aJobThatKillsItsWorkersLetsTheOthersGoFirstAndRunsAlone() throws {
        let cluster = ClusterDriver()
        let killer = cluster.submit("killer")[0]
        cluster.submit("b", "c", "d")
        try kill(cluster, with: killer, times: ClusterState.lossesOfSuspect)
        let session = UInt64(ClusterState.lossesOfSuspect + 1)
        let others = [try #require(cluster.take(session)), try #require(cluster.take(session))]
        #expect(others.allSatisfy { $0.job != killer })
        cluster.finish(session, others[0])
        cluster.finish(session, try #require(cluster.take(session)))
        #expect(cluster.take(session) == nil, "the worker still has one")
        cluster.finish(session, others[1])
        // The request that found no work gets its answer at the next tick.
        #expect(cluster.pass(.seconds(1)).assignment?.attempt.job == killer)
        cluster.submit("later")
        #expect(cluster.take(session) == nil, "nothing runs beside it")
        let attempt = try #require(cluster.state.leases[killer]).attempt
        cluster.store(session, attempt, .checkpoint, iteration: 10)
        #expect(cluster.pass(.seconds(1)).assignment?.name == "later", "it has shown that it can")
        #expect(cluster.state.job(killer)?.failures == 0)
    }

    /// Two workers with two slots, each with two attempts, and a job behind them that the worker "w" was lost with three times.
    private func busyCluster() throws -> (ClusterDriver, killer: JobID, running: [UInt64: [AttemptReference]]) {
        let cluster = ClusterDriver()
        cluster.submit("a", "b", "c", "d")
        var running: [UInt64: [AttemptReference]] = [:]
        for session in [11, 12] as [UInt64] {
            var worker = WorkerIdentity.named("worker-\(session)")
            worker.slots = 2
            cluster.handle(.hello(session: session, worker: worker, running: []))
            running[session] = [try #require(cluster.take(session)), try #require(cluster.take(session))]
        }
        let killer = cluster.submit("killer")[0]
        try kill(cluster, with: killer, times: ClusterState.lossesOfSuspect)
        cluster.handle(.goodbye(session: UInt64(ClusterState.lossesOfSuspect + 1), reason: "told to stop"))
        return (cluster, killer, running)
    }

    @Test func aJobThatKillsItsWorkersGetsOneToItselfHoweverMuchWorkComes() throws {
        let (cluster, killer, busy) = try busyCluster()
        var (running, given, pauses): ([UInt64: [AttemptReference]], [JobID], [UInt64]) = (busy, [], [])
        for round in 0..<8 {
            let session: UInt64 = round % 2 == 0 ? 11 : 12
            cluster.submit("short \(round)")
            cluster.finish(session, try #require(running[session]?.first))
            running[session]!.removeFirst()
            if let attempt = cluster.take(session) {
                running[session]!.append(attempt)
                given.append(attempt.job)
                if attempt.job == killer { break }
            } else {
                pauses.append(session)
                let reason = cluster.state.obstacle(to: try #require(cluster.state.job(killer)))
                #expect(reason?.contains("waits for a worker without other work, because it was lost 3 times") == true)
                #expect(cluster.state.problem(ofWorker: "worker-11")?.contains("takes no further job") == true)
                #expect(cluster.state.slotsWanted(at: cluster.now) == 2, "its free slot is for no other job")
            }
        }
        #expect(given.last == killer && given.count == 2, "the other worker goes on")
        #expect(pauses == [11])
        #expect(cluster.state.leases[killer]?.session == 11 && running[11]?.count == 1, "it runs alone")
        // Once it has shown that it can, the worker takes other work again.
        cluster.store(11, try #require(cluster.state.leases[killer]).attempt, .checkpoint, iteration: 10)
        #expect(cluster.take(11) != nil && cluster.state.problem(ofWorker: "worker-11") == nil)
    }

    @Test func anotherWorkerTakesOverForTheOneThatWasToRunTheSuspectJob() throws {
        let (cluster, killer, running) = try busyCluster()
        cluster.submit("e", "f", "g")
        cluster.finish(11, running[11]![0])
        #expect(cluster.take(11) == nil)
        cluster.handle(.goodbye(session: 11, reason: "told to stop"))
        // The job that it gave back comes first, because its place is before the others.
        cluster.finish(12, running[12]![0])
        let returned = try #require(cluster.take(12))
        #expect(returned.job == running[11]![1].job)
        cluster.finish(12, returned)
        #expect(cluster.take(12) == nil)
        cluster.finish(12, running[12]![1])
        #expect(cluster.take(12)?.job == killer)
    }

    /// Both workers report their attempts. Neither asks for work.
    private func beat(_ cluster: ClusterDriver, _ running: [UInt64: [AttemptReference]]) {
        for (session, attempts) in running {
            cluster.handle(.heartbeat(session: session, sequence: 1, running: attempts.map { .at($0, 1) }))
        }
    }

    @Test func aReservedWorkerThatNoLongerAsksForWorkHoldsTheSuspectJobBackFromNoOther() throws {
        let (cluster, killer, busy) = try busyCluster()
        var running = busy
        cluster.submit("e")
        cluster.finish(11, running[11]!.removeFirst())
        #expect(cluster.take(11) == nil)
        // Its disk fails, while its other slot still trains.
        cluster.pass(cluster.configuration.presence) { beat($0, running) }
        cluster.finish(12, running[12]!.removeFirst())
        #expect(cluster.take(12) == nil, "now this worker waits for its turn")
        cluster.finish(12, running[12]!.removeFirst())
        #expect(cluster.take(12)?.job == killer)
    }

    @Test func aReservedWorkerThatKeepsAskingStaysReserved() throws {
        let (cluster, killer, busy) = try busyCluster()
        var running = busy
        let next = cluster.submit("e")[0]
        cluster.finish(11, running[11]!.removeFirst())
        cluster.pass(cluster.configuration.presence * 2) { cluster in
            beat(cluster, running)
            #expect(cluster.take(11) == nil)
        }
        cluster.finish(12, running[12]!.removeFirst())
        #expect(cluster.take(12)?.job == next)
        cluster.finish(11, running[11]!.removeFirst())
        #expect(cluster.take(11)?.job == killer)
    }

    @Test func aSuspectJobThatAnotherWorkerTakesEndsTheReservation() throws {
        let (cluster, killer, busy) = try busyCluster()
        var running = busy
        cluster.finish(11, running[11]!.removeFirst())
        #expect(cluster.take(11) == nil)
        cluster.hello(13)
        #expect(cluster.take(13)?.job == killer)
        // The worker with the job falls silent.
        cluster.pass(.seconds(25)) { beat($0, running) }
        #expect(cluster.state.job(killer)?.state == .queued)
        cluster.submit("e")
        cluster.finish(12, running[12]!.removeFirst())
        #expect(cluster.take(12) == nil, "the job's next worker is the one that asks first")
        cluster.finish(12, running[12]!.removeFirst())
        #expect(cluster.take(12)?.job == killer)
    }

    @Test func aJobOfHigherPriorityStillGoesBeforeASuspectOne() throws {
        let (cluster, killer, running) = try busyCluster()
        cluster.finish(11, running[11]![0])
        #expect(cluster.take(11) == nil)
        let urgent = cluster.submit("urgent", priority: 1)
        // The request that waits gets it at once.
        #expect(cluster.state.leases[urgent[0]]?.session == 11)
        cluster.finish(12, running[12]![0])
        #expect(cluster.take(12) == nil, "now this worker waits for its turn")
        cluster.finish(12, running[12]![1])
        #expect(cluster.take(12)?.job == killer)
    }

    @Test func aJobThatKillsOneWorkerAfterTheOtherIsHeldWithThatReason() throws {
        let cluster = ClusterDriver()
        let killer = cluster.submit("killer")[0]
        try kill(cluster, with: killer, times: ClusterState.lossesOfHeld)
        let job = try #require(cluster.state.job(killer))
        #expect(job.state == .held && job.failures == 0)
        #expect(job.reason?.contains("host of w was lost with it 8 times in a row") == true)
        // A retry starts the count again.
        #expect(cluster.handle(.retry(cluster.token(), killer)).reply == .job(killer, .queued))
        try kill(cluster, with: killer, times: ClusterState.lossesOfHeld - 1, from: 100)
        #expect(cluster.state.job(killer)?.state == .queued)
    }

    @Test func silentDeathsCountAndSoDoRestarts() throws {
        let cluster = ClusterDriver()
        let killer = cluster.submit("killer")[0]
        for round in 1...UInt64(ClusterState.lossesOfHeld) {
            cluster.hello(round)
            #expect(cluster.take(round)?.job == killer)
            cluster.pass(.seconds(25))
        }
        #expect(cluster.state.job(killer)?.state == .held)
        #expect(cluster.state.job(killer)?.reason?.contains("8 workers in a row were lost with it") == true)
    }

    @Test func workersThatDieAtAJobThatAdvancesHoldNothing() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        for round in 1...100 as ClosedRange<UInt64> {
            cluster.hello(round, worker: "w")
            let attempt = try #require(cluster.take(round))
            if round % 7 == 0 { cluster.store(round, attempt, .checkpoint, iteration: Int(round)) }
        }
        #expect(cluster.state.job(job)?.state == .running && cluster.state.job(job)?.attempt?.number == 100)
    }

    @Test func whoComesBackOrTakesItsLeaveHasNotDiedOfIt() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        for round in 1...20 as ClosedRange<UInt64> {
            cluster.hello(round, worker: "w")
            let attempt = try #require(cluster.take(round))
            // Silent for half a minute, as after a cut connection.
            cluster.pass(.seconds(30))
            #expect(cluster.state.job(job)?.state == .queued)
            cluster.hello(round, worker: "w", running: [.at(attempt, 1)])
            #expect(cluster.state.job(job)?.state == .running)
            cluster.handle(.goodbye(session: round, reason: "told to stop"))
        }
        #expect(cluster.state.job(job)?.state == .queued)
        #expect(cluster.state.doubts.isEmpty)
    }

    /// A host loses power and comes back after the lease, with results that were under way.
    @Test func aWorkersNextProcessGetsALostAttemptBackThatNoOtherWorkerHasTaken() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1, worker: "w")
        let attempt = try #require(cluster.take(1))
        cluster.pass(.seconds(60))
        #expect(cluster.state.job(job)?.state == .queued)
        #expect(cluster.hello(2, worker: "other", running: [.at(attempt, 40)]).welcomed == [attempt])
        #expect(cluster.hello(3, worker: "w", running: [.at(attempt, 40)]).welcomed == [])
        #expect(cluster.state.job(job)?.state == .running && cluster.state.leases[job]?.session == 3)
        #expect(cluster.disk.jobs[0].attempt?.session == 3 && cluster.disk.jobs[0].attempt?.outcome == nil)
        #expect(cluster.state.doubts[job].lossesInARow == ["w"], "the process did die with it")
        #expect(cluster.take(2) == nil)
        #expect(cluster.finish(3, attempt).acknowledgement == .ok)
    }

    @Test func aLostAttemptStaysLostOnceTheJobIsTakenOrCancelled() throws {
        let cluster = ClusterDriver()
        cluster.submit("a", "b")
        cluster.hello(1, worker: "w")
        let attempts = [try #require(cluster.take(1)), try #require(cluster.take(1))]
        cluster.pass(.seconds(60))
        cluster.hello(2, worker: "other")
        #expect(cluster.take(2) == AttemptReference(job: attempts[0].job, number: 2))
        cluster.handle(.cancel(cluster.token(), attempts[1].job, reason: "enough"))
        #expect(cluster.hello(3, worker: "w", running: attempts.map { .at($0, 40) }).welcomed == attempts)
        #expect(cluster.state.leases[attempts[0].job]?.session == 2)
        #expect(cluster.state.job(attempts[1].job)?.state == .cancelled)
    }

    @Test func aJobThatKillsItsWorkerIsHeldAlsoIfTheWorkerAlwaysComesBackWithIt() throws {
        let cluster = ClusterDriver()
        let killer = cluster.submit("killer")[0]
        cluster.hello(1, worker: "w")
        let attempt = try #require(cluster.take(1))
        for session in 2...UInt64(ClusterState.lossesOfHeld) {
            cluster.pass(.seconds(25))
            #expect(cluster.hello(session, worker: "w", running: [.at(attempt, 1)]).welcomed == [])
        }
        cluster.pass(.seconds(25))
        #expect(cluster.state.job(killer)?.state == .held)
        #expect(cluster.hello(100, worker: "w", running: [.at(attempt, 1)]).welcomed == [attempt])
    }

    @Test func aFailedJobIsLeftToTheOtherWorkerForAsLongAsItTakes() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("long", "fails")
        cluster.hello(1)
        cluster.hello(2)
        let long = try #require(cluster.take(2))
        cluster.fail(1, try #require(cluster.take(1)))
        // For an hour, the worker that failed the job is idle and asks for work. The other one is busy.
        cluster.pass(.seconds(3600)) { cluster in
            cluster.beat(1, nil)
            cluster.beat(2, long, iteration: Int(cluster.now.nanoseconds / 1_000_000_000))
            #expect(cluster.ask(1).assignment == nil)
        }
        cluster.finish(2, long)
        cluster.handle(.tick)
        #expect(cluster.take(2) == AttemptReference(job: jobs[1], number: 2))
    }

    @Test func aJobThatFailedOnTwoWorkersIsLeftToTheThird() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        for session in 1...3 as ClosedRange<UInt64> { cluster.hello(session) }
        cluster.fail(1, try #require(cluster.take(1)))
        cluster.fail(2, try #require(cluster.take(2)))
        cluster.restart()
        for session in 1...3 as ClosedRange<UInt64> { cluster.hello(session) }
        #expect(cluster.take(1) == nil && cluster.take(2) == nil)
        #expect(cluster.take(3) == AttemptReference(job: job, number: 3))
    }

    @Test func aWorkerThatFailsEverythingDoesNotEatTheQueue() throws {
        let cluster = ClusterDriver()
        let names = (0..<100).map { "job \($0)" }
        for name in names { cluster.submit(name) }
        cluster.hello(1, worker: "broken")
        cluster.hello(2, worker: "sound")
        var warnings: [ClusterEffect] = []
        var long = try #require(cluster.take(2))
        for round in 0..<names.count {
            while let attempt = cluster.take(1) {
                warnings += cluster.fail(1, attempt).filter { if case .warn = $0 { true } else { false } }
            }
            if round % 2 == 0 { cluster.finish(2, long) }
            if round % 2 == 0, let next = cluster.take(2) { long = next }
        }
        while let attempt = cluster.take(2) { cluster.finish(2, attempt) }
        cluster.finish(2, long)
        while let attempt = cluster.take(2) { cluster.finish(2, attempt) }
        #expect(cluster.state.counts[.finished] == names.count, "\(cluster.state.counts)")
        #expect(warnings.count == 1)
    }

    @Test func poisonJobsBarNoSoundWorker() throws {
        let cluster = ClusterDriver()
        cluster.hello(1)
        cluster.hello(2)
        for name in (0..<10).map({ "poison \($0)" }) { cluster.submit(name) }
        // Both workers try all jobs until the coordinator holds them.
        for _ in 0..<100 {
            for session in [1, 2] as [UInt64] {
                if let attempt = cluster.take(session) { cluster.fail(session, attempt) }
            }
        }
        #expect(cluster.state.counts[.held] == 10, "\(cluster.state.counts)")
        #expect(cluster.state.sessions.values.allSatisfy { $0.failedJobs.count < ClusterState.failuresOfBarred })
    }

    @Test func theOnlyWorkerGetsWorkHoweverManyJobsFailedOnIt() throws {
        let cluster = ClusterDriver()
        for name in (0..<6).map({ "job \($0)" }) { cluster.submit(name) }
        cluster.hello(1)
        for _ in 0..<6 { cluster.fail(1, try #require(cluster.take(1))) }
        #expect(cluster.take(1) != nil)
    }

    @Test func anAssignmentThatDiedWithTheCoordinatorIsFreeAtItsWorkersHello() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        _ = try #require(cluster.take(1))
        cluster.restart()
        cluster.hello(1)
        #expect(cluster.state.job(job)?.state == .queued)
        #expect(cluster.take(1) == AttemptReference(job: job, number: 2))
        #expect(cluster.state.doubts.isEmpty)
    }

    @Test func aCheckpointThatIsGoneAfterARestartCostsNoRetry() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1, worker: "w")
        let first = try #require(cluster.take(1))
        cluster.store(1, first, .checkpoint, iteration: 40)
        cluster.store(1, first, .checkpoint, iteration: 80)
        cluster.hello(2, worker: "w")
        let assignment = try #require(cluster.ask(2).assignment)
        #expect(assignment.checkpoint?.iteration == 80)
        // A starting coordinator drops the record, because the file is missing.
        cluster.disk.apply(.artifactDropped(job, .checkpoint, iteration: 80))
        cluster.restart()
        cluster.hello(2, worker: "w", running: [.at(assignment.attempt, 80)])
        let request = ArtifactRequest(
            attempt: assignment.attempt, transferID: 9, sha256: try #require(assignment.checkpoint).artifact.sha256,
            offset: 0, windowChunks: 8)
        #expect(cluster.handle(.artifactRequested(session: 2, request)).acknowledgement == .leaseLost)
        #expect(cluster.state.job(job)?.failures == 0)
        #expect(cluster.ask(2).assignment?.checkpoint?.iteration == 40)
    }

    @Test func aRunningJobWithoutAnAttemptIsGivenOut() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.disk.jobs[0].state = .running
        cluster.restart()
        #expect(cluster.state.counts[.queued] == 1 && cluster.state.counts[.running, default: 0] == 0)
        cluster.hello(1)
        #expect(cluster.take(1)?.job == job)
    }

    @Test func theHeapsDoNotGrowWithWhatIsRepeated() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        for round in 0..<2000 {
            cluster.handle(.prioritise(cluster.token(), jobs[1], priority: round % 100))
            // Silent for longer than a lease, then back.
            cluster.pass(.seconds(21))
            cluster.hello(1, running: [.at(attempt, round)])
        }
        #expect(cluster.state.queue.count < 100 && cluster.state.deadlines.count < 200)
        #expect(cluster.state.job(attempt.job)?.attempt?.number == attempt.number)
    }
}
