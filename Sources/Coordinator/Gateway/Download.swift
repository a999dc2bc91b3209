import Foundation
import Protocol
import Transport

/// Sends one artifact to a worker, as far as its credit goes.
struct Download: Sendable {
    /// A grant of the worker's.
    struct Command: Sendable {
        var nextOffset: UInt64
        var windowChunks: UInt32
        var isRewind: Bool
    }

    let artifact: StoredArtifact
    let transferID: UInt64
    let artifacts: ArtifactStore
    let disk: BlockingWork
    let send: Transfers.SendPayload

    /// Ends when all has arrived, the artifact cannot be read, or the commands end.
    func run(_ commands: AsyncStream<Command>) async {
        var sender = ArtifactSender(transferID: transferID, sizeBytes: UInt64(artifact.sizeBytes))
        do {
            for await grant in commands {
                sender.grant(
                    nextOffset: grant.nextOffset, windowChunks: grant.windowChunks, rewind: grant.isRewind)
                while let chunk = sender.next() { try await send(chunk) }
                if sender.isComplete { return }
            }
        } catch {
            await send(.acknowledgement(.answer(transferID, .unknownArtifact, "\(error)")), nil)
        }
    }

    private func send(_ part: ArtifactSender.Chunk) async throws {
        let offset = Int(part.offset)
        let count = part.count
        let payload = try await disk.run { [artifacts, artifact] in
            [UInt8](try artifacts.read(artifact.sha256, offset: offset, count: count))
        }
        guard payload.count == count else {
            throw CoordinatorError(
                .notStored, "\(artifact.sha256) ends after \(offset + payload.count) of \(artifact.sizeBytes) bytes")
        }
        var chunk = WireArtifactChunk()
        chunk.transferID = transferID
        chunk.offset = part.offset
        chunk.crc32 = CRC32.checksum(payload)
        chunk.last = part.isLast
        await send(.artifactChunk(chunk), payload)
    }
}
