import CAffinity
import Foundation

/// What this process may use of its machine: the one answer from which slots, threads and memory are chosen.
///
/// Less than the machine has where an affinity mask (taskset, Slurm, cpusets), a cgroup (containers, systemd) or a
/// resource limit (ulimit, SGE's h_vmem) says so.
public struct MachineAllowance: Sendable, Equatable {
    /// Processors that it may run on at the same time, at least 1.
    public var processors: Int
    /// Bytes of memory that it may have resident: the least of the machine's and the cgroups' limits.
    public var memoryBytes: Int
    /// Bytes of addresses (RLIMIT_AS: ulimit -v, h_vmem, LimitAS); nil without a limit.
    public var addressBytes: Int?

    public init(processors: Int, memoryBytes: Int, addressBytes: Int? = nil) {
        self.processors = processors
        self.memoryBytes = memoryBytes
        self.addressBytes = addressBytes
    }

    /// What holds now. Cheap enough to ask again, and too dear for a loop: it reads some files.
    public static var current: MachineAllowance {
        let root = URL(fileURLWithPath: "/")
        return MachineAllowance(
            affinity: affinity ?? ProcessInfo.processInfo.activeProcessorCount,
            physicalBytes: memoryTotal(root: root) ?? Int(clamping: ProcessInfo.processInfo.physicalMemory),
            addressBytes: limit(RLIMIT_AS.resource), dataBytes: limit(RLIMIT_DATA.resource),
            groups: ControlGroups(root: root))
    }

    init(affinity: Int, physicalBytes: Int, addressBytes: Int?, dataBytes: Int?, groups: ControlGroups) {
        // A part of a processor is none: threads that are stopped half of the time wait for each other.
        processors = max(1, min(affinity, groups.processors.map { Int($0) } ?? affinity))
        memoryBytes = [groups.memoryBytes, addressBytes, dataBytes].compactMap { $0 }.reduce(physicalBytes, min)
        self.addressBytes = addressBytes
    }

    /// Bytes of addresses that are still free; nil without a limit.
    public var freeAddressBytes: Int? {
        addressBytes.map { max(0, $0 - (Self.usedAddressBytes() ?? 0)) }
    }

    private static func usedAddressBytes() -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
            let pages = text.split(separator: " ").first.flatMap({ Int($0) })
        else { return nil }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// Processors of this thread's mask.
    private static var affinity: Int? {
        let count = Int(caffinity_count())
        return count > 0 ? count : nil
    }

    private static func limit(_ resource: __rlimit_resource_t) -> Int? {
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur != rlim_t.max else { return nil }
        return Int(clamping: limit.rlim_cur)
    }

    /// MemTotal, which containers that virtualise /proc make smaller.
    static func memoryTotal(root: URL) -> Int? {
        guard let text = try? String(contentsOf: root.appendingPathComponent("proc/meminfo"), encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") }),
            let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
        else { return nil }
        return kibibytes << 10
    }
}

extension __rlimit_resource {
    fileprivate var resource: __rlimit_resource_t { __rlimit_resource_t(rawValue) }
}
