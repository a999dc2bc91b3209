import Base
import ClusterCore
import Foundation
import NNCore

extension Worker {
    /// What this worker announces: the kinds of work that it does, and those that it does on materials.
    static let kinds: Set<JobKind> = {
        let kinds = ProductRunner.kinds.union([.train])
        return kinds.union(kinds.filter { WorkContract.table[$0]?.takesMaps == true }.map(\.onMaterials))
    }()

    /// How this worker introduces itself.
    func identity(slots: Int, threads: Int, _ spool: Spool) throws(WorkerError) -> WorkerIdentity {
        let defaultName = "\(ProcessInfo.processInfo.hostName):\(ProcessInfo.processInfo.processIdentifier)"
        return WorkerIdentity(
            id: try spool.workerID(), name: (configuration.name ?? defaultName).shortened(to: Limits.maxNameBytes),
            softwareVersion: texloomVersion, slots: slots, threadsPerSlot: threads,
            cpu: Self.cpuType().shortened(to: Limits.maxNameBytes),
            kinds: Self.kinds, equipment: .found(slots: slots))
    }

    /// The CPU's model as the system names it, and the vector instructions that the kernels use on it.
    private static func cpuType() -> String { "\(cpuModel()), \(VectorInstructions.current)" }

    private static func cpuModel() -> String {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
            let colon = line.firstIndex(of: ":")
        else { return "unknown" }
        return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
}
