import ClusterCore
import Foundation
import OperatingSystem

/// How much of its machine this process uses, measured from one heartbeat to the next.
struct LoadMeter {
    private var cpuSeconds = Self.cpuSeconds()
    private var measuredAt: ContinuousClock.Instant

    init(at now: ContinuousClock.Instant) { measuredAt = now }

    /// A figure that the system does not give is 0. All figures stay within the wire's limits, because a wrong number
    /// must not stop the heartbeats.
    mutating func read(_ spool: Spool, at now: ContinuousClock.Instant) -> WorkerLoad {
        let cpuSeconds = Self.cpuSeconds()
        let passed = (now - measuredAt) / .seconds(1)
        let load = WorkerLoad(
            coresBusy: passed > 0 ? max(0, (cpuSeconds - self.cpuSeconds) / passed) : 0,
            residentBytes: min(ProcessMemory.current?.residentBytes ?? 0, Int(Limits.maxLoadBytes)),
            spoolBytes: min(spool.artifactBytes(), Int(Limits.maxLoadBytes)), loadAverage: Self.loadAverage())
        self.cpuSeconds = cpuSeconds
        measuredAt = now
        return load
    }

    /// User and system time of all threads since the process started.
    private static func cpuSeconds() -> Double {
        var usage = rusage()
        guard getrusage(RUSAGE_SELF.rawValue, &usage) == 0 else { return 0 }
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    private static func loadAverage() -> Double {
        var average = 0.0
        return getloadavg(&average, 1) == 1 ? max(0, average) : 0
    }
}
