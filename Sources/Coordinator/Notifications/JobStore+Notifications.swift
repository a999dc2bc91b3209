import ClusterCore
import Foundation
import GRDB

extension JobStore {
    /// The states of jobs that have not ended, as SQL. Part of a released migration: never change it.
    static let openStates = "('queued', 'running', 'waiting')"

    /// Messages that wait for their receivers.
    static func registerNotifications(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("notifications") { db in
            try db.execute(
                sql: """
                    -- A message for one receiver, until it has arrived or is given up. It refers to no job: a message about
                    -- a deleted job is sent all the same.
                    CREATE TABLE notifications (
                        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
                        receiver TEXT NOT NULL,
                        -- The message's id, the same for all receivers.
                        message TEXT NOT NULL,
                        kind TEXT NOT NULL,
                        at REAL NOT NULL,
                        failures INTEGER NOT NULL DEFAULT 0,
                        due_at REAL NOT NULL,
                        body TEXT NOT NULL
                    ) STRICT;
                    CREATE INDEX notifications_by_receiver ON notifications (receiver, sequence, due_at);
                    CREATE INDEX open_jobs_of_batch ON jobs (batch) WHERE state IN \(openStates);
                    """)
        }
    }
}

/// A message for one receiver.
struct PendingNotification: Sendable, Equatable {
    /// Its place in the order of what happened.
    var sequence: Int64
    /// The message's id.
    var message: String
    var kind: String
    /// JSON.
    var body: String
    /// How many times the receiver did not take it.
    var failures: Int
}

// The queue of messages. The engine's transactions add to it (`EndRecorder`), a `NotificationSender` for each receiver takes
// from it.
extension JobStore {
    /// Messages whose time has come, in the order of what happened.
    func dueNotifications(
        for receiver: String, at now: Date, limit: Int
    ) async throws -> [PendingNotification] {
        let seconds = now.timeIntervalSince1970
        return try await pool.read { db in
            // A clock that was set back must not make a message wait for longer than the longest pause.
            let sql = """
                SELECT * FROM notifications WHERE receiver = ?1 AND (due_at <= ?2 OR due_at > ?3)
                ORDER BY sequence LIMIT ?4
                """
            let latest = seconds + RetrySchedule.longestPause
            return try StoredRow.all(db, sql: sql, arguments: [receiver, seconds, latest, limit]).map { row in
                try PendingNotification(
                    sequence: row["sequence"], message: row["message"], kind: row["kind"], body: row["body"],
                    failures: row["failures"])
            }
        }
    }

    /// Forgets messages that have arrived.
    func removeNotifications(_ sequences: [Int64]) async throws {
        guard !sequences.isEmpty else { return }
        let list = sequences.map(String.init).joined(separator: ",")
        try await pool.write { try $0.execute(sql: "DELETE FROM notifications WHERE sequence IN (\(list))") }
    }

    /// Lets a message wait, and gives up all of its receiver that are older than `oldest`.
    /// - Returns: How many it gave up.
    func postpone(
        _ notification: PendingNotification, of receiver: String, until due: Date, oldest: Date
    ) async throws -> Int {
        try await pool.write { db in
            try db.execute(
                sql: "UPDATE notifications SET failures = ?, due_at = ? WHERE sequence = ?",
                arguments: [notification.failures, due.timeIntervalSince1970, notification.sequence])
            try db.execute(
                sql: "DELETE FROM notifications WHERE receiver = ? AND at < ?",
                arguments: [receiver, oldest.timeIntervalSince1970])
            return db.changesCount
        }
    }

    /// Ends the pauses of a receiver's messages, because it answers again.
    func endPauses(of receiver: String) async throws {
        try await pool.write {
            try $0.execute(sql: "UPDATE notifications SET due_at = at WHERE receiver = ?", arguments: [receiver])
        }
    }

    /// Forgets the messages of receivers that are no longer there.
    /// - Returns: How many they were.
    func removeNotifications(exceptFor receivers: [String]) async throws -> Int {
        try await pool.write { db in
            let places = receivers.map { _ in "?" }.joined(separator: ",")
            try db.execute(
                sql: "DELETE FROM notifications WHERE receiver NOT IN (\(places))",
                arguments: StatementArguments(receivers))
            return db.changesCount
        }
    }

    /// How many messages wait, by receiver.
    func waitingNotifications() async throws -> [String: Int] {
        try await pool.read { db in
            let sql = "SELECT receiver, COUNT(*) AS count FROM notifications GROUP BY receiver"
            let rows = try StoredRow.all(db, sql: sql)
            return Dictionary(uniqueKeysWithValues: try rows.map { (try $0["receiver"], try $0["count"]) })
        }
    }
}
