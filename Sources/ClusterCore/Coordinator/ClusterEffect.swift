/// Something the outside has to do. Within a batch every `record` is committed, in order, before anything else is done.
package enum ClusterEffect: Sendable, Equatable {
    case record(Change)
    case send(MessageToWorker, to: UInt64)
    /// Send WELCOME, which the gateway completes with the version of the connection.
    case welcome(lost: [AttemptReference], to: UInt64)
    /// Grant credit for an offered artifact.
    case receiveArtifact(ArtifactOffer, session: UInt64)
    /// Send a stored artifact.
    case sendArtifact(ArtifactRequest, Artifact, session: UInt64)
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

/// The answer to a person's request.
package enum Reply: Sendable, Equatable {
    case accepted([Accepted])
    case job(JobID, JobState)
    case draining(workerID: String)
    case refused(Refusal)

    package struct Accepted: Sendable, Equatable {
        package var id: JobID
        package var name: String
        package var resultName: String
        package var state: JobState
        package var alreadyExisted: Bool

        package init(
            id: JobID, name: String, resultName: String, state: JobState, alreadyExisted: Bool
        ) {
            self.id = id
            self.name = name
            self.resultName = resultName
            self.state = state
            self.alreadyExisted = alreadyExisted
        }
    }

    package enum Refusal: Sendable, Equatable {
        case noSuchJob
        case noSuchWorker
        /// The state forbids it; the text says why.
        case conflict(String)
        /// The file of an input was collected before its job arrived.
        case inputMissing(sha256: String)
        /// The store could not commit; nothing has changed.
        case storeUnavailable
    }
}

/// A record that must be durable before the promise that rests on it is made.
package enum Change: Sendable, Equatable {
    /// Adds the job or replaces what is stored of it, its newest attempt apart.
    case job(Job)
    /// Adds the attempt or replaces what is stored of it.
    case attempt(JobID, Attempt)
    case artifact(JobID, ArtifactRole, iteration: Int, Artifact)
    case artifactDropped(JobID, ArtifactRole, iteration: Int)
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
    package var job: JobID? {
        switch self {
        case .job(let job): job.id
        case .attempt(let id, _), .artifact(let id, _, _, _), .artifactDropped(let id, _, _), .report(let id, _, _),
            .metrics(let id, _, _), .log(let id, _, _, _, _), .note(let id, _, _, _):
            id
        case .worker: nil
        }
    }
}
