import ClusterFixtures
import Foundation
import Logging
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Transfers")
struct TransfersTests {
    /// A peer that sends far beyond its credit, in many transfers at once.
    @Test(.timeLimit(.minutes(2)))
    func chunksThatWaitForTheDiskAreBoundedAndForgottenWithTheirTransfer() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let artifacts = try ArtifactStore(dataFolder: folder.url)
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let engine = ClusterEngine(
            state: ClusterState(at: .origin), store: store, artifacts: artifacts, disk: BlockingWork(),
            clock: { .origin }, logger: logger)
        let transfers = Transfers(
            artifacts: artifacts, disk: BlockingWork(), engine: engine, logger: logger)
        let attempt = AttemptReference(job: JobID(sequence: 1, salt: 1), number: 1)
        let payload = [UInt8](repeating: 7, count: Limits.chunkBytes)
        var most = 0
        for id in 1...40 as ClosedRange<UInt64> {
            let artifact = Artifact(sha256: Artifact.named("\(id)").sha256, sizeBytes: 64 << 20)
            let offer = ArtifactOffer(
                attempt: attempt, transferID: id, role: .checkpoint, artifact: artifact, iteration: 1)
            transfers.receive(offer, session: 1) { _ in }
            for _ in 0..<16 {
                // Behind a gap, so never written.
                let chunk = ArtifactChunk(transferID: id, offset: 1 << 20, isLast: false)
                transfers.receive(chunk, payload, from: 1)
                most = max(most, transfers.arrivedBytes)
            }
        }
        #expect(most <= Transfers.maxChunks * Limits.chunkBytes / 5)
        transfers.endAll()
        while transfers.arrivedBytes > 0 { await Task.yield() }
    }
}
