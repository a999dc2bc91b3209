import ClusterCore
import Foundation
import GRDB

// The workers that the coordinator remembers, and how long it remembers them and their keys.
extension JobStore {
    /// Workers kept in the database, the most recently seen.
    static let workersKept = 10_000

    struct RecordedWorkerRow: Sendable {
        var identity: WorkerIdentity
        var lastSeenAt: Date
    }

    /// Known workers, with the time of their last change of state.
    /// - Parameters:
    ///   - ids: Workers that are in any case among them.
    ///   - limit: How many of the others, the most recently seen.
    func workers(_ ids: Set<String> = [], others limit: Int = .max) async throws -> [RecordedWorkerRow] {
        let names = String(decoding: try JSONEncoder().encode(ids.sorted()), as: UTF8.self)
        return try await pool.read { db in
            let sql = """
                SELECT * FROM workers WHERE id IN (SELECT value FROM json_each(?1)) OR id IN (
                    SELECT id FROM workers WHERE id NOT IN (SELECT value FROM json_each(?1))
                    ORDER BY last_seen_at DESC, id LIMIT ?2)
                ORDER BY name, id
                """
            return try StoredRow.all(db, sql: sql, arguments: [names, limit]).map { row in
                try RecordedWorkerRow(
                    identity: WorkerIdentity(row), lastSeenAt: Date(timeIntervalSince1970: row["last_seen_at"]))
            }
        }
    }

    /// Excludes the coordinator's downtime, or a jump of the clock, from the absence of the workers and the keys: no
    /// worker could connect in that time. While the workers' address is plain, the absence of keys begins at each call.
    /// To be called at regular intervals; the first call knows of no downtime.
    func excludeDowntime(longerThan interval: TimeInterval, acceptsKeys: Bool, at now: Date) async throws {
        try await pool.write { db in
            let now = now.timeIntervalSince1970
            let last = try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'workers_reviewed_at'")
            try db.execute(sql: "INSERT OR REPLACE INTO meta VALUES ('workers_reviewed_at', ?)", arguments: ["\(now)"])
            let downtime = max(0, now - (last.flatMap(Double.init) ?? now) - interval)
            if downtime > 0 {
                try db.execute(
                    sql: "UPDATE workers SET last_seen_at = min(last_seen_at + ?, ?)", arguments: [downtime, now])
            }
            guard downtime > 0 || !acceptsKeys else { return }
            // `now` is more than any of these times lacks. NULL stays NULL.
            try db.execute(
                sql: "UPDATE worker_keys SET added_at = min(added_at + ?1, ?2), revoked_at = min(revoked_at + ?1, ?2)",
                arguments: [acceptsKeys ? downtime : now, now])
        }
    }

    /// Forgets workers last seen before `time`, and the longest unseen ones beyond the limit, each with its key. It
    /// never forgets a worker in `connected`, and records that these are seen now. Keys that were added before `time`
    /// and that no worker has are forgotten too. A key that was revoked after `time` stays, so that its worker hears
    /// why it is refused.
    /// - Parameter endsKeys: Whether keys are forgotten at all.
    /// - Returns: The ids of the forgotten workers, and the forgotten keys.
    func forgetWorkers(
        lastSeenBefore time: Date, connected: Set<String>, endsKeys: Bool, at now: Date
    ) async throws -> (workers: [String], keys: [String]) {
        try await pool.write { db in
            let limit = time.timeIntervalSince1970
            let (workers, keysBeyondLimit) = try Self.forgetWorkers(
                lastSeenBefore: limit, connected: connected, at: now.timeIntervalSince1970, db)
            let keys = try endsKeys ? Self.forgetKeys(addedBefore: limit, or: keysBeyondLimit, db) : []
            return (workers, keys)
        }
    }

    /// - Returns: The ids of the forgotten workers, and the keys of those that were forgotten only for their number.
    private static func forgetWorkers(
        lastSeenBefore limit: Double, connected: Set<String>, at now: Double, _ db: Database
    ) throws -> (workers: [String], keysBeyondLimit: Set<String>) {
        var workers: [String] = []
        var keysBeyondLimit: Set<String> = []
        let rows = try StoredRow.all(
            db, sql: "SELECT id, last_seen_at, key FROM workers ORDER BY last_seen_at DESC, id")
        for (rank, row) in rows.enumerated() {
            let (id, seen): (String, Double) = (try row["id"], try row["last_seen_at"])
            if connected.contains(id) {
                // A worker may stay connected for months, and nothing else records that it is there.
                try db.execute(sql: "UPDATE workers SET last_seen_at = ? WHERE id = ?", arguments: [now, id])
            } else if seen < limit || rank >= workersKept {
                try db.execute(sql: "DELETE FROM workers WHERE id = ?", arguments: [id])
                workers.append(id)
                // The key of a worker that was away for too long has a time of its own: it may have stopped while the
                // workers' address was plain.
                if seen >= limit, let key = try row["key"] as String? { keysBeyondLimit.insert(key) }
            }
        }
        return (workers, keysBeyondLimit)
    }

    /// Forgets those keys that no worker has and that were added before `limit` or are among `beyondLimit`.
    private static func forgetKeys(
        addedBefore limit: Double, or beyondLimit: Set<String>, _ db: Database
    ) throws -> [String] {
        // A worker whose id is new may still have the key.
        let unused = try StoredRow.all(
            db,
            sql: """
                SELECT key, added_at FROM worker_keys
                WHERE key NOT IN (SELECT key FROM workers WHERE key IS NOT NULL)
                    AND (revoked_at IS NULL OR revoked_at < ?)
                """,
            arguments: [limit])
        var keys: [String] = []
        for row in unused {
            let (key, added): (String, Double) = (try row["key"], try row["added_at"])
            guard beyondLimit.contains(key) || added < limit else { continue }
            try db.execute(sql: "DELETE FROM worker_keys WHERE key = ?", arguments: [key])
            keys.append(key)
        }
        return keys
    }
}

extension WorkerIdentity {
    /// - Parameter row: Of `workers`.
    init(_ row: StoredRow) throws {
        self.init(
            id: try row["id"], name: try row["name"], softwareVersion: try row["software_version"],
            slots: try row["slots"], threadsPerSlot: try row["threads_per_slot"], cpu: try row["cpu"],
            credentials: WorkerCredentials(key: try row["key"], secretDigest: try row["secret_digest"]))
    }
}
