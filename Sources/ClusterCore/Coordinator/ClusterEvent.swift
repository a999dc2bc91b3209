/// Something that happened outside `ClusterState`.
package enum ClusterEvent: Sendable {
    /// Time has passed. Comes a few times a second. No other event checks deadlines.
    case tick

    // From workers, by session.
    /// A worker's message. `ClusterState` ignores chunks and credit, because they concern only transfers.
    case received(MessageToCoordinator, session: UInt64)
    /// An offer, and whether the artifact store already has the bytes.
    case artifactOffered(session: UInt64, ArtifactOffer, isStored: Bool)
    /// All bytes of an offer have arrived; they are verified and synced to disk.
    case artifactStored(session: UInt64, ArtifactOffer)
    /// A worker asked for an artifact whose file is gone or damaged. The store has set a damaged file aside.
    case artifactDamaged(session: UInt64, ArtifactRequest, reason: String)
    /// A transfer of the attempt has advanced.
    case transferProgressed(session: UInt64, AttemptReference)
    /// Files that no record named when the janitor looked.
    case unreferenced([String])
    /// Files that the retention policy gives up.
    case spare([SpareArtifact])
    /// Workers by id, whose records the janitor has removed.
    case workersForgotten([String])

    // From people. The token leads the answer back to the caller.
    /// `salts` has a random number for each submission.
    case submit(RequestToken, [Submission], salts: [UInt32])
    case cancel(RequestToken, JobID, reason: String)
    case retry(RequestToken, JobID)
    /// Changes those of the jobs that are still in one of the states, all in one batch.
    case change(RequestToken, [JobID], in: Set<JobState>, JobChange)
    /// A higher one runs first.
    case prioritise(RequestToken, JobID, priority: Int)
    /// Stops giving work to a worker and asks it to hand back what it has.
    case drain(RequestToken, workerID: String)
    /// The key with which the worker came is no longer good.
    case revoke(RequestToken, key: String, reason: String)
}

/// Identifies the caller that waits for the answer to a request.
package struct RequestToken: Hashable, Sendable {
    package var number: UInt64

    package init(number: UInt64) { self.number = number }
}

/// A job to accept. Its inputs are already stored, or other jobs make them.
package struct Submission: Sendable, Equatable {
    /// An input that another job makes.
    package struct Awaited: Sendable, Equatable {
        package enum Source: Sendable, Equatable {
            /// An earlier submission of the same request, by its place there.
            case submission(Int)
            case job(JobID)
        }

        /// What the file is to the job.
        package var name: String
        package var source: Source
        /// Which product of the source.
        package var role: ArtifactRole

        package init(name: String, source: Source, role: ArtifactRole) {
            self.name = name
            self.source = source
            self.role = role
        }
    }

    package var kind: JobKind
    package var name: String
    package var inputs: [JobInput]
    package var awaited: [Awaited]
    /// A training's recipe in YAML.
    package var spec: String
    package var needs: JobNeeds
    package var priority: Int
    package var key: String?
    package var tags: JobTags
    /// A finished job at whose last checkpoint this one begins.
    package var continues: JobID?

    package init(
        kind: JobKind = .train, name: String, inputs: [JobInput], awaited: [Awaited] = [], spec: String,
        needs: JobNeeds = JobNeeds(), priority: Int, key: String? = nil, tags: JobTags = JobTags(),
        continues: JobID? = nil
    ) {
        self.kind = kind
        self.name = name
        self.inputs = inputs
        self.awaited = awaited
        self.spec = spec
        self.needs = needs
        self.priority = priority
        self.key = key
        self.tags = tags
        self.continues = continues
    }
}

/// What a person asks for many jobs at once.
package enum JobChange: Sendable, Equatable {
    case cancel(reason: String)
    case retry
    /// Forgets jobs that have ended, with all their records and files.
    /// - cancelsFirst: Whether to cancel the others before.
    case delete(cancelsFirst: Bool)

    /// Whether it changes a job in this state. A deletion also leaves jobs that others wait for.
    package func applies(to state: JobState) -> Bool {
        switch self {
        case .cancel: state.canBeCancelled
        case .retry: state.canBeRetried
        case .delete(let cancelsFirst): cancelsFirst || state.isSettled
        }
    }
}

/// A stored file of a job that has ended, which the job can do without.
package struct SpareArtifact: Sendable, Hashable {
    package var job: JobID
    /// A snapshot or a checkpoint.
    package var role: ArtifactRole
    package var iteration: Int
    package var sha256: String

    package init(job: JobID, role: ArtifactRole, iteration: Int, sha256: String) {
        self.job = job
        self.role = role
        self.iteration = iteration
        self.sha256 = sha256
    }
}

extension ClusterEvent {
    /// The session of the worker process that caused the event, if one did.
    package var session: UInt64? {
        switch self {
        case .received(_, let session), .artifactOffered(let session, _, _), .artifactStored(let session, _),
            .artifactDamaged(let session, _, _), .transferProgressed(let session, _):
            session
        case .tick, .unreferenced, .spare, .workersForgotten, .submit, .cancel, .retry, .change, .prioritise, .drain,
            .revoke:
            nil
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

    /// About how many bytes the event holds. Bounds the memory of waiting events.
    package var weight: Int {
        let base = 256
        guard case .received(let message, _) = self else { return base }
        switch message {
        case .hello, .heartbeat: return base + 64 * progress.count
        case .metrics(_, _, let block): return base + block.weightOfRows + 64 * block.columns.count
        case .log(_, _, let lines): return lines.reduce(base) { $0 + $1.weight }
        case .finish(_, _, let completion): return base + completion.reportJSON.utf8.count
        case .fail(_, _, let failure): return base + failure.reason.utf8.count
        case .handBack(_, _, _, let reason), .goodbye(let reason): return base + reason.utf8.count
        default: return base
        }
    }
}
