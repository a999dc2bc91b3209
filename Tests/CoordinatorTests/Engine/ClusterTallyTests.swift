import ClusterFixtures
import Testing

@testable import ClusterCore
@testable import Coordinator

struct ClusterTallyTests {
    /// Counts as the engine does; a new process counts from zero.
    private final class Observer: ClusterObserver {
        var tally = ClusterTally()

        func handled(_ event: ClusterEvent, _ effects: [ClusterEffect], _ state: ClusterState, at now: Instant) {
            tally.note(event, effects, state, at: now)
        }

        func restarted() { tally = ClusterTally() }
    }

    private let cluster = ClusterDriver()
    private let observer = Observer()

    init() { cluster.observer = observer }

    @Test func theWaitOfAJobIsCountedOnceForEachTimeItWaits() throws {
        let id = cluster.submit("a")[0]
        cluster.pass(.seconds(30))
        cluster.handle(.prioritise(cluster.token(), id, priority: 3))
        cluster.pass(.seconds(10))
        #expect(observer.tally.queueWait.count == 0)
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        #expect(observer.tally.queueWait.count == 1 && observer.tally.queueWait.sum == 40)
        cluster.handle(.handBack(session: 1, attempt, requestID: 5, iteration: 0, reason: "drained"))
        cluster.now = cluster.now + .seconds(7)
        _ = try #require(cluster.take(1))
        #expect(observer.tally.queueWait.count == 2 && observer.tally.queueWait.sum == 47)
        #expect(observer.tally.attemptsStarted == 2 && observer.tally.attemptsEnded == [.handedBack: 1])
    }

    @Test func aCancelledJobWaitsNoMoreAndARestartForgetsSinceWhen() throws {
        let ids = cluster.submit("a", "b")
        cluster.pass(.seconds(30))
        cluster.handle(.cancel(cluster.token(), ids[0], reason: "enough"))
        cluster.pass(.seconds(30))
        cluster.handle(.retry(cluster.token(), ids[0]))
        cluster.hello(1)
        cluster.hello(2)
        _ = try #require(cluster.take(1))
        _ = try #require(cluster.take(2))
        #expect(
            observer.tally.queueWait.count == 2 && observer.tally.queueWait.sum == 60, "b waited 60 s, a not at all")

        cluster.submit("c")
        cluster.pass(.seconds(5)) { cluster in cluster.beat(1, nil) }
        cluster.restart()
        cluster.hello(3)
        _ = try #require(cluster.take(3))
        #expect(observer.tally.queueWait.count == 0)
    }

    @Test func onlySilenceIsAnExpiredLease() throws {
        cluster.submit("a", "b", "c")
        for session: UInt64 in 1...3 { cluster.hello(session) }
        let attempts = try (1...3).map { try #require(cluster.take(UInt64($0))) }
        // One worker goes silent, one restarts, one says goodbye.
        cluster.hello(4, worker: "worker-2")
        cluster.handle(.goodbye(session: 3, reason: "stopped"))
        #expect(observer.tally.attemptsEnded == [.lost: 2] && observer.tally.leaseExpiries == 0)
        cluster.pass(.seconds(30))
        #expect(observer.tally.attemptsEnded == [.lost: 3] && observer.tally.leaseExpiries == 1)
        #expect(cluster.state.job(attempts[0].job)?.state == .queued)
    }

    @Test func iterationsAreCountedAsTheyAreTrained() throws {
        cluster.submit("a")
        cluster.hello(1)
        let first = try #require(cluster.take(1))
        cluster.beat(1, first, iteration: 10)
        cluster.beat(1, first, iteration: 10)
        cluster.beat(2, first, iteration: 5_000)
        #expect(observer.tally.iterations == 10, "a session that does not hold the attempt counts for nothing")
        cluster.store(1, first, .checkpoint, iteration: 20)
        cluster.beat(1, first, iteration: 25)
        cluster.handle(.handBack(session: 1, first, requestID: 5, iteration: 27, reason: "drained"))
        #expect(observer.tally.iterations == 27)

        // The next attempt trains 20...27 again, which counts as work.
        let second = try #require(cluster.take(1))
        cluster.beat(1, second, iteration: 30)
        #expect(observer.tally.iterations == 37)
        cluster.beat(1, first, iteration: 99)
        cluster.finish(1, second, iteration: 100)
        #expect(observer.tally.iterations == 107)
        #expect(observer.tally.iterationSeconds.count == 107 && observer.tally.iterationSeconds.sum == 107)
    }

    @Test func iterationsOfBeforeTheStartAreNotCountedAgain() throws {
        cluster.submit("a")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.beat(1, attempt, iteration: 50)
        cluster.restart()
        cluster.hello(1, running: [.at(attempt, 60)])
        #expect(observer.tally.iterations == 0)
        cluster.beat(1, attempt, iteration: 70)
        #expect(observer.tally.iterations == 10 && observer.tally.attemptsStarted == 0)
        // A new process of its worker claims it: it is still the same attempt.
        cluster.hello(2, worker: "worker-1", running: [.at(attempt, 75)])
        #expect(observer.tally.iterations == 15 && observer.tally.attemptsStarted == 0)
    }

    @Test func whatWasTrainedOutOfSightIsCountedWhenTheWorkerIsBack() throws {
        cluster.submit("a")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.beat(1, attempt, iteration: 10)
        cluster.pass(.seconds(60))
        #expect(observer.tally.leaseExpiries == 1)
        cluster.hello(1, running: [.at(attempt, 40)])
        #expect(cluster.state.leases[attempt.job]?.attempt == attempt, "nobody else took it")
        #expect(observer.tally.iterations == 40 && observer.tally.attemptsStarted == 1)
    }
}
