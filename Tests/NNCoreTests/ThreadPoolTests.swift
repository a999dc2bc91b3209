import Testing
@testable import NNCore

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
}
