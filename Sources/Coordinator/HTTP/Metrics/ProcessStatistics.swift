import Foundation
import OperatingSystem

/// The system's figures about this process.
struct ProcessStatistics: Sendable {
    /// User and system time of all threads.
    var cpuSeconds = 0.0
    var residentBytes = 0
    var virtualBytes = 0
    var openFiles = 0
    var maxOpenFiles = 0

    static func read() -> ProcessStatistics {
        var statistics = ProcessStatistics()
        var usage = rusage()
        if getrusage(RUSAGE_SELF.rawValue, &usage) == 0 {
            for time in [usage.ru_utime, usage.ru_stime] {
                statistics.cpuSeconds += Double(time.tv_sec) + Double(time.tv_usec) / 1e6
            }
        }
        if let memory = ProcessMemory.current {
            statistics.virtualBytes = memory.virtualBytes
            statistics.residentBytes = memory.residentBytes
        }
        statistics.openFiles = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            statistics.maxOpenFiles = Int(clamping: limit.rlim_cur)
        }
        return statistics
    }
}
