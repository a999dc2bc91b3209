import HeapModule

// Which waiting job a worker gets.
extension ClusterState {
    /// Gives waiting jobs to waiting workers.
    mutating func dispatch(at now: Instant) {
        var index = 0
        while index < waiting.count, !queue.isEmpty {
            let id = waiting[index]
            guard let session = sessions[id], let request = session.request, request.answer == nil else {
                waiting.remove(at: index)
                continue
            }
            if let job = nextJob(for: session, at: now) {
                waiting.remove(at: index)
                // A worker that was reserved for the job need not wait any longer, also if the job comes back.
                if reservation?.session == id || reservation?.job == job.id { reservation = nil }
                assign(job, to: id, request: request.id, at: now)
            } else {
                index += 1
            }
        }
    }

    private mutating func nextJob(for session: WorkerSession, at now: Instant) -> Job? {
        // A job that may kill its worker must not take other jobs with it.
        guard hasRoom(session), !session.attempts.contains(where: { isSuspect($0.job) }), !isBarred(session, at: now),
            !isResting(session.worker.id, at: now)
        else { return nil }
        guard let record = deaths[session.worker.id], record.isBlamed else {
            return nextJob(for: session, at: now, not: [])
        }
        // A worker that dies with every job proves itself with one job at a time, if possible one that it has not died
        // with.
        guard session.attempts.isEmpty else { return nil }
        return nextJob(for: session, at: now, not: record.jobs) ?? nextJob(for: session, at: now, not: [])
    }

    private mutating func nextJob(for session: WorkerSession, at now: Instant, not excluded: Set<JobID>) -> Job? {
        var passedOver: [(entry: QueueEntry, demand: Demand)] = []
        defer { for (entry, demand) in passedOver { queue.insert(entry, demand) } }
        while passedOver.count < Self.maxPassedOver, let entry = queue.removeFirst(for: session.worker) {
            guard let job = job(of: entry) else { continue }
            let isForOthers = excluded.contains(job.id) || isLeft(job, toOthersThan: session.worker.id, at: now)
            let needsIdleWorker = isSuspect(job.id) && !session.attempts.isEmpty
            guard isForOthers || needsIdleWorker else { return job }
            passedOver.append((entry, job.demand))
            // Without a worker that waits for its turn, it would never have one while work keeps coming.
            if !isForOthers, reserve(session, for: job, at: now) { return nil }
        }
        return nil
    }

    /// Keeps a busy worker from taking further jobs, so that it becomes idle and can run a suspect job. One worker at a
    /// time: the others pass the job over and go on.
    /// - Returns: Whether this is the worker.
    private mutating func reserve(_ session: WorkerSession, for job: Job, at now: Instant) -> Bool {
        if let reservation, reservation.session != session.session, holds(reservation, at: now) { return false }
        reservation = Reservation(job: job.id, session: session.session)
        return true
    }

    /// Whether the worker could still run the job once it is idle. The slot that it had free when it was reserved stays
    /// free, so it keeps asking for work, unless its disk fails, for example. Then it would hold the job back from the
    /// others until its attempts end.
    func holds(_ reservation: Reservation, at now: Instant) -> Bool {
        guard let job = job(reservation.job), job.state == .queued, isSuspect(job.id),
            let session = sessions[reservation.session]
        else { return false }
        return asksForWork(session, at: now) && !isBarred(session, at: now) && !isResting(session.worker.id, at: now)
            && session.worker.lack(of: job.demand) == nil && !isLeft(job, toOthersThan: session.worker.id, at: now)
    }

    /// Whether several workers in a row were lost with the job before its next checkpoint.
    func isSuspect(_ id: JobID) -> Bool { doubts[id].lossesInARow.count >= Self.lossesOfSuspect }

    /// Whether the job is left to another worker. A job that failed, was lost several times or has a checkpoint that a
    /// worker calls damaged goes to a worker where that has not happened. If it has happened on all of them, the job goes
    /// to any worker except the last one.
    private func isLeft(_ job: Job, toOthersThan workerID: String, at now: Instant) -> Bool {
        let doubter = doubts[job.id].checkpoint.map { [$0.worker.id] } ?? []
        let losers = isSuspect(job.id) ? doubts[job.id].lossesInARow : []
        let avoided = doubter + job.avoidedWorkerIDs + losers
        guard avoided.contains(workerID) else { return false }
        let others = others(than: workerID, for: job, at: now)
        let isLast = avoided.last == workerID
        return others.contains { isLast || !avoided.contains($0.worker.id) }
    }

    /// The other workers that could do the job.
    func others(than workerID: String, for job: Job, at now: Instant) -> [WorkerSession] {
        sessions.values.filter {
            $0.worker.id != workerID && takesPart($0, at: now) && !isBarred($0, at: now)
                && deaths[$0.worker.id]?.isBlamed != true && $0.worker.lack(of: job.demand) == nil
        }
    }

    /// Whether the worker runs something or has recently asked for work.
    private func takesPart(_ session: WorkerSession, at now: Instant) -> Bool {
        asksForWork(session, at: now) || (!session.isDraining && !session.attempts.isEmpty)
    }

    /// Whether the worker has recently asked for work.
    private func asksForWork(_ session: WorkerSession, at now: Instant) -> Bool {
        !session.isDraining && now.since(session.askedAt) < configuration.presence
    }

    /// Whether so many jobs in a row failed on this worker, and on no other, that the others get the work.
    func isBarred(_ session: WorkerSession, at now: Instant) -> Bool {
        session.failedJobs.count >= Self.failuresOfBarred
            && sessions.values.contains { $0.failedJobs.count < Self.failuresOfBarred && takesPart($0, at: now) }
    }

    /// Counts a failure against the worker, unless the job failed on another worker too.
    mutating func blame(_ attempt: Attempt, for job: Job) {
        let elsewhere = job.avoidedWorkerIDs.filter { $0 != attempt.workerID }
        guard elsewhere.isEmpty else {
            for session in elsewhere.compactMap({ sessionOfWorker[$0] }) {
                sessions[session]?.failedJobs.remove(job.id)
            }
            return
        }
        guard let id = sessionOfWorker[attempt.workerID], let session = sessions[id],
            session.failedJobs.count < Self.failuresOfBarred, !session.failedJobs.contains(job.id)
        else { return }
        sessions[id]!.failedJobs.insert(job.id)
        guard sessions[id]!.failedJobs.count == Self.failuresOfBarred else { return }
        let warning =
            "\(Self.failuresOfBarred) different jobs in a row failed on \(session.worker.name); while others ask for "
            + "work, it gets none until it restarts, a job finishes on it, or one of these jobs fails elsewhere too"
        effects.append(.warn(warning))
        note(about: job, level: .warning, warning)
    }

    // MARK: Heaps

    /// A place in the queue behind all others.
    mutating func placeAtBack() -> Int64 {
        defer { nextQueueOrder += 1 }
        return nextQueueOrder
    }

    mutating func enqueue(_ job: Job) {
        let entry = QueueEntry(priority: job.priority, order: job.queueOrder, sequence: job.id.sequence)
        queue.insert(entry, job.demand)
        // A job that moves within the queue leaves its old entry behind. Many such entries are dropped here.
        guard queue.count > 2 * (counts[.queued] ?? 0) + 64 else { return }
        let live = Set(queue.entries.filter { self.job(of: $0) != nil })
        queue.keep(live)
    }

    private func job(of entry: QueueEntry) -> Job? {
        guard let job = jobs[entry.sequence], job.state == .queued, job.queueOrder == entry.order,
            job.priority == entry.priority
        else { return nil }
        return job
    }

    /// Drops the deadlines that answered requests and lost and regained leases have left behind.
    mutating func compactDeadlines() {
        guard deadlines.count > 4 * (leases.count + sessions.count) + 64 else { return }
        var first: [Deadline.Subject: Deadline] = [:]
        for deadline in deadlines.unordered where isLive(deadline.subject) {
            first[deadline.subject] = first[deadline.subject].map { min($0, deadline) } ?? deadline
        }
        deadlines = Heap(first.values)
    }

    private func isLive(_ subject: Deadline.Subject) -> Bool {
        switch subject {
        case .lease(let reference), .stall(let reference): leases[reference.job]?.attempt == reference
        case .session(let id): sessions[id] != nil
        case .workRequest(let session, let id):
            sessions[session]?.request.map { $0.id == id && $0.answer == nil } ?? false
        }
    }
}
