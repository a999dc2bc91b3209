import CAffinity
import Foundation
import OperatingSystem

/// What this process may use of its machine. Slots, threads and memory are all chosen from it.
///
/// An affinity mask (taskset, Slurm, cpusets), a cgroup (containers, systemd) or a resource limit (ulimit, SGE's h_vmem)
/// may allow less than the machine has.
public struct MachineAllowance: Sendable, Equatable {
    /// Processors that the process may use at the same time, at least 1.
    public var processors: Int
    /// Bytes of resident memory: the smallest of the machine's memory and all limits.
    public var memoryBytes: Int
    /// Bytes of address space (RLIMIT_AS: ulimit -v, h_vmem, LimitAS); nil without a limit.
    public var addressBytes: Int?

    public init(processors: Int, memoryBytes: Int, addressBytes: Int? = nil) {
        self.processors = processors
        self.memoryBytes = memoryBytes
        self.addressBytes = addressBytes
    }

    /// The allowance now. Reads a few files: fine to ask again, too slow for a loop.
    public static var current: MachineAllowance {
        let root = URL(fileURLWithPath: "/")
        return MachineAllowance(
            affinity: affinity ?? ProcessInfo.processInfo.activeProcessorCount,
            physicalBytes: memoryTotal(root: root) ?? Int(clamping: ProcessInfo.processInfo.physicalMemory),
            addressBytes: limit(RLIMIT_AS.resource), dataBytes: limit(RLIMIT_DATA.resource),
            groups: ControlGroups(root: root))
    }

    init(affinity: Int, physicalBytes: Int, addressBytes: Int?, dataBytes: Int?, groups: ControlGroups) {
        // Rounded down: with a fraction of a processor, threads would wait for those that the quota has stopped.
        processors = max(1, min(affinity, groups.processors.map { Int($0) } ?? affinity))
        memoryBytes = [groups.memoryBytes, addressBytes, dataBytes].compactMap { $0 }.reduce(physicalBytes, min)
        self.addressBytes = addressBytes
    }

    /// Bytes of address space that are still free; nil without a limit.
    public var freeAddressBytes: Int? {
        addressBytes.map { max(0, $0 - (ProcessMemory.current?.virtualBytes ?? 0)) }
    }

    /// The number of processors in this thread's affinity mask.
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
