import Foundation
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct ArenaTests {
    @Test func buffersAreAlignedAndDoNotOverlap() {
        let arena = Arena(reservedBytes: 1 << 30)
        var end: UnsafeMutablePointer<Float>?
        for count in [0, 1, 15, 16, 17, 1000, 5_000_001] {
            let buffer = arena.floats(count)
            #expect(UInt(bitPattern: buffer) % UInt(Arena.alignmentBytes) == 0)
            if let end { #expect(buffer >= end) }
            for index in [0, count - 1] where index >= 0 && index < count { buffer[index] = 1 }
            end = buffer + count
        }
    }

    @Test func releasingGivesTheSameMemoryAgainAndScopesNest() {
        let arena = Arena(reservedBytes: 1 << 30)
        let below = arena.floats(100)
        below.update(repeating: 7, count: 100)
        let mark = arena.mark
        let first = arena.floats(1000)
        arena.release(to: mark)
        let inside = arena.scoped {
            let again = arena.floats(500)
            arena.scoped { arena.floats(500).update(repeating: 1, count: 500) }
            #expect(arena.floats(1) == again + 512, "what the inner scope took is free again")
            return again
        }
        #expect(inside == first)
        #expect(arena.floats(1) == first)
        #expect((0..<100).allSatisfy { below[$0] == 7 })
    }

    @Test func scopesAreLeftWhenTheirBodyThrows() {
        struct Failure: Error {}
        let arena = Arena(reservedBytes: 1 << 30)
        let start = arena.floats(0)
        #expect(throws: Failure.self) {
            try arena.scoped {
                _ = arena.floats(1000)
                throw Failure()
            }
        }
        #expect(arena.floats(0) == start)
    }

    @Test func peakIsTheHighestAndStandsStillWhenWorkRepeats() {
        let arena = Arena(reservedBytes: 1 << 30)
        func work() {
            arena.scoped {
                _ = arena.floats(1000)
                arena.scoped { _ = arena.floats(6_000_000) }
                _ = arena.floats(2000)
            }
        }
        #expect(arena.peakBytes == 0)
        work()
        let peak = arena.peakBytes
        #expect(peak == (Arena.alignedCount(1000) + Arena.alignedCount(6_000_000)) * 4)
        for _ in 0..<10 { work() }
        #expect(arena.peakBytes == peak)
    }

    @Test func pagesAboveAHeightAreGivenBackAndFreshWhenTakenAgain() {
        let arena = Arena(reservedBytes: 1 << 30)
        let (below, above) = (5_000_000, 20_000_000)
        let kept = arena.floats(below)
        kept.update(repeating: 7, count: below)
        arena.scoped { arena.floats(above).update(repeating: 1, count: above) }
        arena.returnPages(above: below * 4)
        #expect((0..<below).allSatisfy { kept[$0] == 7 })
        let again = arena.floats(above)
        // The step that contains the height keeps its pages.
        let step = 4_194_304
        #expect((step..<above).allSatisfy { again[$0] == 0 }, "the system had them")
        again.update(repeating: 2, count: above)
        // The arena never returns pages in use, whatever the height.
        arena.returnPages(above: 0)
        #expect(again[0] == 2 && again[above - 1] == 2 && kept[0] == 7)
    }

    @Test func whereAddressesAreLimitedArenasShareHalfOfThem() {
        let gibibyte = 1 << 30
        #expect(Arena.reservation(limit: nil, free: nil, sharing: 4) == 256 * gibibyte)
        #expect(Arena.reservation(limit: 4 * gibibyte, free: 3 * gibibyte, sharing: 1) == 2 * gibibyte)
        #expect(Arena.reservation(limit: 4 * gibibyte, free: 3 * gibibyte, sharing: 4) == gibibyte / 2)
        #expect(Arena.reservation(limit: 4 * gibibyte, free: gibibyte, sharing: 1) == gibibyte / 4 * 3)
        #expect(Arena.reservation(limit: 4 * gibibyte, free: gibibyte / 4, sharing: 1) == 0)
        #expect(Arena.reservation(limit: gibibyte, free: gibibyte, sharing: 9) == 0)
        #expect(Arena.reservation(limit: 4096 * gibibyte, free: 4000 * gibibyte, sharing: 1) == 256 * gibibyte)
        #expect(Arena.reservation(limit: gibibyte, free: 0, sharing: 1) == 0)
    }

    @Test func wantOfMemoryEndsTheProcessWithAMessage() async throws {
        let reserving = try #require(
            await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
                var limit = rlimit(rlim_cur: 1 << 30, rlim_max: rlim_t.max)
                setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
                _ = Arena(reservedBytes: 2 << 30)
            })
        let text = String(decoding: reserving.standardErrorContent, as: UTF8.self)
        #expect(text.contains("2048 MiB of addresses") && text.contains("ulimit -v"), "\(text)")
        let taking = try #require(
            await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) {
                _ = Arena(reservedBytes: 64 << 20).floats(32 << 20)
            })
        let needs = String(decoding: taking.standardErrorContent, as: UTF8.self)
        #expect(needs.contains("needs 128 MiB and may have 64 MiB"), "\(needs)")
    }

    @Test func contentsSurviveGrowth() {
        let arena = Arena(reservedBytes: 1 << 30)
        let small = arena.floats(1 << 20)
        for index in 0..<1 << 20 { small[index] = Float(index) }
        let large = arena.floats(30 << 20)
        large[(30 << 20) - 1] = 3
        #expect((0..<1 << 20).allSatisfy { small[$0] == Float($0) })
    }
}
