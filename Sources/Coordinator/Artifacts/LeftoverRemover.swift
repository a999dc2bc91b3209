import Foundation
import Logging

/// Removes the files of deleted jobs. It hands them to the engine a few at a time, so that workers never wait for a
/// thousand removals. The records are gone before the files, so a crash leaves only files that the janitor finds.
struct LeftoverRemover: Sendable {
    let engine: ClusterEngine
    let artifacts: ArtifactStore
    let disk: BlockingWork

    /// Works until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            let count = (try? await removeSome()) ?? 0
            // On a slow disk, the next files would otherwise wait in the same batch.
            if count > 0 { await engine.flush() }
            try? await Task.sleep(for: count > 0 ? .milliseconds(20) : .seconds(1))
        }
    }

    /// - Returns: How many files it looked at.
    @discardableResult
    func removeSome() async throws -> Int {
        let some = await engine.takeLeftovers(limit: Janitor.filesAtOnce)
        guard !some.isEmpty else { return 0 }
        let recent = Date(timeIntervalSinceNow: -Janitor.orphanAge)
        let unneeded = try await disk.run(.files) { [artifacts] in
            some.filter { file in
                // A photograph that was sent lately may belong to a submission that is on its way. The janitor removes it
                // later if not.
                !file.isInput || artifacts.changedAt(file.sha256).map { $0 < recent } ?? false
            }.map(\.sha256)
        }
        // The engine looks whether another job needs them, in turn with every event that may name them.
        if !unneeded.isEmpty { await engine.post(.unreferenced(unneeded)) }
        return some.count
    }
}

extension ArtifactStore {
    /// When the file was stored, or stored again; nil if it is gone.
    func changedAt(_ sha256: String) -> Date? {
        var status = stat()
        guard lstat(url(of: sha256).path, &status) == 0 else { return nil }
        return Date(timeIntervalSince1970: TimeInterval(status.st_mtim.tv_sec))
    }
}
