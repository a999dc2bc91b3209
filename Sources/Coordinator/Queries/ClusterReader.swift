import Base
import ClusterCore
import Foundation
import Protocol

/// Answers questions about the cluster. It combines the store's records with the newer values in the engine's state.
struct ClusterReader: Sendable {
    let store: JobStore
    let engine: ClusterEngine
    let startedAt: Date
    let workerEndpoint: String
    /// Knows which recipes differ only in the seed. Default: none.
    var seeds = RecipeSeeds()
    /// See `CoordinatorConfiguration`.
    var qualityScores: @Sendable ([[String: Float]]) -> [Float?] = { $0.map { _ in nil } }

    func jobs(_ query: JobQuery) async throws -> JobPage {
        let (rows, next, total) = try await store.summaries(query)
        let cluster = await engine.committed
        return JobPage(jobs: rows.map { live($0, in: cluster) }, next: next?.text, total: total)
    }

    /// The existing jobs of these ids, by age.
    func jobs(_ ids: some Collection<JobID>) async throws -> [JobSummary] {
        try await summaries(of: ids.map(\.sequence))
    }

    /// The same by sequence number.
    func summaries(of sequences: [Int64]) async throws -> [JobSummary] {
        let rows = try await store.summaries(of: sequences)
        let cluster = await engine.committed
        return rows.map { live($0, in: cluster) }.sorted { $0.id < $1.id }
    }

    func detail(_ id: JobID) async throws -> JobDetail? {
        guard var detail = try await store.detail(id) else { return nil }
        let cluster = await engine.committed
        detail.job = live(detail.job, in: cluster)
        if let lease = cluster.leases[id], let last = detail.attempts.indices.last,
            detail.attempts[last].number == lease.attempt.number
        {
            detail.attempts[last].iteration = lease.iteration
        }
        return detail
    }

    private func live(_ recorded: JobSummary, in cluster: ClusterState) -> JobSummary {
        guard let id = JobID(recorded.id) else { return recorded }
        var summary = recorded
        if recorded.state == .queued, let obstacle = cluster.job(id).flatMap(cluster.obstacle) {
            summary.reason = obstacle
        }
        guard recorded.state == .running, let lease = cluster.leases[id] else { return summary }
        summary.iteration = lease.iteration
        if lease.totalIterations > 0 { summary.totalIterations = lease.totalIterations }
        if lease.secondsPerIteration > 0 {
            summary.secondsPerIteration = lease.secondsPerIteration
            summary.etaSeconds = lease.secondsLeft
        }
        return summary
    }

    /// Workers that have left and that the pages and event streams still show: the most recently seen.
    static let departedShown = 50

    /// The connected workers, then others.
    /// - Parameter limit: How many of the others, the most recently seen.
    func workers(others limit: Int = .max) async throws -> [WorkerSummary] {
        let cluster = await engine.committed
        let connected = cluster.sessions.values.filter(\.isAttached).map(\.worker.id)
        let rows = try await store.workers(Set(connected), others: limit)
        let now = engine.now
        let list = rows.map { row in
            let session = cluster.sessionOfWorker[row.identity.id].flatMap { cluster.sessions[$0] }
            let isConnected = session?.isAttached ?? false
            let held = session?.attempts.sorted() ?? []
            return WorkerSummary(
                id: row.identity.id, name: row.identity.name, softwareVersion: row.identity.softwareVersion,
                cpu: row.identity.cpu, slots: row.identity.slots, threadsPerSlot: row.identity.threadsPerSlot,
                isConnected: isConnected, isDraining: session?.isDraining ?? false,
                lastSeenAt: session.map { $0.lastHeard(lease: cluster.configuration.lease) }
                    .map { Date(timeIntervalSinceNow: -now.since($0).inSeconds) } ?? row.lastSeenAt,
                jobs: held.map { $0.job.description },
                iterationsPerSecond: cluster.iterationsPerSecond(held.compactMap { cluster.leases[$0.job] }),
                coresBusy: session?.load?.coresBusy, residentBytes: session?.load?.residentBytes,
                spoolBytes: session?.load?.spoolBytes,
                weights: session?.worker.equipment?.weights.sorted(),
                memoryBytesPerSlot: session?.worker.equipment.flatMap { $0.memoryBytes > 0 ? $0.memoryBytes : nil },
                problem: cluster.problem(ofWorker: row.identity.id), key: row.identity.credentials.key)
        }
        return list.filter(\.isConnected) + list.filter { !$0.isConnected }
    }

    func summary() async throws -> ClusterSummary {
        let loads = try await store.recipeLoads()
        let cluster = await engine.committed
        let connected = cluster.sessions.values.filter(\.isAttached)
        let jobs = JobState.allCases.map { ($0.rawValue, cluster.counts[$0] ?? 0) }
        return ClusterSummary(
            version: texloomVersion, coordinatorID: store.coordinatorID, startedAt: startedAt,
            workerEndpoint: workerEndpoint,
            jobs: Dictionary(uniqueKeysWithValues: jobs),
            workersConnected: connected.count, slots: connected.map(\.worker.slots).reduce(0, +),
            slotsWanted: cluster.slotsWanted(at: engine.now),
            iterationsPerSecond: cluster.iterationsPerSecond(cluster.leases.values),
            queueSeconds: Self.queueSeconds(loads, cluster, slots: connected.map(\.worker.slots).reduce(0, +)))
    }

    /// The queue's work divided by the slots, but at least the time that the slowest running job still needs.
    private static func queueSeconds(_ loads: [RecipeLoad], _ cluster: ClusterState, slots: Int) -> Double? {
        let running = cluster.leases.values.compactMap { lease in
            lease.secondsLeft ?? (cluster.job(lease.attempt.job)?.kind == .train ? nil : 0)
        }
        let queued = loads.compactMap(\.seconds)
        guard slots > 0, queued.count == loads.count, running.count == cluster.leases.count else { return nil }
        return max((queued.reduce(0, +) + running.reduce(0, +)) / Double(slots), running.max() ?? 0)
    }
}

extension ClusterState {
    /// Training speed of attempts together. The steps of other work have another length.
    fileprivate func iterationsPerSecond(_ leases: some Sequence<Lease>) -> Double {
        leases.filter { job($0.attempt.job)?.kind == .train }.map(\.iterationsPerSecond).reduce(0, +)
    }
}

extension Lease {
    /// 0 while unknown, and for a time so short that it must be a mistake.
    var iterationsPerSecond: Double { secondsPerIteration > 1e-9 && hasIterated ? 1 / secondsPerIteration : 0 }
}
