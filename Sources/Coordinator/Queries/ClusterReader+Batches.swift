import ClusterCore
import Foundation
import Protocol

extension ClusterReader {
    /// Batches, the newest first.
    /// - Parameter before: The `next` of the page before.
    func batches(before: Int64 = .max, limit: Int) async throws -> BatchPage {
        var found = try await store.batches(before: before, limit: limit + 1)
        let hasMore = found.count > limit
        if hasMore { found.removeLast() }
        var summaries: [BatchSummary] = []
        for batch in found { summaries.append(try await summary(of: batch)) }
        return BatchPage(batches: summaries, next: hasMore ? found.last.map { Int($0.first) } : nil)
    }

    /// A batch; nil if no job belongs to it.
    func batch(_ name: String) async throws -> BatchSummary? {
        guard let batch = try await store.batches(named: name, limit: 1).first else { return nil }
        return try await summary(of: batch)
    }

    private func summary(of batch: RecordedBatch) async throws -> BatchSummary {
        let isOpen = batch.counts.contains { !$0.key.isSettled && $0.value > 0 }
        let jobs = Dictionary(uniqueKeysWithValues: batch.counts.map { ($0.key.rawValue, $0.value) })
        guard isOpen else {
            return BatchSummary(
                name: batch.name, jobs: jobs, progress: 1, secondsLeft: 0, submittedAt: batch.submittedAt,
                endedAt: batch.endedAt)
        }
        let members = try await store.members(ofBatch: batch.name)
        let cluster = await engine.committed
        let work = BatchWork(members, leases: cluster.leases)
        return BatchSummary(
            name: batch.name, jobs: jobs, progress: work.progress,
            secondsLeft: work.secondsLeft(
                slots: cluster.sessions.values.filter(\.isAttached).map(\.worker.slots).reduce(0, +)),
            submittedAt: batch.submittedAt, endedAt: nil)
    }
}

/// How far the jobs of a batch are, and how long the rest takes.
struct BatchWork {
    /// 0...1; each job counts alike, and one that has ended counts whole.
    let progress: Double
    /// Of one slot's work, for each job that has not ended; nil for a job of unknown length or speed.
    private let left: [Double?]
    private let longestRunning: Double

    init(_ members: [BatchMember], leases: [JobID: Lease]) {
        // Jobs of a sweep have recipes of their own. One that has never run takes about as long as the others of its kind.
        let usual = Dictionary(grouping: members, by: \.kind).compactMapValues { members -> Double? in
            let known = members.compactMap { member in
                member.totalIterations > 0
                    ? member.secondsPerIteration.map { Double(member.totalIterations) * $0 } : nil
            }
            return known.isEmpty ? nil : known.reduce(0, +) / Double(known.count)
        }
        var shares = 0.0
        var left: [Double?] = []
        var longest = 0.0
        for member in members {
            guard !member.state.isSettled else {
                shares += 1
                continue
            }
            let lease = leases[member.id]
            let total = max(member.totalIterations, lease?.totalIterations ?? 0)
            let done = min(max(member.iteration, lease?.iteration ?? 0), total)
            let share = total > 0 ? Double(done) / Double(total) : 0
            shares += share
            var seconds = lease?.secondsLeft
            if seconds == nil, total > 0 { seconds = member.secondsPerIteration.map { Double(total - done) * $0 } }
            if seconds == nil { seconds = usual[member.kind].map { $0 * (1 - share) } }
            if member.state == .running { longest = max(longest, seconds ?? 0) }
            left.append(seconds)
        }
        progress = members.isEmpty ? 1 : shares / Double(members.count)
        self.left = left
        longestRunning = longest
    }

    /// - Parameter slots: Those that work on the batch.
    func secondsLeft(slots: Int) -> Double? {
        let known = left.compactMap { $0 }
        guard slots > 0, known.count == left.count else { return nil }
        return max(known.reduce(0, +) / Double(slots), longestRunning)
    }
}
