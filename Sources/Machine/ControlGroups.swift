import Foundation

/// The limits of this process's cgroups, of versions 2 and 1, from its own group up to the topmost visible one.
struct ControlGroups: Equatable {
    /// The smallest CPU quota, in processors (quota over period). Nil without a limit.
    var processors: Double?
    /// The smallest memory limit. Nil without one.
    var memoryBytes: Int?

    init(processors: Double? = nil, memoryBytes: Int? = nil) {
        self.processors = processors
        self.memoryBytes = memoryBytes
    }

    /// - Parameter root: the folder that takes the place of `/`, for tests.
    init(root: URL) {
        func text(_ path: String) -> String? {
            try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
        }
        guard let membership = text("proc/self/cgroup"), let mounts = text("proc/self/mountinfo") else { return }
        for group in Self.groups(membership, mounts) {
            for folder in group.folders {
                func number(_ file: String) -> Int? {
                    text("\(folder)/\(file)").flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
                }
                switch group.controller {
                case "":
                    let quota = text("\(folder)/cpu.max")?.split { " \n".contains($0) }.map(String.init) ?? []
                    if quota.count == 2, let share = Double(quota[0]), let period = Double(quota[1]) {
                        limitProcessors(to: share / period)
                    }
                    for file in ["memory.max", "memory.high"] { limitMemory(to: number(file)) }
                case "cpu":
                    // -1: no limit.
                    if let quota = number("cpu.cfs_quota_us"), quota > 0, let period = number("cpu.cfs_period_us") {
                        limitProcessors(to: Double(quota) / Double(period))
                    }
                case "memory": limitMemory(to: number("memory.limit_in_bytes"))
                default: break
                }
            }
        }
    }

    private mutating func limitProcessors(to found: Double) {
        guard found.isFinite, (0...1e6).contains(found) else { return }
        processors = min(found, processors ?? found)
    }

    /// Without a limit, version 1 gives a number near 2^63 and version 2 the word "max".
    private mutating func limitMemory(to found: Int?) {
        guard let found, (0..<1 << 60).contains(found) else { return }
        memoryBytes = min(found, memoryBytes ?? found)
    }

    private struct Group {
        /// "cpu", "memory"; empty for version 2, whose one hierarchy has all controllers.
        let controller: String
        /// The process's own group first, then its ancestors, as paths from the root.
        let folders: [String]
    }

    /// The process's groups and their mount points.
    private static func groups(_ membership: String, _ mounts: String) -> [Group] {
        let mounts = mounts.split(separator: "\n").compactMap { Mount(line: $0) }
        var groups: [Group] = []
        // hierarchy:controllers:path
        for line in membership.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3 else { continue }
            let controllers = parts[1].isEmpty ? [""] : parts[1].split(separator: ",").map(String.init)
            for controller in controllers {
                guard let mount = mounts.first(where: { $0.has(controller) }) else { continue }
                groups.append(Group(controller: controller, folders: mount.folders(of: parts[2])))
            }
        }
        return groups
    }

    /// A line of mountinfo: `31 23 0:28 ROOT POINT options... - TYPE source OPTIONS`.
    private struct Mount {
        let root: String
        let point: String
        let type: String
        let options: [Substring]

        init?(line: Substring) {
            guard let separator = line.range(of: " - ") else { return nil }
            let before = line[..<separator.lowerBound].split(separator: " ")
            let after = line[separator.upperBound...].split(separator: " ")
            guard before.count >= 5, after.count >= 3, after[0].hasPrefix("cgroup") else { return nil }
            // The kernel writes blanks, tabs and backslashes in octal.
            func plain(_ text: Substring) -> String {
                String(text.replacing("\\040", with: " ").replacing("\\011", with: "\t").replacing("\\134", with: "\\"))
            }
            (root, point) = (plain(before[3]), plain(before[4]))
            (type, options) = (String(after[0]), after[2].split(separator: ","))
        }

        func has(_ controller: String) -> Bool {
            controller.isEmpty ? type == "cgroup2" : type == "cgroup" && options.contains { $0 == controller }
        }

        /// A container sees its own group at the mount's root, whatever its name on the host.
        func folders(of path: String) -> [String] {
            var parts = path.split(separator: "/").map(String.init)
            let above = root.split(separator: "/").map(String.init)
            // Otherwise the group is not visible from here.
            parts = parts.starts(with: above) && !parts.contains("..") ? Array(parts.dropFirst(above.count)) : []
            return (0...parts.count).reversed().map { ([point] + parts.prefix($0)).joined(separator: "/") }
        }
    }
}
