import Base
import ClusterCore
import Foundation
import Logging

/// Removes what nothing needs: exemplars without a job, files that a crash left unrecorded, abandoned parts of
/// transfers, damaged files and thumbnails beyond their limits, thumbnails without an artifact, and workers that have been
/// away for too long, with their keys.
struct Janitor: Sendable {
    /// Minimum age of a file, by its modification time: much longer than the time between sending and submitting an
    /// exemplar.
    static let orphanAge: TimeInterval = 3600
    static let interval = Duration.seconds(600)
    /// Files in one event, so that workers never wait for a thousand removals.
    static let filesAtOnce = 64
    /// Each has about 80 KiB. The cache makes a removed one again on demand.
    static let thumbnailsKept = 4096
    static let workerLifetime: TimeInterval = 30 * 24 * 3600

    let store: JobStore
    let artifacts: ArtifactStore
    let engine: ClusterEngine
    /// Nil on a coordinator whose workers' address is plain.
    let keys: WorkerKeys?
    let disk: BlockingWork
    let thumbnails: URL
    let logger: Logger

    /// Works until the task is cancelled.
    func run() async {
        var isFirstRound = true
        while !Task.isCancelled {
            do {
                try await trim()
                // Workers that were connected before first get the time to come back.
                if !isFirstRound { try await forgetWorkers() }
                let count = try await collect(olderThan: Self.orphanAge)
                if count > 0 {
                    logger.info("removing \(counted(count, "file")) that no job refers to")
                }
            } catch {
                guard !Task.isCancelled else { return }
                // These files only cost space.
                logger.warning("cannot look for files that are no longer needed", metadata: ["error": "\(error)"])
            }
            isFirstRound = false
            try? await Task.sleep(for: Self.interval)
        }
    }

    /// Enforces the limits of the files that nothing else enforces.
    func trim() async throws {
        try await disk.run(.files) { [artifacts, thumbnails] in
            artifacts.removeStaleParts()
            artifacts.removeDamaged()
            let pictures = ArtifactStore.entries(of: thumbnails).sorted { $0.changedAt > $1.changedAt }
            for picture in pictures.dropFirst(Self.thumbnailsKept) { unlink(picture.url.path) }
            // A crash between the removal of an artifact and that of its picture leaves the picture.
            for picture in pictures.prefix(Self.thumbnailsKept) {
                let sha256 = picture.url.deletingPathExtension().lastPathComponent
                guard SHA256Text.isValid(sha256) else { continue }
                if case .some(.none) = try? artifacts.size(of: sha256) { unlink(picture.url.path) }
            }
        }
    }

    /// Forgets the workers that have been away for too long. Their keys are no longer good. The coordinator's own
    /// absence does not count, nor does a jump of the clock, nor for keys the time on a plain address.
    func forgetWorkers(at now: Date = Date()) async throws {
        try await store.excludeDowntime(longerThan: Self.interval.inSeconds, acceptsKeys: keys != nil, at: now)
        let connected = await Set(engine.committed.sessionOfWorker.keys)
        let forgotten = try await store.forgetWorkers(
            lastSeenBefore: now - Self.workerLifetime, connected: connected, endsKeys: keys != nil, at: now)
        if !forgotten.keys.isEmpty {
            keys?.forget(forgotten.keys)
            logger.info("ending \(counted(forgotten.keys.count, "key")) of workers that have been away for 30 days")
        }
        if !forgotten.workers.isEmpty { await engine.post(.workersForgotten(forgotten.workers)) }
    }

    /// Hands old unreferenced files to the engine, a few at a time. The engine checks again, in turn with every event that may need
    /// them.
    func collect(olderThan age: TimeInterval) async throws -> Int {
        let limit = Date(timeIntervalSinceNow: -age)
        let old = try await disk.run(.files) { [artifacts] in
            artifacts.files().filter { $0.file.changedAt < limit }.compactMap(\.sha256)
        }
        var orphans: [String] = []
        for sha256 in old where try await !store.isReferenced(sha256: sha256) { orphans.append(sha256) }
        for first in stride(from: 0, to: orphans.count, by: Self.filesAtOnce) {
            try Task.checkCancellation()
            await engine.post(.unreferenced(Array(orphans[first...].prefix(Self.filesAtOnce))))
            // Events that arrived meanwhile come before the next files.
            await engine.flush()
        }
        return orphans.count
    }
}
