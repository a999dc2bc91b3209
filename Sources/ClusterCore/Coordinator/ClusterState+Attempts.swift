// Attempts: the fence, and every way an attempt begins or ends.
extension ClusterState {
    /// The standing of the attempt that a message names.
    enum Standing: Equatable {
        /// The job's running attempt, held by this session.
        case current
        /// The job's newest attempt, ended.
        case ended(Attempt.Outcome)
        /// An older attempt, an attempt of another session, or an attempt of no job here.
        case unknown
    }

    /// Returns the standing of a message's attempt. Every message passes this fence.
    ///
    /// If a lease ran out but no other worker took the job, the worker that still trains it gets the attempt back.
    mutating func standing(of reference: AttemptReference, session: UInt64, at now: Instant) -> Standing {
        guard let job = job(reference.job), let attempt = job.attempt, attempt.number == reference.number else {
            return .unknown
        }
        guard let outcome = attempt.outcome else {
            return leases[job.id]?.session == session ? .current : .unknown
        }
        if job.waitsAfterLoss, attempt.session == session, sessions[session] != nil {
            reclaim(job, attempt, at: now)
            return .current
        }
        return attempt.session == session ? .ended(outcome) : .unknown
    }

    /// The job whose running attempt a message names. If this session does not hold the attempt, answers the message
    /// and returns nil.
    /// - Parameter repeats: How an attempt ends by such a message. A repetition of the message is acknowledged.
    mutating func runningJob(
        _ reference: AttemptReference, session: UInt64, answering id: UInt64, repeats: Set<Attempt.Outcome> = [],
        at now: Instant
    ) -> Job? {
        guard hear(session, at: now) else { return nil }
        switch standing(of: reference, session: session, at: now) {
        case .current: return job(reference.job)!
        case .ended(let outcome) where repeats.contains(outcome): acknowledge(session, id, .ok)
        case let other: refuse(session, id, reference, other)
        }
        return nil
    }

    mutating func assign(_ waitingJob: Job, to session: UInt64, request: UInt64, at now: Instant) {
        var job = waitingJob
        let worker = sessions[session]!.worker
        let attempt = Attempt(
            number: (job.attempt?.number ?? 0) + 1, workerID: worker.id, workerName: worker.name, session: session,
            startIteration: job.resumeIteration, iteration: job.resumeIteration)
        job.attempt = attempt
        job.state = .running
        job.reason = nil
        record(job, attempt)
        beginLease(of: job, attempt, at: now)
        let from = attempt.startIteration > 0 ? "from iteration \(attempt.startIteration)" : "from the start"
        note(about: job, "attempt \(attempt.number) given to \(worker.name), \(from)")
        sessions[session]!.request = WorkerSession.WorkRequest(id: request, answer: job.newestAttempt)
        effects.append(.send(.assign(requestID: request, assignment(of: job)), to: session))
    }

    func assignment(of job: Job) -> Assignment {
        Assignment(
            attempt: job.newestAttempt!, kind: job.kind, name: job.name, spec: job.spec, inputs: job.inputs,
            checkpoint: job.checkpoints.last)
    }

    mutating func beginLease(of job: Job, _ attempt: Attempt, at now: Instant) {
        insertLease(of: job, attempt, expires: now + configuration.lease, at: now)
    }

    mutating func insertLease(of job: Job, _ attempt: Attempt, expires: Instant, at now: Instant) {
        let reference = AttemptReference(job: job.id, number: attempt.number)
        let lease = Lease(
            attempt: reference, session: attempt.session, expires: expires, iteration: attempt.iteration,
            totalIterations: job.totalIterations, secondsPerIteration: job.secondsPerIteration, progressed: now)
        leases[job.id] = lease
        sessions[attempt.session]?.attempts.insert(reference)
        deadlines.insert(Deadline(at: lease.expires, subject: .lease(reference)))
        deadlines.insert(Deadline(at: now + allowedStandstill(of: lease), subject: .stall(reference)))
    }

    /// Extends a lease and takes over what the worker reports about the attempt.
    mutating func renew(_ status: AttemptStatus, at now: Instant) {
        guard var lease = leases[status.attempt.job], lease.attempt == status.attempt else { return }
        lease.expires = max(lease.expires, now + configuration.lease)
        let hasMoved = status.iteration > lease.iteration
        if hasMoved { lease.move(to: status, at: now) }
        lease.totalIterations = status.totalIterations
        lease.secondsPerIteration = status.secondsPerIteration
        if hasMoved, !lease.hasIterated {
            // From now on the attempt has less time to make progress than while it started.
            lease.hasIterated = true
            deadlines.insert(Deadline(at: now + allowedStandstill(of: lease), subject: .stall(lease.attempt)))
        }
        leases[status.attempt.job] = lease
        // Recorded when it changes, so that a job that waits again still shows its progress.
        if var job = job(status.attempt.job), job.totalIterations != status.totalIterations, status.totalIterations > 0
        {
            job.totalIterations = status.totalIterations
            putAndRecord(job)
        }
    }

    mutating func transferProgressed(_ session: UInt64, _ reference: AttemptReference, at now: Instant) {
        guard hear(session, at: now), case .current = standing(of: reference, session: session, at: now) else { return }
        touch(reference, at: now)
    }

    /// A transfer that advances counts as progress.
    mutating func touch(_ reference: AttemptReference, at now: Instant) {
        extend(reference, at: now)
        leases[reference.job]!.progressed = now
    }

    /// Any message about an attempt shows that its worker holds it.
    mutating func extend(_ reference: AttemptReference, at now: Instant) {
        leases[reference.job]!.expires = max(leases[reference.job]!.expires, now + configuration.lease)
    }

    // MARK: Ends

    mutating func finish(
        _ session: UInt64, _ reference: AttemptReference, _ id: UInt64, _ completion: Completion, at now: Instant
    ) {
        guard var job = runningJob(reference, session: session, answering: id, repeats: [.finished], at: now) else {
            return
        }
        let missing = missing(of: completion, job)
        guard missing.isEmpty else {
            let names = missing.map(\.rawValue).sorted().joined(separator: ", ")
            return acknowledge(
                session, id, .unknownArtifact, "not stored yet: \(names); offer them again before FINISH")
        }
        job.iteration = completion.iteration
        if let lease = leases[job.id], lease.secondsPerIteration > 0 {
            job.secondsPerIteration = lease.secondsPerIteration
        }
        // A job shorter than a heartbeat has not reported its length or its speed before.
        job.totalIterations = max(job.totalIterations, completion.iteration)
        let trained = completion.iteration - (job.attempt?.startIteration ?? 0)
        if job.secondsPerIteration == 0, trained > 0, job.attempt?.startIteration == 0 {
            job.secondsPerIteration = completion.trainingSeconds / Double(trained)
        }
        end(&job, .finished, iteration: completion.iteration, reason: nil)
        sessions[session]!.failedJobs = []
        prove(sessions[session]!.worker.id)
        sessions[session]!.askedAt = now
        job.state = .finished
        job.reason = nil
        putAndRecord(job)
        effects.append(
            .record(.report(job.id, trainingSeconds: completion.trainingSeconds, json: completion.reportJSON)))
        // The steps of other work say nothing to people.
        let place = job.kind == .train ? " at iteration \(completion.iteration)" : ""
        note(job.id, attempt: reference.number, "finished\(place)")
        acknowledge(session, id, .ok)
        // The jobs that waited for this one.
        if followers[job.id] != nil { dispatch(at: now) }
    }

    /// The required products that the completion does not name, and the products that it names but that are not stored.
    private func missing(of completion: Completion, _ job: Job) -> Set<ArtifactRole> {
        let required = configuration.contracts[job.kind]?.products ?? []
        return (required.union(completion.products.keys)).filter { role in
            guard let sha256 = completion.products[role] else { return true }
            if role == .checkpoint { return !job.checkpoints.contains { $0.artifact.sha256 == sha256 } }
            return job.products[role]?.sha256 != sha256
        }
    }

    mutating func fail(
        _ session: UInt64, _ reference: AttemptReference, _ id: UInt64, _ failure: Failure, at now: Instant
    ) {
        guard var job = runningJob(reference, session: session, answering: id, repeats: [.failed], at: now) else {
            return
        }
        end(&job, .failed, iteration: failure.iteration, reason: failure.reason)
        sessions[session]!.askedAt = now
        note(job.id, attempt: reference.number, level: .error, "failed: \(failure.reason)")
        if failure.isRetryable || isDoubted(job, by: sessions[session]!.worker, at: now) {
            chargeFailure(&job, reason: failure.reason)
        } else {
            job.state = .failed
            job.reason = failure.reason
            putAndRecord(job)
        }
        acknowledge(session, id, .ok)
        dispatch(at: now)
    }

    /// Whether another worker should confirm that a job is impossible. One worker alone could fail all jobs for good. A
    /// worker without others that could do the job is believed.
    private mutating func isDoubted(_ job: Job, by worker: WorkerIdentity, at now: Instant) -> Bool {
        if let first = doubts[job.id].failure, first.isAnother(than: worker) { return false }
        guard hasAnother(than: worker, for: job, at: now) else { return false }
        doubts[job.id].failure = worker
        note(about: job, level: .warning, "\(worker.name) calls the job impossible; another worker tries it")
        return true
    }

    /// Whether another worker could say the same about the job.
    func hasAnother(than worker: WorkerIdentity, for job: Job, at now: Instant) -> Bool {
        others(than: worker.id, for: job, at: now).contains { $0.worker.isAnother(than: worker) }
    }

    mutating func handBack(
        _ session: UInt64, _ reference: AttemptReference, _ id: UInt64, _ iteration: Int, _ reason: String,
        at now: Instant
    ) {
        guard var job = runningJob(reference, session: session, answering: id, repeats: [.handedBack], at: now) else {
            return
        }
        end(&job, .handedBack, iteration: iteration, reason: reason)
        requeue(&job, reason: "handed back: \(reason)")
        acknowledge(session, id, .ok)
        dispatch(at: now)
    }

    /// The trainer hangs although its worker is alive. This costs a retry; otherwise the job could hang for ever.
    mutating func stall(_ lease: Lease, at now: Instant) {
        guard var job = job(lease.attempt.job) else { return }
        let minutes = Int((now.since(lease.progressed).inSeconds / 60).rounded())
        let reason = "no progress for \(minutes) min at iteration \(lease.iteration)"
        effects.append(.send(.cancel(lease.attempt, reason: reason), to: lease.session))
        end(&job, .stalled, reason: reason)
        note(job.id, attempt: lease.attempt.number, level: .error, "stalled: \(reason)")
        chargeFailure(&job, reason: reason)
    }

    mutating func requeue(_ job: inout Job, reason: String) {
        job.state = .queued
        job.reason = reason
        job.iteration = job.resumeIteration
        putAndRecord(job)
        enqueue(job)
        note(about: job, level: .warning, reason)
    }

    /// Counts a failure. The job goes to the back of the queue, so that a poison job does not slow the others. If no
    /// retries are left, it is held.
    mutating func chargeFailure(_ job: inout Job, reason: String) {
        job.failures += 1
        if let attempt = job.attempt {
            blame(attempt, for: job)
            job.avoid(attempt.workerID)
        }
        job.reason = reason
        job.iteration = job.resumeIteration
        guard job.failures <= configuration.retries else {
            job.state = .held
            job.reason = "\(job.failures) \(job.failures == 1 ? "attempt" : "attempts") failed, the last one: \(reason)"
            putAndRecord(job)
            note(job.id, level: .error, "held; retry it once the cause is gone")
            return
        }
        job.state = .queued
        job.queueOrder = placeAtBack()
        putAndRecord(job)
        enqueue(job)
    }

    /// Removes the lease and closes the attempt. The caller decides and records what happens to the job.
    mutating func end(_ job: inout Job, _ outcome: Attempt.Outcome, iteration: Int? = nil, reason: String?) {
        guard var attempt = job.attempt, let reference = job.newestAttempt else { return }
        if let lease = leases.removeValue(forKey: job.id) {
            sessions[lease.session]?.attempts.remove(reference)
            attempt.iteration = max(attempt.iteration, lease.iteration)
            if lease.secondsPerIteration > 0 { job.secondsPerIteration = lease.secondsPerIteration }
        }
        attempt.iteration = max(attempt.iteration, iteration ?? 0)
        attempt.outcome = outcome
        attempt.reason = reason
        job.attempt = attempt
        if outcome != .lost { doubts[job.id].lossesInARow = [] }
        effects.append(.record(.attempt(job.id, attempt)))
        effects.append(.endTransfers(reference))
    }

    mutating func record(_ job: Job, _ attempt: Attempt) {
        putAndRecord(job)
        effects.append(.record(.attempt(job.id, attempt)))
    }

    // MARK: Answers

    mutating func acknowledge(
        _ session: UInt64, _ id: UInt64, _ code: AcknowledgementCode, _ message: String = ""
    ) {
        effects.append(.send(.acknowledge(id: id, code, message: message), to: session))
    }

    mutating func refuse(
        _ session: UInt64, _ id: UInt64, _ reference: AttemptReference, _ standing: Standing
    ) {
        if case .ended(.cancelled) = standing {
            acknowledge(session, id, .cancelled, "the job was cancelled; stop this attempt")
        } else {
            acknowledge(session, id, .leaseLost, lossOf(reference) + "; stop this attempt")
        }
    }

    /// Why an attempt no longer belongs to its worker.
    private func lossOf(_ reference: AttemptReference) -> String {
        guard let job = job(reference.job), let newest = job.attempt else { return "there is no such attempt here" }
        if newest.number > reference.number {
            return "attempt \(newest.number) of the job was given to \(newest.workerName)"
        }
        if let outcome = newest.outcome {
            let reason = newest.reason.map { ": \($0.shortened(to: 500))" } ?? ""
            return "the attempt has ended (\(outcome.rawValue)\(reason))"
        }
        return "another process holds the attempt (\(newest.workerName))"
    }
}

extension Job {
    /// Leaves the job to other workers, if there are any.
    mutating func avoid(_ workerID: String) {
        avoidedWorkerIDs.removeAll { $0 == workerID }
        avoidedWorkerIDs = (avoidedWorkerIDs + [workerID]).suffix(ClusterState.maxAvoided)
    }
}

extension WorkerIdentity {
    /// Whether two words are those of two workers. One with several names has one key.
    func isAnother(than other: WorkerIdentity) -> Bool {
        id != other.id && (credentials.key == nil || credentials.key != other.credentials.key)
    }
}
