import Foundation
import Protocol
import TextureGAN

extension WireWorkerEquipment {
    /// What this machine has to train with: installed feature weights, and its memory shared among the slots.
    static func found(slots: Int, memoryBytes: UInt64? = Self.memoryBytes()) -> WireWorkerEquipment {
        var equipment = WireWorkerEquipment()
        equipment.weights = FeatureNetwork.allCases.filter {
            FileManager.default.isReadableFile(atPath: FeatureWeights.url(of: $0).path)
        }.map(\.rawValue)
        equipment.memoryBytes = min((memoryBytes ?? 0) / UInt64(max(1, slots)), Limits.maxLoadBytes)
        return equipment
    }

    /// Of the machine, or what its container grants; nil if neither is told.
    private static func memoryBytes() -> UInt64? {
        func text(_ file: String) -> String? { try? String(contentsOfFile: file, encoding: .utf8) }
        let machine = text("/proc/meminfo")?.split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
            .flatMap { UInt64($0.filter(\.isNumber)) }.map { $0 << 10 }
        let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
            .compactMap { text($0).flatMap { UInt64($0.trimmingCharacters(in: .whitespacesAndNewlines)) } }
        return ([machine].compactMap { $0 } + groups).min()
    }
}
