import ClusterCore
import Foundation

/// A job as lists show it.
public struct JobSummary: Codable, Sendable, Equatable {
    public var id: String
    /// The kind of work; nil from a coordinator that knows only `train`.
    public var kind: JobKind?
    public var name: String
    /// The name of the gathered folder, unique in this coordinator: `{resultName}_result`.
    public var resultName: String
    public var fileName: String
    /// The name that the recipe gives itself. Of work that does not train, its options.
    public var recipe: String
    public var state: JobState
    public var priority: Int
    /// Iterations done, as the worker last reported. For a waiting job, the iteration of its newest checkpoint.
    public var iteration: Int
    /// 0 until a worker has read the recipe.
    public var totalIterations: Int
    public var secondsPerIteration: Double?
    /// Seconds of training left at the current speed; only while the job runs.
    public var etaSeconds: Double?
    /// The newest attempt's number; 0 before the first.
    public var attempt: Int
    /// How many attempts have failed since submission or the last explicit retry.
    public var failures: Int
    /// The name of the worker of the newest attempt.
    public var worker: String?
    /// Why the job is failed, held, cancelled, or queued again.
    public var reason: String?
    public var exemplarSHA256: String
    /// Digest of the newest snapshot.
    public var latestSnapshot: String?
    public var latestSnapshotIteration: Int?
    public var submittedAt: Date
    public var startedAt: Date?
    public var finishedAt: Date?
    /// The newest measured value of each loss term, without values that are not finite.
    public var lossLatest: [String: Float]
    /// The batch that the job was submitted in.
    public var batch: String?
    /// nil from a coordinator that knows none.
    public var labels: [String: String]?
    /// Ids of the jobs whose products are its inputs; nil if there are none.
    public var after: [String]?

    public init(
        id: String, kind: JobKind? = .train, name: String, resultName: String, fileName: String, recipe: String,
        state: JobState, priority: Int,
        iteration: Int, totalIterations: Int, secondsPerIteration: Double?, etaSeconds: Double?, attempt: Int,
        failures: Int,
        worker: String?, reason: String?, exemplarSHA256: String, latestSnapshot: String?,
        latestSnapshotIteration: Int?, submittedAt: Date, startedAt: Date?, finishedAt: Date?,
        lossLatest: [String: Float], batch: String? = nil, labels: [String: String]? = nil, after: [String]? = nil
    ) {
        self.id = id
        self.kind = kind
        self.name = name
        self.resultName = resultName
        self.fileName = fileName
        self.recipe = recipe
        self.state = state
        self.priority = priority
        self.iteration = iteration
        self.totalIterations = totalIterations
        self.secondsPerIteration = secondsPerIteration
        self.etaSeconds = etaSeconds
        self.attempt = attempt
        self.failures = failures
        self.worker = worker
        self.reason = reason
        self.exemplarSHA256 = exemplarSHA256
        self.latestSnapshot = latestSnapshot
        self.latestSnapshotIteration = latestSnapshotIteration
        self.submittedAt = submittedAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.lossLatest = lossLatest
        self.batch = batch
        self.labels = labels
        self.after = after
    }
}

/// Answer of `GET /api/v1/jobs/{id}`.
public struct JobDetail: Codable, Sendable, Equatable {
    public var job: JobSummary
    /// Of work that does not train, its options.
    public var recipeYAML: String
    /// Oldest first.
    public var attempts: [AttemptSummary]
    /// What the worker reported about the finished run (feature weights, versions, threads), as JSON text.
    public var reportJSON: String?
    /// Seconds of training in the accepted result, over all its attempts.
    public var trainingSeconds: Double?
    /// The jobs whose products are its inputs; nil if there are none.
    public var after: [JobLink]?
    /// The jobs that use its products, by age; nil if there are none.
    public var followers: [JobLink]?
    /// The maps of a material; nil for a photograph. The artifact of a map has its place here, from 1, as its iteration.
    public var maps: [MapFile]?

    public init(
        job: JobSummary, recipeYAML: String, attempts: [AttemptSummary], reportJSON: String?, trainingSeconds: Double?,
        after: [JobLink]? = nil, followers: [JobLink]? = nil, maps: [MapFile]? = nil
    ) {
        self.job = job
        self.recipeYAML = recipeYAML
        self.attempts = attempts
        self.reportJSON = reportJSON
        self.trainingSeconds = trainingSeconds
        self.after = after
        self.followers = followers
        self.maps = maps
    }
}

/// One worker's try at a job.
public struct AttemptSummary: Codable, Sendable, Equatable {
    public var number: Int
    public var workerID: String
    public var worker: String
    /// The iteration it started from: 0, or its checkpoint's.
    public var startIteration: Int
    /// Its last known iteration.
    public var iteration: Int
    public var startedAt: Date
    public var endedAt: Date?
    /// nil while it runs: finished, failed, handedBack, lost, stalled or cancelled.
    public var outcome: String?
    public var reason: String?

    public init(
        number: Int, workerID: String, worker: String, startIteration: Int, iteration: Int, startedAt: Date,
        endedAt: Date?, outcome: String?, reason: String?
    ) {
        self.number = number
        self.workerID = workerID
        self.worker = worker
        self.startIteration = startIteration
        self.iteration = iteration
        self.startedAt = startedAt
        self.endedAt = endedAt
        self.outcome = outcome
        self.reason = reason
    }
}

/// Answer of `GET /api/v1/jobs`, in the requested order.
public struct JobPage: Codable, Sendable, Equatable {
    public var jobs: [JobSummary]
    /// Pass it as `?cursor=` for the next page; nil on the last page.
    public var next: String?
    /// How many jobs match the filters, on all pages together.
    public var total: Int

    public init(jobs: [JobSummary], next: String?, total: Int) {
        self.jobs = jobs
        self.next = next
        self.total = total
    }
}

/// How `GET /api/v1/jobs` sorts.
public enum JobOrder: String, Codable, Sendable, CaseIterable {
    /// By submission.
    case newest, oldest
    /// By result name; the case of the letters A to Z does not matter.
    case name
    /// Higher runs first.
    case priority
    /// Jobs that ended most recently come first. Jobs that have not ended come last.
    case ended
}

/// Body of `POST /api/v1/jobs/{id}/priority`.
public struct PriorityChange: Codable, Sendable, Equatable {
    /// Higher runs first, one of ``JobSubmission/priorities``.
    public var priority: Int

    public init(priority: Int) { self.priority = priority }
}
