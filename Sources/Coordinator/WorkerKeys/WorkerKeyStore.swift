import Foundation
import GRDB
import Protocol

/// The workers' keys and the invitations, in the database. Keys leave it with their workers:
/// ``JobStore/forgetWorkers(lastSeenBefore:connected:endsKeys:at:)``.
struct WorkerKeyStore: Sendable {
    struct Key: Sendable, Equatable {
        /// 64 hexadecimal digits, as all keys here.
        var key: String
        var name: String
        /// Later than that after an absence of the coordinator, which does not count; ``revokedAt`` too.
        var addedAt: Date
        var revokedAt: Date?
    }

    struct Invited: Sendable, Equatable {
        /// The public key of the invitation's key pair. Its secret is in the invitation only.
        var key: String
        var expiresAt: Date
        /// The key of the worker that used it.
        var usedBy: String?
    }

    let pool: DatabasePool

    func load() throws -> (keys: [Key], invitations: [Invited]) {
        try pool.read { db in
            let keys = try StoredRow.all(db, sql: "SELECT * FROM worker_keys ORDER BY added_at, key").map { row in
                try Key(
                    key: row["key"], name: row["name"], addedAt: Date(timeIntervalSince1970: row["added_at"]),
                    revokedAt: (try row["revoked_at"] as Double?).map(Date.init(timeIntervalSince1970:)))
            }
            let invitations = try StoredRow.all(db, sql: "SELECT * FROM invitations").map { row in
                try Invited(
                    key: row["key"], expiresAt: Date(timeIntervalSince1970: row["expires_at"]), usedBy: row["used_by"])
            }
            return (keys, invitations)
        }
    }

    /// - Parameter forgottenBefore: Invitations that ended before this time are removed.
    func add(_ invitation: Invited, forgottenBefore: Date) async throws {
        try await pool.write { db in
            try db.execute(
                sql: "DELETE FROM invitations WHERE expires_at < ?", arguments: [forgottenBefore.timeIntervalSince1970])
            try db.execute(
                sql: "INSERT INTO invitations (key, expires_at) VALUES (?, ?)",
                arguments: [invitation.key, invitation.expiresAt.timeIntervalSince1970])
        }
    }

    /// Uses up an invitation for a worker's key.
    /// - Returns: Whether the invitation was unused, or this key used it.
    func use(_ invitation: String, for key: Key) async throws -> Bool {
        try await pool.write { db in
            try db.execute(
                sql: "UPDATE invitations SET used_by = ?2 WHERE key = ?1 AND (used_by IS NULL OR used_by = ?2)",
                arguments: [invitation, key.key])
            guard db.changesCount > 0 else { return false }
            // A revoked key does not come back: a new invitation needs a new key.
            try db.execute(
                sql: "INSERT INTO worker_keys (key, name, added_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                arguments: [key.key, key.name, key.addedAt.timeIntervalSince1970])
            return true
        }
    }

    func revoke(_ key: String, at time: Date) async throws {
        try await pool.write { db in
            try db.execute(
                sql: "UPDATE worker_keys SET revoked_at = ?2 WHERE key = ?1 AND revoked_at IS NULL",
                arguments: [key, time.timeIntervalSince1970])
        }
    }
}
