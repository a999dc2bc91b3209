import Protocol
import TextureGAN

/// Finds how long submitted jobs will take: from the coordinator's records, or else by a measurement here.
struct SubmissionTimes {
    /// Says which machine was measured: workers may run on others.
    private static let place = "on a core like this machine's"

    private struct Entry {
        var job: String
        var recipe: Recipe
        var width: Int
        var height: Int
        var layout: MapLayout
        var time: ExpectedTime?
    }

    private var load: SubmissionForecast.Load?
    private var entries: [Entry] = []

    /// Before the first job: the cluster's present work.
    mutating func ask(_ api: APIClient) async throws {
        guard load == nil else { return }
        load = SubmissionForecast.Load(try await api.get("/api/v1/summary", as: ClusterSummary.self))
    }

    /// An accepted job; one that had been accepted before adds no work.
    mutating func add(_ job: AcceptedJob, _ recipe: Recipe, width: Int, height: Int, layout: MapLayout) {
        guard !job.alreadyExisted else { return }
        entries.append(
            Entry(job: job.id, recipe: recipe, width: width, height: height, layout: layout, time: job.expected))
    }

    /// Measures the recipes whose time the coordinator does not know; takes seconds for each.
    mutating func measure() {
        var speeds: [String: MeasuredSpeed?] = [:]
        for (index, entry) in entries.enumerated() where entry.time == nil {
            var recipe = entry.recipe
            recipe.k = try? recipe.cropSize(forWidth: entry.width, height: entry.height, exemplar: "")
            let key = "\(entry.layout)\n\(recipe.workload ?? "")"
            let speed =
                speeds[key]
                ?? (try? .fitting(
                    recipe, width: entry.width, height: entry.height, layout: entry.layout, threads: 1, by: .processor))
            speeds[key] = .some(speed)
            entries[index].time = speed?.time(of: recipe, width: entry.width, height: entry.height)
                .expected(Self.place)
        }
    }

    /// The known times, by job.
    var expected: [String: ExpectedTime] {
        Dictionary(
            entries.compactMap { entry in entry.time.map { (entry.job, $0) } }, uniquingKeysWith: { first, _ in first })
    }

    /// Nil without a new job, or if the time of one is unknown.
    var text: String? {
        let times = entries.compactMap(\.time)
        guard let load, times.count == entries.count else { return nil }
        return SubmissionForecast(times: times, load: load).text
    }
}
