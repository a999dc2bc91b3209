import Foundation
import Protocol
import Transport

/// Receives one artifact from a worker: writes its chunks, commits it, reports it stored.
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
        var receiver = ArtifactReceiver(transferID: offer.transferID, artifact: offer.artifact.wire)
        await send(.artifactCredit(receiver.credit(rewind: true)))
        for await command in commands {
            guard case .chunk(let chunk, let payload) = command else {
                await send(.artifactCredit(receiver.credit(rewind: true)))
                continue
            }
            let decision = receiver.receive(chunk, payload: payload)
            switch decision {
            case .ignore: continue
            case .rewind:
                await send(.artifactCredit(receiver.credit(rewind: true)))
                continue
            case .write, .writeLast: break
            }
            try await disk.run { try incoming.append(Data(payload)) }
            await engine.post(.transferProgressed(session: session, offer.attempt))
            await send(.artifactCredit(receiver.credit(rewind: false)))
            guard receiver.isComplete else { continue }
            let artifact = offer.artifact
            _ = try await disk.run { try incoming.commit(expecting: artifact) }
            await engine.post(.artifactStored(session: session, offer))
            return
        }
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
