import Base
import ClusterCore
import Crypto
import Foundation
import Glibc
import OperatingSystem
import Synchronization

/// Immutable files named by their SHA-256: `artifacts/ab/cdef...`.
///
/// A file gets its name only when it is complete, verified and synced. A crash leaves at most a part, and a repeated
/// transfer continues from that part. All calls block on the disk: make them through `BlockingWork`.
final class ArtifactStore: Sendable {
    /// Disk space reserved for the job store: when artifacts fill the disk, it can still accept and record jobs.
    static let reservedBytes = 64 << 20
    /// How long the store keeps the part of an interrupted transfer for its sender, by the file's modification time.
    static let partLifetime: TimeInterval = 24 * 3600
    private static let partExtension = "part"
    /// Upper limit on the bytes kept in `damaged/` for inspection. The newest files stay.
    static let damagedBytesKept = 1 << 30
    static let damagedLifetime: TimeInterval = 30 * 24 * 3600

    private let artifacts: URL
    private let incoming: URL
    private let damaged: URL
    private let thumbnails: URL
    private let availableBytes: @Sendable (URL) -> Int
    /// Digests of the parts that a transfer is writing.
    private let claimed = Mutex(Set<String>())
    /// Files that have their names, but may lose them in a power cut.
    private let unsynced = Mutex(Set<String>())
    /// New folders that a power cut may remove.
    private let unsyncedFolders = Mutex(Set<URL>())
    private let syncFolder: @Sendable (URL) throws -> Void

    /// Opens or creates the store in a data folder. Removes what interrupted writes left, except the parts of transfers
    /// that may continue.
    /// - Parameters:
    ///   - isReadOnly: Whether to change nothing on the disk.
    ///   - availableBytes: The free bytes on the disk of a folder.
    ///   - syncFolder: Makes the names in a folder durable.
    init(
        dataFolder: URL, isReadOnly: Bool = false,
        availableBytes: @escaping @Sendable (URL) -> Int = ArtifactStore.availableBytes,
        syncFolder: @escaping @Sendable (URL) throws -> Void = ArtifactStore.sync
    ) throws {
        self.availableBytes = availableBytes
        self.syncFolder = syncFolder
        artifacts = Self.folder(in: dataFolder)
        incoming = dataFolder.appendingPathComponent("incoming", isDirectory: true)
        damaged = dataFolder.appendingPathComponent("damaged", isDirectory: true)
        thumbnails = DataFolder.thumbnails(in: dataFolder)
        if isReadOnly { return }
        do {
            for folder in [artifacts, incoming] {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            }
            for left in try FileManager.default.contentsOfDirectory(at: incoming, includingPropertiesForKeys: nil)
            where left.pathExtension != Self.partExtension {
                try FileManager.default.removeItem(at: left)
            }
            removeStaleParts()
            // Covers names that an earlier process made but did not sync.
            for folder in [artifacts, dataFolder] { try syncFolder(folder) }
        } catch let error as CoordinatorError {
            throw error
        } catch {
            throw CoordinatorError(
                .fileSystem,
                "the artifact store in \(dataFolder.path) cannot be prepared: \(error.systemReason)")
        }
    }

    static func folder(in dataFolder: URL) -> URL {
        dataFolder.appendingPathComponent("artifacts", isDirectory: true)
    }

    /// The path of an artifact. Only a digest becomes a path.
    func url(of sha256: String) -> URL {
        precondition(SHA256Text.isValid(sha256))
        return artifacts.appendingPathComponent(String(sha256.prefix(2)), isDirectory: true)
            .appendingPathComponent(String(sha256.dropFirst(2)))
    }

    /// The file of an artifact, for reading only.
    /// - Throws: `.notStored`, `.fileSystem`.
    func file(of sha256: String) throws -> URL {
        guard try size(of: sha256) != nil else {
            throw CoordinatorError(.notStored, "artifact \(sha256) is not stored here")
        }
        return url(of: sha256)
    }

    /// Size in bytes; nil if the store does not have the artifact.
    /// - Throws: `.fileSystem` if the system cannot say: the file may still be there.
    func size(of sha256: String) throws -> Int? {
        guard SHA256Text.isValid(sha256) else { return nil }
        let file = url(of: sha256)
        var status = stat()
        guard stat(file.path, &status) == 0 else {
            let failure = FileFailure("look at", file)
            guard failure.number == ENOENT else { throw CoordinatorError(failure) }
            return nil
        }
        return Int(status.st_size)
    }

    /// - Throws: `.fileSystem` if the folder of all artifacts is gone. That says nothing about the files in it.
    func requireFolder() throws {
        guard access(artifacts.path, F_OK) == 0 else { throw CoordinatorError(FileFailure("open", artifacts)) }
    }

    /// Whether the store has the artifact durably, judged by its size.
    func contains(_ artifact: Artifact) -> Bool {
        (try? size(of: artifact.sha256)) == artifact.sizeBytes && unsynced.withLock { !$0.contains(artifact.sha256) }
    }

    /// A new file to write an artifact's bytes to.
    func makeIncoming() throws -> IncomingArtifact {
        try IncomingArtifact(file: incoming.appendingPathComponent(UUID.random().uuidString.lowercased()), in: self)
    }

    /// The file for the bytes of an announced artifact. It starts with the part that an interrupted transfer left.
    /// - Throws: `.noSpace` if the rest would fill the disk.
    func resumeIncoming(_ artifact: Artifact) throws -> IncomingArtifact {
        precondition(SHA256Text.isValid(artifact.sha256))
        // Two workers may send equal bytes at once. The second one writes its own file.
        guard claimed.withLock({ $0.insert(artifact.sha256).inserted }) else {
            try requireSpace(for: artifact.sizeBytes)
            return try makeIncoming()
        }
        let file = incoming.appendingPathComponent(artifact.sha256).appendingPathExtension(Self.partExtension)
        let part: IncomingArtifact
        do {
            part = try IncomingArtifact(resuming: artifact, file: file, in: self)
        } catch {
            release(artifact.sha256)
            throw error
        }
        try requireSpace(for: artifact.sizeBytes - part.sizeBytes)
        return part
    }

    func release(_ sha256: String) { claimed.withLock { _ = $0.remove(sha256) } }

    /// Call this before a transfer, to refuse it early, and before every write, because other writers use the disk too.
    /// It makes room first: it deletes parts without a running transfer, and damaged files.
    func requireSpace(for bytes: Int) throws {
        guard availableBytes(incoming) - Self.reservedBytes < bytes else { return }
        removeParts(olderThan: 0)
        removeDamaged(olderThan: 0)
        guard availableBytes(incoming) - Self.reservedBytes < bytes else { return }
        throw CoordinatorError(
            .noSpace,
            "\(incoming.path) has \(Readable.bytes(availableBytes(incoming))) left, \(Readable.bytes(bytes)) and "
                + "\(Readable.bytes(Self.reservedBytes)) in reserve are needed; free some space, and work continues by "
                + "itself")
    }

    /// Free bytes on the store's disk, without those in reserve.
    var freeBytes: Int { max(0, availableBytes(incoming) - Self.reservedBytes) }

    /// If the system does not say, the write finds out.
    static func availableBytes(_ folder: URL) -> Int { Disk.freeBytes(at: folder) ?? .max }

    /// Removes parts whose senders have not continued for a long time.
    func removeStaleParts() { removeParts(olderThan: Self.partLifetime) }

    private func removeParts(olderThan age: TimeInterval) {
        for file in Self.entries(of: incoming) where file.url.pathExtension == Self.partExtension {
            let sha256 = file.url.deletingPathExtension().lastPathComponent
            let isOld = file.changedAt <= Date(timeIntervalSinceNow: -age)
            guard isOld || !SHA256Text.isValid(sha256), claimed.withLock({ $0.insert(sha256).inserted }) else {
                continue
            }
            unlink(file.url.path)
            release(sha256)
        }
    }

    /// Removes damaged files older than `age`, and the oldest ones beyond the size limit.
    func removeDamaged(olderThan age: TimeInterval = ArtifactStore.damagedLifetime) {
        var kept = 0
        for file in Self.entries(of: damaged).sorted(by: { $0.changedAt > $1.changedAt }) {
            kept += file.sizeBytes
            let isOld = file.changedAt <= Date(timeIntervalSinceNow: -age)
            if isOld || kept > Self.damagedBytesKept { unlink(file.url.path) }
        }
    }

    /// Gives a closed, synced temporary file its name. It replaces a file of that name, which may be damaged or
    /// unsynced. It syncs the directory, so that the name survives a power cut.
    func adopt(_ temporary: URL, as sha256: String) throws {
        let target = url(of: sha256)
        let folder = target.deletingLastPathComponent()
        if mkdir(folder.path, 0o755) == 0 {
            _ = unsyncedFolders.withLock { $0.insert(folder) }
        } else if errno != EEXIST {
            throw CoordinatorError(FileFailure("create", folder))
        }
        // Also syncs a folder that exists but whose sync failed.
        if unsyncedFolders.withLock({ $0.contains(folder) }) {
            try syncFolder(artifacts)
            _ = unsyncedFolders.withLock { $0.remove(folder) }
        }
        // Until the directory is synced, `contains` must not report the file as stored, least of all after a failure.
        _ = unsynced.withLock { $0.insert(sha256) }
        do {
            try DurableFile.rename(temporary, to: target)
        } catch {
            _ = unsynced.withLock { $0.remove(sha256) }
            throw CoordinatorError(error)
        }
        try syncFolder(folder)
        _ = unsynced.withLock { $0.remove(sha256) }
    }

    /// Removes an artifact and its small picture. A missing file is not an error.
    func remove(_ sha256: String) throws {
        guard SHA256Text.isValid(sha256) else { return }
        guard unlink(url(of: sha256).path) == 0 || errno == ENOENT else {
            throw CoordinatorError(FileFailure("remove", url(of: sha256)))
        }
        unlink(thumbnails.appendingPathComponent("\(sha256).png").path)
    }

    /// Reads bytes of an artifact; returns fewer than `count` at its end.
    func read(_ sha256: String, offset: Int, count: Int) throws -> Data {
        let file = try file(of: sha256)
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CoordinatorError(FileFailure("open", file)) }
        defer { close(descriptor) }
        var data = Data(count: count)
        var filled = 0
        try data.withUnsafeMutableBytes { buffer in
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got < 0 && errno == EINTR { continue }
                guard got >= 0 else { throw CoordinatorError(FileFailure("read", file)) }
                guard got > 0 else { break }
                filled += got
            }
        }
        return data.prefix(filled)
    }

    // MARK: Verification

    enum Condition: Equatable, Sendable {
        case intact, missing
        /// What the file contains instead.
        case damaged(String)
    }

    /// Looks at the file's size only.
    /// - Returns: nil if it is right.
    /// - Throws: `.fileSystem` if the system cannot say.
    func conditionBySize(of artifact: Artifact) throws -> Condition? {
        guard let size = try size(of: artifact.sha256) else { return .missing }
        return size == artifact.sizeBytes ? nil : .damaged("has \(size) bytes, expected \(artifact.sizeBytes)")
    }

    /// Reads the whole file and compares its digest with its name.
    /// - Throws: `.fileSystem` if the read fails for a reason that may pass.
    func condition(of artifact: Artifact) throws -> Condition {
        if let problem = try conditionBySize(of: artifact) { return problem }
        let file = url(of: artifact.sha256)
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CoordinatorError(FileFailure("open", file)) }
        defer { close(descriptor) }
        var hasher = SHA256()
        do {
            _ = try Self.feed(&hasher, from: descriptor, file)
        } catch let error as CoordinatorError where error.code == .damaged {
            return .damaged(error.message)
        }
        let found = hexadecimal(hasher.finalize())
        return found == artifact.sha256 ? .intact : .damaged("has the SHA-256 \(found)")
    }

    /// Hashes a file from its descriptor's position to its end, and returns the byte count.
    static func feed(_ hasher: inout SHA256, from descriptor: Int32, _ file: URL) throws -> Int {
        var block = [UInt8](repeating: 0, count: 1 << 20)
        var total = 0
        while true {
            let count = Glibc.read(descriptor, &block, block.count)
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EIO {
                throw CoordinatorError(.damaged, "cannot be read from the disk (input/output error)")
            }
            guard count >= 0 else { throw CoordinatorError(FileFailure("read", file)) }
            guard count > 0 else { return total }
            block.withUnsafeBytes { hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            total += count
        }
    }

    /// Moves a damaged file to `damaged/`, so that the store can accept the right bytes again. People can inspect it
    /// there.
    func setAside(_ sha256: String) throws {
        guard SHA256Text.isValid(sha256) else { return }
        do {
            try FileManager.default.createDirectory(at: damaged, withIntermediateDirectories: true)
        } catch {
            throw CoordinatorError(.fileSystem, "cannot create \(damaged.path): \(error.systemReason)")
        }
        let file = url(of: sha256)
        guard rename(file.path, damaged.appendingPathComponent(sha256).path) == 0 || errno == ENOENT else {
            throw CoordinatorError(FileFailure("move", file))
        }
        // Its age in `damaged/` starts now.
        utimes(damaged.appendingPathComponent(sha256).path, nil)
        removeDamaged()
    }

    /// A file of the data folder.
    struct Entry: Sendable {
        var url: URL
        var sizeBytes: Int
        var changedAt: Date
        var isFolder: Bool
    }

    /// Everything under `artifacts/`, by digest; nil for a file whose name is not a digest.
    func files() -> [(sha256: String?, file: Entry)] {
        Self.entries(of: artifacts).flatMap { folder -> [(sha256: String?, file: Entry)] in
            guard folder.isFolder else { return [(nil, folder)] }
            return Self.entries(of: folder.url).map { file in
                let digest = folder.url.lastPathComponent + file.url.lastPathComponent
                return (SHA256Text.isValid(digest) && !file.isFolder ? digest : nil, file)
            }
        }
    }

    /// Bytes of interrupted and running transfers.
    func incomingBytes() -> Int { Self.entries(of: incoming).reduce(0) { $0 + $1.sizeBytes } }

    static func entries(of folder: URL) -> [Entry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.compactMap { name in
            let url = folder.appendingPathComponent(name)
            var status = stat()
            guard lstat(url.path, &status) == 0 else { return nil }
            return Entry(
                url: url, sizeBytes: Int(status.st_size),
                changedAt: Date(timeIntervalSince1970: TimeInterval(status.st_mtim.tv_sec)),
                isFolder: status.st_mode & S_IFMT == S_IFDIR)
        }
    }

    static func sync(_ folder: URL) throws {
        do {
            try DurableFile.sync(folder)
        } catch {
            throw CoordinatorError(error)
        }
    }
}
