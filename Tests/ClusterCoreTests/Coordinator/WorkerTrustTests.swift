import ClusterFixtures
import Testing

@testable import ClusterCore

/// What the cluster believes of a worker: who it is, how much it can do, and what it says about jobs.
struct WorkerTrustTests {
    private func credentials(key: String? = nil, secret: String? = nil) -> WorkerCredentials {
        WorkerCredentials(key: key, secretDigest: secret)
    }

    private func refusal(_ effects: [ClusterEffect]) -> AcknowledgementCode? {
        for case .refuse(_, let code, _) in effects { return code }
        return nil
    }

    @Test(arguments: [
        (WorkerCredentials(key: "k", secretDigest: "s"), WorkerCredentials(key: "other", secretDigest: "other")),
        (WorkerCredentials(key: "k"), WorkerCredentials()), (WorkerCredentials(key: "k"), WorkerCredentials(key: "x")),
        (WorkerCredentials(secretDigest: "s"), WorkerCredentials()),
        (WorkerCredentials(secretDigest: "s"), WorkerCredentials(key: "k")),
        (WorkerCredentials(secretDigest: "s"), WorkerCredentials(secretDigest: "x")),
    ])
    func anotherWorkerCannotTakeOverAnID(_ own: WorkerCredentials, _ foreign: WorkerCredentials) throws {
        let cluster = ClusterDriver()
        cluster.submit("a")
        #expect(cluster.hello(1, worker: "w", credentials: own).welcomed != nil)
        let attempt = try #require(cluster.take(1))
        for session in 2...30 as ClosedRange<UInt64> {
            let answer = cluster.hello(session, worker: "w", running: [.at(attempt, 3)], credentials: foreign)
            #expect(refusal(answer) == .notAuthorised && answer.count == 1)
        }
        // Nor may it greet with the session of that worker, under this id or another one.
        for id in ["w", "x"] {
            #expect(refusal(cluster.hello(1, worker: id, credentials: foreign)) == .notAuthorised)
        }
        #expect(cluster.state.leases[attempt.job]?.session == 1)
        // The same after a restart of the coordinator.
        cluster.restart()
        #expect(
            refusal(cluster.hello(40, worker: "w", running: [.at(attempt, 3)], credentials: foreign)) == .notAuthorised)
        #expect(cluster.hello(1, worker: "w", running: [.at(attempt, 3)], credentials: own).welcomed == [])
        #expect(cluster.finish(1, attempt).acknowledgement == .ok)
    }

    @Test func aWorkerKeepsItsIDWhenItsKeyOrTheAddressChanges() {
        let cluster = ClusterDriver()
        // Old software, then new software, then an encrypted address, then a new key, then a plain address again.
        for (session, shown) in [
            credentials(), credentials(secret: "s"), credentials(key: "k", secret: "s"),
            credentials(key: "k2", secret: "s"), credentials(key: "k2"), credentials(secret: "s"),
        ].enumerated() {
            #expect(cluster.hello(UInt64(session + 1), worker: "w", credentials: shown).welcomed != nil, "\(shown)")
        }
        // The replaced key no longer counts.
        #expect(refusal(cluster.hello(9, worker: "w", credentials: credentials(key: "k"))) == .notAuthorised)
    }

    @Test func whatAForgottenWorkerHasShownIsForgottenUnlessItIsThere() {
        let cluster = ClusterDriver()
        cluster.hello(1, worker: "gone", credentials: credentials(secret: "s"))
        cluster.handle(.goodbye(session: 1, reason: "told to stop"))
        cluster.hello(2, worker: "here", credentials: credentials(secret: "s"))
        cluster.handle(.workersForgotten(["gone", "here", "unknown"]))
        #expect(Array(cluster.state.credentials.keys) == ["here"])
        #expect(refusal(cluster.hello(3, worker: "here", credentials: credentials(secret: "x"))) == .notAuthorised)
        #expect(cluster.hello(4, worker: "gone", credentials: credentials(secret: "x")).welcomed != nil)
    }

    @Test func revokingAKeyEndsItsSessionsAndFreesTheirJobs() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1, credentials: credentials(key: "k"))
        cluster.hello(2, credentials: credentials(key: "other"))
        let attempt = try #require(cluster.take(1))
        let effects = cluster.handle(.revoke(cluster.token(), key: "k", reason: "revoked"))
        #expect(refusal(effects) == .notAuthorised && effects.contains(.closeSession(1)))
        #expect(effects.reply == .revoked(workerID: "worker-1"))
        #expect(cluster.finish(1, attempt).messages.contains(.helloAgain))
        #expect(cluster.take(2)?.job == job)
        #expect(cluster.handle(.revoke(cluster.token(), key: "k", reason: "revoked")).reply == .revoked(workerID: ""))
    }

    @Test func aWorkerGetsNoMoreThanItsSlotsHold() {
        let cluster = ClusterDriver()
        for index in 0..<30 { cluster.submit("job \(index)") }
        cluster.hello(1)
        let taken = (0..<30).compactMap { _ in cluster.take(1) }
        // One that trains, one whose results are under way, and one that the coordinator sent too early.
        #expect(taken.count == 3)
        cluster.finish(1, taken[0])
        #expect(cluster.take(1) != nil && cluster.take(1) == nil)
    }

    @Test func aRequestWithoutFreeSlotsBringsNoWork() {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1)
        let answer = cluster.handle(.received(.workRequest(requestID: 1, freeSlots: 0), session: 1))
        #expect(answer.assignment == nil && !answer.messages.isEmpty)
        #expect(cluster.take(1) != nil)
    }

    @Test func aJobIsImpossibleWhenTwoWorkersSaySo() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        cluster.hello(2)
        let first = try #require(cluster.take(1))
        #expect(cluster.fail(1, first, "bad image", isRetryable: false).acknowledgement == .ok)
        #expect(cluster.state.job(job)?.state == .queued && cluster.state.job(job)?.failures == 1)
        // The other worker gets it, and its word is the second.
        #expect(cluster.take(1) == nil)
        let second = try #require(cluster.take(2))
        cluster.fail(2, second, "bad image", isRetryable: false)
        #expect(cluster.state.job(job)?.state == .failed)
    }

    /// A job that waits, with checkpoints of iterations 10 and 20 that worker 1 has stored.
    private func jobWithCheckpoints(_ cluster: ClusterDriver, key: String? = nil) throws -> JobID {
        let job = cluster.submit("a")[0]
        cluster.hello(1, credentials: credentials(key: key))
        let attempt = try #require(cluster.take(1))
        for iteration in [10, 20] { cluster.store(1, attempt, .checkpoint, iteration: iteration) }
        cluster.handle(.handBack(session: 1, attempt, requestID: 4, iteration: 20, reason: "r"))
        return job
    }

    private func refuseCheckpoint(_ session: UInt64, _ cluster: ClusterDriver) throws {
        let attempt = try #require(cluster.take(session))
        let event = ClusterEvent.checkpointRefused(session: session, attempt, requestID: 5, reason: "sum is wrong")
        #expect(cluster.handle(event).acknowledgement == .ok)
    }

    @Test func aCheckpointIsDamagedWhenTwoWorkersSaySo() throws {
        let cluster = ClusterDriver()
        let job = try jobWithCheckpoints(cluster)
        cluster.hello(2)
        try refuseCheckpoint(1, cluster)
        #expect(cluster.state.job(job)?.checkpoints.map(\.iteration) == [10, 20])
        #expect(cluster.take(1) == nil, "it is left to the other worker")
        try refuseCheckpoint(2, cluster)
        #expect(cluster.state.job(job)?.checkpoints.map(\.iteration) == [10])
        #expect(cluster.state.job(job)?.failures == 0)
    }

    @Test func aDoubtAboutACheckpointIsNoFailureOnThatWorker() throws {
        let cluster = ClusterDriver()
        let job = try jobWithCheckpoints(cluster)
        cluster.hello(2)
        try refuseCheckpoint(1, cluster)
        cluster.fail(2, try #require(cluster.take(2)))
        #expect(cluster.state.sessions[2]?.failedJobs == [job], "it has failed on this worker alone")
        // Once it has failed on the first worker too, it is to blame itself.
        cluster.fail(1, try #require(cluster.take(1)))
        #expect(cluster.state.sessions.values.allSatisfy { $0.failedJobs.isEmpty })
    }

    @Test func aHostileWorkerDestroysNoCheckpointWhileAnotherIsThere() throws {
        let cluster = ClusterDriver()
        let job = try jobWithCheckpoints(cluster, key: "hostile")
        cluster.hello(2, credentials: credentials(key: "honest"))
        // Its second name has the same key.
        cluster.hello(3, credentials: credentials(key: "hostile"))
        try refuseCheckpoint(1, cluster)
        try refuseCheckpoint(3, cluster)
        #expect(cluster.state.job(job)?.failures == 1)
        #expect(cluster.take(1) == nil && cluster.take(3) == nil)
        let assignment = try #require(cluster.ask(2).assignment)
        #expect(assignment.checkpoint?.iteration == 20)
        #expect(cluster.finish(2, assignment.attempt).acknowledgement == .ok)
    }

    @Test func aHostileWorkerEndsNoJobsWhileAnotherIsThere() throws {
        let cluster = ClusterDriver()
        let jobs = (0..<15).flatMap { cluster.submit("job \($0)") }
        cluster.hello(1, credentials: credentials(key: "hostile"))
        cluster.hello(2, credentials: credentials(key: "honest"))
        // Its second name has the same key.
        cluster.hello(3, credentials: credentials(key: "hostile"))
        for _ in 0..<40 {
            for session in [1, 3] as [UInt64] {
                cluster.beat(2, nil)
                _ = cluster.ask(2).assignment.map { cluster.finish(2, $0.attempt) }
                guard let attempt = cluster.take(session) else { continue }
                cluster.fail(session, attempt, "impossible", isRetryable: false)
            }
        }
        #expect(jobs.allSatisfy { cluster.state.job($0)?.state != .failed })
    }
}
