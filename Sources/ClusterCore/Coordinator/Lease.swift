/// The time-bound right of a running attempt, and what its worker last said of it. Not recorded: after a restart of
/// the coordinator every running attempt gets a fresh one.
package struct Lease: Sendable, Equatable {
    package var attempt: AttemptReference
    package var session: UInt64
    package var expires: Instant
    package var iteration: Int
    package var totalIterations: Int
    package var secondsPerIteration: Double
    /// When the iteration or a transfer of the attempt last moved.
    package var progressed: Instant
    /// Whether an iteration was done since the attempt began; loading and the first step may take long.
    package var hasIterated = false

    package init(
        attempt: AttemptReference, session: UInt64, expires: Instant, iteration: Int, totalIterations: Int,
        secondsPerIteration: Double, progressed: Instant, hasIterated: Bool = false
    ) {
        self.attempt = attempt
        self.session = session
        self.expires = expires
        self.iteration = iteration
        self.totalIterations = totalIterations
        self.secondsPerIteration = secondsPerIteration
        self.progressed = progressed
        self.hasIterated = hasIterated
    }
}

/// A worker process, by its session.
package struct WorkerSession: Sendable, Equatable {
    package let session: UInt64
    package var worker: WorkerIdentity
    package var expires: Instant
    /// When it last asked for work, or was about to: it had come, or an attempt had ended.
    package var askedAt: Instant
    /// Whether it has said HELLO to this coordinator process; false: it is known from before a restart.
    package var isAttached = true
    package var isDraining = false
    /// Whether it has said more than HELLO: its process lives and hears the answers.
    package var isConfirmed = false
    /// Sessions of the same worker id that it took the place of, the newest last.
    package var displaced: [UInt64] = []
    package var request: WorkRequest?
    /// What its last heartbeat said.
    package var load: WorkerLoad?
    /// Jobs whose attempts were lost with it, while nothing was heard of it since.
    package var lostJobs: Set<JobID> = []
    /// The attempts it holds.
    package var attempts: Set<AttemptReference> = []
    /// Jobs that failed on it since one last finished, and on no other worker.
    package var failedJobs: Set<JobID> = []

    package init(
        session: UInt64, worker: WorkerIdentity, expires: Instant, askedAt: Instant, isAttached: Bool = true,
        isDraining: Bool = false, isConfirmed: Bool = false, displaced: [UInt64] = [], request: WorkRequest? = nil,
        load: WorkerLoad? = nil, lostJobs: Set<JobID> = [], attempts: Set<AttemptReference> = [],
        failedJobs: Set<JobID> = []
    ) {
        self.session = session
        self.worker = worker
        self.expires = expires
        self.askedAt = askedAt
        self.isAttached = isAttached
        self.isDraining = isDraining
        self.isConfirmed = isConfirmed
        self.displaced = displaced
        self.request = request
        self.load = load
        self.lostJobs = lostJobs
        self.attempts = attempts
        self.failedJobs = failedJobs
    }

    /// When it last said anything; every message of a worker extends its session by the lease.
    package func lastHeard(lease: Duration) -> Instant { expires + (.zero - lease) }

    /// The last work request and what it was answered.
    package struct WorkRequest: Sendable, Equatable {
        package var id: UInt64
        /// nil: it waits for work.
        package var answer: AttemptReference?

        package init(
            id: UInt64, answer: AttemptReference? = nil
        ) {
            self.id = id
            self.answer = answer
        }
    }
}
