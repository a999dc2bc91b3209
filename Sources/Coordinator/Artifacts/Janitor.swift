import Base
import Foundation
import Logging
import Protocol

/// Removes files that nothing needs: exemplars that were sent and never submitted, files whose record a crash
/// prevented, parts of transfers that nobody goes on with, damaged files and thumbnails beyond what is kept, workers
/// that are gone for good.
struct Janitor: Sendable {
    /// How old a file must be, by its time of change: far more than lies between sending an exemplar and submitting it.
    static let orphanAge: TimeInterval = 24 * 3600
    static let interval = Duration.seconds(3600)
    /// Of some 80 KiB each; one that is looked at again is made again.
    static let thumbnailsKept = 4096
    static let workerLifetime: TimeInterval = 30 * 24 * 3600

    let store: JobStore
    let artifacts: ArtifactStore
    let engine: ClusterEngine
    let disk: BlockingWork
    let thumbnails: URL
    let logger: Logger

    /// Works until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do {
                try await trim()
                let count = try await collect(olderThan: Self.orphanAge)
                if count > 0 {
                    logger.info("removes \(counted(count, "file")) that no job refers to")
                }
            } catch {
                // They only cost space.
                logger.warning("cannot look for files that are no longer needed", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: Self.interval)
        }
    }

    /// Keeps within their bounds what nothing else bounds.
    func trim() async throws {
        try await disk.run(.files) { [artifacts, thumbnails] in
            artifacts.removeStaleParts()
            artifacts.removeDamaged()
            let pictures = ArtifactStore.entries(of: thumbnails).sorted { $0.changedAt > $1.changedAt }
            for picture in pictures.dropFirst(Self.thumbnailsKept) { unlink(picture.url.path) }
        }
        let connected = await Set(engine.committed.sessionOfWorker.keys)
        try await store.forgetWorkers(
            lastSeenBefore: Date(timeIntervalSinceNow: -Self.workerLifetime), connected: connected)
    }

    /// Hands what may go to the engine, which looks once more in turn with everything that could need it.
    func collect(olderThan age: TimeInterval) async throws -> Int {
        let limit = Date(timeIntervalSinceNow: -age)
        let old = try await disk.run(.files) { [artifacts] in
            artifacts.files().filter { $0.file.changedAt < limit }.compactMap(\.sha256)
        }
        var orphans: [String] = []
        for sha256 in old where try await !store.isReferenced(sha256: sha256) { orphans.append(sha256) }
        if !orphans.isEmpty { await engine.post(.unreferenced(orphans)) }
        return orphans.count
    }
}
