import Protocol

/// What the cluster remembers of a job. Everything here is recorded; what moves between records is in `Lease`.
struct Job: Sendable, Equatable {
    let id: JobID
    var name: String
    /// Unique in the data folder, safe as a file name.
    var resultName: String
    var fileName: String
    var key: String?
    var exemplar: StoredArtifact
    var recipeYAML: String
    var needs = JobNeeds()
    var priority: Int
    /// Place among waiting jobs of equal priority.
    var queueOrder: Int64
    var state: JobState = .queued
    var reason: String?
    /// Failing attempts since submission or the last explicit retry.
    var failures = 0
    /// The workers whose attempts failed since then, the last one last; others are preferred.
    var avoidedWorkerIDs: [String] = []
    /// The newest attempt. Its number fences every message about this job.
    var attempt: Attempt?
    /// Stored checkpoints, the newest last, no more than `ClusterState.checkpointsKept`.
    var checkpoints: [Checkpoint] = []
    var generatorSHA256: String?
    var discriminatorSHA256: String?
    var iteration = 0
    var totalIterations = 0
    var secondsPerIteration = 0.0
}

/// An immutable file by name and size.
struct StoredArtifact: Sendable, Hashable {
    var sha256: String
    var sizeBytes: Int
}

struct Checkpoint: Sendable, Equatable {
    var iteration: Int
    var artifact: StoredArtifact
}

/// One worker's try at a job.
struct Attempt: Sendable, Equatable {
    var number: Int
    var workerID: String
    var workerName: String
    /// The worker process that holds it.
    var session: UInt64
    /// 0, or the iteration of the checkpoint it resumed from.
    var startIteration: Int
    /// The last iteration recorded of it.
    var iteration: Int
    /// nil while it runs.
    var outcome: Outcome?
    var reason: String?

    /// How an attempt ended. The raw values are stored: append only.
    enum Outcome: String, Sendable, Codable, CaseIterable {
        case finished, failed, handedBack, lost, stalled, cancelled
    }
}

/// An attempt as messages name it.
struct AttemptReference: Sendable, Hashable {
    var job: JobID
    var number: Int
}

/// The time-bound right of a running attempt, and what its worker last said of it. Not recorded: after a restart of
/// the coordinator every running attempt gets a fresh one.
struct Lease: Sendable, Equatable {
    var attempt: AttemptReference
    var session: UInt64
    var expires: Instant
    var iteration: Int
    var totalIterations: Int
    var secondsPerIteration: Double
    /// When the iteration or a transfer of the attempt last moved.
    var progressed: Instant
    /// Whether an iteration was done since the attempt began; loading and the first step may take long.
    var hasIterated = false
}

/// A worker process, by its session.
struct WorkerSession: Sendable, Equatable {
    let session: UInt64
    var worker: WorkerIdentity
    var expires: Instant
    /// When it last asked for work, or was about to: it had come, or an attempt had ended.
    var askedAt: Instant
    /// Whether it has said HELLO to this coordinator process; false: it is known from before a restart.
    var isAttached = true
    var isDraining = false
    /// Whether it has said more than HELLO: its process lives and hears the answers.
    var isConfirmed = false
    /// Sessions of the same worker id that it took the place of, the newest last.
    var displaced: [UInt64] = []
    var request: WorkRequest?
    /// What its last heartbeat said.
    var load: WorkerLoad?
    /// Jobs whose attempts were lost with it, while nothing was heard of it since.
    var lostJobs: Set<JobID> = []
    /// The attempts it holds.
    var attempts: Set<AttemptReference> = []
    /// Jobs that failed on it since one last finished, and on no other worker.
    var failedJobs: Set<JobID> = []

    /// When it last said anything; every message of a worker extends its session by the lease.
    func lastHeard(lease: Duration) -> Instant { expires + (.zero - lease) }

    /// The last work request and what it was answered.
    struct WorkRequest: Sendable, Equatable {
        var id: UInt64
        /// nil: it waits for work.
        var answer: AttemptReference?
    }
}

/// A worker as it introduces itself.
struct WorkerIdentity: Sendable, Hashable {
    /// Stable over restarts of the same worker.
    var id: String
    var name: String
    var softwareVersion: String
    var slots: Int
    var threadsPerSlot: Int
    var cpu: String
    /// nil: it does not say. Not recorded: every HELLO brings it.
    var equipment: Equipment?

    /// What it has to train with.
    struct Equipment: Sendable, Hashable {
        var weights: Set<String>
        /// For each slot; 0: not known.
        var memoryBytes: Int
    }
}
