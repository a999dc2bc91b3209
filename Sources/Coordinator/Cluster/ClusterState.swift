import Protocol

/// Every decision of the cluster, as a value: no clock, socket, file or randomness inside.
///
/// Events in, effects out. The caller commits the effects' records before it acts on anything else; if it cannot, it
/// puts the state before the batch back. Work per event does not grow with the number of jobs.
struct ClusterState: Sendable {
    /// The times and limits decisions go by; see `CoordinatorConfiguration` for their reasons.
    struct Configuration: Sendable, Equatable {
        var lease: Duration = .seconds(20)
        /// How long running attempts are kept for their workers after a start of the coordinator.
        var restartGrace: Duration = .seconds(60)
        /// How long a work request may wait for work before it is answered "none".
        var workRequestWait: Duration = .seconds(10)
        var noWorkRetry: Duration = .seconds(1)
        var stall: Duration = .seconds(15 * 60)
        var startupStall: Duration = .seconds(60 * 60)
        /// An iteration may take this many times the reported iteration time before the attempt counts as stalled.
        var stallIterations = 20.0
        var retries = 2
        /// How long a worker that runs nothing counts as one that could, after it asked for work. A failed job is left
        /// to such a worker.
        var presence: Duration = .seconds(60)
        var maxArtifactBytes = 4 << 30
    }

    /// Newest checkpoints kept of each job: one to resume from, and one before it.
    static let checkpointsKept = 2
    /// After this many workers lost with it in a row, and no new checkpoint, a job goes to the back of the queue and
    /// runs on an otherwise empty worker only.
    static let lossesOfSuspect = 3
    /// After this many it is held. Hosts that die of something else must not hold a job: by then it was alone on five
    /// of them, none of which lived until its next checkpoint.
    static let lossesOfHeld = 8
    /// After this many different jobs in a row that failed on it and nowhere else, a worker gets no more work while
    /// others ask for it.
    static let failuresOfBarred = 3
    /// After this many deaths in a row that no single job explains, a worker gets no work for a while.
    static let deathsOfBlamed = 3
    /// For how long: twice as long after each death more.
    static let restRange = Duration.seconds(60)...Duration.seconds(960)
    /// Workers of which deaths are remembered, and jobs of each.
    static let maxDeathRecords = 1024
    static let maxDeathJobs = 64
    /// How many displacements among the sessions of one worker id are remembered.
    static let maxDisplaced = 32
    /// How often a session comes back after it was displaced until it is taken for a second live process. Once is no
    /// proof: what a dead process sent may arrive after its successor's HELLO, by a slow connection.
    static let displacementsOfDuplicate = 8
    /// How many workers a job failed on are remembered of it.
    static let maxAvoided = 8
    /// How many jobs that are left to other workers are passed over for one request; behind as many it gets none.
    static let maxPassedOver = 64

    let configuration: Configuration
    /// What tells recipes apart, of a recipe's YAML; see `CoordinatorConfiguration`.
    var recipeValues: @Sendable (String) -> String = { $0 }
    var effects: [ClusterEffect] = []

    /// By sequence number.
    private(set) var jobs = ShardedTable<Int64, Job>()
    private(set) var counts: [JobState: Int] = [:]
    var leases: [JobID: Lease] = [:]
    var sessions: [UInt64: WorkerSession] = [:]
    var sessionOfWorker: [String: UInt64] = [:]
    /// Waiting jobs; an entry counts only while it agrees with its job.
    var queue = JobQueue()
    /// Sessions whose work request waits, longest first.
    var waiting: [UInt64] = []
    /// When something has to be looked at again; the entry says what, the thing itself whether it is due.
    var deadlines = MinimumHeap<Deadline>()
    /// Ids of the workers lost with a job in a row, without a new checkpoint; those that die with every job do not count.
    /// Not recorded: a restarted coordinator counts from the start.
    var fruitlessLosses: [JobID: [String]] = [:]
    /// By worker id; not recorded either.
    var deaths: [String: WorkerDeaths] = [:]
    var keys = ShardedTable<String, JobID>()
    /// By lower-cased result name: the next suffix to try for it.
    var resultNames = ShardedTable<String, Int>()
    var nextSequence: Int64 = 1
    var nextQueueOrder: Int64 = 1
    private var lastHandled: Instant
    /// Sessions that were asked to drain before a restart of the coordinator and have not come back yet.
    var drainingSessions: Set<UInt64> = []

    init(configuration: Configuration = Configuration(), at now: Instant) {
        self.configuration = configuration
        lastHandled = now
    }

    /// Decides what follows from an event.
    /// - Parameter now: never earlier than in the call before.
    mutating func handle(_ event: ClusterEvent, at now: Instant) -> [ClusterEffect] {
        forgiveOwnAbsence(at: now)
        lastHandled = max(lastHandled, now)
        switch event {
        case .tick: passDeadlines(at: now)
        case .hello(let session, let worker, let running): hello(session, worker, running, at: now)
        case .workRequest(let session, let id): workRequest(session, id, at: now)
        case .heartbeat(let session, let sequence, let running, let load):
            heartbeat(session, sequence, running, load, at: now)
        case .goodbye(let session, let reason): goodbye(session, reason, at: now)
        case .metrics(let session, let attempt, let id, let block):
            report(session, attempt, id, .metrics(attempt.job, attempt: attempt.number, block), at: now)
        case .log(let session, let attempt, let id, let lines):
            let change = Change.log(
                attempt.job, attempt: attempt.number, session: session, requestID: id, lines)
            report(session, attempt, id, change, at: now)
        case .artifactOffered(let session, let offer, let isStored): offered(session, offer, isStored, at: now)
        case .artifactStored(let session, let offer): stored(session, offer, at: now)
        case .artifactRequested(let session, let request): requested(session, request, at: now)
        case .artifactDamaged(let session, let request, let reason): damaged(session, request, reason, at: now)
        case .unreferenced(let digests): effects += digests.map { .discard(sha256: $0) }
        case .transferProgressed(let session, let attempt): transferProgressed(session, attempt, at: now)
        case .finish(let session, let attempt, let id, let completion):
            finish(session, attempt, id, completion, at: now)
        case .fail(let session, let attempt, let id, let iteration, let reason, let isRetryable):
            fail(session, attempt, id, iteration, reason, isRetryable, at: now)
        case .checkpointRefused(let session, let attempt, let id, let reason):
            checkpointRefused(session, attempt, id, reason, at: now)
        case .handBack(let session, let attempt, let id, let iteration, let reason):
            handBack(session, attempt, id, iteration, reason, at: now)
        case .submit(let token, let submissions, let salts): submit(token, submissions, salts, at: now)
        case .cancel(let token, let id, let reason): cancel(token, id, reason)
        case .retry(let token, let id): retry(token, id, at: now)
        case .prioritise(let token, let id, let priority): prioritise(token, id, priority)
        case .drain(let token, let workerID): drain(token, workerID)
        }
        defer { effects = [] }
        return effects
    }

    /// When deadlines stood unobserved for long, it was this process that was away (stopped, suspended, starved), not
    /// the workers: everyone gets the time back.
    private mutating func forgiveOwnAbsence(at now: Instant) {
        let absence = now.since(lastHandled)
        guard absence > configuration.lease / 2 else { return }
        forgive(absence, at: now)
    }

    /// Gives everyone back a time in which this side could not hear, or could not record what it heard.
    mutating func forgive(_ absence: Duration, at now: Instant) {
        for (id, lease) in leases {
            leases[id]!.expires = max(lease.expires, now + configuration.lease)
            leases[id]!.progressed = lease.progressed + absence
        }
        for (id, session) in sessions {
            sessions[id]!.expires = max(session.expires, now + configuration.lease)
        }
    }

    func job(_ id: JobID) -> Job? {
        guard let job = jobs[id.sequence], job.id == id else { return nil }
        return job
    }

    /// Puts a changed job back and keeps the counts; every change of a job goes through here.
    mutating func put(_ job: Job) {
        if let before = jobs[job.id.sequence] { counts[before.state, default: 0] -= 1 }
        counts[job.state, default: 0] += 1
        if job.state.isSettled { fruitlessLosses[job.id] = nil }
        jobs[job.id.sequence] = job
    }

    mutating func putAndRecord(_ job: Job) {
        put(job)
        effects.append(.record(.job(job)))
    }

    mutating func note(_ id: JobID, attempt: Int = 0, level: String = "info", _ message: String) {
        effects.append(.record(.note(id, attempt: attempt, level: level, message: message)))
    }
}

/// Something to look at when its time comes.
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
