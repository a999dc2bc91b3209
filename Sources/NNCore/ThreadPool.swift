import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Threads that run the blocks of a kernel.
///
/// A kernel cuts its work into blocks whose number and borders depend on shapes alone, never on the number of threads,
/// so results are the same bytes for any number. Threads take the next block from a shared counter: a slow core takes
/// fewer. Between kernels a thread spins for some microseconds, since a training step forks hundreds of times, then
/// sleeps, so that several pools can share a machine.
///
/// Owned by one driving thread, which takes part in the work. `run` does not nest.
public final class ThreadPool {
    public let threads: Int
    private let shared: Shared
    private var workers: [pthread_t] = []

    public init(threads: Int) {
        precondition(threads >= 1)
        _ = singleThreadedBLAS
        self.threads = threads
        shared = Shared()
        for _ in 1..<threads {
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(shared).toOpaque()
            let status = pthread_create(
                &thread, nil,
                { argument in
                    Unmanaged<Shared>.fromOpaque(argument!).takeRetainedValue().work()
                    return nil
                }, argument)
            precondition(status == 0, "cannot start a thread: error \(status)")
            workers.append(thread)
        }
    }

    deinit {
        shared.stop()
        for worker in workers { pthread_join(worker, nil) }
    }

    /// Calls `body` once for each block in `0..<blocks`, on all threads, and returns when all are done.
    @inline(__always)
    public func run(blocks: Int, _ body: (Int) -> Void) {
        if blocks <= 0 { return }
        if threads == 1 || blocks == 1 {
            for block in 0..<blocks { body(block) }
            return
        }
        withoutActuallyEscaping(body) { shared.run(blocks: blocks, $0) }
    }

    /// Cuts `0..<count` into ranges of `grain` and calls `body` for each.
    @inline(__always)
    public func run(over count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
        run(blocks: (count + grain - 1) / grain) { block in
            let start = block * grain
            body(start..<min(start + grain, count))
        }
    }
}

/// What the pool's threads share. A generation number announces work; the low half of `next` is the next block.
private final class Shared: @unchecked Sendable {
    private let generation = Atomic<UInt64>(0)
    private let next = Atomic<Int>(0)
    private let pending = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    private var blocks = 0
    private var body: ((Int) -> Void)?
    /// Threads inside `drain`; the driver waits for all to leave before it changes `body`.
    private let inside = Atomic<Int>(0)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// Some ten microseconds: longer than the gaps between kernels of a step, far shorter than a time slice.
    private static let spins = 10_000

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
    }

    deinit {
        pthread_cond_destroy(wake)
        pthread_mutex_destroy(mutex)
        wake.deallocate()
        mutex.deallocate()
    }

    func run(blocks: Int, _ body: @escaping (Int) -> Void) {
        self.blocks = blocks
        self.body = body
        pending.store(blocks, ordering: .relaxed)
        next.store(0, ordering: .releasing)
        generation.add(1, ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            pthread_mutex_lock(mutex)
            pthread_cond_broadcast(wake)
            pthread_mutex_unlock(mutex)
        }
        drain()
        var spin = 0
        while pending.load(ordering: .acquiring) > 0 || inside.load(ordering: .acquiring) > 0 {
            spin += 1
            if spin > Self.spins { sched_yield() }
        }
        // Close the door for late wakers before the body goes away.
        next.store(Int.max / 2, ordering: .sequentiallyConsistent)
        while inside.load(ordering: .sequentiallyConsistent) > 0 {}
        self.body = nil
    }

    private func drain() {
        while true {
            let block = next.add(1, ordering: .acquiring).oldValue
            if block >= blocks { return }
            body!(block)
            pending.subtract(1, ordering: .releasing)
        }
    }

    func work() {
        var seen: UInt64 = 0
        while true {
            var spin = 0
            while generation.load(ordering: .sequentiallyConsistent) == seen {
                spin += 1
                if spin >= Self.spins { sleep(until: seen) }
            }
            if stopping.load(ordering: .acquiring) { return }
            inside.add(1, ordering: .sequentiallyConsistent)
            seen = generation.load(ordering: .sequentiallyConsistent)
            // Between announcing ourselves and here the driver may have finished: then `next` is past every block.
            if next.load(ordering: .sequentiallyConsistent) < Int.max / 2 { drain() }
            inside.subtract(1, ordering: .sequentiallyConsistent)
        }
    }

    private func sleep(until seen: UInt64) {
        pthread_mutex_lock(mutex)
        sleepers.add(1, ordering: .sequentiallyConsistent)
        while generation.load(ordering: .sequentiallyConsistent) == seen { pthread_cond_wait(wake, mutex) }
        sleepers.subtract(1, ordering: .sequentiallyConsistent)
        pthread_mutex_unlock(mutex)
    }

    func stop() {
        stopping.store(true, ordering: .releasing)
        generation.add(1, ordering: .sequentiallyConsistent)
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(mutex)
    }
}
