@testable import ClusterCore

/// Remembers promises and observations, and reports when something later contradicts them.
final class Witness {
    private(set) var violations: [String] = []
    /// The simulation's clock, for messages.
    var now = 0
    /// Attempts that failed or hung on the simulation's order.
    var faults: [JobID: Int] = [:]
    /// Digests of files that the simulation has damaged. Only these files may get lost.
    var damaged: Set<String> = []
    private(set) var replies: [(RequestToken, Reply)] = []

    /// Jobs whose acceptance a client has received, by key.
    private var accepted: [String: JobID] = [:]
    private var jobOfKey: [String: JobID] = [:]
    private var holderOfAttempt: [AttemptReference: String] = [:]
    /// Attempts whose FINISH the coordinator has answered with OK.
    private var finished: [JobID: AttemptReference] = [:]
    private var settled: [JobID: Job] = [:]
    private var checkpoints: [JobID: [StoredCheckpoint]] = [:]
    private var highestAttempt: [JobID: Int] = [:]
    /// Every attempt as it was last recorded.
    private var recorded: [AttemptReference: Attempt] = [:]
    /// How often a lost attempt came back with its worker's next process. Each of its losses counts against its job.
    private var returns: [AttemptReference: Int] = [:]
    /// Log lines that the coordinator has confirmed to their worker.
    private var acknowledgedLines: [JobID: Set<String>] = [:]
    /// Jobs that a person has just asked to retry.
    private var mayLeave: Set<JobID> = []
    /// Jobs whose deletion a person has asked for. Its answer may be lost.
    private var mayBeGone: Set<JobID> = []

    private(set) var finishedJobs = 0
    private(set) var reassignedJobs = 0
    /// How often a worker's next process got an attempt back after its lease.
    var returned: Int { returns.values.reduce(0, +) }
    /// Finished jobs that had waited for another.
    private(set) var followersFinished = 0
    /// How often a job was blocked by another.
    private(set) var blocked = 0
    /// Workers that died with every job.
    private(set) var blamedWorkers: Set<String> = []
    /// How often a job resumed from an older checkpoint.
    private(set) var fallBacks = 0

    func violated(_ message: String) {
        if violations.count < 5 { violations.append("at \(Double(now) / 1000) s: \(message)") }
    }

    private func check(_ isTrue: Bool, _ message: @autoclosure () -> String) {
        if !isTrue { violated(message()) }
    }

    // MARK: Promises

    func answered(_ token: RequestToken, _ reply: Reply) { replies.append((token, reply)) }

    func takeReplies() -> [(RequestToken, Reply)] {
        defer { replies = [] }
        return replies
    }

    /// A client receives the acceptance of its job.
    func clientHeard(accepted id: JobID, key: String) {
        check(
            accepted[key].map { $0 == id || mayBeGone.contains($0) } ?? true,
            "key \(key) is \(id), was \(accepted[key]?.description ?? "")")
        accepted[key] = id
    }

    func deletionIsAsked(_ ids: [JobID]) { mayBeGone.formUnion(ids) }

    func retryIsAsked(_ id: JobID) { mayLeave.insert(id) }

    /// The coordinator sends a message.
    /// - Parameter worker: nil if the session has ended meanwhile.
    func told(
        _ message: MessageToWorker, worker: String?, finishOf: (UInt64) -> AttemptReference?
    ) {
        switch message {
        case .assign(_, let assignment):
            guard let worker else { return }
            let earlier = holderOfAttempt.updateValue(worker, forKey: assignment.attempt)
            check(
                earlier == nil || earlier == worker,
                "attempt \(assignment.attempt.number) at \(assignment.attempt.job) is leased to \(earlier ?? "") and "
                    + "to \(worker)")
        case .acknowledge(let id, .ok, _):
            guard let attempt = finishOf(id) else { return }
            let earlier = finished.updateValue(attempt, forKey: attempt.job)
            check(
                earlier == nil || earlier == attempt,
                "two results were accepted of \(attempt.job): attempts \(earlier?.number ?? 0) and \(attempt.number)")
        default: break
        }
    }

    /// The coordinator sends an artifact to a worker.
    func sent(_ artifact: Artifact, _ store: SimulatedStore) {
        check(
            store.contains(artifact) || damaged.contains(artifact.sha256),
            "\(artifact.sha256) is given out and not stored")
    }

    /// The coordinator has handled a message about an attempt.
    /// - Parameter newest: The job's newest attempt before the message.
    func handled(_ attempt: AttemptReference, from session: UInt64, newest: Attempt?, _ effects: [ClusterEffect]) {
        guard newest?.number != attempt.number || newest?.session != session else { return }
        let changes = effects.contains { effect in
            switch effect {
            case .record(.attempt(attempt.job, _)), .record(.artifact(attempt.job, _, _, _)),
                .record(.artifactDropped(attempt.job, _, _)), .record(.report(attempt.job, _, _)):
                true
            default: false
            }
        }
        check(!changes, "a message of attempt \(attempt.number) at \(attempt.job) got past the fence")
    }

    /// The coordinator has committed changes.
    func committed(_ changes: [Change]) {
        for case .attempt(let job, let attempt) in changes {
            let reference = AttemptReference(job: job, number: attempt.number)
            let before = recorded.updateValue(attempt, forKey: reference)
            guard let outcome = before?.outcome, attempt.outcome == nil else { continue }
            check(
                outcome == .lost && before?.workerID == attempt.workerID,
                "attempt \(attempt.number) at \(job) was \(outcome) and runs again, on \(attempt.workerID)")
            if before?.session != attempt.session { returns[reference, default: 0] += 1 }
        }
    }

    /// The coordinator confirms a worker's log lines. Every line of a simulation is different.
    func acknowledged(_ lines: [String], of job: JobID, _ store: SimulatedStore) {
        acknowledgedLines[job, default: []].formUnion(lines)
        verify(lines, of: job, store)
    }

    private func verify(_ lines: some Sequence<String>, of job: JobID, _ store: SimulatedStore) {
        if store.rows.jobs[job] == nil, mayBeGone.contains(job) { return }
        for line in lines {
            let count = store.count(of: line, in: job)
            check(count == 1, "\(job): the acknowledged log line '\(line)' is stored \(count) times")
        }
    }

    private func verifyLogs(_ store: SimulatedStore) {
        for (job, lines) in acknowledgedLines { verify(lines, of: job, store) }
    }

    // MARK: Invariants

    func crashed(_ store: SimulatedStore) {
        for id in accepted.values where !mayBeGone.contains(id) {
            check(store.rows.jobs[id] != nil, "accepted job \(id) is lost")
        }
        // A retry may have been committed even if its answer was lost.
        for (id, before) in settled {
            let job = store.rows.jobs[id]
            compare(settled: before, with: job, id)
            settled[id] = job?.state.isSettled == true ? job : nil
        }
        verifyLogs(store)
        mayLeave = []
    }

    /// Runs after every batch. Checks the store as readers see it, and the state that belongs to it.
    func verify(_ store: SimulatedStore, _ state: ClusterState) {
        let rows = store.rows
        blamedWorkers.formUnion(state.deaths.values.filter(\.isBlamed).map(\.worker.id))
        for id in accepted.values where rows.jobs[id] == nil && !mayBeGone.contains(id) {
            violated("accepted job \(id) is lost")
        }
        check(state.jobs.count == rows.jobs.count, "\(state.jobs.count) jobs in memory, \(rows.jobs.count) stored")
        for stored in rows.jobs.values {
            let job = rows.complete(stored)
            check(state.job(job.id) == job, "job \(job.id) in memory is not what is stored")
            verify(job, rows.attempts[job.id] ?? [:], state)
            for awaited in job.awaited { verify(job, awaited, rows.jobs[awaited.job]) }
            verifyResult(job, rows)
            for row in rows.artifacts[job.id] ?? [:] where row.key.kind != .snapshot {
                check(
                    store.contains(row.value) || damaged.contains(row.value.sha256),
                    "\(job.id): \(row.key.kind) at \(row.key.iteration) has no file")
            }
            remember(job)
        }
        mayLeave = []
    }

    private func verify(_ job: Job, _ attempts: [Int: Attempt], _ state: ClusterState) {
        let open = attempts.values.filter { $0.outcome == nil }
        check(open.count <= 1, "\(job.id): \(open.count) attempts hold a lease")
        check(open.allSatisfy { $0.number == job.attempt?.number }, "\(job.id): an old attempt holds the lease")
        check((job.state == .running) == (open.count == 1), "\(job.id) is \(job.state), open attempts: \(open.count)")
        let lease = state.leases[job.id]
        check((lease != nil) == (job.state == .running), "\(job.id) is \(job.state), lease: \(lease != nil)")
        if let lease {
            check(lease.attempt.number == job.attempt?.number, "\(job.id): lease of an old attempt")
            check(lease.session == job.attempt?.session, "\(job.id): lease of another session than is stored")
        }
        check(
            job.attempt?.number ?? 0 >= highestAttempt[job.id] ?? 0, "\(job.id): attempt numbers went back")
        check(
            job.failures <= faults[job.id] ?? 0,
            "\(job.id) is charged \(job.failures) failures, \(faults[job.id] ?? 0) happened")
        if job.state == .held, job.failures <= state.configuration.retries,
            !job.inputs.contains(where: { damaged.contains($0.artifact.sha256) })
        {
            let lost = attempts.values.sorted { $0.number > $1.number }.prefix { $0.outcome == .lost }
            let losses = lost.reduce(0) {
                $0 + 1 + returns[AttemptReference(job: job.id, number: $1.number), default: 0]
            }
            check(losses >= ClusterState.lossesOfHeld, "\(job.id) is held after \(losses) losses in a row")
        }
        check(
            job.checkpoints.count <= ClusterState.checkpointsKept,
            "\(job.id) keeps \(job.checkpoints.count) checkpoints"
        )
        let good = (checkpoints[job.id] ?? []).last { !damaged.contains($0.artifact.sha256) }
        check(
            job.checkpoints.last?.iteration ?? 0 >= good?.iteration ?? 0,
            "\(job.id): a stored checkpoint is gone, the newest is \(job.checkpoints.last?.iteration ?? 0)")
        if let key = job.key {
            let known = jobOfKey.updateValue(job.id, forKey: key)
            check(
                known.map { $0 == job.id || mayBeGone.contains($0) } ?? true,
                "key \(key) names \(job.id) and \(known?.description ?? "")")
        }
    }

    private func verifyResult(_ job: Job, _ rows: SimulatedStore.Rows) {
        if let before = settled[job.id] {
            compare(settled: before, with: job, job.id)
        }
        if let attempt = finished[job.id] {
            check(job.state == .finished, "\(job.id): its result was accepted, it is \(job.state)")
            check(
                rows.attempts[job.id]?[attempt.number]?.outcome == .finished,
                "\(job.id): the accepted result is not of the attempt that finished")
        }
        guard job.state == .finished else { return }
        check(rows.reports[job.id] != nil, "\(job.id) has finished without its report")
        if job.kind == .expand {
            // A job whose source is deleted has the generator, and no longer knows whose it was.
            let source = job.awaited.first.flatMap { rows.jobs[$0.job] }
            let generator =
                source.map {
                    Training.undisturbedGenerator(exemplar: Training.subject(of: $0.inputs), recipe: $0.spec)
                } ?? job.input(JobInput.generator)?.artifact.sha256
            guard let generator else { return violated("\(job.id) has finished without its generator") }
            let right = Training.picture(generator: generator, spec: job.spec).sha256
            check(job.products[.picture]?.sha256 == right, "\(job.id): not the picture of an undisturbed run")
            return
        }
        let right = Training.undisturbedGenerator(exemplar: Training.subject(of: job.inputs), recipe: job.spec)
        check(job.products[.generator]?.sha256 == right, "\(job.id): not the generator of an undisturbed run")
    }

    /// A job waits exactly as long as the job that makes its input may still finish, and never starts without the input.
    private func verify(_ job: Job, _ awaited: AwaitedInput, _ source: Job?) {
        guard let source else { return violated("\(job.id) waits for \(awaited.job), which is lost") }
        let input = job.input(awaited.name)
        switch job.state {
        case .waiting: check(!source.state.isSettled, "\(job.id) waits for \(source.id), which is \(source.state)")
        case .blocked:
            check(
                source.state.isSettled && source.state != .finished,
                "\(job.id) is blocked by \(source.id), which is \(source.state)")
        case .queued, .running, .finished, .failed, .held:
            check(
                source.state == .finished && input != nil && input?.artifact == source.products[awaited.role],
                "\(job.id) is \(job.state) without the \(awaited.role) of \(source.id), which is \(source.state)")
        case .cancelled: break
        }
    }

    /// A finished job never changes. A job with another end changes only after an explicit retry.
    private func compare(settled before: Job, with job: Job?, _ id: JobID) {
        guard let job else {
            if !mayBeGone.contains(id) { violated("settled job \(id) is lost") }
            return
        }
        if before.state == .finished {
            check(
                job.state == .finished && job.products == before.products,
                "\(id) had finished, is \(job.state)")
        } else if before.state == .blocked {
            // The retry of another job ends this state.
            check(
                job.state == .blocked || job.state == .waiting || job.state == .cancelled,
                "\(id) was blocked, is \(job.state)")
        } else if job.state != before.state, !mayLeave.contains(id) {
            check(before.state == .held && job.state == .cancelled, "\(id) was \(before.state), is \(job.state)")
        }
    }

    private func remember(_ job: Job) {
        if job.state == .finished, settled[job.id]?.state != .finished {
            finishedJobs += 1
            if !job.awaited.isEmpty { followersFinished += 1 }
        }
        if job.state == .blocked, settled[job.id]?.state != .blocked { blocked += 1 }
        settled[job.id] = job.state.isSettled ? job : nil
        if job.checkpoints.last?.iteration ?? 0 < checkpoints[job.id]?.last?.iteration ?? 0 { fallBacks += 1 }
        checkpoints[job.id] = job.checkpoints
        if let number = job.attempt?.number, number > highestAttempt[job.id] ?? 0 {
            if number > 1 { reassignedJobs += 1 }
            highestAttempt[job.id] = number
        }
    }

    /// Checks the end of a run, long after the faults have ended.
    func verifyEnd(_ store: SimulatedStore, submitted: Int) {
        check(accepted.count == submitted, "\(submitted) jobs submitted, \(accepted.count) accepted")
        verifyLogs(store)
        for job in store.rows.jobs.values { check(job.state.isSettled, "\(job.id) never ends: it is \(job.state)") }
    }
}
