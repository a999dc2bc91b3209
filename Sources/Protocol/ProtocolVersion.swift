/// The version range that this software speaks. A message carries the version that it is written in.
public enum ProtocolVersion {
    public static let oldest: UInt32 = 1
    /// Version 2 names the kind of work, its inputs and its products.
    public static let newest: UInt32 = 2

    public enum Outcome: Equatable, Sendable {
        /// The newest version that both sides speak.
        case speak(UInt32)
        /// The ranges do not overlap. The named side is too old.
        case upgradeWorker, upgradeCoordinator
    }

    /// Says that the receiver does not speak a message's version, and which side to upgrade.
    /// - Parameters:
    ///   - sender: Who wrote the message, as people know them. `receiver` is who cannot read it.
    public static func mismatch(
        _ version: UInt32, sender: String = "its sender", receiver: String = "its receiver",
        supported: ClosedRange<UInt32> = oldest...newest
    ) -> String {
        "a message in protocol version \(version), but \(receiver) speaks \(supported.lowerBound) to "
            + "\(supported.upperBound): upgrade \(version > supported.upperBound ? receiver : sender)"
    }

    /// How the coordinator answers a worker's version range.
    /// - Parameter supported: The coordinator's own range.
    public static func negotiate(
        min: UInt32, max: UInt32, supported: ClosedRange<UInt32> = oldest...newest
    ) -> Outcome {
        if max < supported.lowerBound { return .upgradeWorker }
        if min > supported.upperBound || min > max { return .upgradeCoordinator }
        return .speak(Swift.min(max, supported.upperBound))
    }
}
