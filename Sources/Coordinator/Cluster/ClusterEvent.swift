import Protocol

/// Something that happened outside `ClusterState`.
enum ClusterEvent: Sendable {
    /// Time has passed. Sent a few times a second; deadlines are looked at on nothing else.
    case tick

    // From workers, by session.
    case hello(session: UInt64, worker: WorkerIdentity, running: [AttemptStatus])
    case workRequest(session: UInt64, requestID: UInt64)
    case heartbeat(session: UInt64, sequence: UInt64, running: [AttemptStatus], load: WorkerLoad? = nil)
    case metrics(session: UInt64, AttemptReference, requestID: UInt64, MetricsBlock)
    case log(session: UInt64, AttemptReference, requestID: UInt64, [LogLine])
    /// `isStored`: the bytes are in the artifact store already.
    case artifactOffered(session: UInt64, ArtifactOffer, isStored: Bool)
    /// All bytes of an offer have arrived, were verified and are synced to disk.
    case artifactStored(session: UInt64, ArtifactOffer)
    case artifactRequested(session: UInt64, ArtifactRequest)
    /// A stored artifact that a worker asked for is gone or no longer what it was; its file is out of the way.
    case artifactDamaged(session: UInt64, ArtifactRequest, reason: String)
    /// Files that no record named when it was looked.
    case unreferenced([String])
    /// A transfer of the attempt moves.
    case transferProgressed(session: UInt64, AttemptReference)
    case finish(session: UInt64, AttemptReference, requestID: UInt64, Completion)
    case fail(session: UInt64, AttemptReference, requestID: UInt64, iteration: Int, reason: String, isRetryable: Bool)
    /// A FAIL that blames the checkpoint the attempt was given.
    case checkpointRefused(session: UInt64, AttemptReference, requestID: UInt64, reason: String)
    case handBack(session: UInt64, AttemptReference, requestID: UInt64, iteration: Int, reason: String)
    case goodbye(session: UInt64, reason: String)

    // From people, by a token under which the answer is returned.
    /// One salt per submission, random.
    case submit(RequestToken, [Submission], salts: [UInt32])
    case cancel(RequestToken, JobID, reason: String)
    case retry(RequestToken, JobID)
    /// -100...100; higher runs first.
    case prioritise(RequestToken, JobID, priority: Int)
    /// Gives a worker no more work and asks it to hand back what it has.
    case drain(RequestToken, workerID: String)
}

/// Finds the one who waits for the answer to a person's request.
struct RequestToken: Hashable, Sendable {
    var number: UInt64
}

/// A job to be accepted, with its exemplar already stored.
struct Submission: Sendable, Equatable {
    var name: String
    var fileName: String
    var exemplar: StoredArtifact
    var recipeYAML: String
    var needs = JobNeeds()
    var priority: Int
    var key: String?
}

struct AttemptStatus: Sendable, Equatable {
    var attempt: AttemptReference
    var iteration: Int
    var totalIterations: Int
    var secondsPerIteration: Double
}

/// What a worker's process takes of its machine, as it measured it; nothing is decided by it.
struct WorkerLoad: Sendable, Equatable {
    /// On average over the last heartbeat.
    var coresBusy: Double
    var residentBytes: Int
    /// Files that wait for delivery.
    var spoolBytes: Int
    /// Of the whole machine, over a minute.
    var loadAverage: Double
}

struct MetricsBlock: Sendable, Equatable {
    var columns: [String]
    var rows: [Row]

    struct Row: Sendable, Equatable {
        var iteration: Int
        var unixSeconds: Double
        /// One per column; NaN where nothing was measured.
        var values: [Float]
    }
}

struct LogLine: Sendable, Equatable {
    var unixSeconds: Double
    /// debug, info, warning or error.
    var level: String
    var message: String
}

struct ArtifactOffer: Sendable, Equatable {
    var attempt: AttemptReference
    var transferID: UInt64
    var kind: ArtifactKind
    var artifact: StoredArtifact
    var iteration: Int
}

struct ArtifactRequest: Sendable, Equatable {
    var attempt: AttemptReference
    var transferID: UInt64
    var sha256: String
    var offset: UInt64
    var windowChunks: UInt32
}

struct Completion: Sendable, Equatable {
    var iteration: Int
    var generatorSHA256: String
    var discriminatorSHA256: String
    var checkpointSHA256: String
    var trainingSeconds: Double
    var reportJSON: String
}

extension ClusterEvent {
    /// The worker process it comes from, if it does.
    var session: UInt64? {
        switch self {
        case .hello(let session, _, _), .workRequest(let session, _), .heartbeat(let session, _, _, _),
            .metrics(let session, _, _, _), .log(let session, _, _, _), .artifactOffered(let session, _, _),
            .artifactStored(let session, _), .artifactRequested(let session, _),
            .artifactDamaged(let session, _, _), .transferProgressed(let session, _), .finish(let session, _, _, _),
            .fail(let session, _, _, _, _, _), .checkpointRefused(let session, _, _, _),
            .handBack(let session, _, _, _, _), .goodbye(let session, _):
            session
        case .tick, .unreferenced, .submit, .cancel, .retry, .prioritise, .drain: nil
        }
    }

    /// The attempts whose progress it tells.
    var reports: [AttemptStatus] {
        switch self {
        case .hello(_, _, let running), .heartbeat(_, _, let running, _): running
        default: []
        }
    }

    /// About how many bytes it holds, so that what waits can be bounded.
    var weight: Int {
        let base = 256
        switch self {
        case .hello(_, _, let running), .heartbeat(_, _, let running, _): return base + 64 * running.count
        case .metrics(_, _, _, let block):
            return base + block.rows.reduce(0) { $0 + 64 + 4 * $1.values.count } + 64 * block.columns.count
        case .log(_, _, _, let lines): return lines.reduce(base) { $0 + 64 + $1.message.utf8.count }
        case .finish(_, _, _, let completion): return base + completion.reportJSON.utf8.count
        case .fail(_, _, _, _, let reason, _), .checkpointRefused(_, _, _, let reason),
            .handBack(_, _, _, _, let reason), .goodbye(_, let reason):
            return base + reason.utf8.count
        default: return base
        }
    }
}
