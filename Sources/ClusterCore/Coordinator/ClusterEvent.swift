/// Something that happened outside `ClusterState`.
package enum ClusterEvent: Sendable {
    /// Time has passed. Sent a few times a second; deadlines are looked at on nothing else.
    case tick

    // From workers, by session.
    /// Chunks and credit concern transfers alone and are ignored here.
    case received(MessageToCoordinator, session: UInt64)
    /// An offer, and whether the artifact store has the bytes already.
    case artifactOffered(session: UInt64, ArtifactOffer, isStored: Bool)
    /// All bytes of an offer have arrived, were verified and are synced to disk.
    case artifactStored(session: UInt64, ArtifactOffer)
    /// A stored artifact that a worker asked for is gone or no longer what it was; its file is out of the way.
    case artifactDamaged(session: UInt64, ArtifactRequest, reason: String)
    /// A transfer of the attempt moves.
    case transferProgressed(session: UInt64, AttemptReference)
    /// Files that no record named when the janitor looked.
    case unreferenced([String])

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

/// Finds the caller who waits for the answer to a person's request.
package struct RequestToken: Hashable, Sendable {
    package var number: UInt64

    package init(number: UInt64) { self.number = number }
}

/// A job to be accepted, with its inputs already stored.
package struct Submission: Sendable, Equatable {
    package var kind: JobKind
    package var name: String
    package var inputs: [JobInput]
    /// A training's recipe in YAML.
    package var spec: String
    package var needs: JobNeeds
    package var priority: Int
    package var key: String?

    package init(
        kind: JobKind = .train, name: String, inputs: [JobInput], spec: String, needs: JobNeeds = JobNeeds(),
        priority: Int, key: String? = nil
    ) {
        self.kind = kind
        self.name = name
        self.inputs = inputs
        self.spec = spec
        self.needs = needs
        self.priority = priority
        self.key = key
    }
}

extension ClusterEvent {
    /// The worker process that the event comes from, if it comes from one.
    package var session: UInt64? {
        switch self {
        case .received(_, let session), .artifactOffered(let session, _, _), .artifactStored(let session, _),
            .artifactDamaged(let session, _, _), .transferProgressed(let session, _):
            session
        case .tick, .unreferenced, .submit, .cancel, .retry, .prioritise, .drain: nil
        }
    }

    /// The attempts whose progress the event reports.
    package var progress: [AttemptStatus] {
        switch self {
        case .received(.hello(let hello), _): hello.running
        case .received(.heartbeat(_, _, let running, _), _): running
        default: []
        }
    }

    /// About how many bytes the event holds, so that what waits can be bounded.
    package var weight: Int {
        let base = 256
        guard case .received(let message, _) = self else { return base }
        switch message {
        case .hello, .heartbeat: return base + 64 * progress.count
        case .metrics(_, _, let block):
            return base + block.rows.reduce(0) { $0 + 64 + 4 * $1.values.count } + 64 * block.columns.count
        case .log(_, _, let lines): return lines.reduce(base) { $0 + 64 + $1.message.utf8.count }
        case .finish(_, _, let completion): return base + completion.reportJSON.utf8.count
        case .fail(_, _, let failure): return base + failure.reason.utf8.count
        case .handBack(_, _, _, let reason), .goodbye(let reason): return base + reason.utf8.count
        default: return base
        }
    }
}
