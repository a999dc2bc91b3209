// Attempts whose worker is gone, and attempts that come back.
extension ClusterState {
    /// The worker is gone. The job returns to its place in the queue, at no cost.
    ///
    /// If one worker after another is lost with the job before its next checkpoint, the job may be what kills them. It
    /// then goes to the back of the queue and runs only on an otherwise idle worker. After ``lossesOfHeld`` losses it
    /// is held.
    /// - Parameter isDeath: Whether the job may have killed the worker; false if the worker is known to live or has
    ///   said GOODBYE.
    mutating func lose(_ reference: AttemptReference, reason: String, isDeath: Bool) {
        guard let lease = leases[reference.job], lease.attempt == reference, var job = job(reference.job) else {
            return
        }
        end(&job, .lost, reason: reason)
        let hasAdvanced = job.resumeIteration > (job.attempt?.startIteration ?? 0)
        if hasAdvanced { doubts[job.id].lossesInARow = [] }
        guard isDeath, !hasAdvanced else {
            return requeue(&job, reason: "attempt \(reference.number) was lost: \(reason)")
        }
        sessions[lease.session]?.lostJobs.insert(job.id)
        let worker = job.attempt?.workerID ?? ""
        if deaths[worker]?.isBlamed == true {
            return requeue(&job, reason: Self.blameless(job.attempt?.workerName ?? "a worker"))
        }
        doubts[job.id].lossesInARow.append(worker)
        let losses = doubts[job.id].lossesInARow
        guard losses.count < Self.lossesOfHeld else { return hold(&job, after: losses, reason) }
        if losses.count >= Self.lossesOfSuspect { job.queueOrder = placeAtBack() }
        requeue(&job, reason: "attempt \(reference.number) was lost: \(reason)")
    }

    private mutating func hold(_ job: inout Job, after losses: [String], _ reason: String) {
        job.state = .held
        job.iteration = job.resumeIteration
        let isOneWorkers = Set(losses).count == 1
        job.reason =
            isOneWorkers
            ? "\(job.attempt?.workerName ?? "its worker") was lost with it \(losses.count) times in a row before its "
                + "next checkpoint, the last times while it ran nothing else (the last: \(reason)): the job may need "
                + "more memory than that worker has, or the worker is broken. Find out what ended it, then retry the "
                + "job there or elsewhere"
            : "\(losses.count) workers in a row were lost with it before its next checkpoint, the last ones while they "
                + "ran nothing else (the last: \(reason)): the job may need more memory than they have. Find out what "
                + "ended them, then retry it on a larger worker or submit it with a smaller recipe"
        putAndRecord(job)
        note(about: job, level: .error, "held: \(job.reason!)")
    }

    /// Gives an attempt whose lease ran out back to the process that still trains it.
    mutating func reclaim(_ job: Job, _ attempt: Attempt, at now: Instant) {
        // The worker was away, not dead.
        if let last = doubts[job.id].lossesInARow.lastIndex(of: attempt.workerID) {
            doubts[job.id].lossesInARow.remove(at: last)
        }
        reopen(job, attempt, at: now)
    }

    /// Lets a lost attempt run again, in the session that it names.
    mutating func reopen(_ lostJob: Job, _ lostAttempt: Attempt, at now: Instant) {
        var job = lostJob
        var attempt = lostAttempt
        attempt.outcome = nil
        attempt.reason = nil
        job.attempt = attempt
        job.state = .running
        job.reason = nil
        record(job, attempt)
        beginLease(of: job, attempt, at: now)
        note(about: job, "\(attempt.workerName) is back and continues")
    }
}
