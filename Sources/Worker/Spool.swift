import Base
import ClusterCore
import Foundation
import OperatingSystem

/// The worker's folder. It holds the worker's id and a folder for each attempt. An attempt's folder holds its inputs,
/// the files that are not acknowledged yet, and a record from which the next process claims them. Folders whose records
/// cannot be read are kept apart.
struct Spool: Sendable {
    let folder: URL
    var attempts: URL { folder.appendingPathComponent("attempts") }
    var unreadable: URL { folder.appendingPathComponent("unreadable") }

    /// - Throws: ``WorkerError`` if the folder cannot be used.
    init(folder: URL) throws(WorkerError) {
        self.folder = folder
        do {
            try FileManager.default.createDirectory(at: attempts, withIntermediateDirectories: true)
        } catch {
            throw WorkerError("cannot use the data folder \(folder.path): \(error.systemReason)")
        }
    }

    /// The worker's id, created on first use.
    func workerID() throws(WorkerError) -> String {
        let file = folder.appendingPathComponent("worker-id")
        return try KeptText(file: file, randomBytes: 16, isValid: Identifier.isValid).text()
    }

    /// The name has been the same since the first version: an upgraded worker has to find the old worker's files.
    static let artifactsFolder = "reports"

    /// How many bytes a usable disk takes at least.
    static let probeBytes: UInt64 = 16 << 20
    /// The time between two probes of a disk that failed.
    static let probeBackOff = Duration.seconds(5)...Duration.seconds(300)

    /// Whether a file of this size fits on the disk, and ``probeBytes`` can be written and synced.
    /// - Parameter freeBytes: of a folder's disk; nil if the system does not say.
    func takesFiles(
        ofBytes bytes: UInt64 = 0, freeBytes: (URL) -> Int? = { Disk.freeBytes(at: $0) }
    ) -> Bool {
        let needed = max(bytes, Self.probeBytes)
        // First ask: a reservation that fails takes what is free until the file is gone, and other programs' writes fail.
        if let free = freeBytes(folder), free < needed { return false }
        let file = folder.appendingPathComponent("probe")
        defer { unlink(file.path) }
        let descriptor = open(file.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // Reserves the space without writing it: it may be gigabytes, and the probe repeats.
        guard posix_fallocate(descriptor, 0, off_t(clamping: needed)) == 0 else { return false }
        let block = [UInt8](repeating: 0x55, count: 1 << 20)
        for _ in 0..<Int(Self.probeBytes) / block.count where write(descriptor, block, block.count) != block.count {
            return false
        }
        return fsync(descriptor) == 0
    }

    func folder(of ref: AttemptReference) -> URL { attempts.appendingPathComponent("\(ref.job)-\(ref.number)") }
    func artifacts(of ref: AttemptReference) -> URL { folder(of: ref).appendingPathComponent(Self.artifactsFolder) }
    func input(_ sha256: String, of ref: AttemptReference) -> URL { folder(of: ref).appendingPathComponent(sha256) }

    /// Bytes of the files that wait for delivery or are still being written.
    func artifactBytes() -> Int {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: attempts.path)) ?? []
        return names.reduce(0) { total, name in
            let artifacts = attempts.appendingPathComponent(name).appendingPathComponent(Self.artifactsFolder).path
            let files = (try? FileManager.default.contentsOfDirectory(atPath: artifacts)) ?? []
            return files.reduce(total) { sum, file in
                var status = stat()
                return lstat(artifacts + "/" + file, &status) == 0 ? sum + Int(status.st_size) : sum
            }
        }
    }

    func create(_ ref: AttemptReference) throws {
        try FileManager.default.createDirectory(at: artifacts(of: ref), withIntermediateDirectories: true)
    }
    func remove(_ ref: AttemptReference) { try? FileManager.default.removeItem(at: folder(of: ref)) }
    func remove(_ file: String, of ref: AttemptReference) {
        try? FileManager.default.removeItem(at: artifacts(of: ref).appendingPathComponent(file))
    }
}
