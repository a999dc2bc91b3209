import ClusterCore
import Foundation
import OperatingSystem
import Protocol
import Transport

/// What one process leaves to the next.
extension Spool {
    private func record(of ref: AttemptReference) -> URL { folder(of: ref).appendingPathComponent("record.json") }

    /// Puts an attempt's record in place, whole and synced; removes it where nothing is to be remembered.
    func remember(_ record: AttemptRecord) throws {
        let file = self.record(of: record.ref)
        guard !record.results.isEmpty else {
            unlink(file.path)
            return
        }
        try create(record.ref)
        try DurableFile.write(try record.encoded(), to: file)
        // The names of the artifacts as well: their files were synced before they got them.
        for folder in [folder(of: record.ref), artifacts(of: record.ref)] { try DurableFile.sync(folder) }
    }

    /// The attempts that an earlier process has left a record of; everything else is removed.
    ///
    /// Of reported files sizes are compared and not sums: a checkpoint has its own sum, which its trainer looks at, and the
    /// coordinator finds what else is damaged. The exemplar is small and has nobody else to look at it: one that a power
    /// cut has torn would fail its job for good.
    func recover() -> [RecoveredAttempt] {
        let found = (try? FileManager.default.contentsOfDirectory(at: attempts, includingPropertiesForKeys: nil)) ?? []
        return found.sorted { $0.path < $1.path }.compactMap { folder in
            let data = try? Data(contentsOf: folder.appendingPathComponent("record.json"))
            guard let record = data.flatMap({ try? AttemptRecord($0) }),
                self.folder(of: record.ref).lastPathComponent == folder.lastPathComponent
            else {
                try? FileManager.default.removeItem(at: folder)
                return nil
            }
            return recovered(record)
        }
    }

    private func recovered(_ record: AttemptRecord) -> RecoveredAttempt {
        var record = record
        func isThere(_ file: URL, _ artifact: Artifact) -> Bool {
            let size = try? FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int
            return size == artifact.sizeBytes
        }
        let artifacts = artifacts(of: record.ref)
        var lacksProduct = false
        record.results.removeAll { item in
            guard case .artifact(let offer, let file) = item.content else { return false }
            // A name in a record is no path.
            if !file.contains("/"), isThere(artifacts.appendingPathComponent(file), offer.artifact) {
                return false
            }
            if offer.role != .snapshot { lacksProduct = true }
            return true
        }
        // A result without its files is none.
        if lacksProduct { record.results.removeAll { if case .finish = $0.content { true } else { false } } }
        let kept = Set(
            record.results.compactMap { if case .artifact(_, let file) = $0.content { file } else { nil } })
        let found = (try? FileManager.default.contentsOfDirectory(atPath: artifacts.path)) ?? []
        for file in found where !kept.contains(file) { remove(file, of: record.ref) }
        let isWhole = record.assignment.inputs.allSatisfy { job in
            (try? ArtifactFile.identify(input(job.artifact.sha256, of: record.ref)) == job.artifact) == true
        }
        return RecoveredAttempt(record: record, canTrain: isWhole)
    }

    /// Makes a reported checkpoint the input of its attempt, in the place of what it began from. The report may be
    /// delivered and removed before the trainer has read it, so it gets a second name.
    func adopt(_ file: String, for assignment: Assignment) throws {
        let ref = assignment.attempt
        guard let checkpoint = assignment.checkpoint?.artifact else {
            throw WorkerError("an attempt without a checkpoint cannot take \(file) for it")
        }
        let target = input(checkpoint.sha256, of: ref)
        let kept = ["record.json", Self.artifactsFolder] + assignment.inputs.map(\.artifact.sha256)
        for name in try FileManager.default.contentsOfDirectory(atPath: folder(of: ref).path) where !kept.contains(name)
        {
            try FileManager.default.removeItem(at: folder(of: ref).appendingPathComponent(name))
        }
        guard link(artifacts(of: ref).appendingPathComponent(file).path, target.path) == 0 else {
            throw FileFailure("link", target)
        }
    }
}
