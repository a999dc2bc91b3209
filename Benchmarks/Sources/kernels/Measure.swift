import Glibc

/// The shortest of several runs, in seconds. On a shared machine the minimum is the least disturbed.
struct Stopwatch {
    private(set) var seconds = Double.infinity
    /// The process's time on a core, which other processes cannot lengthen, for one thread; else the wall clock.
    let clock: clockid_t

    init(threads: Int) { clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC }

    mutating func time(_ body: () -> Void) {
        let start = now()
        body()
        seconds = min(seconds, now() - start)
    }

    private func now() -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}

/// A candidate and its shortest run.
final class Candidate {
    let name: String
    let flops: Double
    let body: () -> Void
    private var watch: Stopwatch

    init(_ name: String, flops: Double, threads: Int, _ body: @escaping () -> Void) {
        watch = Stopwatch(threads: threads)
        self.name = name
        self.flops = flops
        self.body = body
    }

    func repeatOnce() { watch.time(body) }

    var gigaflops: Double { flops / watch.seconds * 1e-9 }
    var milliseconds: Double { watch.seconds * 1e3 }
}

/// Alternates between the candidates, so that a slow phase of the machine affects all of them.
func interleave(_ candidates: [Candidate], rounds: Int) {
    for candidate in candidates { candidate.body() }
    for _ in 0..<rounds {
        for candidate in candidates { candidate.repeatOnce() }
    }
}
