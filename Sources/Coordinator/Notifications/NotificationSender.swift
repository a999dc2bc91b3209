import Base
import Foundation
import Logging

/// Sends the messages of one receiver, in the order of what happened, one at a time.
///
/// At least once: a message leaves the store after the receiver has taken it, so a crash in between repeats it. While
/// the store cannot be written, no message is sent, and those that have arrived are not sent again. A message that a
/// receiver refuses several times waits, and the next ones go before it. Everything that waits is in the store, not in
/// memory, and nothing waits for this actor.
actor NotificationSender {
    /// Time between two looks at the store.
    static let interval = Duration.seconds(1)
    /// Time until the next look after the store failed.
    static let patience = Duration.seconds(30)
    /// Messages in memory at a time.
    static let pageSize = 32
    /// How long deliveries wait to be recorded together. One transaction for each would slow the engine's.
    static let recordingInterval = Duration.seconds(1)

    let receiver: any NotificationReceiver
    private let store: JobStore
    private let metrics: CoordinatorMetrics
    private let startedAt: Date
    private let now: @Sendable () -> Date
    private let chance: @Sendable () -> Double
    private let logger: Logger
    /// Messages that have arrived and that the store still holds.
    private var unrecorded: [Int64] = []
    private var failuresInARow = 0
    private var restsUntil = Date.distantPast
    private var storeHasFailed = false

    /// - Parameters:
    ///   - startedAt: When the coordinator started; see ``RetrySchedule/lifetime``.
    ///   - chance: A random number, 0..<1.
    init(
        _ receiver: any NotificationReceiver, store: JobStore, metrics: CoordinatorMetrics, startedAt: Date,
        now: @escaping @Sendable () -> Date = { Date() },
        chance: @escaping @Sendable () -> Double = { .random(in: 0..<1) }, logger: Logger
    ) {
        self.receiver = receiver
        self.store = store
        self.metrics = metrics
        self.startedAt = startedAt
        self.now = now
        self.chance = chance
        self.logger = logger
    }

    /// Works until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            await beat()
            try? await Task.sleep(for: storeHasFailed ? Self.patience : Self.interval)
        }
    }

    /// Sends what is due, until the receiver refuses something.
    func beat() async {
        // Not for longer than any rest, if the clock was set back.
        let now = now()
        guard now >= restsUntil || now < restsUntil.addingTimeInterval(-RetrySchedule.longestPause) else { return }
        do {
            while try await sendPage(), !Task.isCancelled {}
            if storeHasFailed { logger.notice("messages are sent again", metadata: place) }
            storeHasFailed = false
        } catch {
            // The database refuses cancelled tasks.
            if !storeHasFailed, !Task.isCancelled {
                logger.warning(
                    "the job store cannot be read or written, so messages wait", metadata: place(["error": "\(error)"]))
            }
            storeHasFailed = true
        }
    }

    /// - Returns: Whether there may be more to send now.
    private func sendPage() async throws -> Bool {
        // The page would hold these once more.
        try await recordDelivered()
        let page = try await store.dueNotifications(for: receiver.id, at: now(), limit: Self.pageSize)
        var refused: (PendingNotification, DeliveryFailure)?
        let begin = now()
        for notification in page {
            do throws(DeliveryFailure) {
                try await receiver.deliver(notification)
                unrecorded.append(notification.sequence)
            } catch {
                if !Task.isCancelled { refused = (notification, error) }
                break
            }
            // Not later if the clock was set back.
            if Task.isCancelled || abs(now().timeIntervalSince(begin)) > Self.recordingInterval.inSeconds { break }
        }
        try await recordDelivered()
        guard let (notification, failure) = refused else { return !page.isEmpty }
        try await postpone(notification, failure)
        return false
    }

    private func recordDelivered() async throws {
        let delivered = unrecorded
        guard !delivered.isEmpty else { return }
        // What has arrived is recorded also when the coordinator stops: the database refuses cancelled tasks.
        try await Task { [store] in try await store.removeNotifications(delivered) }.value
        unrecorded = []
        metrics.update { $0.notifications[receiver.kind, default: .init()].delivered += delivered.count }
        guard failuresInARow > 0 else { return }
        if failuresInARow >= RetrySchedule.failuresOfAbsence {
            logger.notice("messages are accepted again", metadata: place)
            try await store.endPauses(of: receiver.id)
        }
        failuresInARow = 0
    }

    private func postpone(_ refused: PendingNotification, _ failure: DeliveryFailure) async throws {
        let now = now()
        var notification = refused
        notification.failures += 1
        failuresInARow += 1
        let pause = RetrySchedule.pause(afterFailures: notification.failures, chance: chance())
        let rest = RetrySchedule.rest(afterFailuresInARow: failuresInARow, chance: chance())
        restsUntil = now.addingTimeInterval(max(rest, min(failure.retryAfter ?? 0, RetrySchedule.longestPause)))
        if failuresInARow <= RetrySchedule.failuresOfAbsence {
            logger.warning(
                "a message was not accepted; it is sent again",
                metadata: place([
                    "message": "\(notification.message)", "type": "\(notification.kind)", "reason": "\(failure)",
                    "failures": .stringConvertible(notification.failures),
                    "seconds": .stringConvertible(Int(max(pause, rest).rounded(.up))),
                ]))
        }
        metrics.update { $0.notifications[receiver.kind, default: .init()].failed += 1 }
        // A message that happened while the coordinator was down has its time, too.
        let oldest =
            now.timeIntervalSince(startedAt) < RetrySchedule.lifetime
            ? Date.distantPast : now.addingTimeInterval(-RetrySchedule.lifetime)
        let count = try await store.postpone(
            notification, of: receiver.id, until: now.addingTimeInterval(pause), oldest: oldest)
        guard count > 0 else { return }
        metrics.update { $0.notifications[receiver.kind, default: .init()].givenUp += count }
        logger.error(
            "\(counted(count, "message")) of more than a day ago were not accepted and are given up",
            metadata: place(["reason": "\(failure)"]))
    }

    private var place: Logger.Metadata { place([:]) }

    private func place(_ more: Logger.Metadata) -> Logger.Metadata {
        more.merging(["receiver": "\(receiver.title)"]) { $1 }
    }
}
