import Foundation
import Hummingbird
import Protocol

/// Accepts exemplars: streams each to disk under a size limit, decodes it once to be sure, stores it under its digest.
struct ExemplarIntake: Sendable {
    /// 64 MiB: a 16-bit PNG of some ten megapixels.
    static let maxBytes = 64 << 20

    let store: ArtifactStore
    let disk: BlockingWork
    let pictures: Pictures
    let maxBytes: Int
    let metrics: CoordinatorMetrics
    let quota: ExemplarQuota

    /// - Throws: `.tooLarge`, `.badExemplar` with the reason, the disk's error, or a `Problem` if unused exemplars take
    ///   too much space. It keeps nothing in that case.
    func receive(_ body: RequestBody, from caller: String) async throws -> ExemplarReceipt {
        let incoming = try await disk.run(.chunks) { [store] in try store.makeIncoming() }
        var reserved = 0
        do {
            for try await buffer in body {
                let data = Data(buffer.readableBytesView)
                guard incoming.sizeBytes + data.count <= maxBytes else {
                    throw tooLarge(incoming.sizeBytes + data.count)
                }
                try await quota.take(data.count, for: caller)
                reserved += data.count
                try await disk.run(.chunks) { try incoming.append(data) }
                metrics.update { $0.receivedBytes[.exemplar, default: 0] += data.count }
            }
            guard incoming.sizeBytes > 0 else {
                throw CoordinatorError(.badExemplar, "the image is empty; expected a PNG or JPEG file")
            }
            // Checked before it gets its name, so that a corrupt image never becomes an artifact.
            let (width, height) = try await disk.run(.pictures) { [pictures] in
                try incoming.inspect { try pictures.check($0) }
            }
            let receipt = try await disk.run(.files) { [store] in
                let artifact = try incoming.commit()
                guard store.contains(artifact) else {
                    throw CoordinatorError(.fileSystem, "the image disappeared after it was stored; send it again")
                }
                return ExemplarReceipt(
                    sha256: artifact.sha256, sizeBytes: artifact.sizeBytes, width: width, height: height)
            }
            await quota.finish(reserved, for: caller, stored: receipt.sha256)
            return receipt
        } catch {
            await quota.finish(reserved, for: caller, stored: nil)
            try? await disk.run(.chunks) { incoming.abandon() }
            throw error
        }
    }

    func size(of sha256: String) throws -> Int? { try store.size(of: sha256) }

    /// Width and height of a stored exemplar.
    func pixels(of sha256: String, name: String) async throws -> (width: Int, height: Int) {
        try await disk.run(.chunks) { [store, pictures] in try pictures.size(of: store.file(of: sha256), name: name) }
    }

    func tooLarge(_ found: Int) -> CoordinatorError {
        CoordinatorError(
            .tooLarge,
            "the image has \(found) bytes or more; at most \(maxBytes) are accepted: "
                + "save it with 8 bits or as a JPEG, or take a part of it (texloom submit --crop, --resize)")
    }
}
