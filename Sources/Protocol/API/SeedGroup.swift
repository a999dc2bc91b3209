/// Answer of `GET /api/v1/jobs/{id}/seeds`: the jobs that share an exemplar and a recipe, except for the seed. The
/// requested job is one of them.
public struct SeedGroup: Codable, Sendable, Equatable {
    /// The oldest job's result name. The best job's gathered folder is named after it.
    public var resultName: String
    /// By seed, then by age.
    public var jobs: [SeedJob]
    /// The id of the finished job with the lowest score. If scores are equal or missing, the first finished job. Nil if
    /// no job has finished.
    public var best: String?

    public init(resultName: String, jobs: [SeedJob], best: String?) {
        self.resultName = resultName
        self.jobs = jobs
        self.best = best
    }

    /// The job to keep: the finished one with the lowest score, of equal ones the first.
    public static func best(of jobs: [SeedJob]) -> String? {
        jobs.filter { $0.job.state == .finished }
            .min { ($0.score ?? .infinity) < ($1.score ?? .infinity) }?.job.id
    }

    /// The group without jobs that have other ids, with its own name and best job.
    public func only(_ ids: Set<String>) -> SeedGroup {
        let kept = jobs.filter { ids.contains($0.job.id) }
        // Ids sort by age.
        let oldest = kept.min { $0.job.id < $1.job.id }
        return SeedGroup(resultName: oldest?.job.resultName ?? resultName, jobs: kept, best: Self.best(of: kept))
    }
}

/// A job of a ``SeedGroup``.
public struct SeedJob: Codable, Sendable, Equatable {
    public var job: JobSummary
    /// Nil if the recipe cannot be read. Then the job is alone in its group.
    public var seed: UInt64?
    /// The figures of the last snapshot, by the names of their columns.
    public var quality: [String: Float]
    /// What the figures amount to, in the words of the worker that finished the job.
    public var verdict: String?
    /// The score of a finished job that has figures; lower is better. It leaves out figures that another finished job
    /// of the group lacks, so that the scores of a group are comparable.
    public var score: Float?

    public init(job: JobSummary, seed: UInt64?, quality: [String: Float], verdict: String?, score: Float?) {
        self.job = job
        self.seed = seed
        self.quality = quality
        self.verdict = verdict
        self.score = score
    }
}
