import ClusterCore
import Foundation
import OperatingSystem
import Transport

/// What one process leaves for the next.
extension Spool {
    private func record(of ref: AttemptReference) -> URL { folder(of: ref).appendingPathComponent("record.json") }

    /// Writes an attempt's record, whole and synced, or removes it if there are no results.
    func remember(_ record: AttemptRecord) throws {
        let file = self.record(of: record.ref)
        guard !record.results.isEmpty else {
            unlink(file.path)
            return
        }
        try create(record.ref)
        try DurableFile.write(try record.encoded(), to: file)
        // Syncs the artifacts' names as well. Their files were synced before they got these names.
        for folder in [folder(of: record.ref), artifacts(of: record.ref)] { try DurableFile.sync(folder) }
    }

    /// Returns the attempts of which an earlier process left a record, and removes everything else.
    ///
    /// For spooled files only the sizes are compared. A checkpoint has its own checksum, which its trainer checks, and
    /// the coordinator finds damage in the other files. The inputs are compared by digest. They are small, and nothing
    /// else checks them: an exemplar that a power cut has torn would fail its job for good.
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
            // A record holds file names, never paths.
            if !file.contains("/"), isThere(artifacts.appendingPathComponent(file), offer.artifact) {
                return false
            }
            if offer.role != .snapshot { lacksProduct = true }
            return true
        }
        // FINISH means nothing without its files.
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

    /// Makes a spooled checkpoint the input of its attempt, in place of the checkpoint that the attempt began from. The
    /// file gets a second name, because the worker may deliver and remove the first before the trainer has read it.
    func adopt(_ file: String, for assignment: Assignment) throws {
        let ref = assignment.attempt
        guard let checkpoint = assignment.checkpoint?.artifact else {
            throw WorkerError("the assignment names no checkpoint; expected the one in \(file)")
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
