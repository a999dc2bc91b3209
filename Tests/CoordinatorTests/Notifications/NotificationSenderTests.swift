import Foundation
import GRDB
import Logging
import Synchronization
import Testing

@testable import Coordinator

/// When messages are sent again, in which order, and when they are given up: on a virtual clock, with a scripted receiver.
@Suite("Sending messages", .timeLimit(.minutes(10)))
struct NotificationSenderTests {
    private let folder = TemporaryFolder()
    private let store: JobStore
    private let clock = VirtualClock()
    private let metrics = CoordinatorMetrics()
    private let complaints = Complaints()

    init() throws {
        store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
    }

    private final class VirtualClock: Sendable {
        private let seconds = Mutex(1_700_000_000.0)
        var now: Date { Date(timeIntervalSince1970: seconds.withLock { $0 }) }
        func pass(_ interval: Double) { seconds.withLock { $0 += interval } }
    }

    /// Refuses what the test says, and remembers every try.
    private final class ScriptedReceiver: NotificationReceiver {
        let id = "webhook-1"
        let kind = NotificationReceiverKind.webhook
        let title = "http://receiver"
        private let refuses: @Sendable (PendingNotification) -> DeliveryFailure?
        private let seen = Mutex<(tries: [String], accepted: [String])>(([], []))

        init(_ refuses: @escaping @Sendable (PendingNotification) -> DeliveryFailure?) { self.refuses = refuses }

        var tries: [String] { seen.withLock { $0.tries } }
        var accepted: [String] { seen.withLock { $0.accepted } }

        func deliver(_ notification: PendingNotification) async throws(DeliveryFailure) {
            let failure = refuses(notification)
            seen.withLock {
                $0.tries.append(notification.message)
                if failure == nil { $0.accepted.append(notification.message) }
            }
            if let failure { throw failure }
        }
    }

    private func add(_ messages: [String], to receiver: String = "webhook-1") async throws {
        let now = clock.now.timeIntervalSince1970
        try await store.pool.write { db in
            for message in messages {
                try db.execute(
                    sql: """
                        INSERT INTO notifications (receiver, message, kind, at, due_at, body)
                        VALUES (?, ?, 'job.finished', ?, ?, '{}')
                        """, arguments: [receiver, message, now, now])
            }
        }
    }

    private func sender(
        _ receiver: ScriptedReceiver, startedAt: Date? = nil
    ) -> NotificationSender {
        NotificationSender(
            receiver, store: store, metrics: metrics, startedAt: startedAt ?? clock.now, now: { [clock] in clock.now },
            chance: { 0 }, logger: complaints.logger)
    }

    private var counts: CoordinatorMetrics.NotificationCounts { metrics.current.notifications[.webhook] ?? .init() }

    /// Beats once a second, as the sender does by itself.
    private func pass(_ seconds: Int, _ sender: NotificationSender, step: Double = 1) async {
        for _ in 0..<seconds {
            await sender.beat()
            clock.pass(step)
        }
    }

    @Test func everythingIsSentInItsOrderAndThenForgotten() async throws {
        let messages = (0..<100).map { "m\($0)" }
        try await add(messages)
        try await add(["other"], to: "webhook-2")
        let receiver = ScriptedReceiver { _ in nil }
        await sender(receiver).beat()
        #expect(receiver.tries == messages)
        #expect(try await store.waitingNotifications() == ["webhook-2": 1])
        #expect(counts.delivered == 100 && counts.failed == 0)
    }

    @Test func aRefusedMessageIsSentAgainWithGrowingPausesUntilItIsTaken() async throws {
        try await add(["a"])
        let isBroken = Mutex(true)
        let receiver = ScriptedReceiver { _ in
            isBroken.withLock { $0 } ? DeliveryFailure(reason: "it answered 500") : nil
        }
        let sender = sender(receiver)
        var times: [Double] = []
        let start = clock.now
        for _ in 0..<3000 where times.count < 9 {
            let before = receiver.tries.count
            await sender.beat()
            if receiver.tries.count > before { times.append(clock.now.timeIntervalSince(start)) }
            clock.pass(1)
        }
        #expect(times == [0, 1, 3, 13, 33, 73, 153, 313, 633])
        isBroken.withLock { $0 = false }
        await pass(1300, sender)
        #expect(receiver.accepted == ["a"] && counts.failed == 9 && counts.delivered == 1 && counts.givenUp == 0)
        #expect(complaints.all.filter { $0.contains("not accepted") }.count == 3, "not a line for each try")
        #expect(complaints.all.last == "messages are accepted again")
    }

    @Test func whatASlowReceiverHasTakenIsRecordedBeforeTheNextMessage() async throws {
        try await add(["a", "b", "c"])
        let recorded = Mutex<[Int]>([])
        let receiver = ScriptedReceiver { [clock, metrics] _ in
            recorded.withLock { $0.append(metrics.current.notifications[.webhook]?.delivered ?? 0) }
            clock.pass(2)
            return nil
        }
        await sender(receiver).beat()
        let before = recorded.withLock { $0 }
        #expect(before == [0, 1, 2])
    }

    @Test func whatHasArrivedIsNotSentAgainWhileTheStoreCannotBeWritten() async throws {
        try await add(["a", "b"])
        try await store.pool.write {
            try $0.execute(
                sql: "CREATE TRIGGER full BEFORE DELETE ON notifications BEGIN SELECT RAISE(ABORT, 'full'); END")
        }
        let receiver = ScriptedReceiver { _ in nil }
        let sender = sender(receiver)
        await pass(3, sender)
        #expect(receiver.tries == ["a", "b"] && counts.delivered == 0)
        #expect(try await store.waitingNotifications() == ["webhook-1": 2])
        try await store.pool.write { try $0.execute(sql: "DROP TRIGGER full") }
        try await add(["c"])
        await sender.beat()
        #expect(receiver.tries == ["a", "b", "c"] && counts.delivered == 3)
        #expect(try await store.waitingNotifications() == [:])
        #expect(complaints.all.last == "messages are sent again")
    }

    @Test func aReceiverThatRestartsGetsEverythingInItsOrder() async throws {
        try await add(["a", "b", "c"])
        let isAway = Mutex(true)
        let receiver = ScriptedReceiver { _ in
            isAway.withLock { $0 } ? DeliveryFailure(reason: "Connection refused") : nil
        }
        let sender = sender(receiver)
        await pass(3, sender)
        isAway.withLock { $0 = false }
        await pass(3, sender)
        #expect(receiver.tries == ["a", "a", "a", "b", "c"])
    }

    @Test func aMessageThatIsAlwaysRefusedHoldsBackNoOther() async throws {
        try await add(["poison", "b", "c"])
        let receiver = ScriptedReceiver { $0.message == "poison" ? DeliveryFailure(reason: "it answered 500") : nil }
        let sender = sender(receiver)
        await pass(8, sender)
        // Its receiver answers, so it has another chance at once.
        #expect(receiver.tries == ["poison", "poison", "poison", "b", "c", "poison"])
        for hour in 0..<30 {
            try await add(["h\(hour)"])
            await pass(360, sender, step: 10)
        }
        #expect(receiver.accepted == ["b", "c"] + (0..<30).map { "h\($0)" })
        #expect(counts.givenUp == 1)
        let tries = receiver.tries.filter { $0 == "poison" }.count
        #expect((25...40).contains(tries), "about thirty tries in a day: \(tries)")
        #expect(complaints.all.contains { $0.contains("given up") })
        #expect(try await store.waitingNotifications() == [:])
    }

    @Test func aReceiverThatIsAwayForADayIsAskedOnceAMinuteAndThenGetsEverythingInOrder() async throws {
        let messages = (0..<10_000).map { String(format: "%05d", $0) }
        try await add(messages)
        let isAway = Mutex(true)
        let receiver = ScriptedReceiver { _ in
            isAway.withLock { $0 } ? DeliveryFailure(reason: "Connection refused") : nil
        }
        let sender = sender(receiver)
        // 23 hours.
        await pass(23 * 720, sender, step: 5)
        #expect((1300...1500).contains(receiver.tries.count), "\(receiver.tries.count)")
        isAway.withLock { $0 = false }
        let already = receiver.tries.count
        await pass(90, sender)
        // One message finds out; then comes the oldest.
        let afterwards = Array(receiver.tries.dropFirst(already + 1))
        let first = try #require(receiver.tries.dropFirst(already).first)
        #expect(receiver.accepted.count == 10_000 && Set(receiver.accepted).count == 10_000)
        let page = NotificationSender.pageSize
        #expect(afterwards.dropFirst(page) == ArraySlice(afterwards.dropFirst(page).sorted()), "\(first)")
        #expect(counts.givenUp == 0)
    }

    @Test func whatNoOneTookWithinADayIsGivenUpButNotWhatHappenedBeforeAStandstill() async throws {
        try await add(["a", "b"])
        let receiver = ScriptedReceiver { _ in DeliveryFailure(reason: "Connection refused") }
        // The coordinator was down for three days.
        clock.pass(3 * 86_400)
        let sender = sender(receiver)
        await pass(23 * 60, sender, step: 60)
        #expect(counts.givenUp == 0)
        #expect(try await store.waitingNotifications() == ["webhook-1": 2])
        try await add(["young"])
        await pass(2 * 60 + 1, sender, step: 60)
        #expect(counts.givenUp == 2)
        #expect(try await store.waitingNotifications() == ["webhook-1": 1])
    }

    @Test func aReceiverThatAsksForTimeGetsIt() async throws {
        try await add(["a", "b"])
        let receiver = ScriptedReceiver { _ in DeliveryFailure(reason: "it answered 429", retryAfter: 600) }
        let sender = sender(receiver)
        await pass(599, sender)
        #expect(receiver.tries == ["a"])
        await pass(2, sender)
        #expect(receiver.tries.count == 2)
    }

    @Test func aClockThatIsSetBackDelaysNothing() async throws {
        try await add(["a"])
        let isBroken = Mutex(true)
        let receiver = ScriptedReceiver { _ in isBroken.withLock { $0 } ? DeliveryFailure(reason: "no") : nil }
        let sender = sender(receiver)
        await sender.beat()
        isBroken.withLock { $0 = false }
        clock.pass(-7 * 86_400)
        await sender.beat()
        #expect(receiver.accepted == ["a"])
    }

    @Test func messagesOfAReceiverThatIsGoneAreForgotten() async throws {
        try await add(["a", "b"])
        try await add(["c"], to: "command-/bin/tell")
        #expect(try await store.removeNotifications(exceptFor: ["command-/bin/tell"]) == 2)
        #expect(try await store.waitingNotifications() == ["command-/bin/tell": 1])
        #expect(try await store.removeNotifications(exceptFor: []) == 1)
    }

    @Test func pausesAreSpreadAndNeverLongerThanAnHour() {
        #expect([1, 2, 3, 4].map { RetrySchedule.pause(afterFailures: $0, chance: 0) } == [0, 0, 10, 20])
        #expect(RetrySchedule.pause(afterFailures: 500, chance: 0) == 3600)
        #expect(RetrySchedule.pause(afterFailures: 500, chance: 0.999) > 2700)
        #expect(RetrySchedule.rest(afterFailuresInARow: 500, chance: 0) == 60)
        #expect(RetrySchedule.rest(afterFailuresInARow: 2, chance: 0.5) == 1.75)
    }
}
