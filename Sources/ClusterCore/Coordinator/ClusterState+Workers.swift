// Sessions: which workers are connected, and what they hold.
extension ClusterState {
    mutating func hello(_ id: UInt64, _ worker: WorkerIdentity, _ running: [AttemptStatus], at now: Instant) {
        guard mayClaim(worker, session: id) else { return refuseStranger(id, worker) }
        guard !isDuplicate(id, of: worker) else { return refuseDuplicate(id, worker) }
        let worker = remember(worker)
        let claimed = Set(running.map(\.attempt))
        // A session that changes its worker id is gone, and so is a worker process that a new one replaces. Attempts
        // that the new process does not claim are free again at once.
        if let known = sessions[id], known.worker.id != worker.id {
            closeSession(id, reason: "its worker changed identity", isDeath: false, at: now)
        }
        if let known = sessions[id], !known.isAttached {
            // The coordinator assigned it just before it died, and the assignment never arrived.
            for reference in known.attempts.subtracting(claimed).sorted() {
                lose(reference, reason: "its worker does not have it", isDeath: false)
            }
        }
        var displaced: [UInt64] = []
        if let old = sessionOfWorker[worker.id], old != id {
            displaced = Array(((sessions[old]?.displaced ?? []) + [old]).suffix(Self.maxDisplaced))
            closeSession(old, reason: "its worker restarted", keeping: claimed, at: now)
        }
        forgetDeaths(ifNewTo: worker)
        var session =
            sessions[id]
            ?? WorkerSession(
                session: id, worker: worker, expires: now, askedAt: now, isDraining: drainingSessions.contains(id))
        drainingSessions.remove(id)
        session.worker = worker
        session.isAttached = true
        session.askedAt = now
        session.displaced += displaced
        session.expires = now + configuration.lease
        session.lostJobs = []
        if sessions[id] == nil { deadlines.insert(Deadline(at: session.expires, subject: .session(id))) }
        sessions[id] = session
        sessionOfWorker[worker.id] = id

        var lost: [AttemptReference] = []
        for status in running {
            adopt(status.attempt, by: session, at: now)
            if case .current = standing(of: status.attempt, session: id, at: now) {
                renew(status, at: now)
            } else {
                lost.append(status.attempt)
            }
        }
        recordWorker(id)
        effects.append(.welcome(lost: lost, to: id))
        if session.isDraining { effects.append(.send(.drain(reason: "asked by a person"), to: id)) }
        dispatch(at: now)
    }

    /// Whether another live process with the same worker id has replaced this one again and again. That happens only if
    /// a data folder was copied. After a restart the old process's messages may still arrive, but not for long.
    private func isDuplicate(_ id: UInt64, of worker: WorkerIdentity) -> Bool {
        guard let current = sessionOfWorker[worker.id], current != id, let other = sessions[current] else {
            return false
        }
        return other.isConfirmed && other.displaced.count { $0 == id } >= Self.displacementsOfDuplicate
    }

    private mutating func refuseDuplicate(_ id: UInt64, _ worker: WorkerIdentity) {
        let other = sessionOfWorker[worker.id].flatMap { sessions[$0]?.worker.name } ?? "another process"
        let reason =
            "another worker with the id \(worker.id) is connected (\(other)): their data folders are copies of each "
            + "other. Give this one a folder of its own with --data, or remove the file worker-id in its folder"
        effects.append(.refuse(session: id, .duplicateWorker, reason: reason))
    }

    // MARK: Credentials

    /// Whether the credentials of a HELLO are those of the worker and of the session that it names.
    private func mayClaim(_ worker: WorkerIdentity, session id: UInt64) -> Bool {
        if let known = sessions[id], !known.worker.credentials.admit(worker.credentials) { return false }
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

    private mutating func refuseStranger(_ id: UInt64, _ worker: WorkerIdentity) {
        let reason =
            "the worker id \(worker.id) belongs to a worker with another key or secret: this one's data folder is an "
            + "incomplete copy of that one's. Give it a folder of its own with --data, or remove the file worker-id in it"
        effects.append(.refuse(session: id, .notAuthorised, reason: reason))
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
        _ id: UInt64, _ sequence: UInt64, _ running: [AttemptStatus], _ load: WorkerLoad?, at now: Instant
    ) {
        guard hear(id, at: now) else { return }
        sessions[id]!.load = load
        var cancelled: [AttemptReference] = []
        var lost: [AttemptReference] = []
        for status in running {
            switch standing(of: status.attempt, session: id, at: now) {
            case .current: renew(status, at: now)
            case .ended(.cancelled): cancelled.append(status.attempt)
            // Its FINISH, FAIL or HAND_BACK has been recorded, and the answer is under way.
            case .ended(.finished), .ended(.failed), .ended(.handedBack): break
            case .ended(.lost), .ended(.stalled), .unknown: lost.append(status.attempt)
            }
        }
        let reply = MessageToWorker.heartbeatReply(
            sequence: sequence, cancelled: cancelled, lost: lost, isDraining: sessions[id]!.isDraining)
        effects.append(.send(reply, to: id))
    }

    mutating func goodbye(_ id: UInt64, _ reason: String, at now: Instant) {
        guard sessions[id] != nil else { return }
        closeSession(id, reason: "its worker left: \(reason)", isDeath: false, at: now)
        dispatch(at: now)
    }

    /// Any message shows that a worker is alive.
    /// - Returns: false if the session is unknown. Then the answer is HELLO_AGAIN.
    mutating func hear(_ id: UInt64, at now: Instant) -> Bool {
        guard sessions[id] != nil else {
            effects.append(.send(.helloAgain, to: id))
            return false
        }
        sessions[id]!.expires = now + configuration.lease
        sessions[id]!.isConfirmed = true
        if !sessions[id]!.lostJobs.isEmpty { sessions[id]!.lostJobs = [] }
        return true
    }

    /// Ends a session. Its attempts are lost, except the kept ones. This costs their jobs nothing.
    mutating func closeSession(
        _ id: UInt64, reason: String, keeping kept: Set<AttemptReference> = [], isDeath: Bool = true,
        at now: Instant
    ) {
        guard let session = sessions[id] else { return }
        for reference in session.attempts.subtracting(kept).sorted() {
            lose(reference, reason: reason, isDeath: isDeath)
        }
        if isDeath, let lost = sessions[id]?.lostJobs, !lost.isEmpty {
            countDeath(of: session.worker, with: lost, at: now)
        }
        waiting.removeAll { $0 == id }
        sessions[id] = nil
        if sessionOfWorker[session.worker.id] == id { sessionOfWorker[session.worker.id] = nil }
        let change = Change.worker(session.worker, session: id, isDraining: session.isDraining, isConnected: false)
        effects.append(.record(change))
        effects.append(.closeSession(id))
    }

    mutating func recordWorker(_ id: UInt64) {
        guard let session = sessions[id] else { return }
        effects.append(
            .record(.worker(session.worker, session: id, isDraining: session.isDraining, isConnected: true)))
    }

    // MARK: Deadlines

    mutating func passDeadlines(at now: Instant) {
        compactDeadlines()
        while let deadline = deadlines.min, deadline.at <= now {
            deadlines.removeMin()
            switch deadline.subject {
            case .lease(let reference):
                guard let lease = leases[reference.job], lease.attempt == reference else { break }
                if lease.expires <= now {
                    let silence = Int(configuration.lease.inSeconds)
                    // A worker that sends messages, but none about this attempt, has not died with it.
                    let isDeath = (sessions[lease.session]?.expires ?? now) <= now + configuration.lease / 2
                    lose(reference, reason: "its worker reported nothing about it for \(silence) s", isDeath: isDeath)
                } else {
                    deadlines.insert(Deadline(at: lease.expires, subject: deadline.subject))
                }
            case .stall(let reference):
                guard let lease = leases[reference.job], lease.attempt == reference else { break }
                let due = lease.progressed + allowedStandstill(of: lease)
                if due <= now {
                    stall(lease, at: now)
                } else {
                    deadlines.insert(Deadline(at: due, subject: deadline.subject))
                }
            case .session(let id):
                guard let session = sessions[id] else { break }
                if session.expires <= now {
                    closeSession(id, reason: "its worker fell silent", at: now)
                } else {
                    deadlines.insert(Deadline(at: session.expires, subject: deadline.subject))
                }
            case .workRequest(let id, let request):
                if let pending = sessions[id]?.request, pending.id == request, pending.answer == nil {
                    answerNoWork(id)
                }
            }
        }
        dispatch(at: now)
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

    mutating func workRequest(_ id: UInt64, _ request: UInt64, _ freeSlots: Int, at now: Instant) {
        guard hear(id, at: now), let session = sessions[id] else { return }
        sessions[id]!.askedAt = now
        if let earlier = session.request, earlier.id == request {
            guard let answer = earlier.answer else { return }
            if let job = job(answer.job), leases[answer.job]?.attempt == answer {
                effects.append(.send(.assign(requestID: request, assignment(of: job)), to: id))
            } else {
                effects.append(.send(.noWork(requestID: request, retryAfter: configuration.noWorkRetry), to: id))
            }
            return
        }
        sessions[id]!.request = WorkerSession.WorkRequest(id: request)
        if session.isDraining || freeSlots == 0 || !hasRoom(session) { return answerNoWork(id) }
        if !waiting.contains(id) { waiting.append(id) }
        dispatch(at: now)
        if sessions[id]?.request?.answer == nil {
            let deadline = Deadline(
                at: now + configuration.workRequestWait, subject: .workRequest(session: id, id: request))
            deadlines.insert(deadline)
        }
    }

    /// Whether the worker's slots allow one more attempt. Each slot may have one that trains and one whose results are
    /// under way.
    func hasRoom(_ session: WorkerSession) -> Bool { session.attempts.count <= 2 * session.worker.slots }

    mutating func answerNoWork(_ id: UInt64) {
        waiting.removeAll { $0 == id }
        guard let request = sessions[id]?.request, request.answer == nil else { return }
        sessions[id]!.request = nil
        effects.append(.send(.noWork(requestID: request.id, retryAfter: configuration.noWorkRetry), to: id))
    }
}
