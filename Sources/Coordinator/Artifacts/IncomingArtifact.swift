import Base
import ClusterCore
import Crypto
import Foundation
import OperatingSystem

/// An artifact while its bytes arrive. One task at a time uses it.
final class IncomingArtifact: @unchecked Sendable {
    private let file: URL
    private let store: ArtifactStore
    private var descriptor: Int32
    private var hasher = SHA256()
    private(set) var sizeBytes = 0
    /// The artifact that this part belongs to, and the bytes that an earlier transfer left of it.
    private let part: (sha256: String, found: Int)?

    init(file: URL, in store: ArtifactStore) throws {
        self.file = file
        self.store = store
        part = nil
        descriptor = open(file.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CoordinatorError(FileFailure("create", file)) }
    }

    /// Continues the part in `file`, if there is one.
    init(resuming artifact: Artifact, file: URL, in store: ArtifactStore) throws {
        self.file = file
        self.store = store
        var hasher = SHA256()
        var descriptor = try Self.openPart(file)
        var found: Int
        do {
            found = try ArtifactStore.feed(&hasher, from: descriptor, file)
        } catch {
            // For example because of a bad sector. The worker sends the bytes again; a part that stays would fail every
            // offer.
            found = .max
        }
        if found > artifact.sizeBytes {
            close(descriptor)
            guard unlink(file.path) == 0 else { throw CoordinatorError(FileFailure("remove", file)) }
            descriptor = try Self.openPart(file)
            hasher = SHA256()
            found = 0
        }
        self.hasher = hasher
        part = (artifact.sha256, found)
        sizeBytes = found
        self.descriptor = descriptor
    }

    private static func openPart(_ part: URL) throws -> Int32 {
        let descriptor = open(part.path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CoordinatorError(FileFailure("create", part)) }
        return descriptor
    }

    deinit { suspend() }

    /// Whether some bytes come from an interrupted transfer. A crash may have damaged them.
    var isResumed: Bool { (part?.found ?? 0) > 0 }

    func append(_ data: Data) throws {
        precondition(descriptor >= 0)
        try store.requireSpace(for: data.count)
        if let number = writeAll(data, into: descriptor) {
            throw CoordinatorError(FileFailure("write", file, number: number))
        }
        hasher.update(data: data)
        sizeBytes += data.count
    }

    /// Looks at the bytes before `commit`.
    func inspect<Result>(_ look: (URL) throws -> Result) throws -> Result { try look(file) }

    /// Verifies, syncs and names the artifact. It is durable when this returns.
    /// - Throws: `.digestMismatch` if the bytes are not the announced ones; the temporary file is then gone.
    func commit(expecting expected: Artifact? = nil) throws -> Artifact {
        precondition(descriptor >= 0)
        let digest = hexadecimal(hasher.finalize())
        let found = Artifact(sha256: digest, sizeBytes: sizeBytes)
        if let expected, expected != found {
            abandon()
            throw CoordinatorError(
                .digestMismatch,
                "expected \(expected.sizeBytes) bytes with SHA-256 \(expected.sha256), "
                    + "found \(found.sizeBytes) with \(found.sha256); send the file again")
        }
        do {
            guard fsync(descriptor) == 0 else { throw CoordinatorError(FileFailure("sync", file)) }
            close(descriptor)
            descriptor = -1
            try store.adopt(file, as: digest)
        } catch {
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
            unlink(file.path)
            releasePart()
            throw error
        }
        releasePart()
        return found
    }

    /// Removes the bytes. Callers may call it at any time, and more than once.
    func abandon() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unlink(file.path)
        releasePart()
    }

    /// Closes the file. Keeps the bytes if they are the part of an announced artifact.
    func suspend() {
        guard part != nil else { return abandon() }
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        releasePart()
    }

    private func releasePart() { if let part { store.release(part.sha256) } }
}
