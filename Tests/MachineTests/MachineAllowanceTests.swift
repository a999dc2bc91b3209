import Foundation
import Testing

@testable import Machine

/// A folder in the place of `/`, with the kernel's files as a test writes them.
private final class FakeRoot {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("machine-\(UUID().uuidString)")

    init(_ files: [String: String]) throws {
        for (path, text) in files {
            let file = url.appendingPathComponent(path)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
        }
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    var groups: ControlGroups { ControlGroups(root: url) }

    func allowance(affinity: Int = 64, address: Int? = nil, data: Int? = nil) -> MachineAllowance {
        MachineAllowance(
            affinity: affinity, physicalBytes: MachineAllowance.memoryTotal(root: url) ?? 0, addressBytes: address,
            dataBytes: data, groups: groups)
    }
}

@Suite struct MachineAllowanceTests {
    private static let unified = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
    private static let versionOne =
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        + "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        + "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

    @Test func theLeastLimitOfAllGroupsUpTheHierarchyHolds() throws {
        let root = try FakeRoot([
            "proc/self/cgroup": "0::/system.slice/job.service/leaf\n", "proc/self/mountinfo": Self.unified,
            "proc/meminfo": "MemTotal:       65536000 kB\nMemFree: 1 kB\n",
            "sys/fs/cgroup/system.slice/job.service/leaf/cpu.max": "max 100000\n",
            "sys/fs/cgroup/system.slice/job.service/leaf/memory.max": "max\n",
            "sys/fs/cgroup/system.slice/job.service/cpu.max": "350000 100000\n",
            "sys/fs/cgroup/system.slice/job.service/memory.max": "8589934592\n",
            "sys/fs/cgroup/system.slice/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/system.slice/memory.max": "419430400\n",
        ])
        #expect(root.groups.processors == 3.5 && root.groups.memoryBytes == 400 << 20)
        #expect(root.allowance() == MachineAllowance(processors: 3, memoryBytes: 400 << 20))
        #expect(root.allowance(affinity: 2).processors == 2)
    }

    @Test func aSlowerLimitOfMemoryCountsAsWell() throws {
        let root = try FakeRoot([
            "proc/self/cgroup": "0::/a\n", "proc/self/mountinfo": Self.unified,
            "sys/fs/cgroup/a/memory.max": "2000000000\n", "sys/fs/cgroup/a/memory.high": "1000000000\n",
        ])
        #expect(root.groups == ControlGroups(processors: nil, memoryBytes: 1_000_000_000))
    }

    @Test func partsOfAProcessorAreRoundedDownAndOneIsTheLeast() throws {
        for (quota, processors) in [
            ("50000 100000", 1), ("150000 100000", 1), ("200000 100000", 2), ("max 100000", 64),
        ] {
            let root = try FakeRoot([
                "proc/self/cgroup": "0::/\n", "proc/self/mountinfo": Self.unified,
                "sys/fs/cgroup/cpu.max": quota + "\n",
            ])
            #expect(root.allowance().processors == processors, "\(quota)")
        }
    }

    @Test func versionOneIsReadFromTheControllersOwnMounts() throws {
        let files = [
            "proc/self/cgroup": "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n",
            "proc/self/mountinfo": Self.versionOne, "proc/meminfo": "MemTotal: 1024 kB\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "104857600\n",
        ]
        let root = try FakeRoot(files)
        #expect(root.groups == ControlGroups(processors: 5, memoryBytes: 100 << 20))
        #expect(root.allowance().memoryBytes == 1 << 20, "the machine itself may have less")
    }

    @Test func aContainerFindsItsGroupAtTheRootOfItsMount() throws {
        let root = try FakeRoot([
            "proc/self/cgroup": "4:memory:/docker/abc/inner\n0::/../elsewhere\n",
            "proc/self/mountinfo":
                "35 31 0:32 /docker/abc /cg\\040roup/memory ro - cgroup cgroup rw,memory\n"
                + "36 31 0:33 / /unified ro - cgroup2 cgroup2 rw\n",
            "cg roup/memory/inner/memory.limit_in_bytes": "3000\n", "cg roup/memory/memory.limit_in_bytes": "2000\n",
            "unified/cpu.max": "200000 100000",
        ])
        #expect(root.groups == ControlGroups(processors: 2, memoryBytes: 2000))
    }

    @Test func whatTheKernelDoesNotSayIsNoLimit() throws {
        #expect(try FakeRoot([:]).groups == ControlGroups())
        let root = try FakeRoot([
            "proc/self/cgroup": "nonsense\n0::/a\n\n", "proc/self/mountinfo": "x y - z\n" + Self.unified,
            "sys/fs/cgroup/a/cpu.max": "many few\n", "sys/fs/cgroup/a/memory.max": "-5\n",
            "sys/fs/cgroup/cpu.max": "100000 0\n",
        ])
        #expect(root.groups == ControlGroups())
    }

    @Test func resourceLimitsBoundMemoryAsWell() throws {
        let root = try FakeRoot(["proc/meminfo": "MemTotal: 16777216 kB\n"])
        #expect(root.allowance(address: 4 << 30, data: 3 << 30).memoryBytes == 3 << 30)
        #expect(root.allowance(address: 4 << 30).memoryBytes == 4 << 30)
        #expect(root.allowance(address: 4 << 30).addressBytes == 4 << 30)
        #expect(root.allowance().memoryBytes == 16 << 30)
    }

    @Test func thisMachineAllowsSomething() {
        let allowance = MachineAllowance.current
        #expect(allowance.processors >= 1)
        #expect(allowance.processors <= ProcessInfo.processInfo.activeProcessorCount)
        #expect(allowance.memoryBytes > 0 && allowance.memoryBytes <= Int(ProcessInfo.processInfo.physicalMemory))
        #expect(MachineAllowance(processors: 1, memoryBytes: 1, addressBytes: 1).freeAddressBytes == 0)
        #expect(MachineAllowance(processors: 1, memoryBytes: 1).freeAddressBytes == nil)
    }
}
