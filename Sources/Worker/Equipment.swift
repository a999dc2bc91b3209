import Foundation
import Machine
import Protocol
import TextureGAN

extension WireWorkerEquipment {
    /// What this process has to train with: installed feature weights, and the memory that it may use, shared among the
    /// slots.
    static func found(slots: Int, memoryBytes: Int = MachineAllowance.current.memoryBytes) -> WireWorkerEquipment {
        var equipment = WireWorkerEquipment()
        equipment.weights = FeatureNetwork.allCases.filter {
            FileManager.default.isReadableFile(atPath: FeatureWeights.url(of: $0).path)
        }.map(\.rawValue)
        equipment.memoryBytes = min(UInt64(max(0, memoryBytes) / max(1, slots)), Limits.maxLoadBytes)
        return equipment
    }
}
