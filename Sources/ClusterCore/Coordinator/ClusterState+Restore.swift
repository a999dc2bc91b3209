/// What the store knows about the cluster: enough to continue after a restart.
package struct RecordedCluster: Sendable, Equatable {
    package struct Worker: Sendable, Equatable {
        package var identity: WorkerIdentity
        package var session: UInt64
        package var isDraining: Bool

        package init(identity: WorkerIdentity, session: UInt64, isDraining: Bool) {
            self.identity = identity
            self.session = session
            self.isDraining = isDraining
        }
    }

    package var jobs: [Job] = []
    package var workers: [Worker] = []
    /// The smallest sequence number that was never used.
    package var nextSequence: Int64 = 1

    package init(jobs: [Job] = [], workers: [Worker] = [], nextSequence: Int64 = 1) {
        self.jobs = jobs
        self.workers = workers
        self.nextSequence = nextSequence
    }
}

extension ClusterState {
    /// Continues from the recorded state. Running attempts stay reserved for their workers for a grace time. In that
    /// time the workers find the coordinator again and say HELLO.
    package init(configuration: Configuration = Configuration(), restoring recorded: RecordedCluster, at now: Instant) {
        self.init(configuration: configuration, at: now)
        nextSequence = recorded.nextSequence
        drainingSessions = Set(recorded.workers.filter(\.isDraining).map(\.session))
        for worker in recorded.workers { credentials[worker.identity.id] = worker.identity.credentials }
        let workers = Dictionary(recorded.workers.map { ($0.identity.id, $0) }, uniquingKeysWith: { $1 })
        for job in recorded.jobs {
            var job = job
            if job.state == .running, job.attempt?.outcome != nil || job.attempt == nil {
                // Only a damaged store has such a job. It must not wait for an attempt that no worker holds.
                job.state = .queued
            }
            put(job)
            nextQueueOrder = max(nextQueueOrder, job.queueOrder + 1)
            nextSequence = max(nextSequence, job.id.sequence + 1)
            if let key = job.key { keys[key] = job.id }
            if resultNames[job.resultName.lowercased()] == nil { resultNames[job.resultName.lowercased()] = 2 }
            switch job.state {
            case .queued: enqueue(job)
            case .running:
                if let attempt = job.attempt { expectBack(attempt, of: job, workers[attempt.workerID], at: now) }
            case .finished, .failed, .held, .cancelled, .waiting, .blocked: break
            }
        }
        // Jobs are in order of acceptance, and a job waits only for earlier ones.
        for job in recorded.jobs { follow(job) }
    }

    private mutating func expectBack(
        _ attempt: Attempt, of job: Job, _ worker: RecordedCluster.Worker?, at now: Instant
    ) {
        let expires = now + max(configuration.restartGrace, configuration.lease)
        if sessions[attempt.session] == nil {
            let identity =
                worker?.identity
                ?? WorkerIdentity(
                    id: attempt.workerID, name: attempt.workerName, softwareVersion: "", slots: 0, threadsPerSlot: 0,
                    cpu: "")
            var session = WorkerSession(session: attempt.session, worker: identity, expires: expires, askedAt: now)
            session.isAttached = false
            session.isDraining = drainingSessions.contains(attempt.session)
            sessions[attempt.session] = session
            if sessionOfWorker[identity.id] == nil || worker?.session == attempt.session {
                sessionOfWorker[identity.id] = attempt.session
            }
            deadlines.insert(Deadline(at: expires, subject: .session(attempt.session)))
        }
        insertLease(of: job, attempt, expires: expires, at: now)
    }
}
