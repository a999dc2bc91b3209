import ClusterFixtures
import Testing

@testable import ClusterCore

/// Jobs that wait for the products of others.
struct FollowerTests {
    private let cluster = ClusterDriver { $0.retries = 0 }

    /// A worker that does every kind of work.
    private func hello(_ session: UInt64, kinds: Set<JobKind> = [.train, .expand, .export]) {
        var worker = WorkerIdentity.named("worker-\(session)")
        worker.kinds = kinds
        worker.slots = 2
        cluster.handle(.hello(session: session, worker: worker, running: []))
    }

    private func training(_ name: String, key: String? = nil) -> Submission {
        Submission(
            name: name, fileName: "\(name).png", exemplar: .named("exemplar of \(name)"), recipeYAML: "recipe: draft",
            priority: 0, key: key)
    }

    private func follower(
        _ kind: JobKind, of source: Submission.Awaited.Source, _ spec: String = "times=1", key: String? = nil
    ) -> Submission {
        Submission(
            kind: kind, name: "then-\(kind)",
            inputs: [JobInput(name: JobInput.exemplar, artifact: .named("exemplar of a"), fileName: "a.png")],
            awaited: [Submission.Awaited(name: JobInput.generator, source: source, role: .generator)], spec: spec,
            priority: 0, key: key)
    }

    private func submit(_ submissions: Submission...) -> Reply? {
        let salts = submissions.indices.map { UInt32($0) &* 31 &+ 7 }
        return cluster.handle(.submit(cluster.token(), submissions, salts: salts)).reply
    }

    private func ids(_ reply: Reply?) throws -> [JobID] {
        guard case .accepted(let jobs)? = reply else {
            Issue.record("not accepted: \(String(describing: reply))")
            return []
        }
        return jobs.map(\.id)
    }

    private func state(_ id: JobID) -> JobState? { cluster.state.job(id)?.state }
    private func reason(_ id: JobID) -> String { cluster.state.job(id)?.reason ?? "" }

    private func finishProduct(_ session: UInt64, _ attempt: AttemptReference, _ role: ArtifactRole)
        -> AcknowledgementCode?
    {
        cluster.store(session, attempt, role, iteration: 1, content: "\(role) of \(attempt.job)")
        let products = [role: Artifact.named("\(role) of \(attempt.job)").sha256]
        let completion = Completion(iteration: 1000, products: products, trainingSeconds: 1, reportJSON: "{}")
        return cluster.handle(.finish(session: session, attempt, requestID: 901, completion)).acknowledgement
    }

    @Test func followersStartWhenTheirInputIsThere() throws {
        hello(1)
        let export = follower(.export, of: .submission(0), "format=onnx")
        let jobs = try ids(submit(training("a"), follower(.expand, of: .submission(0)), export))
        #expect(jobs.map(state) == [.queued, .waiting, .waiting])
        #expect(reason(jobs[1]).contains("waits for a (\(jobs[0]))"), "\(reason(jobs[1]))")
        #expect(cluster.state.counts[.waiting] == 2 && cluster.state.slotsWanted(at: cluster.now) == 0)
        let attempt = try #require(cluster.take(1))
        #expect(attempt.job == jobs[0])
        // Another worker waits for work while the training ends.
        hello(2)
        #expect(cluster.ask(2).assignment == nil, "nothing else can start")
        let effects = cluster.finish(1, attempt)
        let assignment = try #require(effects.assignment, "the waiting worker gets it at once")
        #expect(assignment.attempt.job == jobs[1] && assignment.kind == .expand && assignment.spec == "times=1")
        #expect(assignment.inputs.map(\.name) == ["exemplar", "generator"])
        let generator = Artifact.named("generator of \(jobs[0]) at 100")
        #expect(assignment.input(JobInput.generator)?.artifact == generator)
        #expect(assignment.input(JobInput.generator)?.fileName == "generator.safetensors")
        // The worker may fetch it.
        let request = ArtifactRequest(
            attempt: assignment.attempt, transferID: 3, artifact: generator, offset: 0, windowChunks: 2)
        #expect(
            cluster.handle(.artifactRequested(session: 2, request)).contains(
                .sendArtifact(request, generator, session: 2)))
        #expect(finishProduct(2, assignment.attempt, .picture) == .ok)
        #expect(state(jobs[1]) == .finished)
        let last = try #require(cluster.take(1))
        #expect(last.job == jobs[2] && finishProduct(1, last, .model) == .ok)
        #expect(jobs.map(state) == [.finished, .finished, .finished])
    }

    @Test func theyKeepTheirPlaceBehindTheirTraining() throws {
        hello(1)
        let jobs = try ids(
            submit(
                training("a"), follower(.expand, of: .submission(0)), training("b"),
                follower(.expand, of: .submission(2))))
        let first = try #require(cluster.take(1))
        cluster.finish(1, first)
        #expect(cluster.take(1)?.job == jobs[1], "the first result is complete before the next training begins")
        #expect(cluster.take(1)?.job == jobs[2])
    }

    /// A large picture goes to a worker with the memory for it. If there is none, the job says what is missing.
    @Test func aWorkerWithoutTheMemoryNeverGetsThem() throws {
        func worker(_ session: UInt64, _ memoryBytes: Int) {
            var worker = WorkerIdentity.named("worker-\(session)")
            worker.kinds = [.train, .expand]
            worker.equipment = WorkerIdentity.Equipment(weights: [], memoryBytes: memoryBytes)
            cluster.handle(.hello(session: session, worker: worker, running: []))
        }
        worker(1, 512 << 20)
        var large = follower(.expand, of: .submission(0), "size=16384x16384")
        large.needs = JobNeeds(memoryBytes: 900 << 20)
        let jobs = try ids(submit(training("a"), large))
        cluster.finish(1, try #require(cluster.take(1)))
        #expect(cluster.take(1) == nil && state(jobs[1]) == .queued)
        let demand = try #require(cluster.state.job(jobs[1])).demand
        let obstacle = cluster.state.obstacle(to: demand) ?? ""
        #expect(obstacle.contains("has 512 MiB of memory per slot, 900 are needed"), "\(obstacle)")
        worker(2, 1 << 30)
        #expect(cluster.take(2)?.job == jobs[1])
    }

    @Test func aWorkerThatOnlyTrainsNeverGetsThem() throws {
        hello(1, kinds: [.train])
        let jobs = try ids(submit(training("a"), follower(.expand, of: .submission(0))))
        cluster.finish(1, try #require(cluster.take(1)))
        #expect(state(jobs[1]) == .queued)
        #expect(cluster.take(1) == nil)
        let demand = try #require(cluster.state.job(jobs[1])).demand
        #expect(cluster.state.obstacle(to: demand)?.contains("'expand'") == true)
    }

    @Test func aFailedTrainingBlocksThemAndItsRetryRevivesThem() throws {
        hello(1)
        let jobs = try ids(submit(training("a"), follower(.expand, of: .submission(0))))
        cluster.fail(1, try #require(cluster.take(1)), "NaN in l1", isRetryable: false)
        #expect(jobs.map(state) == [.failed, .blocked])
        #expect(reason(jobs[1]) == "waits for a (\(jobs[0])), which has failed: NaN in l1")
        // A retry of the follower names the job to retry.
        guard case .refused(.conflict(let text))? = cluster.handle(.retry(cluster.token(), jobs[1])).reply else {
            Issue.record("retried")
            return
        }
        #expect(text.contains("\(jobs[0])") && text.hasSuffix("retry that job instead"), "\(text)")
        cluster.restart()
        #expect(jobs.map(state) == [.failed, .blocked], "the store knows it")
        hello(2)
        cluster.handle(.retry(cluster.token(), jobs[0]))
        #expect(jobs.map(state) == [.queued, .waiting])
        cluster.finish(2, try #require(cluster.take(2)))
        #expect(cluster.take(2)?.job == jobs[1])
    }

    @Test func aHeldOrCancelledTrainingBlocksThemToo() throws {
        hello(1)
        let held = try ids(submit(training("a"), follower(.expand, of: .submission(0))))
        cluster.fail(1, try #require(cluster.take(1)), "NaN in l1")
        #expect(held.map(state) == [.held, .blocked] && reason(held[1]).contains("is held"), "\(reason(held[1]))")
        let cancelled = try ids(submit(training("b"), follower(.export, of: .submission(0))))
        cluster.handle(.cancel(cluster.token(), cancelled[0], reason: "not wanted"))
        #expect(cancelled.map(state) == [.cancelled, .blocked])
        #expect(reason(cancelled[1]).hasSuffix("which was cancelled: not wanted"), "\(reason(cancelled[1]))")
    }

    @Test func aCancelledFollowerStaysCancelledUntilItIsRetried() throws {
        hello(1)
        let jobs = try ids(submit(training("a"), follower(.expand, of: .submission(0))))
        #expect(cluster.handle(.cancel(cluster.token(), jobs[1], reason: "x")).reply == .job(jobs[1], .cancelled))
        let attempt = try #require(cluster.take(1))
        #expect(cluster.handle(.retry(cluster.token(), jobs[1])).reply == .job(jobs[1], .waiting))
        cluster.handle(.cancel(cluster.token(), jobs[1], reason: "x"))
        cluster.finish(1, attempt)
        #expect(state(jobs[1]) == .cancelled && cluster.take(1) == nil)
        let effects = cluster.handle(.retry(cluster.token(), jobs[1]))
        #expect(effects.reply == .job(jobs[1], .queued))
        #expect(effects.assignment?.attempt.job == jobs[1], "the worker that asked gets it")
    }

    @Test func workIsAddedToAJobThatIsThere() throws {
        hello(1)
        let first = try ids(submit(training("a", key: "k")))
        cluster.finish(1, try #require(cluster.take(1)))
        let again = submit(training("a", key: "k"), follower(.expand, of: .submission(0), key: "k then expand"))
        let jobs = try ids(again)
        #expect(jobs[0] == first[0] && state(jobs[1]) == .queued)
        // And once more: the same jobs.
        #expect(
            try ids(submit(training("a", key: "k"), follower(.expand, of: .submission(0), key: "k then expand")))
                == jobs)
        #expect(try ids(submit(follower(.export, of: .job(first[0])))).map(state) == [.queued])
    }

    @Test func waitingSurvivesARestartOfTheCoordinator() throws {
        hello(1)
        let jobs = try ids(
            submit(training("a"), follower(.expand, of: .submission(0)), follower(.export, of: .submission(0))))
        let attempt = try #require(cluster.take(1))
        let before = jobs.map { cluster.state.job($0) }
        cluster.restart()
        #expect(jobs.map { cluster.state.job($0) } == before)
        hello(1)
        cluster.finish(1, attempt)
        #expect(jobs.map(state) == [.finished, .queued, .queued])
        // Their inputs are recorded with them.
        cluster.restart()
        hello(2)
        #expect(cluster.ask(2).assignment?.inputs.map(\.name) == ["exemplar", "generator"])
    }

    @Test func chainsAreBlockedAndRevivedToTheirEnd() throws {
        let pick = JobKind(rawValue: "pick")
        let cluster = ClusterDriver {
            $0.contracts[pick] = WorkContract(inputs: ["picture"], products: [.picture])
        }
        func link(_ index: Int, _ role: ArtifactRole) -> Submission {
            Submission(
                kind: pick, name: "pick", inputs: [],
                awaited: [Submission.Awaited(name: "picture", source: .submission(index), role: role)], spec: "x",
                priority: 0)
        }
        let submissions = [training("a"), link(0, .generator), link(1, .picture), link(2, .picture)]
        let jobs = try ids(cluster.handle(.submit(cluster.token(), submissions, salts: [1, 2, 3, 4])).reply)
        func states() -> [JobState?] { jobs.map { cluster.state.job($0)?.state } }
        #expect(states() == [.queued, .waiting, .waiting, .waiting])
        cluster.handle(.cancel(cluster.token(), jobs[0], reason: "x"))
        #expect(states() == [.cancelled, .blocked, .blocked, .blocked])
        cluster.handle(.retry(cluster.token(), jobs[0]))
        #expect(states() == [.queued, .waiting, .waiting, .waiting])
    }

    @Test func whatCannotComeIsNotWaitedFor() {
        func refusal(_ submissions: Submission...) -> String {
            let salts = submissions.map { _ in UInt32(3) }
            let reply = cluster.handle(.submit(cluster.token(), submissions, salts: salts)).reply
            guard case .refused(.conflict(let reason))? = reply else { return "accepted" }
            return reason
        }
        #expect(refusal(follower(.expand, of: .submission(0)), training("a")).contains("expected an earlier one"))
        #expect(refusal(follower(.expand, of: .job(JobID(sequence: 9, salt: 9)))).contains("there is no job"))
        #expect(
            refusal(training("a"), follower(.export, of: .submission(0)), follower(.expand, of: .submission(1)))
                .contains("a job of kind 'export' makes no generator"))
        var both = follower(.expand, of: .submission(0))
        both.inputs.append(JobInput(name: JobInput.generator, artifact: .named("g"), fileName: "g"))
        #expect(refusal(training("a"), both).contains("takes the inputs exemplar, generator"))
        #expect(cluster.state.jobs.count == 0, "all or none")
    }

    @Test func aJobIsDeletedOnlyOnceNoOtherWaitsForIt() throws {
        func delete(_ ids: JobID...) -> Reply? {
            cluster.handle(
                .change(cluster.token(), ids, in: Set(JobState.allCases), .delete(cancelsFirst: true))
            ).reply
        }
        func deleted(_ reply: Reply?) -> [JobID]? {
            guard case .changed(let ids)? = reply else { return nil }
            return ids
        }
        hello(1)
        let jobs = try ids(
            submit(training("a"), follower(.expand, of: .submission(0)), follower(.export, of: .submission(0))))
        #expect(deleted(delete(jobs[0])) == [] && state(jobs[0]) == .queued, "two jobs wait for it")
        #expect(deleted(delete(jobs[2])) == [jobs[2]])
        cluster.handle(.cancel(cluster.token(), jobs[1], reason: "x"))
        #expect(deleted(delete(jobs[0])) == [], "a retry of the cancelled one would need it")
        cluster.handle(.retry(cluster.token(), jobs[1]))
        cluster.finish(1, try #require(cluster.take(1)))
        #expect(state(jobs[1]) == .queued)
        // Its input is its own by now.
        #expect(deleted(delete(jobs[0])) == [jobs[0]])
        #expect(cluster.state.job(jobs[1])?.awaited == [])
        cluster.handle(.cancel(cluster.token(), jobs[1], reason: "x"))
        cluster.handle(.retry(cluster.token(), jobs[1]))
        let attempt = try #require(cluster.take(1))
        #expect(attempt.job == jobs[1] && finishProduct(1, attempt, .picture) == .ok)
        // The same training again is another job, although the work that was made of the first one stays.
        let keyed = [training("c", key: "k"), follower(.expand, of: .submission(0), key: "k2")]
        func submitKeyed() throws -> [JobID] {
            try ids(cluster.handle(.submit(cluster.token(), keyed, salts: [5, 6])).reply)
        }
        let before = try submitKeyed()
        cluster.finish(1, try #require(cluster.take(1)))
        #expect(deleted(delete(before[0])) == [before[0]])
        let after = try submitKeyed()
        #expect(after.first != before[0] && after.last == before[1], "\(before), \(after)")
        #expect(deleted(delete(after[0], before[1])) == [after[0], before[1]])
        // Together: those that wait come first.
        let others = try ids(submit(training("b"), follower(.expand, of: .submission(0))))
        #expect(deleted(delete(others[1], others[0])) == [others[1], others[0]])
        #expect(cluster.state.followers.values.allSatisfy { $0.isEmpty }, "\(cluster.state.followers)")
    }

    @Test func manyJobsAtOnceIncludeThoseThatWait() throws {
        hello(1)
        let jobs = try ids(submit(training("a"), follower(.expand, of: .submission(0))))
        let any = Set(JobState.allCases)
        cluster.handle(.change(cluster.token(), jobs, in: any, .cancel(reason: "enough")))
        #expect(jobs.map(state) == [.cancelled, .cancelled])
        // The order of the request is the order of the retries.
        cluster.handle(.change(cluster.token(), jobs.reversed(), in: any, .retry))
        #expect(jobs.map(state) == [.queued, .waiting], "not queued without its input")
    }
}
