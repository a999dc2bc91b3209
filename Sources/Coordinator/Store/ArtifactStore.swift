import Crypto
import Foundation
import Protocol

/// Immutable files by their SHA-256: `artifacts/ab/cdef...`.
///
/// A file appears under its name only when it is complete, verified and synced; a crash leaves at most a temporary
/// file, removed at the next start. All calls block on the disk: make them through `BlockingWork`.
final class ArtifactStore: Sendable {
    private let artifacts: URL
    private let incoming: URL

    /// Opens or creates the store in a data folder and removes what interrupted writes left.
    init(dataFolder: URL) throws {
        artifacts = dataFolder.appendingPathComponent("artifacts", isDirectory: true)
        incoming = dataFolder.appendingPathComponent("incoming", isDirectory: true)
        do {
            for folder in [artifacts, incoming] {
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            }
            for left in try FileManager.default.contentsOfDirectory(at: incoming, includingPropertiesForKeys: nil) {
                try FileManager.default.removeItem(at: left)
            }
        } catch {
            throw CoordinatorError(
                .fileSystem,
                "the artifact store in \(dataFolder.path) cannot be prepared: \(error.localizedDescription)")
        }
    }

    /// Nothing but a digest becomes a path.
    private func url(of sha256: String) -> URL {
        precondition(SHA256Text.isValid(sha256))
        return artifacts.appendingPathComponent(String(sha256.prefix(2)), isDirectory: true)
            .appendingPathComponent(String(sha256.dropFirst(2)))
    }

    /// The file of an artifact, for reading only.
    /// - Throws: `.notStored`.
    func file(of sha256: String) throws -> URL {
        guard let size = size(of: sha256), size >= 0 else {
            throw CoordinatorError(.notStored, "artifact \(sha256) is not stored here")
        }
        return url(of: sha256)
    }

    /// Size in bytes; nil if it is not stored.
    func size(of sha256: String) -> Int? {
        guard SHA256Text.isValid(sha256) else { return nil }
        var status = stat()
        guard stat(url(of: sha256).path, &status) == 0 else { return nil }
        return Int(status.st_size)
    }

    func contains(_ artifact: StoredArtifact) -> Bool { size(of: artifact.sha256) == artifact.sizeBytes }

    /// A new file to write an artifact's bytes to.
    func makeIncoming() throws -> IncomingArtifact {
        try IncomingArtifact(file: incoming.appendingPathComponent(UUID().uuidString.lowercased()), in: self)
    }

    /// Gives a closed, synced temporary file its name. The directory is synced, so that the name survives a power cut.
    fileprivate func adopt(_ temporary: URL, as sha256: String) throws {
        let target = url(of: sha256)
        let folder = target.deletingLastPathComponent()
        if mkdir(folder.path, 0o755) == 0 {
            try syncDirectory(artifacts)
        } else if errno != EEXIST {
            throw FileFailure.error("create", folder)
        }
        guard rename(temporary.path, target.path) == 0 else { throw FileFailure.error("rename", temporary) }
        try syncDirectory(folder)
    }

    /// Removes an artifact; one that is not there is no error.
    func remove(_ sha256: String) throws {
        guard SHA256Text.isValid(sha256) else { return }
        guard unlink(url(of: sha256).path) == 0 || errno == ENOENT else {
            throw FileFailure.error("remove", url(of: sha256))
        }
    }

    /// Reads bytes of an artifact; fewer than asked for at its end.
    func read(_ sha256: String, offset: Int, count: Int) throws -> Data {
        let file = try file(of: sha256)
        let descriptor = open(file.path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFailure.error("open", file) }
        defer { close(descriptor) }
        var data = Data(count: count)
        var filled = 0
        try data.withUnsafeMutableBytes { buffer in
            while filled < count {
                let got = pread(descriptor, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got < 0 && errno == EINTR { continue }
                guard got >= 0 else { throw FileFailure.error("read", file) }
                guard got > 0 else { break }
                filled += got
            }
        }
        return data.prefix(filled)
    }

    private func syncDirectory(_ folder: URL) throws {
        let descriptor = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileFailure.error("open", folder) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileFailure.error("sync", folder) }
    }
}

/// An artifact while its bytes arrive. Used by one task at a time.
final class IncomingArtifact: @unchecked Sendable {
    private let file: URL
    private let store: ArtifactStore
    private var descriptor: Int32
    private var hasher = SHA256()
    private(set) var sizeBytes = 0

    fileprivate init(file: URL, in store: ArtifactStore) throws {
        self.file = file
        self.store = store
        descriptor = open(file.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw FileFailure.error("create", file) }
    }

    deinit { abandon() }

    func append(_ data: Data) throws {
        precondition(descriptor >= 0)
        try data.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let count = write(descriptor, buffer.baseAddress! + written, buffer.count - written)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else { throw FileFailure.error("write", file) }
                written += count
            }
        }
        hasher.update(data: data)
        sizeBytes += data.count
    }

    /// Looks at what has arrived, before it is committed.
    func inspect<Result>(_ look: (URL) throws -> Result) throws -> Result { try look(file) }

    /// Verifies, syncs and names the artifact; it is durable when this returns.
    /// - Throws: `.digestMismatch` if the bytes are not those announced; the temporary file is then gone.
    func commit(expecting expected: StoredArtifact? = nil) throws -> StoredArtifact {
        precondition(descriptor >= 0)
        let digest = SHA256Text.hex(hasher.finalize())
        let found = StoredArtifact(sha256: digest, sizeBytes: sizeBytes)
        if let expected, expected != found {
            abandon()
            throw CoordinatorError(
                .digestMismatch,
                "expected \(expected.sizeBytes) bytes with SHA-256 \(expected.sha256), "
                    + "found \(found.sizeBytes) with \(found.sha256); send the file again")
        }
        if store.contains(found) {
            abandon()
            return found
        }
        do {
            guard fsync(descriptor) == 0 else { throw FileFailure.error("sync", file) }
            close(descriptor)
            descriptor = -1
            try store.adopt(file, as: digest)
        } catch {
            abandon()
            unlink(file.path)
            throw error
        }
        return found
    }

    /// Removes what has arrived. May be called at any time, and again.
    func abandon() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unlink(file.path)
    }
}

/// The last system call's error as a `CoordinatorError`.
enum FileFailure {
    static func error(_ operation: String, _ file: URL) -> CoordinatorError {
        let code = errno
        let isFull = code == ENOSPC || code == EDQUOT
        return CoordinatorError(
            isFull ? .noSpace : .fileSystem,
            "cannot \(operation) \(file.path): \(String(cString: strerror(code)))"
                + (isFull ? "; free some space, work then goes on by itself" : ""))
    }
}
