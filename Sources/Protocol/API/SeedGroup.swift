/// Answer of `GET /api/v1/jobs/{id}/seeds`: the jobs of one exemplar and one recipe but for the seed, the asked one among
/// them.
public struct SeedGroup: Codable, Sendable, Equatable {
    /// That of the oldest job: what the best one's gathered folder is called after.
    public var resultName: String
    /// By seed, then by age.
    public var jobs: [SeedJob]
    /// The id of the finished job with the lowest score; of equal ones, and where there are no scores, the first. Nil: none
    /// has finished.
    public var best: String?

    public init(resultName: String, jobs: [SeedJob], best: String?) {
        self.resultName = resultName
        self.jobs = jobs
        self.best = best
    }
}

/// A job beside those that differ from it in the seed alone.
public struct SeedJob: Codable, Sendable, Equatable {
    public var job: JobSummary
    /// Nil of a recipe that cannot be read; its job is alone.
    public var seed: UInt64?
    /// The figures of the last snapshot, by the names of their columns.
    public var quality: [String: Float]
    /// What they come to, in the words of the worker that finished the job.
    public var verdict: String?
    /// Of a finished job that has figures: lower is better. Figures that another finished job of the group lacks are left
    /// out, so that scores of one group can be compared.
    public var score: Float?

    public init(job: JobSummary, seed: UInt64?, quality: [String: Float], verdict: String?, score: Float?) {
        self.job = job
        self.seed = seed
        self.quality = quality
        self.verdict = verdict
        self.score = score
    }
}
