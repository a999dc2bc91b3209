import ClusterCore
import Foundation
import OperatingSystem
import Transport

/// What one process leaves for the next.
extension Spool {
    /// How many folders with unreadable records are kept.
    static let unreadableKept = 16

    private func record(of ref: AttemptReference) -> URL { record(in: folder(of: ref)) }
    private func record(in folder: URL) -> URL { folder.appendingPathComponent("record.json") }

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

    /// Returns the attempts of which an earlier process left a record, and removes the folders without one.
    ///
    /// A folder whose record cannot be read may hold the only copy of a result: the disk fails, or a later version
    /// wrote the record. Such a folder is set aside for a person.
    ///
    /// For spooled files only the sizes are compared. A checkpoint has its own checksum, which its trainer checks, and
    /// the coordinator finds damage in the other files. The inputs are compared by digest. They are small, and nothing
    /// else checks them: an exemplar that a power cut has torn would fail its job for good.
    ///
    /// - Parameter complain: Hears where a folder with an unreadable record is now, and what is wrong with the record.
    func recover(complain: (_ folder: URL, _ reason: String) -> Void = { _, _ in }) -> [RecoveredAttempt] {
        let found = (try? FileManager.default.contentsOfDirectory(at: attempts, includingPropertiesForKeys: nil)) ?? []
        return found.sorted { $0.path < $1.path }.compactMap { folder -> RecoveredAttempt? in
            guard hasRecord(folder) else {
                try? FileManager.default.removeItem(at: folder)
                return nil
            }
            do {
                let record = try AttemptRecord(Data(contentsOf: self.record(in: folder)))
                guard self.folder(of: record.ref).lastPathComponent == folder.lastPathComponent else {
                    throw WorkerError("a record of another attempt: \(record.ref.job), \(record.ref.number)")
                }
                return recovered(record)
            } catch {
                complain(setAside(folder), error.systemReason)
                return nil
            }
        }
    }

    /// Whether there is a record, readable or not.
    private func hasRecord(_ folder: URL) -> Bool {
        var status = stat()
        return lstat(record(in: folder).path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR)
    }

    /// Moves an attempt's folder out of the way, and removes the folders that were set aside first.
    /// - Returns: Where the folder is now. If it cannot be moved, it stays.
    private func setAside(_ attempt: URL) -> URL {
        let target = unreadable.appendingPathComponent(attempt.lastPathComponent)
        try? FileManager.default.createDirectory(at: unreadable, withIntermediateDirectories: true)
        try? FileManager.default.removeItem(at: target)
        guard rename(attempt.path, target.path) == 0 else { return attempt }
        // Its age here starts now.
        utimes(target.path, nil)
        let others = ((try? FileManager.default.contentsOfDirectory(atPath: unreadable.path)) ?? [])
            .filter { $0 != target.lastPathComponent }
            .map { name -> (folder: URL, since: Date) in
                let folder = unreadable.appendingPathComponent(name)
                let attributes = try? FileManager.default.attributesOfItem(atPath: folder.path)
                return (folder: folder, since: attributes?[.modificationDate] as? Date ?? .distantPast)
            }
        for other in others.sorted(by: { $0.since > $1.since }).dropFirst(Self.unreadableKept - 1) {
            try? FileManager.default.removeItem(at: other.folder)
        }
        return target
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
            if !file.utf8.contains(UInt8(ascii: "/")), isThere(artifacts.appendingPathComponent(file), offer.artifact) {
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
