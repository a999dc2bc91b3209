import ClusterFixtures
import Testing

@testable import ClusterCore

@Suite("Cluster state: workers that die with every job")
struct ClusterStateDeathTests {
    /// Starts the worker again and again. Each process dies with the job it got.
    private func crash(_ cluster: ClusterDriver, worker: String = "broken", times: Int, from session: UInt64) -> [JobID]
    {
        (0..<UInt64(times)).compactMap { round in
            cluster.hello(session + round, worker: worker)
            return cluster.take(session + round)?.job
        }
    }

    @Test func aWorkerThatDiesWithEveryJobGetsNoMoreAndTheJobsLoseNothing() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b", "c")
        let given = crash(cluster, times: 30, from: 100)
        #expect(given.count == ClusterState.lossesOfSuspect + 1, "the second job shows that it is the worker")
        let lost = crash(cluster, times: 1, from: 200)
        #expect(lost.isEmpty)
        for id in jobs {
            let job = try #require(cluster.state.job(id))
            #expect(job.state == .queued && job.failures == 0)
        }
        #expect(cluster.state.doubts.isEmpty)
        #expect(cluster.state.job(jobs[0])?.reason?.contains("dies with every job") == true)
        #expect(cluster.state.problem(ofWorker: "broken")?.contains("4 times in a row, with 2 different jobs") == true)
        // A sound worker finishes all of them.
        cluster.hello(1, worker: "sound")
        for _ in jobs { cluster.finish(1, try #require(cluster.take(1))) }
        #expect(cluster.state.counts[.finished] == 3)
        #expect(cluster.state.problem(ofWorker: "sound") == nil)
    }

    @Test func besideABusyWorkerABrokenOneHoldsNoJob() throws {
        let cluster = ClusterDriver()
        cluster.hello(1, worker: "sound")
        let long = cluster.submit("long")[0]
        #expect(cluster.take(1)?.job == long)
        let one = cluster.submit("one")[0]
        // It is the only waiting job. After three deaths, only the sound worker may get it.
        let given = crash(cluster, times: 30, from: 100)
        #expect(given == Array(repeating: one, count: ClusterState.lossesOfSuspect))
        #expect(cluster.state.job(one)?.state == .queued)
        cluster.finish(1, AttemptReference(job: long, number: 1))
        #expect(cluster.take(1)?.job == one)
    }

    @Test func itRestsEverLongerAndProvesItselfWithOneJobItHasNotDiedWith() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b", "c", "d")
        _ = crash(cluster, times: 5, from: 100)
        let first = ClusterState.restRange.lowerBound
        cluster.hello(200, worker: "broken")
        func wait(_ rest: Duration, _ session: UInt64) -> AttemptReference? {
            cluster.pass(rest + .seconds(-2)) { $0.beat(session, nil) }
            #expect(cluster.take(session) == nil)
            return cluster.pass(.seconds(3)).assignment?.attempt
        }
        #expect(wait(first, 200)?.job == jobs[2])
        // The worker dies again: its wait doubles, and the job is not blamed.
        cluster.hello(201, worker: "broken")
        #expect(cluster.state.doubts.isEmpty && cluster.state.job(jobs[2])?.state == .queued)
        let attempt = try #require(wait(first * 2, 201))
        #expect(attempt.job == jobs[3], "the one left that it has not died with")
        #expect(cluster.take(201) == nil, "one at a time")
        let effects = cluster.store(201, attempt, .checkpoint, iteration: 10)
        #expect(effects.contains { if case .warn = $0 { true } else { false } })
        #expect(cluster.state.problem(ofWorker: "broken") == nil)
        #expect(cluster.pass(.seconds(1)).assignment != nil || cluster.take(201) != nil, "as before")
    }

    @Test func aRestIsNeverLongerThanItsLimit() {
        let cluster = ClusterDriver()
        cluster.submit("a", "b")
        for session in 1...60 as ClosedRange<UInt64> {
            cluster.hello(session, worker: "broken")
            if cluster.take(session) == nil {
                _ = cluster.pass(ClusterState.restRange.upperBound) { $0.beat(session, nil) }
            }
            _ = cluster.take(session)
        }
        #expect(cluster.state.deaths["broken"]?.rest == ClusterState.restRange.upperBound)
        #expect(cluster.state.counts[.held, default: 0] == 0)
    }

    @Test func aJobThatKillsIsNotTakenForItsWorkersFault() throws {
        let cluster = ClusterDriver()
        let killer = cluster.submit("killer")[0]
        cluster.submit("b")
        #expect(crash(cluster, times: 3, from: 1) == [killer, killer, killer])
        // With two slots, every death loses both jobs, and either may be the cause.
        let double = ClusterDriver()
        double.submit("a", "b")
        for session in 1...3 as ClosedRange<UInt64> {
            double.hello(session, worker: "w")
            #expect(double.take(session) != nil && double.take(session) != nil)
        }
        double.hello(4, worker: "w")
        #expect(double.state.deaths["w"]?.count == 3 && double.state.deaths["w"]?.isBlamed == false)
        #expect(cluster.state.deaths["broken"]?.isBlamed == false)
    }

    @Test func silentDeathsAreCountedOnceAndThoseOfTheLivingNotAtAll() throws {
        let cluster = ClusterDriver()
        cluster.submit("a", "b")
        cluster.hello(1, worker: "w")
        let attempts = [try #require(cluster.take(1)), try #require(cluster.take(1))]
        cluster.pass(.seconds(30))
        #expect(cluster.state.deaths["w"]?.count == 1)
        // The connection was cut; the worker had not died.
        cluster.hello(1, worker: "w", running: attempts.map { .at($0, 5) })
        cluster.store(1, attempts[0], .checkpoint, iteration: 10)
        #expect(cluster.state.deaths.isEmpty)
        cluster.handle(.goodbye(session: 1, reason: "told to stop"))
        #expect(cluster.state.deaths.isEmpty)
    }

    @Test func anotherBuildOrMoreMemoryStartsAfresh() {
        let cluster = ClusterDriver()
        cluster.submit("a", "b", "c")
        _ = crash(cluster, times: 6, from: 100)
        #expect(cluster.state.deaths["broken"]?.isBlamed == true)
        cluster.hello(200, worker: "broken", equipment: .init(weights: [], memoryBytes: 8 << 30))
        #expect(cluster.state.deaths.isEmpty && cluster.take(200) != nil)
    }

    // MARK: What a worker has

    private static let paper = JobNeeds(weights: ["vgg19"], memoryBytes: 620 << 20)

    @Test func aWorkerGetsNoJobThatNeedsWhatItLacks() throws {
        let cluster = ClusterDriver()
        for number in 0..<100 { cluster.submit("paper \(number)", priority: 1, needs: Self.paper) }
        let draft = cluster.submit("draft", needs: JobNeeds(weights: ["vgg16"], memoryBytes: 82 << 20))[0]
        cluster.hello(1, worker: "plain", equipment: .init(weights: ["vgg16"], memoryBytes: 1 << 30))
        #expect(cluster.take(1)?.job == draft, "however many are before it")
        #expect(cluster.ask(1).assignment == nil)
        #expect(cluster.state.problem(ofWorker: "plain")?.contains("lacks the weights vgg19") == true)
        #expect(
            cluster.state.obstacle(to: Demand(needs: Self.paper))?.contains("host of plain lacks the weights vgg19")
                == true)
        // Just too little memory, within the same power of two.
        cluster.hello(2, worker: "small", equipment: .init(weights: ["vgg16", "vgg19"], memoryBytes: 600 << 20))
        #expect(cluster.take(2) == nil)
        #expect(cluster.state.obstacle(to: Demand(needs: Self.paper))?.contains("600 MiB") == true)
        cluster.hello(3, worker: "large", equipment: .init(weights: ["vgg16", "vgg19"], memoryBytes: 700 << 20))
        #expect(cluster.take(3) != nil)
        #expect(cluster.state.obstacle(to: Demand(needs: Self.paper)) == nil)
    }

    /// More jobs than a request may pass over, some in one power of two with jobs that fit.
    @Test func jobsThatAreTooLargeForAWorkerHideNone() throws {
        let cluster = ClusterDriver()
        for number in 0..<70 { cluster.submit("large \(number)", priority: 1, needs: JobNeeds(memoryBytes: 6 << 30)) }
        for number in 0..<70 {
            cluster.submit("odd \(number)", priority: 1, needs: JobNeeds(memoryBytes: (7 << 30) + number))
        }
        let fitting = [9 << 29, 5 << 30, 1 << 30].flatMap { bytes in
            cluster.submit("\(bytes)", needs: JobNeeds(memoryBytes: bytes))
        }
        cluster.hello(1, equipment: .init(weights: [], memoryBytes: 5 << 30))
        for job in fitting { #expect(cluster.take(1)?.job == job) }
        cluster.hello(2, equipment: .init(weights: [], memoryBytes: 8 << 30))
        #expect(cluster.ask(2).assignment?.name == "large 0")
    }

    @Test func anOlderWorkerThatDoesNotSayWhatItHasGetsEverything() {
        let cluster = ClusterDriver()
        cluster.submit("paper", needs: Self.paper)
        cluster.hello(1)
        #expect(cluster.take(1) != nil && cluster.state.obstacle(to: Demand(needs: Self.paper)) == nil)
    }

    @Test func whatAJobNeedsOutlivesARestart() {
        let cluster = ClusterDriver()
        cluster.submit("paper", needs: Self.paper)
        cluster.restart()
        cluster.hello(1, equipment: .init(weights: ["vgg16"], memoryBytes: 0))
        #expect(cluster.take(1) == nil)
    }

    @Test func aFailedJobIsNotLeftToAWorkerThatCannotRunIt() throws {
        let cluster = ClusterDriver()
        cluster.submit("paper", needs: Self.paper)
        cluster.hello(1, equipment: .init(weights: ["vgg19"], memoryBytes: 0))
        cluster.hello(2, equipment: .init(weights: ["vgg16"], memoryBytes: 0))
        _ = cluster.ask(2)
        cluster.fail(1, try #require(cluster.take(1)))
        #expect(cluster.take(1) != nil)
    }
}
