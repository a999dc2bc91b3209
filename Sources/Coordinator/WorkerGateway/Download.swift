import ClusterCore
import Foundation
import Logging

/// Sends one artifact to a worker, as far as the worker's credit allows.
struct Download: Sendable {
    let artifact: Artifact
    let request: ArtifactRequest
    let session: UInt64
    let engine: ClusterEngine
    let artifacts: ArtifactStore
    let disk: BlockingWork
    let logger: Logger
    let send: Transfers.Send
    let onFailure: @Sendable (String) async -> Void

    /// Ends when the worker has everything, the artifact cannot be read, or the commands end.
    func run(_ commands: AsyncStream<ArtifactCredit>) async {
        var sender = ArtifactSender(transferID: request.transferID, sizeBytes: UInt64(artifact.sizeBytes))
        // What the worker had at the start does not count as progress.
        var received = request.offset
        do {
            // Check before the first byte: a damaged checkpoint must not cost the worker a transfer, nor the job a
            // retry.
            guard try await isIntact() else { return }
            for await grant in commands {
                sender.grant(grant)
                if sender.acknowledged > received {
                    received = sender.acknowledged
                    await engine.post(.transferProgressed(session: session, request.attempt))
                }
                while let chunk = sender.next() { try await send(chunk) }
                if sender.isComplete { return }
            }
        } catch {
            // The worker asks again, and this check runs again. The attempt stalls if that goes on.
            await onFailure("\(error)")
            await send(.acknowledge(id: request.transferID, .tryLater, message: "\(error)"))
        }
    }

    private func isIntact() async throws -> Bool {
        let condition = try await disk.run(.files) { [artifacts, artifact] in
            let condition = try artifacts.condition(of: artifact)
            if case .damaged = condition { try artifacts.setAside(artifact.sha256) }
            if condition == .missing { try artifacts.requireFolder() }
            return condition
        }
        let reason: String
        switch condition {
        case .intact: return true
        case .missing: reason = "is gone from the disk"
        case .damaged(let found): reason = "is damaged: it \(found)"
        }
        let about = await engine.metadata(
            request.attempt, ["sha256": "\(artifact.sha256)", "reason": "\(reason)"])
        logger.error("an artifact is damaged", metadata: about)
        await engine.post(.artifactDamaged(session: session, request, reason: reason))
        return false
    }

    private func send(_ part: ArtifactSender.Chunk) async throws {
        let offset = Int(part.offset)
        let count = part.count
        let payload = try await disk.run(.chunks) { [artifacts, artifact] in
            [UInt8](try artifacts.read(artifact.sha256, offset: offset, count: count))
        }
        guard payload.count == count else {
            throw CoordinatorError(
                .notStored, "\(artifact.sha256) ends after \(offset + payload.count) of \(artifact.sizeBytes) bytes")
        }
        engine.metrics.update { $0.sentBytes[.worker, default: 0] += payload.count }
        let chunk = ArtifactChunk(transferID: request.transferID, offset: part.offset, isLast: part.isLast)
        await send(.chunk(chunk, payload))
    }
}
