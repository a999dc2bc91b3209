import ClusterFixtures
import Testing

@testable import ClusterCore
@testable import Protocol

struct ArtifactTransferTests {
    private static let content = (0..<(5 * Limits.chunkBytes + 123)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    private var content: [UInt8] { Self.content }
    private var artifact: Artifact {
        Artifact(sha256: String(repeating: "a", count: 64), sizeBytes: content.count)
    }

    /// A chunk as a message on the wire.
    private func message(_ chunk: ArtifactSender.Chunk) -> (WireArtifactChunk, [UInt8]) {
        let payload = Array(content[Int(chunk.offset)..<Int(chunk.offset) + chunk.count])
        return (ArtifactChunk(transferID: 1, offset: chunk.offset, isLast: chunk.isLast).wire(payload), payload)
    }

    /// Plays a transfer over a network that loses, repeats, reorders and damages chunks. Returns the written bytes.
    private func transfer(from offset: UInt64, seed: UInt64) -> [UInt8] {
        var random = SeededRandom(seed: seed)
        var sender = ArtifactSender(transferID: 1, sizeBytes: UInt64(artifact.sizeBytes))
        var receiver = ArtifactReceiver(transferID: 1, artifact: artifact, offset: offset)
        var written = Array(content[..<Int(offset)])
        for _ in 0..<1000 where !receiver.isComplete {
            sender.grant(receiver.credit(rewind: true))
            var network: [(WireArtifactChunk, [UInt8])] = []
            while let chunk = sender.next() { network.append(message(chunk)) }
            if random.next() % 2 == 0 { network.shuffle(using: &random) }
            for (chunk, payload) in network + network.prefix(1) where random.next() % 4 != 0 {
                var payload = payload
                if random.next() % 5 == 0 { payload[0] ^= 1 }
                switch receiver.receive(ArtifactChunk(chunk, payload), byteCount: payload.count) {
                case .write(let offset), .writeLast(let offset):
                    #expect(Int(offset) == written.count)
                    written += payload
                case .rewind, .ignore: break
                }
            }
        }
        return written
    }

    @Test(arguments: 0..<8 as Range<UInt64>)
    func lossReorderingRepetitionAndDamageDoNoHarm(seed: UInt64) {
        #expect(transfer(from: 0, seed: seed) == content)
    }

    @Test func aTransferGoesOnFromItsOffset() {
        #expect(transfer(from: UInt64(2 * Limits.chunkBytes), seed: 99) == content)
    }

    @Test func aSenderStaysWithinItsCredit() {
        var sender = ArtifactSender(transferID: 1, sizeBytes: UInt64(artifact.sizeBytes))
        #expect(sender.next() == nil)
        sender.grant(
            ArtifactCredit(transferID: 1, nextOffset: 0, windowChunks: 2, isRewind: true))
        func sent() -> [ArtifactSender.Chunk] { Array(sequence(state: ()) { _ in sender.next() }) }
        let first = sent()
        #expect(first.reduce(0) { $0 + $1.count } == 2 * Limits.chunkBytes)
        #expect(first.allSatisfy { $0.count == Limits.sentChunkBytes })
        sender.grant(
            ArtifactCredit(transferID: 1, nextOffset: UInt64(Limits.chunkBytes), windowChunks: 2, isRewind: false))
        let second = sent()
        #expect(second.first?.offset == UInt64(2 * Limits.chunkBytes))
        #expect(second.reduce(0) { $0 + $1.count } == Limits.chunkBytes)
        // A late duplicate revokes nothing, and a grant beyond the end gives no credit.
        sender.grant(
            ArtifactCredit(transferID: 1, nextOffset: 0, windowChunks: 2, isRewind: false))
        sender.grant(
            ArtifactCredit(transferID: 1, nextOffset: UInt64(artifact.sizeBytes) + 1, windowChunks: 2, isRewind: true))
        #expect(sender.next() == nil)
    }

    @Test func oneGapAsksOnce() {
        var receiver = ArtifactReceiver(transferID: 1, artifact: artifact)
        var sender = ArtifactSender(transferID: 1, sizeBytes: UInt64(artifact.sizeBytes))
        sender.grant(
            ArtifactCredit(transferID: 1, nextOffset: 0, windowChunks: 8, isRewind: true))
        _ = sender.next()
        var decisions: [ArtifactReceiver.Decision] = []
        while let chunk = sender.next() {
            let (wire, payload) = message(chunk)
            decisions.append(receiver.receive(ArtifactChunk(wire, payload), byteCount: payload.count))
        }
        #expect(decisions.first == .rewind && decisions.count > 1)
        #expect(decisions.dropFirst().allSatisfy { $0 == .ignore })
    }

    /// `.` is a chunk, `,` one of another transfer over the same line, `r` a reminder that leaves the sender where it
    /// is, `R` one that makes it go back; each with its second.
    @Test(arguments: [
        // Lost: nothing comes.
        "r5 R10 r15 R20 r25 R30",
        // A chunk in six seconds, and reminders that wait behind it.
        ".6 .12 r17 .18 r23 r23 .24 r29 r29 .30",
        // One in twenty: the sender goes back once, before the first has arrived.
        "r5 R10 r15 .20 r25 r30 r35 .40 r45 r50 r55 .60",
        // What is lost later is found after three times as long, and the next time again.
        ".2 .4 .6 r11 R16 r21 R26", ".20 .40 r60 r80 r100 R105 r150 r165 R166",
        // A pause is forgotten after some chunks.
        ".1 .2 .62 .63 .64 .65 .66 .67 r72 R77",
        // Behind a window of another transfer.
        ".2 .4 ,6 ,8 r9 ,10 ,12 r14 ,15 ,17 r19 .20 .22 r27 R32", "r5 ,6 r10 ,12 r15 ,18 r20 .24",
    ])
    func aSenderGoesBackOnlyIfNoChunkHasComeForLong(story: String) throws {
        var pace = ChunkPace(at: .origin)
        let found = try story.split(separator: " ").map { step in
            let now = Instant.origin + .seconds(try #require(Int(step.dropFirst())))
            switch step.first {
            case ".": pace.arrived(at: now)
            case ",": pace.othersArrived(bytes: Limits.sentChunkBytes, at: now)
            default: return (pace.isRewindDue(at: now) ? "R" : "r") + step.dropFirst()
            }
            return String(step)
        }
        #expect(found.joined(separator: " ") == story)
    }

    /// Otherwise a transfer whose chunks are lost would wait for the end of all others.
    @Test func chunksOfOtherTransfersExcuseNoMoreThanAnOutboxHolds() {
        var pace = ChunkPace(at: .origin)
        pace.arrived(at: .origin + .seconds(1))
        let rewinds = (2...100).filter { second in
            let now = Instant.origin + .seconds(second)
            pace.othersArrived(bytes: Limits.chunkBytes, at: now)
            return second % 5 == 0 && pace.isRewindDue(at: now)
        }
        #expect(rewinds == [25, 50, 75, 100])
    }

    @Test func anEmptyArtifactIsOneEmptyChunk() {
        var sender = ArtifactSender(transferID: 1, sizeBytes: 0)
        sender.grant(
            ArtifactCredit(transferID: 1, nextOffset: 0, windowChunks: 1, isRewind: true))
        #expect(sender.next() == ArtifactSender.Chunk(offset: 0, count: 0, isLast: true))
        #expect(sender.next() == nil)
    }
}
