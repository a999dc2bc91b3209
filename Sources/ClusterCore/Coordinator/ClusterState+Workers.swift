// Sessions: which workers are connected, and what they hold.
extension ClusterState {
    mutating func hello(_ session: UInt64, _ worker: WorkerIdentity, _ running: [AttemptStatus], at now: Instant) {
        guard mayClaim(worker, session: session) else { return refuseStranger(session, worker) }
        guard !isDuplicate(session, of: worker) else { return refuseDuplicate(session, worker) }
        let worker = remember(worker)
        let claimed = Set(running.map(\.attempt))
        // A session that changes its worker id is gone, and so is a worker process that a new one replaces. Attempts
        // that the new process does not claim are free again at once.
        if let known = sessions[session], known.worker.id != worker.id {
            closeSession(session, reason: "its worker changed identity", isDeath: false, at: now)
        }
        if let known = sessions[session], !known.isAttached {
            // The coordinator assigned it just before it died, and the assignment never arrived.
            for reference in known.attempts.subtracting(claimed).sorted() {
                lose(reference, reason: "its worker does not have it", isDeath: false)
            }
        }
        var displaced: [UInt64] = []
        if let old = sessionOfWorker[worker.id], old != session {
            displaced = Array(((sessions[old]?.displaced ?? []) + [old]).suffix(Self.maxDisplaced))
            closeSession(old, reason: "its worker restarted", keeping: claimed, at: now)
        }
        forgetDeaths(ifNewTo: worker)
        var greeted =
            sessions[session]
            ?? WorkerSession(
                session: session, worker: worker, expires: now, askedAt: now,
                isDraining: drainingSessions.contains(session))
        drainingSessions.remove(session)
        greeted.worker = worker
        greeted.isAttached = true
        greeted.askedAt = now
        greeted.listedAt = now
        greeted.displaced += displaced
        greeted.expires = now + configuration.lease
        greeted.lostJobs = []
        if sessions[session] == nil { deadlines.insert(Deadline(at: greeted.expires, subject: .session(session))) }
        sessions[session] = greeted
        sessionOfWorker[worker.id] = session

        var lost: [AttemptReference] = []
        for status in running {
            adopt(status.attempt, by: greeted, at: now)
            if case .current = standing(of: status.attempt, session: session, at: now) {
                renew(status, at: now)
            } else {
                lost.append(status.attempt)
            }
        }
        recordWorker(session)
        effects.append(.welcome(lost: lost, to: session))
        if greeted.isDraining { effects.append(.send(.drain(reason: "asked by a person"), to: session)) }
        dispatch(at: now)
    }

    /// Whether another live process with the same worker id has replaced this one again and again. That happens only if
    /// a data folder was copied. After a restart the old process's messages may still arrive, but not for long.
    private func isDuplicate(_ session: UInt64, of worker: WorkerIdentity) -> Bool {
        guard let current = sessionOfWorker[worker.id], current != session, let other = sessions[current] else {
            return false
        }
        return other.isConfirmed && other.displaced.count { $0 == session } >= Self.displacementsOfDuplicate
    }

    private mutating func refuseDuplicate(_ session: UInt64, _ worker: WorkerIdentity) {
        let other = sessionOfWorker[worker.id].flatMap { sessions[$0]?.worker.name } ?? "another process"
        let reason =
            "another worker with the id \(worker.id) is connected (\(other)): their data folders are copies of each "
            + "other. Give this one a folder of its own with --data, or remove the file worker-id in its folder"
        effects.append(.refuse(session: session, .duplicateWorker, reason: reason))
    }

    // MARK: Credentials

    /// Whether the credentials of a HELLO are those of the worker and of the session that it names.
    private func mayClaim(_ worker: WorkerIdentity, session: UInt64) -> Bool {
        if let known = sessions[session], !known.worker.credentials.admit(worker.credentials) { return false }
        return credentials[worker.id]?.admit(worker.credentials) ?? true
    }

    /// Keeps what the worker has shown so far.
    private mutating func remember(_ worker: WorkerIdentity) -> WorkerIdentity {
        var known = worker
        known.credentials = (credentials[worker.id] ?? WorkerCredentials()).updated(with: worker.credentials)
        credentials[worker.id] = known.credentials
        return known
    }

    /// Forgets what workers have shown, except those that have come back since or are expected back.
    mutating func forget(_ workerIDs: [String]) {
        let present = Set(sessions.values.map(\.worker.id))
        for id in workerIDs where !present.contains(id) { credentials[id] = nil }
    }

    private mutating func refuseStranger(_ session: UInt64, _ worker: WorkerIdentity) {
        let reason =
            "the worker id \(worker.id) belongs to a worker with another key or secret: this one's data folder is an "
            + "incomplete copy of that one's. Give it a folder of its own with --data, or remove the file worker-id in it"
        effects.append(.refuse(session: session, .notAuthorised, reason: reason))
    }

    /// Ends the sessions of a key that is no longer good.
    mutating func revoke(_ token: RequestToken, _ key: String, _ reason: String, at now: Instant) {
        let revoked = sessions.values.filter { $0.worker.credentials.key == key }.sorted { $0.session < $1.session }
        for session in revoked {
            effects.append(.refuse(session: session.session, .notAuthorised, reason: reason))
            closeSession(session.session, reason: reason, isDeath: false, at: now)
        }
        effects.append(.reply(token, .revoked(workerID: revoked.first?.worker.id ?? "")))
        dispatch(at: now)
    }

    /// Moves an attempt of the same worker over to the worker's new session, if it runs, or if its lease ran out and no
    /// other worker has taken the job.
    private mutating func adopt(_ reference: AttemptReference, by session: WorkerSession, at now: Instant) {
        guard var job = job(reference.job), var attempt = job.attempt, attempt.number == reference.number,
            attempt.workerID == session.worker.id, attempt.session != session.session
        else { return }
        attempt.session = session.session
        guard let lease = leases[job.id] else {
            // The process that held the attempt has ended, so its loss still counts.
            if job.waitsAfterLoss { reopen(job, attempt, at: now) }
            return
        }
        sessions[lease.session]?.attempts.remove(reference)
        leases[job.id]!.session = session.session
        sessions[session.session]!.attempts.insert(reference)
        job.attempt = attempt
        put(job)
        effects.append(.record(.attempt(job.id, attempt)))
    }

    mutating func heartbeat(
        _ session: UInt64, _ sequence: UInt64, _ running: [AttemptStatus], _ load: WorkerLoad?, at now: Instant
    ) {
        guard hear(session, at: now) else { return }
        sessions[session]!.load = load
        sessions[session]!.listedAt = now
        var cancelled: [AttemptReference] = []
        var lost: [AttemptReference] = []
        for status in running {
            switch standing(of: status.attempt, session: session, at: now) {
            case .current: renew(status, at: now)
            case .ended(.cancelled): cancelled.append(status.attempt)
            // Its FINISH, FAIL or HAND_BACK has been recorded, and the answer is under way.
            case .ended(.finished), .ended(.failed), .ended(.handedBack): break
            case .ended(.lost), .ended(.stalled), .unknown: lost.append(status.attempt)
            }
        }
        let reply = MessageToWorker.heartbeatReply(
            sequence: sequence, cancelled: cancelled, lost: lost, isDraining: sessions[session]!.isDraining)
        effects.append(.send(reply, to: session))
    }

    mutating func goodbye(_ session: UInt64, _ reason: String, at now: Instant) {
        guard sessions[session] != nil else { return }
        closeSession(session, reason: "its worker left: \(reason)", isDeath: false, at: now)
        dispatch(at: now)
    }

    /// Any message shows that a worker is alive.
    /// - Returns: false if the session is unknown. Then the answer is HELLO_AGAIN.
    mutating func hear(_ session: UInt64, at now: Instant) -> Bool {
        guard sessions[session] != nil else {
            effects.append(.send(.helloAgain, to: session))
            return false
        }
        sessions[session]!.expires = now + configuration.lease
        sessions[session]!.isConfirmed = true
        if !sessions[session]!.lostJobs.isEmpty { sessions[session]!.lostJobs = [] }
        return true
    }

    /// Ends a session. Its attempts are lost, except the kept ones. This costs their jobs nothing.
    mutating func closeSession(
        _ session: UInt64, reason: String, keeping kept: Set<AttemptReference> = [], isDeath: Bool = true,
        at now: Instant
    ) {
        guard let known = sessions[session] else { return }
        for reference in known.attempts.subtracting(kept).sorted() {
            lose(reference, reason: reason, isDeath: isDeath)
        }
        if isDeath, let lost = sessions[session]?.lostJobs, !lost.isEmpty {
            countDeath(of: known.worker, with: lost, at: now)
        }
        waiting.removeAll { $0 == session }
        sessions[session] = nil
        if sessionOfWorker[known.worker.id] == session { sessionOfWorker[known.worker.id] = nil }
        let change = Change.worker(known.worker, session: session, isDraining: known.isDraining, isConnected: false)
        effects.append(.record(change))
        effects.append(.closeSession(session))
    }

    mutating func recordWorker(_ session: UInt64) {
        guard let known = sessions[session] else { return }
        effects.append(
            .record(.worker(known.worker, session: session, isDraining: known.isDraining, isConnected: true)))
    }

    // MARK: Deadlines

    mutating func passDeadlines(at now: Instant) {
        compactDeadlines()
        while let deadline = deadlines.min, deadline.at <= now {
            deadlines.removeMin()
            switch deadline.subject {
            case .lease(let reference):
                guard let lease = leases[reference.job], lease.attempt == reference else { break }
                let due = expiry(of: lease)
                if due <= now {
                    let silence = Int(configuration.lease.inSeconds)
                    // A worker that sends messages, but none about this attempt, has not died with it.
                    let isDeath = (sessions[lease.session]?.expires ?? now) <= now + configuration.lease / 2
                    lose(reference, reason: "its worker reported nothing about it for \(silence) s", isDeath: isDeath)
                } else {
                    deadlines.insert(Deadline(at: due, subject: deadline.subject))
                }
            case .stall(let reference):
                guard let lease = leases[reference.job], lease.attempt == reference else { break }
                let due = lease.progressed + allowedStandstill(of: lease)
                if due <= now {
                    stall(lease, at: now)
                } else {
                    deadlines.insert(Deadline(at: due, subject: deadline.subject))
                }
            case .session(let session):
                guard let known = sessions[session] else { break }
                if known.expires <= now {
                    closeSession(session, reason: "its worker fell silent", at: now)
                } else {
                    deadlines.insert(Deadline(at: known.expires, subject: deadline.subject))
                }
            case .workRequest(let session, let id):
                if let pending = sessions[session]?.request, pending.id == id, pending.answer == nil {
                    answerNoWork(session)
                }
            }
        }
        dispatch(at: now)
    }

    /// When the worker loses the attempt, unless it says more.
    ///
    /// Silence about one attempt is no evidence against it while the worker says something else: on a slow line an
    /// upload holds up the heartbeats, which speak for the others. A HELLO or a heartbeat without it is evidence.
    private func expiry(of lease: Lease) -> Instant {
        guard let session = sessions[lease.session] else { return lease.expires }
        let renewed = lease.expires + (.zero - configuration.lease)
        if let listed = session.listedAt, listed > renewed { return lease.expires }
        return max(lease.expires, session.expires)
    }

    /// How long an attempt may go without progress. Before its first iteration (downloads, feature weights, a slow
    /// first step) and after its last (uploads) it gets longer. In between it gets at least many of its own iterations.
    func allowedStandstill(of lease: Lease) -> Duration {
        let isAtEnd = lease.totalIterations > 0 && lease.iteration >= lease.totalIterations
        guard lease.hasIterated, !isAtEnd else { return max(configuration.startupStall, configuration.stall) }
        let slow = min(configuration.stallIterations * lease.secondsPerIteration, 86_400)
        return max(configuration.stall, .seconds(slow))
    }

    // MARK: Work requests

    mutating func workRequest(_ session: UInt64, _ id: UInt64, _ freeSlots: Int, at now: Instant) {
        guard hear(session, at: now), let known = sessions[session] else { return }
        sessions[session]!.askedAt = now
        if let earlier = known.request, earlier.id == id {
            guard let answer = earlier.answer else { return }
            if let job = job(answer.job), leases[answer.job]?.attempt == answer {
                effects.append(.send(.assign(requestID: id, assignment(of: job)), to: session))
            } else {
                effects.append(.send(.noWork(requestID: id, retryAfter: configuration.noWorkRetry), to: session))
            }
            return
        }
        sessions[session]!.request = WorkerSession.WorkRequest(id: id)
        if known.isDraining || freeSlots == 0 || !hasRoom(known) { return answerNoWork(session) }
        if !waiting.contains(session) { waiting.append(session) }
        dispatch(at: now)
        if sessions[session]?.request?.answer == nil {
            let deadline = Deadline(
                at: now + configuration.workRequestWait, subject: .workRequest(session: session, id: id))
            deadlines.insert(deadline)
        }
    }

    /// Whether the worker's slots allow one more attempt. Each slot may have one that trains and one whose results are
    /// under way.
    func hasRoom(_ session: WorkerSession) -> Bool { session.attempts.count <= 2 * session.worker.slots }

    mutating func answerNoWork(_ session: UInt64) {
        waiting.removeAll { $0 == session }
        guard let request = sessions[session]?.request, request.answer == nil else { return }
        sessions[session]!.request = nil
        effects.append(.send(.noWork(requestID: request.id, retryAfter: configuration.noWorkRetry), to: session))
    }
}
