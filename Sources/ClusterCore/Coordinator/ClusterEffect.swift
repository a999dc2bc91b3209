/// Something that the caller has to do. It commits every `record` of a batch, in order, before it carries out any other
/// effect.
package enum ClusterEffect: Sendable, Equatable {
    case record(Change)
    case send(MessageToWorker, to: UInt64)
    /// Send WELCOME. The gateway adds the connection's version.
    case welcome(lost: [AttemptReference], to: UInt64)
    /// Grant credit for an offered artifact.
    case receiveArtifact(ArtifactOffer, session: UInt64)
    /// Send a stored artifact.
    case sendArtifact(ArtifactRequest, Artifact, session: UInt64)
    /// The attempt has ended: stop its transfers.
    case endTransfers(AttemptReference)
    /// The session is over. The coordinator answers its later messages with HELLO_AGAIN.
    case closeSession(UInt64)
    /// Refuse the worker process, and say why. It must exit.
    case refuse(session: UInt64, AcknowledgementCode, reason: String)
    /// The job no longer needs this file. Remove it unless another record names it.
    case discard(sha256: String)
    case reply(RequestToken, Reply)
    /// A warning for the operator's log.
    case warn(String)
}

/// The answer to a person's request.
package enum Reply: Sendable, Equatable {
    case accepted([Accepted])
    case job(JobID, JobState)
    /// The jobs that a request for many has changed.
    case changed([JobID])
    case draining(workerID: String)
    case revoked(workerID: String)
    case refused(Refusal)

    package struct Accepted: Sendable, Equatable {
        package var id: JobID
        package var name: String
        package var resultName: String
        package var state: JobState
        package var alreadyExisted: Bool
    }

    package enum Refusal: Sendable, Equatable {
        case noSuchJob
        case noSuchWorker
        /// The state forbids the request; the text says why.
        case conflict(String)
        /// The janitor removed an input's file before its job arrived.
        case inputMissing(sha256: String)
        /// The store could not commit; nothing has changed.
        case storeUnavailable
    }
}

/// A record that must be durable before the coordinator makes the promise that rests on it.
package enum Change: Sendable, Equatable {
    /// Adds or replaces the stored job, but not its newest attempt.
    case job(Job)
    /// Adds or replaces the stored attempt.
    case attempt(JobID, Attempt)
    case artifact(JobID, ArtifactRole, iteration: Int, Artifact)
    case artifactDropped(JobID, ArtifactRole, iteration: Int)
    /// Copies the measurements of a job to one that continues it.
    case metricsCopied(to: JobID, from: JobID)
    case report(JobID, trainingSeconds: Double, json: String)
    case metrics(JobID, attempt: Int, MetricsBlock)
    /// Log lines of the worker process behind the session. The process counts its request ids from its start.
    case log(JobID, attempt: Int, session: UInt64, requestID: UInt64, [LogLine])
    /// The coordinator's own line in the job's log.
    case note(JobID, attempt: Int, level: LogLevel, message: String)
    case worker(WorkerIdentity, session: UInt64, isDraining: Bool, isConnected: Bool)
    /// Removes every record of the job. The caller removes its files, unless another record names them.
    case jobDeleted(JobID)
}

extension Change {
    /// The job that the change concerns, if any.
    package var job: JobID? {
        switch self {
        case .job(let job): job.id
        case .attempt(let id, _), .artifact(let id, _, _, _), .artifactDropped(let id, _, _), .report(let id, _, _),
            .metrics(let id, _, _), .log(let id, _, _, _, _), .note(let id, _, _, _), .jobDeleted(let id),
            .metricsCopied(let id, _):
            id
        case .worker: nil
        }
    }
}
