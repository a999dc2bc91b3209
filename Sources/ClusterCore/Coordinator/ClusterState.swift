import HeapModule

/// Every decision of the cluster, as a value without clock, socket, file or randomness.
///
/// Events go in, effects come out. The caller commits the records among the effects before it carries out the others.
/// If the commit fails, it restores the state from before the batch. The work per event does not grow with the number
/// of jobs.
package struct ClusterState: Sendable {
    /// The times and limits behind the decisions. `CoordinatorConfiguration` gives the reasons.
    package struct Configuration: Sendable, Equatable {
        package var lease: Duration = .seconds(20)
        /// How long a restarted coordinator reserves running attempts for their workers.
        package var restartGrace: Duration = .seconds(60)
        /// How long a work request may wait before the coordinator answers NO_WORK.
        package var workRequestWait: Duration = .seconds(10)
        package var noWorkRetry: Duration = .seconds(1)
        package var stall: Duration = .seconds(15 * 60)
        package var startupStall: Duration = .seconds(60 * 60)
        /// An iteration may take this many times the reported iteration time before the attempt counts as stalled.
        package var stallIterations = 20.0
        package var retries = 2
        /// How long an idle worker counts as available after it asked for work. A worker on which a job failed leaves
        /// the job to available workers.
        package var presence: Duration = .seconds(60)
        package var maxArtifactBytes = Limits.maxStoredBytes
        /// The kinds of work that the cluster accepts, with the inputs and products of each.
        package var contracts = WorkContract.table

        package init() {}
    }

    /// How many checkpoints of each job are kept: one to resume from, and the one before it.
    package static let checkpointsKept = 2
    /// If this many workers in a row are lost with a job before its next checkpoint, the job goes to the back of the
    /// queue. From then on it runs only on an otherwise idle worker.
    package static let lossesOfSuspect = 3
    /// After this many the job is held. The number is high, because hosts also die for other reasons. By then the job
    /// was alone on five workers, and none of them lived until its next checkpoint.
    package static let lossesOfHeld = 8
    /// If this many different jobs in a row fail on a worker and nowhere else, it gets no work while others ask for
    /// work.
    package static let failuresOfBarred = 3
    /// After this many deaths in a row that no single job explains, a worker gets no work for a while.
    static let deathsOfBlamed = 3
    /// How long it gets no work. Each further death doubles the time.
    static let restRange = Duration.seconds(60)...Duration.seconds(960)
    /// How many workers' deaths the state remembers, and how many jobs for each worker.
    static let maxDeathRecords = 1024
    static let maxDeathJobs = 64
    /// How many displaced sessions of one worker id the state remembers.
    static let maxDisplaced = 32
    /// How often a session must be displaced before it counts as a second live process. Once proves nothing: on a slow
    /// connection, messages of a dead process may arrive after its successor's HELLO.
    static let displacementsOfDuplicate = 8
    /// The maximal length of ``Job/avoidedWorkerIDs``.
    static let maxAvoided = 8
    /// How many jobs one work request may pass over because they are left to other workers. Then it gets no job.
    static let maxPassedOver = 64

    package let configuration: Configuration
    /// Extracts a spec's values, so that specs are compared by value; see `CoordinatorConfiguration`.
    package var specValues: @Sendable (String) -> String = { $0 }
    var effects: [ClusterEffect] = []

    /// By sequence number.
    package private(set) var jobs = ShardedTable<Int64, Job>()
    package private(set) var counts: [JobState: Int] = [:]
    /// The number of queued jobs by what they demand. Unlike ``queue``, it holds no job that has stopped waiting.
    private(set) var queuedDemands: [Demand: Int] = [:]
    package internal(set) var leases: [JobID: Lease] = [:]
    package internal(set) var sessions: [UInt64: WorkerSession] = [:]
    package internal(set) var sessionOfWorker: [String: UInt64] = [:]
    /// Waiting jobs. An entry counts only while it matches its job.
    var queue = JobQueue()
    /// Sessions with a waiting work request, the longest wait first.
    var waiting: [UInt64] = []
    /// When to check something again. The entry says what to check; the thing itself says whether it is due.
    var deadlines = Heap<Deadline>()
    /// Not recorded: a restarted coordinator begins without doubts.
    var doubts = DoubtTable()
    /// The worker that takes no further job until it is idle and can run a suspect job. Not recorded either: after a
    /// restart no job is suspect. May name a job or a session that is gone.
    var reservation: Reservation?
    /// By worker id; not recorded either.
    var deaths: [String: WorkerDeaths] = [:]
    /// What the workers have shown, by worker id.
    var credentials: [String: WorkerCredentials] = [:]
    /// The jobs that wait for a job, or did until it finished, in order of acceptance. Follows from ``Job/awaited``.
    package internal(set) var followers: [JobID: [JobID]] = [:]
    var keys = ShardedTable<String, JobID>()
    /// The next suffix to try for a result name, by the name in lower case.
    var resultNames = ShardedTable<String, Int>()
    var nextSequence: Int64 = 1
    var nextQueueOrder: Int64 = 1
    private var lastHandled: Instant
    /// Sessions that were asked to drain before a restart of the coordinator and have not come back yet.
    var drainingSessions: Set<UInt64> = []

    package init(configuration: Configuration = Configuration(), at now: Instant) {
        self.configuration = configuration
        lastHandled = now
    }

    /// Decides what follows from an event.
    /// - Parameter now: Never earlier than in the previous call.
    package mutating func handle(_ event: ClusterEvent, at now: Instant) -> [ClusterEffect] {
        forgiveOwnAbsence(at: now)
        lastHandled = max(lastHandled, now)
        switch event {
        case .tick: passDeadlines(at: now)
        case .received(let message, let session): receive(message, session, at: now)
        case .artifactOffered(let session, let offer, let isStored): offered(session, offer, isStored, at: now)
        case .artifactStored(let session, let offer): stored(session, offer, at: now)
        case .artifactDamaged(let session, let request, let reason): damaged(session, request, reason, at: now)
        case .transferProgressed(let session, let attempt): transferProgressed(session, attempt, at: now)
        case .spare(let artifacts): drop(artifacts)
        case .workersForgotten(let ids): forget(ids)
        case .unreferenced(let digests): effects += digests.map { .discard(sha256: $0) }
        case .submit(let token, let submissions, let salts): submit(token, submissions, salts, at: now)
        case .cancel(let token, let id, let reason): cancel(token, id, reason)
        case .retry(let token, let id): retry(token, id, at: now)
        case .change(let token, let ids, let states, let change): self.change(token, ids, states, change, at: now)
        case .prioritise(let token, let id, let priority): prioritise(token, id, priority)
        case .drain(let token, let workerID): drain(token, workerID)
        case .revoke(let token, let key, let reason): revoke(token, key, reason, at: now)
        }
        defer { effects = [] }
        return effects
    }

    private mutating func receive(_ message: MessageToCoordinator, _ session: UInt64, at now: Instant) {
        switch message {
        case .hello(let said): hello(session, said.worker, said.running, at: now)
        case .workRequest(let id, let freeSlots): workRequest(session, id, freeSlots, at: now)
        case .heartbeat(let sequence, _, let running, let load): heartbeat(session, sequence, running, load, at: now)
        case .metrics(let attempt, let id, let block):
            report(session, attempt, id, .metrics(attempt.job, attempt: attempt.number, block), at: now)
        case .log(let attempt, let id, let lines):
            let change = Change.log(attempt.job, attempt: attempt.number, session: session, requestID: id, lines)
            report(session, attempt, id, change, at: now)
        case .offer(let offer): offered(session, offer, false, at: now)
        case .request(let request): requested(session, request, at: now)
        case .finish(let attempt, let id, let completion): finish(session, attempt, id, completion, at: now)
        case .fail(let attempt, let id, let failure)
        where failure.code == .damagedCheckpoint && hasCheckpoint(attempt):
            checkpointRefused(session, attempt, id, failure.reason, at: now)
        case .fail(let attempt, let id, let failure): fail(session, attempt, id, failure, at: now)
        case .handBack(let attempt, let id, let iteration, let reason):
            handBack(session, attempt, id, iteration, reason, at: now)
        case .goodbye(let reason): goodbye(session, reason, at: now)
        case .chunk, .credit: break
        }
    }

    /// If this process handled nothing for long, it was away (stopped, suspended, starved), and not the workers. Every
    /// lease and every session gets the time back.
    private mutating func forgiveOwnAbsence(at now: Instant) {
        let absence = now.since(lastHandled)
        guard absence > configuration.lease / 2 else { return }
        forgive(absence, at: now)
    }

    /// Gives leases and sessions back the time in which the coordinator could not listen or could not record.
    package mutating func forgive(_ absence: Duration, at now: Instant) {
        for (id, lease) in leases {
            leases[id]!.expires = max(lease.expires, now + configuration.lease)
            leases[id]!.progressed = lease.progressed + absence
        }
        for (id, session) in sessions {
            sessions[id]!.expires = max(session.expires, now + configuration.lease)
        }
    }

    package func job(_ id: JobID) -> Job? {
        guard let job = jobs[id.sequence], job.id == id else { return nil }
        return job
    }

    /// Stores a changed job and updates the counts. Every change of a job goes through here.
    mutating func put(_ job: Job) {
        if let before = jobs[job.id.sequence] { count(before, -1) }
        count(job, 1)
        if job.state.isSettled { doubts[job.id] = Doubts() }
        jobs[job.id.sequence] = job
    }

    private mutating func count(_ job: Job, _ change: Int) {
        counts[job.state, default: 0] += change
        guard job.state == .queued else { return }
        let queued = queuedDemands[job.demand, default: 0] + change
        queuedDemands[job.demand] = queued == 0 ? nil : queued
    }

    /// Forgets a job that no worker holds.
    mutating func remove(_ job: Job) {
        guard let before = jobs[job.id.sequence] else { return }
        count(before, -1)
        doubts[job.id] = Doubts()
        jobs[job.id.sequence] = nil
    }

    mutating func putAndRecord(_ job: Job) {
        let before = jobs[job.id.sequence]?.state
        put(job)
        effects.append(.record(.job(job)))
        if before != job.state { noticeChange(of: job) }
    }

    /// A line in the job's log, about its newest attempt.
    mutating func note(about job: Job, level: LogLevel = .info, _ message: String) {
        note(job.id, attempt: job.attempt?.number ?? 0, level: level, message)
    }

    mutating func note(_ id: JobID, attempt: Int = 0, level: LogLevel = .info, _ message: String) {
        effects.append(.record(.note(id, attempt: attempt, level: level, message: message)))
    }
}

/// Something to check at a given time.
struct Deadline: Comparable, Sendable {
    enum Subject: Hashable, Sendable {
        case lease(AttemptReference)
        case stall(AttemptReference)
        case session(UInt64)
        case workRequest(session: UInt64, id: UInt64)
    }

    var at: Instant
    var subject: Subject

    static func < (a: Deadline, b: Deadline) -> Bool { a.at < b.at }
}
