import Base
import ClusterCore
import Foundation
import Logging
import Synchronization

/// Gives up files as the policy says. The engine drops the records, in turn with every event that may need the files, and
/// then removes what no record names.
struct Retention: Sendable {
    static let interval = Duration.seconds(600)
    /// After the end of a job, so that its results can be gathered with all snapshots.
    static let snapshotAge: TimeInterval = 24 * 3600
    /// Files in one event.
    static let filesAtOnce = 64

    let policy: RetentionPolicy
    let store: JobStore
    let engine: ClusterEngine
    let quota: StorageQuota
    let logger: Logger
    /// Files that are chosen at a time. The next look takes the rest of what is too old; the quota goes on at once.
    var filesPerLook = 20_000

    /// Works until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                try await enforce(at: Date())
            } catch {
                logger.warning("the retention policy could not be enforced", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: Self.interval)
        }
    }

    /// - Returns: How many files it gives up.
    @discardableResult
    func enforce(at now: Date) async throws -> Int {
        var spare: [SpareArtifact] = []
        if let age = policy.checkpointAge {
            spare += try await store.checkpoints(
                endedBefore: now.addingTimeInterval(-age.inSeconds), limit: filesPerLook)
        }
        if let count = policy.snapshots {
            spare += try await store.snapshots(
                beyond: count, endedBefore: now.addingTimeInterval(-Self.snapshotAge), limit: filesPerLook)
        }
        try await giveUp(spare)
        guard let limit = policy.quotaBytes else { return spare.count }
        return try await spare.count + enforce(quota: limit)
    }

    /// Returns once the records are gone, so that what is left can be measured.
    private func giveUp(_ spare: [SpareArtifact]) async throws {
        guard !spare.isEmpty else { return }
        for start in stride(from: 0, to: spare.count, by: Self.filesAtOnce) {
            await engine.post(.spare(Array(spare[start..<min(start + Self.filesAtOnce, spare.count)])))
            // Workers' messages come in between.
            try await Task.sleep(for: .milliseconds(10))
        }
        logger.info("giving up \(counted(spare.count, "file")) of jobs that ended")
        await engine.flush()
    }

    /// - Returns: How many files it gives up.
    private func enforce(quota limit: Int) async throws -> Int {
        var needed = try await store.distinctArtifactBytes() - limit
        var count = 0
        while needed > 0 {
            let files = try await store.dispensable(limit: filesPerLook)
            guard !files.isEmpty else { break }
            var spare: [SpareArtifact] = []
            var left = needed
            for (holders, bytes) in files where left > 0 {
                spare += holders
                left -= bytes
            }
            try await giveUp(spare)
            count += spare.count
            left = try await store.distinctArtifactBytes() - limit
            // The job store records nothing at present, so this look cannot say whether there is room.
            guard left < needed else { return count }
            needed = left
        }
        let problem =
            needed > 0
            ? "the artifacts take \(Readable.bytes(needed)) more than the quota of \(Readable.bytes(limit)), and no more of "
                + "them can be given up; delete jobs ('texloom delete'), or raise the quota" : nil
        if let problem, quota.problem == nil { logger.error("\(problem); no job is accepted until then") }
        quota.set(problem)
        return count
    }
}

/// Whether the folder has room for more jobs.
final class StorageQuota: Sendable {
    private let found = Mutex<String?>(nil)

    /// Why no job is accepted; nil if there is room.
    var problem: String? { found.withLock { $0 } }

    func set(_ problem: String?) { found.withLock { $0 = problem } }

    /// - Throws: `Problem` (507) if the artifacts exceed the quota, to be tried again after the next look.
    func requireRoom() throws {
        guard let problem else { return }
        throw Problem(
            .init(code: 507, reasonPhrase: "Insufficient Storage"), problem,
            headers: [.retryAfter: "\(Retention.interval.components.seconds)"])
    }
}
