import ClusterFixtures
import Testing

@testable import ClusterCore

@Suite("Cluster state: jobs and queue")
struct ClusterStateQueueTests {
    @Test func jobsAreGivenOutInTheOrderOfSubmissionWithinAPriority() {
        let cluster = ClusterDriver()
        let first = cluster.submit("a", "b")
        let urgent = cluster.submit("urgent", priority: 5)
        cluster.hello(1)
        #expect((0..<3).map { _ in cluster.take(1)?.job } == [urgent[0], first[0], first[1]])
    }

    @Test func aRequestWithoutWorkWaitsAndIsAnsweredByTheNextSubmission() throws {
        let cluster = ClusterDriver()
        cluster.hello(1)
        #expect(cluster.ask(1).isEmpty)
        let effects = cluster.handle(
            .submit(
                cluster.token(),
                [
                    Submission(
                        name: "late", fileName: "late.png", exemplar: .named("x"), recipeYAML: "r", priority: 0,
                        key: nil)
                ], salts: [1]))
        #expect(effects.assignment?.name == "late")
    }

    @Test func aRequestThatFindsNoWorkForLongIsAnsweredNone() {
        let cluster = ClusterDriver()
        cluster.hello(1)
        _ = cluster.ask(1)
        let messages = cluster.pass(cluster.configuration.workRequestWait).messages
        #expect(messages == [.noWork(requestID: 1, retryAfter: cluster.configuration.noWorkRetry)])
    }

    @Test func aRepeatedWorkRequestGetsTheStoredAnswer() throws {
        let cluster = ClusterDriver()
        cluster.submit("a", "b")
        cluster.hello(1)
        let first = cluster.handle(.workRequest(session: 1, requestID: 7)).assignment
        let again = cluster.handle(.workRequest(session: 1, requestID: 7)).assignment
        #expect(first != nil && first == again)
        #expect(cluster.state.counts[.queued] == 1)
    }

    @Test func aSubmissionRepeatedUnderItsKeyReturnsTheSameJob() throws {
        let cluster = ClusterDriver()
        let first = cluster.submit("a", key: "night 1")
        cluster.restart()
        let again = cluster.submit("a", key: "night 1")
        #expect(first == again)
        #expect(cluster.disk.jobs.count == 1)
    }

    @Test func aKeyReusedForAnotherRecipeIsRefusedAndNothingOfTheBatchIsAccepted() {
        let cluster = ClusterDriver()
        cluster.submit("a", key: "k")
        #expect(cluster.submit("a", key: "k", recipe: "recipe: paper").isEmpty)
        #expect(cluster.state.jobs.count == 1)
    }

    @Test func aKeyReusedForTheSameRecipeInOtherWordsIsTheSameJob() {
        let cluster = ClusterDriver()
        cluster.state.specValues = { String($0.prefix { $0 != "#" }) }
        let first = cluster.submit("a", key: "k", recipe: "seed: 1 # a seed")
        #expect(cluster.submit("a", key: "k", recipe: "seed: 1 # the seed") == first && first.count == 1)
        #expect(cluster.submit("a", key: "k", recipe: "seed: 2 # a seed").isEmpty)
        #expect(cluster.disk.jobs.map(\.spec) == ["seed: 1 # a seed"])
    }

    @Test func jobsOfEqualNameGetFoldersOfTheirOwn() {
        let cluster = ClusterDriver()
        cluster.submit("wood", "wood-2", "wood", "Wood", "../wood", "wood")
        let names = cluster.disk.jobs.map(\.resultName)
        #expect(names == ["wood", "wood-2", "wood-3", "Wood-4", "_wood", "wood-5"])
        #expect(Set(names.map { $0.lowercased() }).count == names.count)
    }

    @Test func folderNamesStayUniqueOverARestart() {
        let cluster = ClusterDriver()
        cluster.submit("wood", "wood")
        cluster.restart()
        cluster.submit("wood")
        #expect(cluster.disk.jobs.map(\.resultName) == ["wood", "wood-2", "wood-3"])
    }

    @Test(arguments: [
        ("..", "texture"), ("a/b\\c", "a_b_c"), (".hidden", "hidden"), ("\u{0}\n", "__"), ("Bäume", "Bäume"),
        // Each is one character: a slash after a letter of the class Prepend, a slash and an accent.
        ("\u{0D4E}/x", "_x"), ("a/\u{301}x", "a_x"), ("a\u{0D4E}.", "a\u{0D4E}."), ("cafe\u{301}", "cafe\u{301}"),
    ])
    func folderNamesAreSafe(name: String, expected: String) {
        #expect(FileSystemName.clean(name) == expected)
    }

    @Test func jobIDsReadBackAndSortByAge() {
        let ids = [1, 2, 31, 32, 1 << 29].map { JobID(sequence: $0, salt: 0xABCDE) }
        #expect(ids.map(\.description).sorted() == ids.map(\.description))
        for id in ids { #expect(JobID(id.description) == id) }
        #expect(JobID("000001000") == nil && JobID("00000u0000") == nil && JobID("../../etc/") == nil)
    }

    @Test func cancellingIsRepeatableAndStopsTheWorker() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        let effects = cluster.handle(.cancel(cluster.token(), job, reason: "changed my mind"))
        #expect(effects.messages == [.cancel(attempt, reason: "changed my mind")])
        #expect(cluster.handle(.cancel(cluster.token(), job, reason: "again")).reply == .job(job, .cancelled))
        #expect(cluster.finish(1, attempt).acknowledgement == .cancelled)
        #expect(cluster.state.job(job)?.state == .cancelled)
        #expect(
            cluster.beat(1, attempt).messages == [
                .heartbeatReply(sequence: 1, cancelled: [attempt], lost: [], isDraining: false)
            ])
    }

    @Test func aFinishedJobCanNeitherBeCancelledNorRetried() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        #expect(cluster.finish(1, attempt).acknowledgement == .ok)
        for event in [ClusterEvent.cancel(cluster.token(), job, reason: ""), .retry(cluster.token(), job)] {
            guard case .refused(.conflict(let text))? = cluster.handle(event).reply else {
                Issue.record("accepted")
                continue
            }
            guard case .retry = event else { continue }
            #expect(text.contains("'texloom continue'") && text.contains("another seed"), "\(text)")
        }
        #expect(cluster.state.job(job)?.state == .finished)
    }

    @Test func aRetriedJobStartsWithAFreshBudget() throws {
        let cluster = ClusterDriver { $0.retries = 0 }
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        for round in 0..<2 {
            let attempt = try #require(cluster.take(1))
            #expect(attempt.number == round + 1)
            cluster.fail(1, attempt)
            #expect(cluster.state.job(job)?.state == .held)
            #expect(cluster.handle(.retry(cluster.token(), job)).reply == .job(job, .queued))
        }
    }
}

@Suite("Cluster state: attempts and leases")
struct ClusterStateAttemptTests {
    @Test func aDeadWorkersJobGoesToAnotherFromItsNewestCheckpointAtNoCost() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        cluster.hello(2)
        let first = try #require(cluster.take(1))
        cluster.store(1, first, .checkpoint, iteration: 40)
        cluster.pass(.seconds(25)) { $0.beat(2, nil) }
        let second = try #require(cluster.ask(2).assignment)
        #expect(second.attempt == AttemptReference(job: job, number: 2))
        #expect(second.checkpoint?.iteration == 40)
        #expect(cluster.state.job(job)?.failures == 0)
        #expect(cluster.finish(1, first).acknowledgement == nil, "the session is over: it must say HELLO first")
        cluster.hello(1)
        #expect(cluster.finish(1, first).acknowledgement == .leaseLost)
        #expect(cluster.finish(2, second.attempt).acknowledgement == .ok)
    }

    @Test func aWorkerThatComesBackBeforeAnyoneTookItsJobGoesOn() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.pass(.seconds(60))
        #expect(cluster.state.job(job)?.state == .queued)
        let effects = cluster.hello(1, running: [.at(attempt, 50)])
        #expect(effects.welcomed == [])
        #expect(cluster.state.job(job)?.state == .running)
        #expect(cluster.state.leases[job]?.iteration == 50)
        #expect(cluster.finish(1, attempt).acknowledgement == .ok)
    }

    @Test func aRestartedWorkersAttemptsAreFreeAtOnce() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1, worker: "w")
        _ = try #require(cluster.take(1))
        cluster.hello(2, worker: "w")
        #expect(cluster.state.job(job)?.state == .queued)
        #expect(cluster.take(2) == AttemptReference(job: job, number: 2))
    }

    @Test func workersFindTheirAttemptsAfterARestartOfTheCoordinator() throws {
        let cluster = ClusterDriver()
        cluster.submit("a", "b")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.restart()
        cluster.hello(2)
        #expect(cluster.take(2)?.job != attempt.job, "it is kept for its worker")
        #expect(cluster.hello(1, running: [.at(attempt, 30)]).welcomed == [])
        #expect(cluster.finish(1, attempt).acknowledgement == .ok)
    }

    @Test func attemptsWhoseWorkerDoesNotComeBackAfterARestartAreGivenAway() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        _ = try #require(cluster.take(1))
        cluster.restart()
        cluster.pass(cluster.configuration.restartGrace - .seconds(1))
        #expect(cluster.state.job(job)?.state == .running)
        cluster.pass(.seconds(2))
        #expect(cluster.state.job(job)?.state == .queued)
    }

    @Test func aHandedBackJobKeepsItsPlaceAndItsBudget() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        let event = ClusterEvent.handBack(session: 1, attempt, requestID: 5, iteration: 9, reason: "SIGTERM")
        #expect(cluster.handle(event).acknowledgement == .ok)
        #expect(cluster.handle(event).acknowledgement == .ok, "repeated")
        #expect(cluster.state.job(jobs[0])?.failures == 0)
        #expect(cluster.take(1)?.job == jobs[0])
    }

    @Test func aFailingJobIsTriedElsewhereBehindTheOthersAndThenHeldWithItsReason() throws {
        let cluster = ClusterDriver { $0.retries = 1 }
        let poison = cluster.submit("poison")[0]
        let other = cluster.submit("other")[0]
        cluster.hello(1)
        cluster.hello(2)
        cluster.fail(1, try #require(cluster.take(1)))
        #expect(cluster.take(2)?.job == other)
        #expect(cluster.take(1) == nil, "another worker is connected")
        let second = try #require(cluster.take(2))
        #expect(second == AttemptReference(job: poison, number: 2))
        cluster.fail(2, second, "NaN in style")
        let job = try #require(cluster.state.job(poison))
        #expect(job.state == .held)
        #expect(job.reason?.contains("NaN in style") == true)
    }

    @Test func theOnlyWorkerGetsAFailedJobAgainAtOnce() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        cluster.fail(1, try #require(cluster.take(1)))
        #expect(cluster.take(1)?.job == job)
    }

    @Test func aFailedJobIsNotLeftToAWorkerThatNeverAsks() throws {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1)
        cluster.hello(2)
        cluster.fail(1, try #require(cluster.take(1)))
        _ = cluster.ask(1)
        let effects = cluster.pass(cluster.configuration.presence + .seconds(10)) { cluster in
            cluster.beat(1, nil)
            cluster.beat(2, nil)
            if cluster.state.sessions[1]?.request == nil, cluster.state.leases.isEmpty { _ = cluster.ask(1) }
        }
        #expect(effects.assignment?.attempt.number == 2)
    }

    @Test func aFailureThatWouldHappenAnywhereIsFinalAtOnce() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        #expect(cluster.fail(1, attempt, "bad image", isRetryable: false).acknowledgement == .ok)
        #expect(cluster.fail(1, attempt, "bad image", isRetryable: false).acknowledgement == .ok, "repeated")
        #expect(cluster.state.job(job)?.state == .failed)
    }

    @Test func finishIsAcceptedOnlyWithItsArtifactsStored() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        let event = ClusterEvent.finish(session: 1, attempt, requestID: 3, .of(attempt, iteration: 100))
        #expect(cluster.handle(event).acknowledgement == .unknownArtifact)
        #expect(cluster.state.job(job)?.state == .running)
        #expect(cluster.finish(1, attempt).acknowledgement == .ok)
        cluster.restart()
        cluster.hello(1)
        #expect(cluster.handle(event).acknowledgement == .ok, "repeated after a restart")
        #expect(cluster.state.job(job)?.state == .finished)
    }

    @Test func aHungTrainerIsFoundAlthoughItsHeartbeatGoesOn() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.beat(1, attempt, iteration: 5)
        let effects = cluster.pass(cluster.configuration.stall + .seconds(2)) { $0.beat(1, attempt, iteration: 5) }
        #expect(cluster.state.job(job)?.failures == 1)
        #expect(cluster.disk.jobs[0].attempt?.outcome == .stalled)
        #expect(effects.messages.contains { if case .cancel(attempt, _) = $0 { true } else { false } })
    }

    @Test func aDownloadThatTheCoordinatorCannotServeStalls() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        let exemplar = try #require(cluster.state.job(job)).exemplar
        let request = ArtifactRequest(
            attempt: attempt, transferID: 1, artifact: exemplar, offset: 0, windowChunks: 4)
        var seconds = 0
        cluster.pass(.seconds(7200)) { cluster in
            seconds += 1
            guard seconds % 5 == 0 else { return }
            cluster.handle(.artifactRequested(session: 1, request))
            cluster.beat(1, attempt)
        }
        #expect(cluster.disk.jobs[0].attempt?.outcome == .stalled)
        #expect(cluster.state.job(job)?.failures == 1)
    }

    @Test func aSlowDownloadDoesNotStall() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        var seconds = 0
        cluster.pass(.seconds(7200)) { cluster in
            seconds += 1
            if seconds % 5 == 0 { cluster.beat(1, attempt) }
            if seconds % 600 == 0 { cluster.handle(.transferProgressed(session: 1, attempt)) }
        }
        #expect(cluster.state.job(job)?.state == .running)
    }

    @Test func slowButMovingWorkIsNeverStopped() throws {
        let cluster = ClusterDriver { $0.stall = .seconds(60) }
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        var seconds = 0
        cluster.pass(.seconds(3600)) { cluster in
            seconds += 1
            let slow = AttemptStatus(
                attempt: attempt, iteration: 1 + seconds / 300, totalIterations: 100, secondsPerIteration: 300)
            cluster.handle(.heartbeat(session: 1, sequence: 1, running: [slow]))
        }
        #expect(cluster.state.job(job)?.state == .running)
    }

    @Test func theCoordinatorsOwnStandstillExpiresNobody() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.now = cluster.now + .seconds(7200)
        cluster.handle(.tick)
        #expect(cluster.state.job(job)?.state == .running)
        cluster.beat(1, attempt, iteration: 3)
        cluster.pass(.seconds(19))
        #expect(cluster.state.job(job)?.state == .running)
        cluster.pass(.seconds(2))
        #expect(cluster.state.job(job)?.state == .queued)
    }

    @Test func anAssignmentThatNeverArrivedComesBack() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        _ = try #require(cluster.take(1))
        cluster.pass(.seconds(25)) { $0.beat(1, nil) }
        #expect(cluster.state.job(job)?.state == .queued)
    }

    /// On a slow line an upload of one slot holds up the heartbeats, which speak for the other slot.
    @Test func anUploadOfOneSlotCostsTheWorkerNoOtherJob() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        cluster.hello(1)
        cluster.hello(2)
        let attempts = [try #require(cluster.take(1)), try #require(cluster.take(1))]
        cluster.handle(.heartbeat(session: 1, sequence: 1, running: attempts.map { .at($0, 5) }))
        cluster.pass(.seconds(60)) { cluster in
            cluster.handle(.transferProgressed(session: 1, attempts[0]))
            cluster.beat(2, nil)
            #expect(cluster.take(2) == nil)
        }
        #expect(jobs.allSatisfy { cluster.state.job($0)?.state == .running })
        // The heartbeats arrive again, and one attempt is not among them.
        cluster.pass(.seconds(2)) { $0.beat(1, attempts[0], iteration: 9) }
        #expect(cluster.state.job(jobs[1])?.state == .running, "its deadline is that of the session meanwhile")
        cluster.pass(.seconds(20)) { $0.beat(1, attempts[0], iteration: 9) }
        #expect(cluster.state.job(jobs[0])?.state == .running && cluster.state.job(jobs[1])?.state == .queued)
        #expect(cluster.state.doubts.isEmpty, "the worker lives")
    }

    @Test func aWorkerThatDiesDuringAnUploadLosesAllItsJobsAfterItsSilence() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        cluster.hello(1)
        let attempts = [try #require(cluster.take(1)), try #require(cluster.take(1))]
        cluster.pass(.seconds(30)) { $0.handle(.transferProgressed(session: 1, attempts[0])) }
        cluster.pass(.seconds(19))
        #expect(jobs.allSatisfy { cluster.state.job($0)?.state == .running })
        cluster.pass(.seconds(1))
        #expect(jobs.allSatisfy { cluster.state.job($0)?.state == .queued })
        #expect(jobs.allSatisfy { cluster.state.doubts[$0].lossesInARow == ["worker-1"] })
        #expect(cluster.state.deaths["worker-1"]?.count == 1)
    }

    @Test func aDrainingWorkerGetsNoMoreWorkUntilItRestarts() throws {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1, worker: "w")
        let effects = cluster.handle(.drain(cluster.token(), workerID: "w"))
        #expect(effects.messages == [.drain(reason: "asked by a person")])
        #expect(cluster.take(1) == nil)
        cluster.restart()
        cluster.hello(1, worker: "w")
        #expect(cluster.take(1) == nil, "also after a restart of the coordinator")
        cluster.hello(2, worker: "w")
        #expect(cluster.take(2) != nil)
    }

    @Test func messagesOfUnknownSessionsAreAnsweredWithARequestForHello() {
        let cluster = ClusterDriver()
        #expect(cluster.beat(9, nil).messages == [.helloAgain])
        #expect(cluster.ask(9).messages == [.helloAgain])
    }
}

@Suite("Cluster state: artifacts")
struct ClusterStateArtifactTests {
    @Test func theNewestTwoCheckpointsAreKeptAndAllSnapshots() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        var discarded: [String] = []
        for iteration in [10, 20, 30, 40] {
            discarded += cluster.store(1, attempt, .snapshot, iteration: iteration).discarded
            discarded += cluster.store(1, attempt, .checkpoint, iteration: iteration).discarded
        }
        #expect(cluster.state.job(job)?.checkpoints.map(\.iteration) == [30, 40])
        #expect(discarded == [10, 20].map { Artifact.named("checkpoint of \(job) at \($0)").sha256 })
    }

    @Test func anOfferOfStoredBytesIsReceiptedWithoutTransfer() throws {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        let offer = ArtifactOffer(
            attempt: attempt, transferID: 4, role: .snapshot, artifact: .named("s"), iteration: 1)
        let known = cluster.handle(.artifactOffered(session: 1, offer, isStored: true))
        #expect(known.messages == [.artifactReceipt(transferID: 4, sha256: offer.artifact.sha256)])
        let unknown = cluster.handle(.artifactOffered(session: 1, offer, isStored: false))
        #expect(unknown == [.receiveArtifact(offer, session: 1)])
    }

    @Test func whatNoWorkerMayOfferIsRefused() throws {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        func offer(_ role: ArtifactRole, _ bytes: Int) -> [ClusterEffect] {
            let artifact = Artifact(sha256: Artifact.named("x").sha256, sizeBytes: bytes)
            let offer = ArtifactOffer(attempt: attempt, transferID: 4, role: role, artifact: artifact, iteration: 1)
            return cluster.handle(.artifactOffered(session: 1, offer, isStored: false))
        }
        for bytes in [0, (4 << 30) + 1] { #expect(offer(.snapshot, bytes).acknowledgement == .tooLarge, "\(bytes)") }
        #expect(offer(.exemplar, 100).acknowledgement == .malformed)
        for bytes in [1, 4 << 30] { #expect(offer(.snapshot, bytes).acknowledgement == nil, "\(bytes)") }
    }

    @Test func anArtifactThatArrivesAfterItsLeaseIsNotAccepted() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        cluster.handle(.cancel(cluster.token(), job, reason: ""))
        let effects = cluster.store(1, attempt, .checkpoint, iteration: 10)
        #expect(effects.acknowledgement == .cancelled)
        #expect(effects.discarded.count == 1)
        #expect(cluster.disk.jobs[0].checkpoints.isEmpty)
    }

    @Test func aWorkerMayFetchOnlyItsJobsExemplarAndCheckpoints() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        func fetch(_ sha256: String) -> [ClusterEffect] {
            cluster.handle(
                .artifactRequested(
                    session: 1,
                    ArtifactRequest(attempt: attempt, transferID: 1, sha256: sha256, offset: 0, windowChunks: 4)))
        }
        let own = try #require(cluster.state.job(jobs[0])).exemplar
        let foreign = try #require(cluster.state.job(jobs[1])).exemplar
        #expect(fetch(own.sha256).contains { if case .sendArtifact = $0 { true } else { false } })
        #expect(fetch(foreign.sha256).acknowledgement == .unknownArtifact)
    }

    @Test func metricsOfARunningAndAJustFailedAttemptAreKept() throws {
        let cluster = ClusterDriver()
        cluster.submit("a")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        let lines = [LogLine(unixSeconds: 1, level: .error, message: "NaN")]
        cluster.fail(1, attempt, "NaN", isRetryable: false)
        let event = ClusterEvent.log(session: 1, attempt, requestID: 8, lines)
        #expect(cluster.handle(event).acknowledgement == .ok)
        cluster.hello(2)
        let foreign = ClusterEvent.log(session: 2, attempt, requestID: 8, lines)
        #expect(cluster.handle(foreign).acknowledgement == .leaseLost)
    }

    @Test func aJobShorterThanAHeartbeatShowsItsProgressAndSpeedInTheEnd() throws {
        let cluster = ClusterDriver()
        let id = cluster.submit("short")[0]
        cluster.hello(1)
        cluster.finish(1, try #require(cluster.take(1)), iteration: 24)
        let job = try #require(cluster.state.job(id))
        #expect(job.iteration == 24 && job.totalIterations == 24 && job.secondsPerIteration == 0.5)
        #expect(cluster.disk.jobs.first?.totalIterations == 24)
    }
}
