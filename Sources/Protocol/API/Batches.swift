import ClusterCore
import Foundation

/// A batch: the jobs that were submitted under one name.
public struct BatchSummary: CountsJobs, Codable, Sendable, Equatable {
    public var name: String
    /// The number of jobs by `JobState` name, with an entry for every state.
    public var jobs: [String: Int]
    /// 0...1: the share of the iterations done, each job counting alike. A job that has ended counts whole.
    public var progress: Double
    /// Seconds until its jobs are done, if all connected slots work on this batch alone. Nil without
    /// slots, and while none of its jobs has shown how long it takes.
    public var secondsLeft: Double?
    /// When its first job was submitted.
    public var submittedAt: Date
    /// When its last job ended; nil while one has not.
    public var endedAt: Date?

    public init(
        name: String, jobs: [String: Int], progress: Double, secondsLeft: Double?, submittedAt: Date, endedAt: Date?
    ) {
        self.name = name
        self.jobs = jobs
        self.progress = progress
        self.secondsLeft = secondsLeft
        self.submittedAt = submittedAt
        self.endedAt = endedAt
    }

    public var total: Int { jobs.values.reduce(0, +) }

    /// ``progress`` as people see it: only a batch that has ended is done.
    public var shareDone: Double { endedAt == nil ? min(progress, 0.999) : 1 }
}

/// Answer of `GET /api/v1/batches`: the newest first.
public struct BatchPage: Codable, Sendable, Equatable {
    public var batches: [BatchSummary]
    /// Pass it as `?before=` for the next page; nil on the last page.
    public var next: Int?

    public init(batches: [BatchSummary], next: Int?) {
        self.batches = batches
        self.next = next
    }
}

/// Body of `POST /api/v1/selection/ACTION`: which jobs to change. A job must match everything that is given, and at
/// least one of `jobs`, `batch`, `labels`, `state`, `name` and `recipe` must be given.
public struct JobSelection: Codable, Sendable, Equatable {
    /// Ids.
    public var jobs: [String]?
    public var batch: String?
    public var labels: [String: String]?
    public var state: JobState?
    /// Part of the name; the case of the letters A to Z does not matter.
    public var name: String?
    /// The recipe's own name.
    public var recipe: String?
    /// Changes nothing if more jobs would change. A client that asked a person about 12 jobs sends 12.
    public var atMost: Int?
    /// Why jobs are cancelled; shown with them.
    public var reason: String?
    /// Of a deletion: whether jobs that have not ended are cancelled and deleted, too. Absent: they stay.
    public var cancelFirst: Bool?

    public init(
        jobs: [String]? = nil, batch: String? = nil, labels: [String: String]? = nil, state: JobState? = nil,
        name: String? = nil, recipe: String? = nil, atMost: Int? = nil, reason: String? = nil, cancelFirst: Bool? = nil
    ) {
        self.jobs = jobs
        self.batch = batch
        self.labels = labels
        self.state = state
        self.name = name
        self.recipe = recipe
        self.atMost = atMost
        self.reason = reason
        self.cancelFirst = cancelFirst
    }
}

/// The event `deleted` of a stream: jobs that are gone.
public struct DeletedJobs: Codable, Sendable, Equatable {
    /// Ids.
    public var jobs: [String]

    public init(jobs: [String]) { self.jobs = jobs }
}

/// Answer of `POST /api/v1/selection/ACTION`.
public struct SelectionChanges: Codable, Sendable, Equatable {
    public struct Job: Codable, Sendable, Equatable {
        public var id: String
        public var resultName: String

        public init(id: String, resultName: String) {
            self.id = id
            self.resultName = resultName
        }
    }

    /// How many jobs matched.
    public var matched: Int
    /// The jobs that changed, by age. The action did not apply to the others: a finished job cannot be cancelled.
    public var changed: [Job]

    public init(matched: Int, changed: [Job]) {
        self.matched = matched
        self.changed = changed
    }
}
