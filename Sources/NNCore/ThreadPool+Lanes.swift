import Synchronization

extension ThreadPool {
    /// Calls `body(block, lane)` once for each block; no two calls run at the same time in the same lane, of which
    /// there are at most `threads`, so a lane's scratch memory can be taken before forking.
    ///
    /// Results must not depend on the lane.
    @inline(__always)
    func run(blocks: Int, lanes body: (_ block: Int, _ lane: Int) -> Void) {
        let next = Atomic<Int>(0)
        run(blocks: min(threads, blocks)) { lane in
            while true {
                let block = next.wrappingAdd(1, ordering: .relaxed).oldValue
                if block >= blocks { return }
                body(block, lane)
            }
        }
    }
}
