import Foundation
import Protocol

/// Answers questions about the cluster: what is recorded, with what moves between records laid over it.
struct ClusterReader: Sendable {
    let store: JobStore
    let engine: ClusterEngine
    let softwareVersion: String
    let startedAt: Date
    let workerEndpoint: String

    func jobs(state: JobState?, name: String?, before: Int64?, limit: Int) async throws -> JobPage {
        var rows = try await store.summaries(state: state, name: name, before: before, limit: limit + 1)
        let hasMore = rows.count > limit
        if hasMore { rows.removeLast() }
        let cluster = await engine.committed
        let jobs = rows.map { live($0, in: cluster) }
        return JobPage(jobs: jobs, next: hasMore ? jobs.last?.id : nil)
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
        guard recorded.state == .running, let id = JobID(recorded.id), let lease = cluster.leases[id] else {
            return recorded
        }
        var summary = recorded
        summary.iteration = lease.iteration
        if lease.totalIterations > 0 { summary.totalIterations = lease.totalIterations }
        if lease.secondsPerIteration > 0 {
            summary.secondsPerIteration = lease.secondsPerIteration
            let left = max(0, summary.totalIterations - lease.iteration)
            summary.etaSeconds = summary.totalIterations > 0 ? Double(left) * lease.secondsPerIteration : nil
        }
        return summary
    }

    func workers() async throws -> [WorkerSummary] {
        let rows = try await store.workers()
        let cluster = await engine.committed
        let list = rows.map { row in
            let session = cluster.sessionOfWorker[row.identity.id].flatMap { cluster.sessions[$0] }
            let isConnected = session?.isAttached ?? false
            let held = session?.attempts.sorted() ?? []
            return WorkerSummary(
                id: row.identity.id, name: row.identity.name, softwareVersion: row.identity.softwareVersion,
                cpu: row.identity.cpu, slots: row.identity.slots, threadsPerSlot: row.identity.threadsPerSlot,
                isConnected: isConnected, isDraining: session?.isDraining ?? false,
                lastSeenAt: isConnected ? Date() : row.lastSeenAt, jobs: held.map { $0.job.description },
                iterationsPerSecond: held.compactMap { cluster.leases[$0.job] }.map(\.iterationsPerSecond).reduce(0, +))
        }
        return list.filter(\.isConnected) + list.filter { !$0.isConnected }
    }

    func summary() async -> ClusterSummary {
        let cluster = await engine.committed
        let connected = cluster.sessions.values.filter(\.isAttached)
        let jobs = JobState.allCases.map { ($0.rawValue, cluster.counts[$0] ?? 0) }
        return ClusterSummary(
            version: softwareVersion, coordinatorID: store.coordinatorID, startedAt: startedAt,
            workerEndpoint: workerEndpoint, jobs: Dictionary(uniqueKeysWithValues: jobs),
            workersConnected: connected.count, slots: connected.map(\.worker.slots).reduce(0, +),
            iterationsPerSecond: cluster.leases.values.map(\.iterationsPerSecond).reduce(0, +))
    }
}

extension Lease {
    var iterationsPerSecond: Double { secondsPerIteration > 0 && hasIterated ? 1 / secondsPerIteration : 0 }
}
