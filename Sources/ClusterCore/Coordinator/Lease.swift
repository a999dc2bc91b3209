/// A running attempt's right to its job for a limited time, and what its worker last reported about it. Not recorded:
/// after a restart of the coordinator every running attempt gets a fresh lease.
package struct Lease: Sendable, Equatable {
    package var attempt: AttemptReference
    package var session: UInt64
    package var expires: Instant
    package var iteration: Int
    package var totalIterations: Int
    package var secondsPerIteration: Double
    /// When the attempt last made progress: an iteration, a transfer or a report.
    package var progressed: Instant
    /// Whether the attempt has done an iteration. Loading and the first step may take long.
    package var hasIterated = false
    /// The time between reports that show new iterations, and how long those iterations took by the worker's own pace.
    private var observed = 0.0, iterating = 0.0
    private var lastMoved: Instant?

    package init(
        attempt: AttemptReference, session: UInt64, expires: Instant, iteration: Int, totalIterations: Int,
        secondsPerIteration: Double, progressed: Instant
    ) {
        self.attempt = attempt
        self.session = session
        self.expires = expires
        self.iteration = iteration
        self.totalIterations = totalIterations
        self.secondsPerIteration = secondsPerIteration
        self.progressed = progressed
    }

    /// The worker reports a later iteration.
    mutating func move(to status: AttemptStatus, at now: Instant) {
        if let lastMoved {
            observed += now.since(lastMoved).inSeconds
            iterating += Double(status.iteration - iteration) * status.secondsPerIteration
        }
        lastMoved = now
        iteration = status.iteration
        progressed = now
    }

    /// By how much the training takes longer than its iterations alone: it also makes snapshots, their figures and
    /// checkpoints. 1 until 20 s of iterations have been seen; at most 2, because a worker may have been stopped.
    package var overhead: Double { iterating < 20 ? 1 : min(max(1, observed / iterating), 2) }

    /// Seconds of training left at the present speed; nil while the speed is unknown.
    package var secondsLeft: Double? {
        guard totalIterations > 0, secondsPerIteration > 0 else { return nil }
        return Double(max(0, totalIterations - iteration)) * secondsPerIteration * overhead
    }
}

/// A worker's promise to take no further job until it is idle and can run this one.
struct Reservation: Sendable, Equatable {
    var job: JobID
    var session: UInt64
}

/// A worker process, known by its session.
package struct WorkerSession: Sendable, Equatable {
    package let session: UInt64
    package var worker: WorkerIdentity
    package var expires: Instant
    /// When the worker last asked for work, or was about to ask: on arrival, or when an attempt ended.
    package var askedAt: Instant
    /// When the worker last said which attempts it holds, in a HELLO or a heartbeat; nil before the first.
    package var listedAt: Instant?
    /// Whether the worker has said HELLO to this coordinator process. If not, the session dates from before a restart.
    package var isAttached = true
    package var isDraining = false
    /// Whether the worker has sent anything but HELLO. Then its process lives and hears the answers.
    package var isConfirmed = false
    /// Sessions of the same worker id that this one replaced, the newest last.
    package var displaced: [UInt64] = []
    package var request: WorkRequest?
    /// The load that its last heartbeat reported.
    package var load: WorkerLoad?
    /// Jobs whose attempts were lost with this worker since its last message.
    package var lostJobs: Set<JobID> = []
    /// The attempts it holds.
    package var attempts: Set<AttemptReference> = []
    /// Jobs that failed on this worker and on no other, since a job last finished here.
    package var failedJobs: Set<JobID> = []

    /// When the worker last sent anything. Every message extends its session by the lease.
    package func lastHeard(lease: Duration) -> Instant { expires + (.zero - lease) }

    /// The last work request and its answer.
    package struct WorkRequest: Sendable, Equatable {
        package var id: UInt64
        /// nil: the request waits for work.
        package var answer: AttemptReference?
    }
}
