import Base
import ClusterCore
import Crypto
import Foundation
import OperatingSystem
import Protocol

/// An artifact while its bytes arrive. Used by one task at a time.
final class IncomingArtifact: @unchecked Sendable {
    private let file: URL
    private let store: ArtifactStore
    private var descriptor: Int32
    private var hasher = SHA256()
    private(set) var sizeBytes = 0
    /// The artifact whose part this is, and what an earlier transfer had left of it.
    private let part: (sha256: String, found: Int)?

    init(file: URL, in store: ArtifactStore) throws {
        self.file = file
        self.store = store
        part = nil
        descriptor = open(file.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw CoordinatorError(FileFailure("create", file)) }
    }

    /// Goes on with the part in `file`, if there is one.
    init(resuming artifact: Artifact, file: URL, in store: ArtifactStore) throws {
        self.file = file
        self.store = store
        var hasher = SHA256()
        var descriptor = try Self.openPart(file)
        var found: Int
        do {
            found = try ArtifactStore.feed(&hasher, from: descriptor, file)
        } catch {
            // On a bad sector, say. Its bytes will come again; a part that stays would fail every offer.
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

    /// Whether some of the bytes are from a transfer that was interrupted; a crash may have damaged them.
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

    /// Looks at what has arrived, before it is committed.
    func inspect<Result>(_ look: (URL) throws -> Result) throws -> Result { try look(file) }

    /// Verifies, syncs and names the artifact; it is durable when this returns.
    /// - Throws: `.digestMismatch` if the bytes are not those announced; the temporary file is then gone.
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

    /// Removes what has arrived. May be called at any time, and again.
    func abandon() {
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        unlink(file.path)
        releasePart()
    }

    /// Lets go of the file and keeps what has arrived, if it is the part of an announced artifact.
    func suspend() {
        guard part != nil else { return abandon() }
        guard descriptor >= 0 else { return }
        close(descriptor)
        descriptor = -1
        releasePart()
    }

    private func releasePart() { if let part { store.release(part.sha256) } }
}
