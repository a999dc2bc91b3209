import Foundation
import Protocol

/// Receives one artifact from a worker: grants credit, checks and writes chunks in order, commits, reports it stored.
struct Upload: Sendable {
    enum Command: Sendable {
        case chunk(WireArtifactChunk, [UInt8])
        /// The worker asks where to go on.
        case remind
    }

    let offer: ArtifactOffer
    let session: UInt64
    let artifacts: ArtifactStore
    let disk: BlockingWork
    let engine: ClusterEngine
    let send: Transfers.Send

    /// Ends when the artifact is stored, cannot be, or the commands end.
    func run(_ commands: AsyncStream<Command>) async {
        do {
            let incoming = try await disk.run { [artifacts] in try artifacts.makeIncoming() }
            do {
                try await receive(commands, into: incoming)
            } catch {
                try await disk.run { incoming.abandon() }
                throw error
            }
            try await disk.run { incoming.abandon() }
        } catch {
            let (code, message) = Self.answer(to: error)
            await send(.acknowledgement(.answer(offer.transferID, code, message)))
        }
    }

    private func receive(_ commands: AsyncStream<Command>, into incoming: IncomingArtifact) async throws {
        var offset = 0
        // One request to send again per loss: the chunks after it are all out of place as well.
        var hasAskedAgain = false
        await grant(offset, rewind: true)
        for await command in commands {
            guard case .chunk(let chunk, let payload) = command else {
                await grant(offset, rewind: true)
                continue
            }
            let isRight =
                chunk.offset == UInt64(offset) && !payload.isEmpty && payload.count <= offer.artifact.sizeBytes - offset
                && CRC32.checksum(payload) == chunk.crc32
            guard isRight else {
                // What lies before the offset is a repetition.
                if chunk.offset >= UInt64(offset), !hasAskedAgain {
                    hasAskedAgain = true
                    await grant(offset, rewind: true)
                }
                continue
            }
            try await disk.run { try incoming.append(Data(payload)) }
            offset += payload.count
            hasAskedAgain = false
            await engine.post(.transferProgressed(session: session, offer.attempt))
            await grant(offset, rewind: false)
            guard offset == offer.artifact.sizeBytes else { continue }
            let artifact = offer.artifact
            _ = try await disk.run { try incoming.commit(expecting: artifact) }
            await engine.post(.artifactStored(session: session, offer))
            return
        }
    }

    private func grant(_ offset: Int, rewind: Bool) async {
        var credit = WireArtifactCredit()
        credit.transferID = offer.transferID
        credit.nextOffset = UInt64(offset)
        credit.windowChunks = Limits.windowChunks
        credit.rewind = rewind
        await send(.artifactCredit(credit))
    }

    private static func answer(to error: any Error) -> (WireCode, String) {
        guard let error = error as? CoordinatorError else { return (.tryLater, "\(error)") }
        switch error.code {
        case .noSpace: return (.noSpace, error.message)
        case .digestMismatch: return (.digestMismatch, error.message)
        default: return (.tryLater, error.message)
        }
    }
}
