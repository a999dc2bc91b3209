import ClusterCore
import Foundation

/// Receives one artifact from a worker: writes its chunks, commits it, and reports it stored.
struct Upload: Sendable {
    enum Command: Sendable {
        case chunk(Arrival)
        /// The worker asks where to continue.
        case remind
    }

    typealias Commands = AsyncStream<Command>.Continuation

    /// A chunk in memory. It calls `onEnd` when it leaves memory: written, dropped, or left in a transfer that ended.
    final class Arrival: Sendable {
        let chunk: ArtifactChunk
        let payload: [UInt8]
        private let onEnd: @Sendable () -> Void

        init(_ chunk: ArtifactChunk, _ payload: [UInt8], onEnd: @escaping @Sendable () -> Void) {
            self.chunk = chunk
            self.payload = payload
            self.onEnd = onEnd
        }

        deinit { onEnd() }
    }

    let offer: ArtifactOffer
    let session: UInt64
    let artifacts: ArtifactStore
    let disk: BlockingWork
    let engine: ClusterEngine
    let send: Transfers.Send
    /// How many MiB the worker may have in flight.
    let windowChunks: @Sendable () -> UInt32
    /// What has arrived from the session, in this upload and others.
    let line: @Sendable () -> Transfers.Line?
    let onFailure: @Sendable (String) async -> Void

    /// Ends when the artifact is stored, a step fails, or the commands end.
    func run(_ commands: AsyncStream<Command>) async {
        do {
            let artifact = offer.artifact
            let incoming = try await disk.run(.files) { [artifacts] in try artifacts.resumeIncoming(artifact) }
            do {
                try await receive(commands, into: incoming)
            } catch let error as CoordinatorError where error.code == .digestMismatch && incoming.isResumed {
                throw CoordinatorError(
                    .fileSystem, "the part of an interrupted transfer was damaged and is removed; send the file again"
                )
            } catch let error as CoordinatorError where error.code == .noSpace {
                // Otherwise parts that wait for each other's space would wait for ever.
                try await disk.run(.chunks) { incoming.abandon() }
                throw error
            }
            // Keep the part: the worker may come back and continue.
            try await disk.run(.chunks) { incoming.suspend() }
        } catch {
            let (code, message) = Self.answer(to: error)
            await onFailure(message)
            await send(.acknowledge(id: offer.transferID, code, message: message))
        }
    }

    private func receive(_ commands: AsyncStream<Command>, into incoming: IncomingArtifact) async throws {
        var receiver = ArtifactReceiver(
            transferID: offer.transferID, artifact: offer.artifact, offset: UInt64(incoming.sizeBytes))
        // All bytes had arrived, but the earlier process ended before it named the file.
        if receiver.isComplete { return try await commit(incoming) }
        func credit(rewind: Bool) async {
            await send(.credit(receiver.credit(rewind: rewind, windowChunks: windowChunks())))
        }
        var pace = ChunkPace(at: engine.now)
        var seen = self.line()?.bytes ?? 0
        await credit(rewind: true)
        for await command in commands {
            let line = self.line()
            let more = (line?.bytes ?? 0) - seen
            seen += more
            guard case .chunk(let arrival) = command else {
                if let line, more > 0 { pace.othersArrived(bytes: more, at: line.lastArrival) }
                await credit(rewind: pace.isRewindDue(at: engine.now))
                continue
            }
            pace.arrived(at: engine.now)
            let decision = receiver.receive(arrival.chunk, byteCount: arrival.payload.count)
            switch decision {
            case .ignore: continue
            case .rewind:
                await credit(rewind: true)
                continue
            case .write, .writeLast: break
            }
            try await disk.run(.chunks) { try incoming.append(Data(arrival.payload)) }
            engine.metrics.update { $0.receivedBytes[offer.role, default: 0] += arrival.payload.count }
            await engine.post(.transferProgressed(session: session, offer.attempt))
            await credit(rewind: false)
            if receiver.isComplete { return try await commit(incoming) }
        }
    }

    private func commit(_ incoming: IncomingArtifact) async throws {
        let artifact = offer.artifact
        _ = try await disk.run(.files) { try incoming.commit(expecting: artifact) }
        await engine.post(.artifactStored(session: session, offer))
    }

    private static func answer(to error: any Error) -> (AcknowledgementCode, String) {
        guard let error = error as? CoordinatorError else { return (.tryLater, "\(error)") }
        switch error.code {
        case .noSpace: return (.noSpace, error.message)
        case .digestMismatch: return (.digestMismatch, error.message)
        default: return (.tryLater, error.message)
        }
    }
}
