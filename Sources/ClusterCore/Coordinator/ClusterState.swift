import HeapModule

/// Every decision of the cluster, as a value: no clock, socket, file or randomness inside.
///
/// Events in, effects out. The caller commits the effects' records before it acts on anything else; if it cannot, it
/// puts the state before the batch back. Work per event does not grow with the number of jobs.
package struct ClusterState: Sendable {
    /// The times and limits decisions go by; see `CoordinatorConfiguration` for their reasons.
    package struct Configuration: Sendable, Equatable {
        package var lease: Duration = .seconds(20)
        /// How long running attempts are kept for their workers after a start of the coordinator.
        package var restartGrace: Duration = .seconds(60)
        /// How long a work request may wait for work before it is answered "none".
        package var workRequestWait: Duration = .seconds(10)
        package var noWorkRetry: Duration = .seconds(1)
        package var stall: Duration = .seconds(15 * 60)
        package var startupStall: Duration = .seconds(60 * 60)
        /// An iteration may take this many times the reported iteration time before the attempt counts as stalled.
        package var stallIterations = 20.0
        package var retries = 2
        /// How long a worker that runs nothing counts as one that could, after it asked for work. A failed job is left
        /// to such a worker.
        package var presence: Duration = .seconds(60)
        package var maxArtifactBytes = 4 << 30
        /// The kinds of work that are accepted, and what completes each.
        package var contracts = WorkContract.table

        package init() {}
    }

    /// Newest checkpoints kept of each job: one to resume from, and one before it.
    package static let checkpointsKept = 2
    /// After this many workers lost with it in a row, and no new checkpoint, a job goes to the back of the queue and
    /// runs on an otherwise empty worker only.
    package static let lossesOfSuspect = 3
    /// After this many it is held. Hosts that die of something else must not hold a job: by then it was alone on five
    /// of them, none of which lived until its next checkpoint.
    package static let lossesOfHeld = 8
    /// After this many different jobs in a row that failed on it and nowhere else, a worker gets no more work while
    /// others ask for it.
    package static let failuresOfBarred = 3
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

    package let configuration: Configuration
    /// What tells specs apart, of a spec's text; see `CoordinatorConfiguration`.
    package var specValues: @Sendable (String) -> String = { $0 }
    var effects: [ClusterEffect] = []

    /// By sequence number.
    package private(set) var jobs = ShardedTable<Int64, Job>()
    package private(set) var counts: [JobState: Int] = [:]
    package var leases: [JobID: Lease] = [:]
    package var sessions: [UInt64: WorkerSession] = [:]
    package var sessionOfWorker: [String: UInt64] = [:]
    /// Waiting jobs; an entry counts only while it agrees with its job.
    package var queue = JobQueue()
    /// Sessions whose work request waits, longest first.
    var waiting: [UInt64] = []
    /// When something has to be looked at again; the entry says what, the thing itself whether it is due.
    var deadlines = Heap<Deadline>()
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

    package init(configuration: Configuration = Configuration(), at now: Instant) {
        self.configuration = configuration
        lastHandled = now
    }

    /// Decides what follows from an event.
    /// - Parameter now: never earlier than in the call before.
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
        case .unreferenced(let digests): effects += digests.map { .discard(sha256: $0) }
        case .submit(let token, let submissions, let salts): submit(token, submissions, salts, at: now)
        case .cancel(let token, let id, let reason): cancel(token, id, reason)
        case .retry(let token, let id): retry(token, id, at: now)
        case .prioritise(let token, let id, let priority): prioritise(token, id, priority)
        case .drain(let token, let workerID): drain(token, workerID)
        }
        defer { effects = [] }
        return effects
    }

    private mutating func receive(_ message: MessageToCoordinator, _ session: UInt64, at now: Instant) {
        switch message {
        case .hello(let said): hello(session, said.worker, said.running, at: now)
        case .workRequest(let id, _): workRequest(session, id, at: now)
        case .heartbeat(let sequence, _, let running, let load): heartbeat(session, sequence, running, load, at: now)
        case .metrics(let attempt, let id, let block):
            report(session, attempt, id, .metrics(attempt.job, attempt: attempt.number, block), at: now)
        case .log(let attempt, let id, let lines):
            let change = Change.log(attempt.job, attempt: attempt.number, session: session, requestID: id, lines)
            report(session, attempt, id, change, at: now)
        case .offer(let offer): offered(session, offer, false, at: now)
        case .request(let request): requested(session, request, at: now)
        case .finish(let attempt, let id, let completion): finish(session, attempt, id, completion, at: now)
        case .fail(let attempt, let id, let failure) where failure.code == FailureCode.damagedCheckpoint:
            checkpointRefused(session, attempt, id, failure.reason, at: now)
        case .fail(let attempt, let id, let failure): fail(session, attempt, id, failure, at: now)
        case .handBack(let attempt, let id, let iteration, let reason):
            handBack(session, attempt, id, iteration, reason, at: now)
        case .goodbye(let reason): goodbye(session, reason, at: now)
        case .chunk, .credit: break
        }
    }

    /// When deadlines stood unobserved for long, it was this process that was away (stopped, suspended, starved), not
    /// the workers: everyone gets the time back.
    private mutating func forgiveOwnAbsence(at now: Instant) {
        let absence = now.since(lastHandled)
        guard absence > configuration.lease / 2 else { return }
        forgive(absence, at: now)
    }

    /// Gives everyone back a time in which this side could not hear, or could not record what it heard.
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
