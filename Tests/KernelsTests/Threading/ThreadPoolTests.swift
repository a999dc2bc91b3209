import Foundation
import Synchronization
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct ThreadPoolTests {
    @Test func everyBlockRunsExactlyOnceForAnyNumberOfThreads() {
        for threads in 1...4 {
            let pool = ThreadPool(threads: threads)
            for blocks in [0, 1, 2, 3, 7, 64, 1000] {
                let counts = UnsafeMutablePointer<Int>.allocate(capacity: blocks + 1)
                counts.initialize(repeating: 0, count: blocks + 1)
                defer { counts.deallocate() }
                for _ in 0..<200 { pool.run(blocks: blocks) { counts[$0] += 1 } }
                #expect((0..<blocks).allSatisfy { counts[$0] == 200 })
                #expect(counts[blocks] == 0)
            }
        }
    }

    @Test("Ten thousand small runs in a row lose nothing")
    func manySmallRunsLoseNothing() {
        let pool = ThreadPool(threads: 3)
        let cells = UnsafeMutablePointer<Int>.allocate(capacity: 8)
        cells.initialize(repeating: 0, count: 8)
        defer { cells.deallocate() }
        for run in 0..<10_000 {
            let blocks = 2 + run % 5
            pool.run(blocks: blocks) { cells[$0] += 1 }
        }
        #expect((0..<6).map { cells[$0] } == [10_000, 10_000, 8000, 6000, 4000, 2000])
    }

    /// Threads that wake late see the work and the stop at once.
    @Test(.timeLimit(.minutes(10)))
    func aPoolMayEndRightAfterItsWork() {
        for threads in [2, 3, 4] {
            for _ in 0..<3_000 { ThreadPool(threads: threads).run(blocks: 2) { _ in } }
        }
    }

    @Test func lanesAreThePoolsThreadsAndNeverSharedAtOnce() {
        let pool = ThreadPool(threads: 3)
        // One bit for each lane that runs a block.
        let busy = Atomic<UInt>(0)
        let clashes = Atomic<Int>(0)
        let lanesSeen = Atomic<UInt>(0)
        for _ in 0..<500 {
            pool.run(blocks: 20) { block, lane in
                let bit: UInt = 1 << UInt(lane)
                lanesSeen.bitwiseOr(bit, ordering: .relaxed)
                if busy.bitwiseOr(bit, ordering: .sequentiallyConsistent).oldValue & bit != 0 {
                    clashes.add(1, ordering: .relaxed)
                }
                // Long enough to meet a second user of the lane.
                for _ in 0..<200 { _ = busy.load(ordering: .sequentiallyConsistent) }
                busy.bitwiseAnd(~bit, ordering: .sequentiallyConsistent)
            }
        }
        #expect(clashes.load(ordering: .relaxed) == 0)
        #expect(lanesSeen.load(ordering: .relaxed) & ~0b111 == 0)
    }

    @Test func rangesCoverTheCountOnceWithFixedBorders() {
        for threads in [1, 3] {
            let pool = ThreadPool(threads: threads)
            for (count, grain) in [(0, 4), (1, 4), (4, 4), (5, 4), (1001, 10)] {
                let starts = UnsafeMutablePointer<Int>.allocate(capacity: count + 1)
                starts.initialize(repeating: -1, count: count + 1)
                defer { starts.deallocate() }
                pool.run(over: count, grain: grain) { range in
                    for index in range { starts[index] = range.lowerBound }
                }
                #expect((0..<count).allSatisfy { starts[$0] == $0 / grain * grain })
                #expect(starts[count] == -1)
            }
        }
    }

    @Test func poolsOfSeveralDriversWorkSideBySide() async {
        let sums = await withTaskGroup(of: Int.self) { group in
            for driver in 0..<3 {
                group.addTask {
                    let pool = ThreadPool(threads: 2)
                    let cells = UnsafeMutablePointer<Int>.allocate(capacity: 16)
                    cells.initialize(repeating: driver, count: 16)
                    defer { cells.deallocate() }
                    for _ in 0..<1000 { pool.run(blocks: 16) { cells[$0] += 1 } }
                    return (0..<16).reduce(0) { $0 + cells[$1] }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(sums.sorted() == [0, 1, 2].map { 16 * (1000 + $0) })
    }

    @Test func poolsAreMadeAndEndedWithoutWork() {
        for threads in 1...4 {
            for _ in 0..<50 { _ = ThreadPool(threads: threads) }
        }
    }
}
