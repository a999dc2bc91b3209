import Testing

@testable import ClusterCore

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
}
