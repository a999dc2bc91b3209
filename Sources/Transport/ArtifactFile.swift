import Base
import ClusterCore
import Crypto
import Foundation
import OperatingSystem

/// Reads and writes the files of transfers, a chunk at a time. The calls block: keep them off Swift's cooperative pool.
public enum ArtifactFile {
    /// A chunk's bytes.
    /// - Throws: ``TransportError`` naming the file if the bytes are not there.
    package static func read(_ chunk: ArtifactSender.Chunk, of file: URL) throws(TransportError) -> [UInt8] {
        let bytes: [UInt8]
        do {
            let handle = try FileHandle(forReadingFrom: file)
            defer { try? handle.close() }
            try handle.seek(toOffset: chunk.offset)
            bytes = chunk.count == 0 ? [] : [UInt8](try handle.read(upToCount: chunk.count) ?? Data())
        } catch {
            throw TransportError(.fileSystem, "cannot read \(file.path) at \(chunk.offset): \(error.systemReason)")
        }
        guard bytes.count == chunk.count else {
            throw TransportError(
                .chunkOutOfRange,
                "\(file.path) has \(bytes.count) bytes at \(chunk.offset), expected \(chunk.count): another program changed it"
            )
        }
        return bytes
    }

    /// Writes a payload at its offset of a partial file. A payload at offset 0 begins a new file and drops what an earlier
    /// transfer left.
    public static func write(_ payload: [UInt8], at offset: UInt64, of file: URL) throws(TransportError) {
        do {
            if offset == 0 || !FileManager.default.fileExists(atPath: file.path) { try Data().write(to: file) }
            let handle = try FileHandle(forWritingTo: file)
            defer { try? handle.close() }
            try handle.seek(toOffset: offset)
            try handle.write(contentsOf: payload)
        } catch {
            throw TransportError(.fileSystem, "cannot write \(file.path) at \(offset): \(error.systemReason)")
        }
    }

    /// Size and SHA-256 of a file.
    package static func identify(_ file: URL) throws(TransportError) -> Artifact {
        do {
            let handle = try FileHandle(forReadingFrom: file)
            defer { try? handle.close() }
            var hash = SHA256()
            var count = 0
            while let data = try handle.read(upToCount: Limits.chunkBytes), !data.isEmpty {
                hash.update(data: data)
                count += data.count
            }
            return Artifact(sha256: hexadecimal(hash.finalize()), sizeBytes: count)
        } catch {
            throw TransportError(.fileSystem, "cannot read \(file.path): \(error.systemReason)")
        }
    }
}
