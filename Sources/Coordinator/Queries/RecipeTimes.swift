import ClusterCore
import Foundation
import Protocol
import Synchronization

/// How long jobs of a recipe take: from jobs with the same work, or else from a measurement on this machine.
final class RecipeTimes: Sendable {
    /// Number of finished jobs to average. Only the newest count, because machines and releases change.
    static let jobsAsked = 20
    /// How long to reuse an answer: a thousand photographs make a thousand submissions.
    private static let memory = Duration.seconds(5)

    /// What decides how long a job takes.
    private struct Work: Hashable {
        /// Of the recipe.
        var load: String
        /// Of a material, sorted: each map is more work.
        var maps: [String]
    }

    private struct State {
        /// Workloads of the stored recipes, by id; nil if a recipe compares with no other.
        var workloads: [Int64: String?] = [:]
        var newestRecipe: Int64 = 0
        var recorded: [Work: (time: ExpectedTime, until: Instant)] = [:]
        /// By the recipe's name; nil if it cannot be measured.
        var measured: [String: ExpectedTime?] = [:]
        var underWay: Set<String> = []
    }

    private let configuration: CoordinatorConfiguration
    private let reader: ClusterReader
    private let work: BlockingWork
    private let state = Mutex(State())

    init(_ configuration: CoordinatorConfiguration, reader: ClusterReader, work: BlockingWork) {
        self.configuration = configuration
        self.reader = reader
        self.work = work
    }

    // MARK: Offered recipes

    /// The offered recipes with their known times. The first call starts measurements of recipes without jobs, one
    /// after another.
    func offered() async throws -> RecipeList {
        var list = RecipeList(recipes: [])
        for recipe in configuration.recipes {
            var time = try await recorded(recipe.yaml)
            if time == nil {
                let (measured, isUnderWay) = measurement(of: recipe)
                time = measured
                list.isMeasuring = list.isMeasuring || isUnderWay
            }
            list.recipes.append(
                NamedRecipe(name: recipe.name, abstract: recipe.abstract, yaml: recipe.yaml, expected: time))
        }
        return list
    }

    /// Returns the measurement, or starts it.
    private func measurement(of recipe: NamedRecipe) -> (ExpectedTime?, isUnderWay: Bool) {
        guard let measure = configuration.measureRecipe else { return (nil, false) }
        let (known, begins) = state.withLock { state -> (ExpectedTime??, Bool) in
            if let known = state.measured[recipe.name] { return (.some(known), false) }
            return (nil, state.underWay.insert(recipe.name).inserted)
        }
        if let known { return (known, false) }
        if begins {
            Task { [self] in
                let time = try? await work.run(.measurements) { measure(recipe) }
                state.withLock { state in
                    state.measured[recipe.name] = .some(time)
                    state.underWay.remove(recipe.name)
                }
            }
        }
        return (nil, true)
    }

    // MARK: Recorded jobs

    /// The time of a recipe, from finished jobs with the same work, or else from running ones. Nil if there are none.
    /// - Parameter maps: Of a material; empty for a photograph.
    func recorded(_ yaml: String, maps: [String] = []) async throws -> ExpectedTime? {
        guard let load = configuration.workloadOfRecipe(yaml) else { return nil }
        let work = Work(load: load, maps: maps.sorted())
        let now = reader.engine.now
        if let known = state.withLock({ $0.recorded[work] }), known.until > now { return known.time }
        guard let time = try await finished(work) else { return await running(work) }
        state.withLock { $0.recorded[work] = (time, now + Self.memory) }
        return time
    }

    private func finished(_ work: Work) async throws -> ExpectedTime? {
        let newest = state.withLock { $0.newestRecipe }
        for (id, yaml) in try await reader.store.recipes(after: newest) {
            let workload = configuration.workloadOfRecipe(yaml)
            state.withLock { state in
                state.workloads[id] = .some(workload)
                state.newestRecipe = max(state.newestRecipe, id)
            }
        }
        let ids = state.withLock { state in state.workloads.filter { $0.value == work.load }.map(\.key) }
        guard !ids.isEmpty,
            let times = try await reader.store.finishedTimes(
                ofRecipes: ids, maps: work.maps, limit: Self.jobsAsked)
        else { return nil }
        let pace = times.seconds / Double(times.iterations)
        return ExpectedTime(
            seconds: pace * Double(times.totalIterations), secondsPerIteration: pace, source: .finishedJobs,
            jobs: times.jobs)
    }

    private func running(_ work: Work) async -> ExpectedTime? {
        let cluster = await reader.engine.committed
        // Many leases share a recipe.
        var isAlike: [String: Bool] = [:]
        let leases = cluster.leases.filter { id, lease in
            guard lease.hasIterated, lease.secondsPerIteration > 0, lease.totalIterations > 0,
                let job = cluster.job(id), job.inputs.compactMap(\.map).sorted() == work.maps
            else { return false }
            let known = isAlike[job.spec] ?? (configuration.workloadOfRecipe(job.spec) == work.load)
            isAlike[job.spec] = known
            return known
        }.values
        guard let total = leases.map(\.totalIterations).max() else { return nil }
        let pace = leases.map(\.secondsPerIteration).reduce(0, +) / Double(leases.count)
        let overhead = leases.map(\.overhead).reduce(0, +) / Double(leases.count)
        return ExpectedTime(
            seconds: pace * Double(total) * overhead, secondsPerIteration: pace, source: .runningJobs,
            jobs: leases.count)
    }
}
