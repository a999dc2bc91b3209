import Foundation
import Protocol

/// Sends one artifact to a worker, as far as its credit goes.
struct Download: Sendable {
    /// A grant of the worker's.
    struct Command: Sendable {
        var nextOffset: Int
        var windowChunks: Int
        var isRewind: Bool
    }

    let artifact: StoredArtifact
    let transferID: UInt64
    let artifacts: ArtifactStore
    let disk: BlockingWork
    let send: Transfers.SendPayload

    /// Ends when all has arrived, the artifact cannot be read, or the commands end.
    func run(_ commands: AsyncStream<Command>) async {
        var next = 0
        do {
            for await grant in commands {
                guard grant.nextOffset < artifact.sizeBytes else { return }
                if grant.isRewind { next = grant.nextOffset }
                let window = min(grant.windowChunks, Int(Limits.maxWindowChunks)) * Limits.chunkBytes
                let end = min(artifact.sizeBytes, grant.nextOffset + window)
                while next < end {
                    next += try await sendChunk(at: next)
                }
            }
        } catch {
            await send(.acknowledgement(.answer(transferID, .unknownArtifact, "\(error)")), nil)
        }
    }

    private func sendChunk(at offset: Int) async throws -> Int {
        let count = min(Limits.chunkBytes, artifact.sizeBytes - offset)
        let payload = try await disk.run { [artifacts, artifact] in
            [UInt8](try artifacts.read(artifact.sha256, offset: offset, count: count))
        }
        guard payload.count == count else {
            throw CoordinatorError(
                .notStored, "\(artifact.sha256) ends after \(offset + payload.count) of \(artifact.sizeBytes) bytes")
        }
        var chunk = WireArtifactChunk()
        chunk.transferID = transferID
        chunk.offset = UInt64(offset)
        chunk.crc32 = CRC32.checksum(payload)
        chunk.last = offset + count == artifact.sizeBytes
        await send(.artifactChunk(chunk), payload)
        return count
    }
}
