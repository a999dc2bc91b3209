import ClusterCore
import Foundation
import Machine
import TextureGAN

extension WorkerIdentity.Equipment {
    /// What this process has to train with: the installed feature weights, and each slot's share of the memory that the
    /// process may use.
    static func found(
        slots: Int, memoryBytes: Int = MachineAllowance.current.memoryBytes
    ) -> WorkerIdentity.Equipment {
        let weights = FeatureNetwork.allCases.filter {
            FileManager.default.isReadableFile(atPath: FeatureWeights.url(of: $0).path)
        }
        return WorkerIdentity.Equipment(
            weights: Set(weights.map(\.rawValue)),
            memoryBytes: min(max(0, memoryBytes) / max(1, slots), Int(Limits.maxLoadBytes)))
    }
}
