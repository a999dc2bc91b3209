import Protocol

/// Something the outside has to do. Within a batch every `record` is committed, in order, before anything else is done.
enum ClusterEffect: Sendable, Equatable {
    case record(Change)
    case send(WorkerMessage, to: UInt64)
    /// Grant credit for an offered artifact.
    case receiveArtifact(ArtifactOffer, session: UInt64)
    /// Send a stored artifact.
    case sendArtifact(ArtifactRequest, StoredArtifact, session: UInt64)
    /// The attempt has ended: stop its transfers.
    case endTransfers(AttemptReference)
    /// The session is over; whatever comes from it is answered with a request for a new HELLO.
    case closeSession(UInt64)
    /// A process that must not go on, and why.
    case refuse(session: UInt64, reason: String)
    /// The file is no longer needed by the job that had it; remove it unless another record names it.
    case discard(sha256: String)
    case reply(RequestToken, Reply)
    /// Something for the operator's log.
    case warn(String)
}

/// What the coordinator tells a worker.
enum WorkerMessage: Sendable, Equatable {
    case welcome(lost: [AttemptReference])
    case helloAgain
    case assign(requestID: UInt64, Assignment)
    case noWork(requestID: UInt64, retryAfter: Duration)
    case heartbeatReply(
        sequence: UInt64, cancelled: [AttemptReference], lost: [AttemptReference], isDraining: Bool)
    case artifactReceipt(transferID: UInt64, sha256: String)
    /// `id`: the request's or the transfer's.
    case acknowledge(id: UInt64, AcknowledgementCode, message: String)
    case cancel(AttemptReference, reason: String)
    case drain(reason: String)
}

/// As in the wire protocol's `Code`.
enum AcknowledgementCode: Sendable, Equatable {
    case ok, leaseLost, unknownArtifact, noSpace, tooLarge, digestMismatch, malformed, tryLater, cancelled
}

struct Assignment: Sendable, Equatable {
    var attempt: AttemptReference
    var name: String
    var fileName: String
    var recipeYAML: String
    var exemplar: StoredArtifact
    var checkpoint: Checkpoint?
}

/// The answer to a person's request.
enum Reply: Sendable, Equatable {
    case accepted([Accepted])
    case job(JobID, JobState)
    case draining(workerID: String)
    case refused(Refusal)

    struct Accepted: Sendable, Equatable {
        var id: JobID
        var name: String
        var resultName: String
        var state: JobState
        var alreadyExisted: Bool
    }

    enum Refusal: Sendable, Equatable {
        case noSuchJob
        case noSuchWorker
        /// The state forbids it; the text says why.
        case conflict(String)
        /// The file of an exemplar was collected before its job arrived.
        case exemplarMissing(sha256: String)
        /// The store could not commit; nothing has changed.
        case storeUnavailable
    }
}

/// A record that must be durable before the promise that rests on it is made.
enum Change: Sendable, Equatable {
    /// Adds the job or replaces what is stored of it, its newest attempt apart.
    case job(Job)
    /// Adds the attempt or replaces what is stored of it.
    case attempt(JobID, Attempt)
    case artifact(JobID, ArtifactKind, iteration: Int, StoredArtifact)
    case artifactDropped(JobID, ArtifactKind, iteration: Int)
    case report(JobID, trainingSeconds: Double, json: String)
    case metrics(JobID, attempt: Int, MetricsBlock)
    /// Of the worker process behind the session, whose requests are counted from its start.
    case log(JobID, attempt: Int, session: UInt64, requestID: UInt64, [LogLine])
    /// The coordinator's own line in the job's log.
    case note(JobID, attempt: Int, level: String, message: String)
    case worker(WorkerIdentity, session: UInt64, isDraining: Bool, isConnected: Bool)
}

extension Change {
    /// The job it is about, if it is about one.
    var job: JobID? {
        switch self {
        case .job(let job): job.id
        case .attempt(let id, _), .artifact(let id, _, _, _), .artifactDropped(let id, _, _), .report(let id, _, _),
            .metrics(let id, _, _), .log(let id, _, _, _, _), .note(let id, _, _, _):
            id
        case .worker: nil
        }
    }
}
