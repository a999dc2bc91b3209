/// The version range this software speaks. A message carries the version it is written in.
public enum ProtocolVersion {
    public static let oldest: UInt32 = 1
    /// Version 2 names the kind of work, its inputs and its products.
    public static let newest: UInt32 = 2

    public enum Outcome: Equatable, Sendable {
        /// The newest version both sides speak.
        case speak(UInt32)
        /// The ranges do not meet, because this side is too old or too new.
        case upgradeWorker, upgradeCoordinator
    }

    /// What is wrong with a message of a version that is not spoken here, and who has to upgrade.
    /// - Parameters:
    ///   - sender: Who wrote it, and `receiver` who cannot read it, as people know them.
    public static func mismatch(
        _ version: UInt32, sender: String = "its sender", receiver: String = "its receiver",
        supported: ClosedRange<UInt32> = oldest...newest
    ) -> String {
        "a message in protocol version \(version), and \(receiver) speaks \(supported.lowerBound) to "
            + "\(supported.upperBound): upgrade \(version > supported.upperBound ? receiver : sender)"
    }

    /// What the coordinator makes of a worker's range.
    /// - Parameter supported: the coordinator's own.
    public static func negotiate(
        min: UInt32, max: UInt32, supported: ClosedRange<UInt32> = oldest...newest
    ) -> Outcome {
        if max < supported.lowerBound { return .upgradeWorker }
        if min > supported.upperBound || min > max { return .upgradeCoordinator }
        return .speak(Swift.min(max, supported.upperBound))
    }
}
