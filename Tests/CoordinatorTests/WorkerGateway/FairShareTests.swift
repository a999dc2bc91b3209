import Foundation
import Logging
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Fair share")
struct FairShareTests {
    @Test func howeverManyFloodItThereIsRoomForOneMore() {
        var share = FairShare(maxCount: 20_000, maxCountPerOwner: 1000, maxBytes: 128 << 20, maxBytesPerOwner: 8 << 20)
        for size in [300, 100_000] {
            for _ in 0..<1000 { for owner in 0..<300 as Range<UInt64> { _ = share.add(size, of: owner) } }
            #expect(share.count < share.maxCount && share.bytes < share.maxBytes)
            let isTaken = share.add(4 << 20, of: 1000 + UInt64(size))
            #expect(isTaken)
        }
    }

    @Test func oneAloneGetsNoMoreThanItsLimit() {
        var share = FairShare(maxCount: 20_000, maxCountPerOwner: 1000, maxBytes: 128 << 20, maxBytesPerOwner: 8 << 20)
        let small = (0..<5000).count { _ in share.add(300, of: 1) }
        let large = (0..<5000).count { _ in share.add(1 << 20, of: 2) }
        #expect(small == 1000 && large == 8)
    }

    @Test func whatIsTakenBackMakesRoomAgain() {
        var share = FairShare(maxCount: 100, maxCountPerOwner: 10, maxBytes: 1000, maxBytesPerOwner: 100)
        for round in 0..<1000 {
            let isTaken = share.add(round % 90, of: UInt64(round % 3))
            #expect(isTaken)
            share.remove(round % 90, of: UInt64(round % 3))
        }
        #expect(share.count == 0 && share.bytes == 0)
    }

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
