import Foundation

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
        if let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) {
            let pages = text.split(separator: " ").compactMap { Int($0) }
            let pageBytes = sysconf(Int32(_SC_PAGESIZE))
            if pages.count >= 2 {
                statistics.virtualBytes = pages[0] * pageBytes
                statistics.residentBytes = pages[1] * pageBytes
            }
        }
        statistics.openFiles = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            statistics.maxOpenFiles = Int(clamping: limit.rlim_cur)
        }
        return statistics
    }

    /// Bytes that this process may still write to a folder's disk; nil if the system does not say.
    static func freeBytes(at folder: URL) -> Int? {
        var status = statvfs()
        guard statvfs(folder.path, &status) == 0 else { return nil }
        return Int(status.f_bavail) * Int(status.f_frsize)
    }
}
