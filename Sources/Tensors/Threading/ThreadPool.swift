import CBorrowedClosure
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Threads that run the blocks of a kernel.
///
/// A kernel cuts its work into blocks whose number and borders depend on shapes alone, never on the number of threads,
/// so results are the same bytes for any number. Threads take the next block from a shared counter: a slow core takes
/// fewer. A training step forks hundreds of times, so an idle thread spins for some microseconds before it sleeps; it
/// sleeps so that several pools can share a machine.
///
/// One driving thread owns the pool and works with it. `run` does not nest.
public final class ThreadPool {
    public let threads: Int
    private let shared: Shared
    private var workers: [pthread_t] = []

    public init(threads: Int) {
        require(threads >= 1, "a pool needs at least one thread, found \(threads)")
        self.threads = threads
        shared = Shared()
        for lane in 1..<threads {
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(Seat(shared: shared, lane: lane)).toOpaque()
            let status = pthread_create(
                &thread, nil,
                { argument in
                    let seat = Unmanaged<Seat>.fromOpaque(argument!).takeRetainedValue()
                    seat.shared.work(lane: seat.lane)
                    return nil
                }, argument)
            guard status == 0 else {
                endWithoutMemory(
                    "thread \(lane + 1) of \(threads) cannot be started (error \(status)); take fewer threads, or raise the "
                        + "limits of addresses (ulimit -v) and processes (ulimit -u)")
            }
            workers.append(thread)
        }
    }

    deinit {
        shared.stop()
        for worker in workers { pthread_join(worker, nil) }
    }

    /// CPU time, user and system, of the calling thread and the pool's other threads since each began. Only the
    /// driving thread may ask.
    public var cpuSeconds: Double {
        workers.reduce(seconds(of: CLOCK_THREAD_CPUTIME_ID)) { total, worker in
            var clock = clockid_t()
            return pthread_getcpuclockid(worker, &clock) == 0 ? total + seconds(of: clock) : total
        }
    }

    private func seconds(of clock: clockid_t) -> Double {
        var time = timespec()
        guard clock_gettime(clock, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Calls `body` once for each block in `0..<blocks`, on all threads, and returns when all are done.
    @inlinable
    @inline(__always)
    public func run(blocks: Int, _ body: (Int) -> Void) {
        run(blocks: blocks) { block, _ in body(block) }
    }

    /// Like `run`, and passes the lane, the number of the thread that runs the block (`0..<threads`): for scratch
    /// memory.
    @inlinable
    @inline(__always)
    public func run(blocks: Int, _ body: (_ block: Int, _ lane: Int) -> Void) {
        if threads == 1 || blocks <= 1 {
            for block in 0..<max(blocks, 0) { body(block, 0) }
            return
        }
        fork(blocks: blocks, body)
    }

    @usableFromInline
    func fork(blocks: Int, _ body: (_ block: Int, _ lane: Int) -> Void) { shared.run(blocks: blocks, body) }

    /// Cuts `0..<count` into ranges of `grain` and calls `body` for each, with the lane that runs it.
    @inlinable
    @inline(__always)
    public func run(over count: Int, grain: Int, _ body: (_ range: Range<Int>, _ lane: Int) -> Void) {
        run(blocks: (count + grain - 1) / grain) { block, lane in
            let start = block * grain
            body(start..<min(start + grain, count), lane)
        }
    }

    /// Cuts `0..<count` into ranges of `grain` and calls `body` for each.
    @inlinable
    @inline(__always)
    public func run(over count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
        run(blocks: (count + grain - 1) / grain) { block in
            let start = block * grain
            body(start..<min(start + grain, count))
        }
    }
}

/// Calls `user` with `body` as a value that is valid until `user` returns.
@_silgen_name("texloom_lend_closure")
private func lend(
    _ body: (_ block: Int, _ lane: Int) -> Void, to user: texloom_closure_user, _ argument: UnsafeMutableRawPointer)

/// A new thread's argument.
private final class Seat {
    let shared: Shared
    let lane: Int
    init(shared: Shared, lane: Int) {
        self.shared = shared
        self.lane = lane
    }
}

/// State that the pool's threads share. A new generation number announces work; `next` deals out its blocks.
private final class Shared: @unchecked Sendable {
    private let generation = Atomic<UInt64>(0)
    private let next = Atomic<Int>(0)
    private let pending = Atomic<Int>(0)
    private let stopping = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    private let isForked = Atomic<Bool>(false)
    private var blocks = 0
    /// On the driver's stack; valid only inside `run`.
    private var body = texloom_borrowed_closure()
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

    func run(blocks: Int, _ body: (Int, Int) -> Void) {
        require(
            !isForked.exchange(true, ordering: .acquiring),
            "ThreadPool.run was called inside itself or by a second thread")
        defer { isForked.store(false, ordering: .releasing) }
        self.blocks = blocks
        // Lent, because an escaping closure would allocate on every fork.
        lend(
            body,
            to: { Unmanaged<Shared>.fromOpaque($1!).takeUnretainedValue().fork($0) },
            Unmanaged.passUnretained(self).toOpaque())
    }

    private func fork(_ body: texloom_borrowed_closure) {
        self.body = body
        pending.store(blocks, ordering: .relaxed)
        next.store(0, ordering: .releasing)
        generation.add(1, ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            pthread_mutex_lock(mutex)
            pthread_cond_broadcast(wake)
            pthread_mutex_unlock(mutex)
        }
        drain(lane: 0)
        var spin = 0
        while pending.load(ordering: .acquiring) > 0 || inside.load(ordering: .acquiring) > 0 {
            spin += 1
            if spin > Self.spins { sched_yield() }
        }
        // Threads that wake late must find no block, since the body is about to disappear.
        next.store(Int.max / 2, ordering: .sequentiallyConsistent)
        while inside.load(ordering: .sequentiallyConsistent) > 0 {}
    }

    private func drain(lane: Int) {
        while true {
            let block = next.add(1, ordering: .acquiring).oldValue
            if block >= blocks { return }
            texloom_call_closure(body, block, lane)
            pending.subtract(1, ordering: .releasing)
        }
    }

    func work(lane: Int) {
        var seen: UInt64 = 0
        while true {
            var spin = 0
            while generation.load(ordering: .sequentiallyConsistent) == seen {
                spin += 1
                if spin >= Self.spins { sleep(until: seen) }
            }
            inside.add(1, ordering: .sequentiallyConsistent)
            seen = generation.load(ordering: .sequentiallyConsistent)
            // After that load: a pool that stops right after its work announces both before a late thread looks. A thread
            // that looked for the stop first would take the stop for the work, and sleep for ever.
            if stopping.load(ordering: .sequentiallyConsistent) {
                inside.subtract(1, ordering: .sequentiallyConsistent)
                return
            }
            // The driver may have finished since `inside` was raised: then `next` is past every block.
            if next.load(ordering: .sequentiallyConsistent) < Int.max / 2 { drain(lane: lane) }
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
