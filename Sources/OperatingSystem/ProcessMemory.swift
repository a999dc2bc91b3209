import Foundation

/// The memory of this process.
public struct ProcessMemory: Equatable, Sendable {
    /// Bytes of address space.
    public let virtualBytes: Int
    public let residentBytes: Int

    /// The memory now; nil if the system does not say.
    public static var current: ProcessMemory? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return nil }
        let pages = text.split(separator: " ").prefix(2).compactMap { Int($0) }
        guard pages.count == 2 else { return nil }
        let pageBytes = sysconf(Int32(_SC_PAGESIZE))
        return ProcessMemory(virtualBytes: pages[0] * pageBytes, residentBytes: pages[1] * pageBytes)
    }
}
