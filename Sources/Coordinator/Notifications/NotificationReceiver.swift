import Foundation

/// Where messages go.
protocol NotificationReceiver: Sendable {
    /// Its name in the store. It holds no secret and stays the same over restarts.
    var id: String { get }
    var kind: NotificationReceiverKind { get }
    /// For logs; without what an address may have of secrets.
    var title: String { get }

    /// Hands a message over. Returns once the receiver has taken it.
    /// - Throws: ``DeliveryFailure``, also if the task is cancelled.
    func deliver(_ notification: PendingNotification) async throws(DeliveryFailure)
}

/// The kinds of receivers. The raw values are label values of metrics.
enum NotificationReceiverKind: String, Sendable, CaseIterable {
    case webhook, command

    /// The kind of a receiver, from its id.
    init?(ofReceiver id: String) { self.init(rawValue: String(id.prefix { $0 != "-" })) }
}

/// Why a receiver did not take a message.
struct DeliveryFailure: Error, Sendable, Equatable, CustomStringConvertible {
    var reason: String
    /// Seconds that the receiver asks to be left alone.
    var retryAfter: Double?

    var description: String { reason }
}
