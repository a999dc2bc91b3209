import ClusterCore
import Protocol

// Jobs of one exemplar whose recipes differ only in the seed.
extension ClusterReader {
    /// A job's group, including the job itself; nil if there is no such job.
    func seedGroup(of id: JobID) async throws -> SeedGroup? {
        guard try await !jobs([id]).isEmpty else { return nil }
        let (found, all) = try await store.recipes(ofJobs: [id.sequence])
        let variations = try await seeds.variations(Set(all.map(\.recipe)), in: store)
        var seedOfJob: [Int64: UInt64] = [:]
        if let own = found.first, let family = variations[own.recipe]?.family {
            let recipes = variations.filter { $0.value.family == family }
            seedOfJob = try await store.jobs(ofExemplar: own.exemplar, recipes: recipes.keys)
                .compactMapValues { recipes[$0]?.seed }
        }
        // An unreadable recipe has no family, so its job is alone.
        let group = seedOfJob.isEmpty ? [id.sequence] : Array(seedOfJob.keys)
        let reports = try await store.reports(of: group)
        var members: [SeedJob] = []
        for summary in try await summaries(of: group) {
            guard let id = JobID(summary.id) else { continue }
            let report = reports[id.sequence].flatMap(TrainingReport.init)
            var quality = report?.quality ?? [:]
            if quality.isEmpty { quality = try await figuresOfLastSnapshot(of: summary, id) }
            members.append(
                SeedJob(
                    job: summary, seed: seedOfJob[id.sequence], quality: quality, verdict: report?.verdict,
                    score: nil))
        }
        return SeedGroup(members, scoredBy: qualityScores)
    }

    /// The figures of a job that has not finished, or whose worker reported none.
    private func figuresOfLastSnapshot(of summary: JobSummary, _ id: JobID) async throws -> [String: Float] {
        guard let iteration = summary.latestSnapshotIteration,
            let row = try await store.metrics(of: id, after: iteration - 1, limit: 1).entries.first,
            row.iteration == iteration
        else { return [:] }
        return row.values.filter { QualityColumn.isQuality($0.key) }
    }

    /// Jobs whose groups have several seeds, by id: the job's own seed, and the number of seeds.
    func seeds(of jobs: [JobSummary]) async throws -> [String: (seed: UInt64, count: Int)] {
        let sequences = jobs.compactMap { JobID($0.id)?.sequence }
        guard !sequences.isEmpty else { return [:] }
        let (found, all) = try await store.recipes(ofJobs: sequences)
        let variations = try await seeds.variations(Set(all.map(\.recipe)), in: store)
        struct Group: Hashable {
            var exemplar: String
            var family: Int
        }
        var groups: [Group: Set<UInt64>] = [:]
        for (exemplar, recipe) in all {
            guard let variation = variations[recipe] else { continue }
            groups[Group(exemplar: exemplar, family: variation.family), default: []].insert(variation.seed)
        }
        let bySequence = Dictionary(uniqueKeysWithValues: found.map { ($0.sequence, $0) })
        var result: [String: (seed: UInt64, count: Int)] = [:]
        for job in jobs {
            guard let row = JobID(job.id).flatMap({ bySequence[$0.sequence] }), let variation = variations[row.recipe],
                let group = groups[Group(exemplar: row.exemplar, family: variation.family)], group.count > 1
            else { continue }
            result[job.id] = (variation.seed, group.count)
        }
        return result
    }
}

extension SeedGroup {
    /// - Parameters:
    ///   - members: At least one, without scores.
    ///   - scores: Scores jobs by their figures, relative to one another.
    init(_ members: [SeedJob], scoredBy scores: ([[String: Float]]) -> [Float?]) {
        // Ids sort by age.
        var jobs = members.sorted { ($0.seed ?? 0, $0.job.id) < ($1.seed ?? 0, $1.job.id) }
        let finished = jobs.indices.filter { jobs[$0].job.state == .finished }
        for (index, score) in zip(finished, scores(finished.map { jobs[$0].quality })) { jobs[index].score = score }
        self.init(
            resultName: members.min { $0.job.id < $1.job.id }?.job.resultName ?? "", jobs: jobs,
            best: Self.best(of: jobs))
    }
}
