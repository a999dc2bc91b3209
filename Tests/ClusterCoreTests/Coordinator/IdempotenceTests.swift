import ClusterFixtures
import Testing

@testable import ClusterCore

/// Repeated, reordered or late messages: a terminal state stays, a cancel counts, a result is accepted once.
@Suite("Cluster state: idempotence")
struct IdempotenceTests {
    /// A job in its first attempt with its products stored.
    private func almostFinished(_ cluster: ClusterDriver) throws -> (JobID, AttemptReference) {
        let job = cluster.submit("a", key: "k")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        for kind in [ArtifactRole.checkpoint, .generator, .discriminator] {
            cluster.store(1, attempt, kind, iteration: 100)
        }
        return (job, attempt)
    }

    private func message(_ index: Int, _ cluster: ClusterDriver, _ job: JobID, _ attempt: AttemptReference)
        -> ClusterEvent
    {
        switch index {
        case 0: .finish(session: 1, attempt, requestID: 11, .of(attempt, iteration: 100))
        case 1: .cancel(cluster.token(), job, reason: "enough")
        case 2:
            .fail(session: 1, attempt, requestID: 12, iteration: 100, reason: "NaN", isRetryable: false)
        default: .handBack(session: 1, attempt, requestID: 13, iteration: 100, reason: "SIGTERM")
        }
    }

    /// Every order of FINISH, cancel, FAIL and HAND_BACK, each sent three times, with a restart at any point.
    @Test func whicheverEndComesFirstStays() throws {
        for first in 0..<4 {
            for second in 0..<4 where second != first {
                for third in 0..<4 where third != first && third != second {
                    let order = [first, second, third, 6 - first - second - third]
                    for restartBefore in 0...4 {
                        let cluster = ClusterDriver()
                        let (job, attempt) = try almostFinished(cluster)
                        var terminal: JobState?
                        for (place, index) in order.enumerated() {
                            if place == restartBefore {
                                cluster.restart()
                                cluster.hello(1)
                            }
                            for _ in 0..<3 { cluster.handle(message(index, cluster, job, attempt)) }
                            let state = try #require(cluster.state.job(job)?.state)
                            if let terminal {
                                // The only further change: a person cancels a job that waits after a hand-back.
                                #expect(state == terminal, "\(order), restart before \(restartBefore)")
                            } else if state.isSettled {
                                terminal = state
                            }
                            #expect(cluster.disk.jobs[0].state == state)
                        }
                        #expect(terminal != nil, "a cancel was lost: \(order)")
                        #expect(cluster.state.counts.values.reduce(0, +) == 1)
                    }
                }
            }
        }
    }

    @Test func repeatedEndsAreAnsweredAsTheFirstTime() throws {
        for index in [0, 2, 3] {
            let cluster = ClusterDriver()
            let (job, attempt) = try almostFinished(cluster)
            for _ in 0..<3 {
                #expect(cluster.handle(message(index, cluster, job, attempt)).acknowledgement == .ok)
                cluster.restart()
                cluster.hello(1)
            }
        }
    }

    @Test func theAnswerToALateMessageFitsTheWireWhateverTheReason() throws {
        let cluster = ClusterDriver()
        let (_, attempt) = try almostFinished(cluster)
        // Three characters.
        let reason = "NaN" + String(repeating: "\u{301}", count: (Limits.maxReasonBytes - 3) / 2)
        cluster.fail(1, attempt, reason, isRetryable: false)
        let late = cluster.handle(.finish(session: 1, attempt, requestID: 11, .of(attempt, iteration: 100)))
        #expect(late.acknowledgement == .leaseLost)
        for case .acknowledge(_, _, let text) in late.messages {
            #expect(text.contains("the attempt has ended (failed") && text.utf8.count <= Limits.maxReasonBytes)
        }
    }

    @Test func aResultIsAcceptedOnceThoughTwoAttemptsBringIt() throws {
        let cluster = ClusterDriver()
        let (job, first) = try almostFinished(cluster)
        cluster.hello(2)
        // The first worker is silent for a minute. The second one gets the job and finishes it.
        cluster.pass(.seconds(60)) { $0.beat(2, nil) }
        let second = try #require(cluster.take(2))
        #expect(cluster.finish(2, second).acknowledgement == .ok)
        let generator = cluster.state.job(job)?.products[.generator]
        // The first worker comes back with its own result.
        cluster.hello(1, running: [.at(first, 100)])
        let late = cluster.handle(.finish(session: 1, first, requestID: 11, .of(first, iteration: 100)))
        #expect(late.acknowledgement == .leaseLost)
        for case .acknowledge(_, _, let text) in late.messages {
            #expect(text.contains("attempt 2 of the job was given to host of worker-2"))
        }
        cluster.store(1, first, .generator, iteration: 100, content: "another")
        #expect(cluster.state.job(job)?.products[.generator] == generator)
    }

    @Test func aSubmissionRepeatedAtAnyLaterTimeReturnsTheJobInItsPresentState() throws {
        let cluster = ClusterDriver()
        let (job, attempt) = try almostFinished(cluster)
        #expect(cluster.submit("a", key: "k") == [job])
        cluster.handle(message(0, cluster, job, attempt))
        cluster.restart()
        #expect(cluster.submit("a", key: "k") == [job])
        #expect(cluster.disk.jobs.count == 1 && cluster.state.job(job)?.state == .finished)
    }

    @Test func aCancelOfAJobWhoseWorkerIsAwayReachesItWhenItIsBack() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        // The coordinator restarts. A person cancels before the worker says HELLO.
        cluster.restart()
        #expect(cluster.handle(.cancel(cluster.token(), job, reason: "enough")).reply == .job(job, .cancelled))
        cluster.restart()
        #expect(cluster.hello(1, running: [.at(attempt, 40)]).welcomed == [attempt])
        #expect(cluster.state.job(job)?.state == .cancelled)
    }

    @Test func aCancelDuringTheTimeWithoutALeaseIsNotUndoneByTheWorkersReturn() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.pass(.seconds(60))
        #expect(cluster.state.job(job)?.state == .queued)
        cluster.handle(.cancel(cluster.token(), job, reason: "enough"))
        cluster.hello(1, running: [.at(attempt, 40)])
        #expect(cluster.state.job(job)?.state == .cancelled)
        #expect(cluster.take(1) == nil)
    }

    @Test func wordsOfACancelledAttemptDoNotTouchTheRetriedJob() throws {
        let cluster = ClusterDriver()
        let (job, attempt) = try almostFinished(cluster)
        cluster.handle(.cancel(cluster.token(), job, reason: "enough"))
        cluster.handle(.retry(cluster.token(), job))
        for index in [0, 2, 3] {
            #expect(cluster.handle(message(index, cluster, job, attempt)).acknowledgement == .cancelled)
            #expect(cluster.state.job(job)?.state == .queued)
        }
        #expect(cluster.take(1)?.number == 2)
        #expect(cluster.handle(message(0, cluster, job, attempt)).acknowledgement == .leaseLost)
        #expect(cluster.state.job(job)?.state == .running)
    }
}

@Suite("Cluster state: damage and duplicates")
struct DamageTests {
    @Test func aDamagedCheckpointMakesTheJobGoOnFromTheOneBeforeAtNoCost() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        var attempt = try #require(cluster.take(1))
        for iteration in [10, 20] { cluster.store(1, attempt, .checkpoint, iteration: iteration) }
        cluster.handle(.handBack(session: 1, attempt, requestID: 4, iteration: 20, reason: "r"))
        for expected in [20, 10, 0] {
            let assignment = try #require(cluster.ask(1).assignment)
            attempt = assignment.attempt
            #expect(assignment.checkpoint?.iteration ?? 0 == expected)
            guard let checkpoint = assignment.checkpoint else { break }
            let request = ArtifactRequest(
                attempt: attempt, transferID: 9, sha256: checkpoint.artifact.sha256, offset: 0, windowChunks: 4)
            let effects = cluster.handle(.artifactDamaged(session: 1, request, reason: "is gone"))
            #expect(effects.acknowledgement == .leaseLost)
            // A heartbeat that the worker sends before it learns of this revives nothing.
            cluster.beat(1, attempt, iteration: expected)
            #expect(cluster.state.job(job)?.state == .queued)
            cluster.restart()
            cluster.hello(1)
        }
        #expect(cluster.state.job(job)?.failures == 0 && cluster.state.job(job)?.state == .running)
    }

    @Test func aCheckpointThatAWorkerFindsDamagedIsNotTriedAgain() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let first = try #require(cluster.take(1))
        for iteration in [10, 20] { cluster.store(1, first, .checkpoint, iteration: iteration) }
        cluster.handle(.handBack(session: 1, first, requestID: 4, iteration: 20, reason: "r"))
        let second = try #require(cluster.take(1))
        let event = ClusterEvent.checkpointRefused(session: 1, second, requestID: 5, reason: "sum is wrong")
        #expect(cluster.handle(event).acknowledgement == .ok)
        #expect(cluster.handle(event).acknowledgement == .ok, "repeated")
        #expect(cluster.state.job(job)?.checkpoints.map(\.iteration) == [10])
        #expect(cluster.state.job(job)?.failures == 0)
        #expect(cluster.ask(1).assignment?.checkpoint?.iteration == 10)
    }

    @Test func aCheckpointThatNoWorkerWasGivenCannotBeDamagedAtNoCost() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        for failures in 1...cluster.configuration.retries + 1 {
            let attempt = try #require(cluster.take(1))
            let event = ClusterEvent.checkpointRefused(session: 1, attempt, requestID: 5, reason: "sum is wrong")
            #expect(cluster.handle(event).acknowledgement == .ok)
            #expect(cluster.handle(event).acknowledgement == .ok, "repeated")
            #expect(cluster.state.job(job)?.failures == failures)
        }
        #expect(cluster.state.job(job)?.state == .held && cluster.take(1) == nil)
    }

    @Test func twoLiveProcessesOfOneWorkerIdDoNotDisplaceEachOtherForEver() throws {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1, worker: "w")
        let attempt = try #require(cluster.take(1))
        // The first process is alive, too. It is fenced, comes back, and in the end gets the refusal.
        var answer: [ClusterEffect] = []
        for round in 1...ClusterState.displacementsOfDuplicate {
            cluster.hello(2, worker: "w")
            cluster.beat(2, nil)
            #expect(cluster.beat(1, attempt).messages == [.helloAgain])
            answer = cluster.hello(1, worker: "w", running: [.at(attempt, 3)])
            if round < ClusterState.displacementsOfDuplicate { #expect(answer.welcomed != nil) }
        }
        guard case .refuse(1, .duplicateWorker, let reason)? = answer.first, answer.count == 1 else {
            Issue.record("\(answer)")
            return
        }
        #expect(reason.contains("host of w") && reason.contains("--data"))
        #expect(cluster.state.sessionOfWorker["w"] == 2)
        #expect(cluster.take(2) != nil, "the other one works on")
    }

    @Test func aWorkerThatWasRestartedIsNeverTakenForADuplicate() throws {
        let cluster = ClusterDriver()
        cluster.hello(1, worker: "w")
        cluster.beat(1, nil)
        cluster.hello(2, worker: "w")
        // A late message of the dead process arrives through another connection.
        cluster.hello(1, worker: "w")
        cluster.beat(1, nil)
        #expect(cluster.hello(2, worker: "w").welcomed == [])
        #expect(cluster.beat(2, nil).messages.count == 1 && cluster.state.sessionOfWorker["w"] == 2)
    }
}
