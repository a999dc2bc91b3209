/// What the cluster remembers about a job. All of it is recorded. `Lease` holds what changes between records.
package struct Job: Sendable, Equatable {
    package let id: JobID
    package var name: String
    /// Unique in the data folder, safe as a file name.
    package var resultName: String
    package var kind: JobKind
    package var key: String?
    /// Those that are stored. The others follow when the jobs that make them have finished.
    package var inputs: [JobInput]
    /// Inputs that other jobs make. If such a job is deleted, its entry goes; nothing else changes them.
    package var awaited: [AwaitedInput] = []
    /// What to do, in the form that the kind defines: a training's recipe in YAML.
    package var spec: String
    package var needs = JobNeeds()
    package var priority: Int
    /// Place among waiting jobs of equal priority.
    package var queueOrder: Int64
    package var state: JobState = .queued
    package var reason: String?
    /// Failed attempts since submission or the last explicit retry.
    package var failures = 0
    /// The workers on which the job failed since then, the latest last. Other workers are preferred.
    package var avoidedWorkerIDs: [String] = []
    /// The newest attempt. Its number fences every message about this job.
    package var attempt: Attempt?
    /// Stored checkpoints, the newest last, at most `ClusterState.checkpointsKept`.
    package var checkpoints: [StoredCheckpoint] = []
    /// The newest stored file of each product, except checkpoints.
    package var products: [ArtifactRole: Artifact] = [:]
    package var iteration = 0
    package var totalIterations = 0
    package var secondsPerIteration = 0.0
    package var tags = JobTags()

    package init(
        id: JobID, name: String, resultName: String, kind: JobKind, key: String? = nil, inputs: [JobInput],
        awaited: [AwaitedInput] = [], spec: String, needs: JobNeeds = JobNeeds(), priority: Int, queueOrder: Int64,
        state: JobState = .queued,
        reason: String? = nil, failures: Int = 0, avoidedWorkerIDs: [String] = [], attempt: Attempt? = nil,
        checkpoints: [StoredCheckpoint] = [], products: [ArtifactRole: Artifact] = [:], iteration: Int = 0,
        totalIterations: Int = 0, secondsPerIteration: Double = 0.0, tags: JobTags = JobTags()
    ) {
        self.id = id
        self.name = name
        self.resultName = resultName
        self.kind = kind
        self.key = key
        self.inputs = inputs
        self.awaited = awaited
        self.spec = spec
        self.needs = needs
        self.priority = priority
        self.queueOrder = queueOrder
        self.state = state
        self.reason = reason
        self.failures = failures
        self.avoidedWorkerIDs = avoidedWorkerIDs
        self.attempt = attempt
        self.checkpoints = checkpoints
        self.products = products
        self.iteration = iteration
        self.totalIterations = totalIterations
        self.secondsPerIteration = secondsPerIteration
        self.tags = tags
    }
}

extension Job {
    package var demand: Demand { Demand(kind: hasMaps ? kind.onMaterials : kind, needs: needs) }

    /// The newest attempt, as messages name it.
    var newestAttempt: AttemptReference? { attempt.map { AttemptReference(job: id, number: $0.number) } }

    /// Where the next attempt begins.
    var resumeIteration: Int { checkpoints.last?.iteration ?? 0 }

    /// Whether the newest attempt was lost and no other worker has taken the job since.
    var waitsAfterLoss: Bool { state == .queued && attempt?.outcome == .lost }

    /// Whether the exemplar is a material.
    package var hasMaps: Bool { inputs.contains { $0.map != nil } }

    /// The input with this name, if the job has one.
    package func input(_ name: String) -> JobInput? { inputs.first { $0.name == name } }
}

/// One worker's try at a job.
package struct Attempt: Sendable, Equatable {
    package var number: Int
    package var workerID: String
    package var workerName: String
    /// The worker process that holds it.
    package var session: UInt64
    /// 0, or the iteration of the checkpoint it resumed from.
    package var startIteration: Int
    /// The last recorded iteration.
    package var iteration: Int
    /// nil while it runs.
    package var outcome: Outcome?
    package var reason: String?

    package init(
        number: Int, workerID: String, workerName: String, session: UInt64, startIteration: Int, iteration: Int,
        outcome: Outcome? = nil, reason: String? = nil
    ) {
        self.number = number
        self.workerID = workerID
        self.workerName = workerName
        self.session = session
        self.startIteration = startIteration
        self.iteration = iteration
        self.outcome = outcome
        self.reason = reason
    }

    /// How an attempt ended. The raw values are stored: append only.
    package enum Outcome: String, Sendable, Codable, CaseIterable {
        case finished, failed, handedBack, lost, stalled, cancelled
    }
}
