import ClusterCore
import Foundation
import GRDB

extension DatabaseMigrator {
    /// How people group jobs.
    mutating func registerBatchesAndLabels() {
        registerMigration("batches and labels") { db in
            try db.execute(
                sql: """
                    ALTER TABLE jobs ADD COLUMN batch TEXT;
                    CREATE INDEX jobs_of_batch ON jobs (batch, sequence) WHERE batch IS NOT NULL;
                    CREATE TABLE labels (
                        job INTEGER NOT NULL REFERENCES jobs (sequence),
                        key TEXT NOT NULL,
                        value TEXT NOT NULL,
                        PRIMARY KEY (job, key)
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX labels_by_value ON labels (key, value, job);
                    """)
        }
    }
}

/// What the store knows about a batch.
struct RecordedBatch: Sendable {
    var name: String
    /// The sequence number of its first job. Batches are listed by it.
    var first: Int64
    var counts: [JobState: Int]
    var submittedAt: Date
    /// When its last job ended; nil if none has.
    var endedAt: Date?
}

/// A job of a batch, as far as the batch's progress needs it.
struct BatchMember: Sendable {
    var id: JobID
    var kind: JobKind
    var state: JobState
    var iteration: Int
    /// Of the job, or else of another job with its recipe; 0: unknown.
    var totalIterations: Int
    /// The same; nil: unknown.
    var secondsPerIteration: Double?
}

// Batches: the jobs that were submitted under one name.
extension JobStore {
    /// Batches, the newest first.
    /// - Parameters:
    ///   - name: Only this one.
    ///   - before: Only those whose first job is older than this sequence number.
    func batches(named name: String? = nil, before: Int64 = .max, limit: Int) async throws -> [RecordedBatch] {
        try await pool.read { db in
            let states = JobState.allCases.map { "SUM(state = '\($0.rawValue)') AS \($0.rawValue)" }
            let sql = """
                SELECT batch, MIN(sequence) AS first, MIN(submitted_at) AS submitted_at, MAX(finished_at) AS ended_at,
                    \(states.joined(separator: ", "))
                FROM jobs WHERE batch IS NOT NULL \(name == nil ? "" : "AND batch = ?")
                GROUP BY batch HAVING first < ? ORDER BY first DESC LIMIT ?
                """
            let arguments = (name.map { [$0] } ?? []) as StatementArguments + [before, limit]
            return try StoredRow.all(db, sql: sql, arguments: arguments).map { row in
                var counts: [JobState: Int] = [:]
                for state in JobState.allCases { counts[state] = try row[state.rawValue] }
                return try RecordedBatch(
                    name: row["batch"], first: row["first"], counts: counts,
                    submittedAt: Date(timeIntervalSince1970: row["submitted_at"]),
                    endedAt: (row["ended_at"] as Double?).map(Date.init(timeIntervalSince1970:)))
            }
        }
    }

    /// The jobs of a batch, by age.
    func members(ofBatch name: String) async throws -> [BatchMember] {
        try await pool.read { db in
            // Jobs of one recipe have the same length and about the same speed.
            let sql = """
                WITH known AS (
                    SELECT recipe, MAX(total_iterations) AS total,
                        AVG(CASE WHEN seconds_per_iteration > 0 THEN seconds_per_iteration END) AS seconds
                    FROM jobs WHERE recipe IN (SELECT recipe FROM jobs WHERE batch = ?1) GROUP BY recipe
                )
                SELECT id, kind, state, iteration, MAX(total_iterations, known.total) AS total,
                    CASE WHEN seconds_per_iteration > 0 THEN seconds_per_iteration ELSE known.seconds END AS seconds
                FROM jobs JOIN known ON known.recipe = jobs.recipe WHERE batch = ?1 ORDER BY sequence
                """
            return try StoredRow.all(db, sql: sql, arguments: [name]).compactMap { row in
                guard let id = JobID(try row["id"]), let state = JobState(rawValue: try row["state"]) else {
                    return nil
                }
                return try BatchMember(
                    id: id, kind: JobKind(rawValue: row["kind"]), state: state, iteration: row["iteration"],
                    totalIterations: row["total"],
                    secondsPerIteration: row["seconds"])
            }
        }
    }

    /// The labels of a batch's jobs: every key with its values, numbers in their order.
    func labels(ofBatch name: String) async throws -> [(key: String, values: [String])] {
        try await pool.read { db in
            let sql = """
                SELECT DISTINCT key, value FROM labels WHERE job IN (SELECT sequence FROM jobs WHERE batch = ?)
                ORDER BY key, CAST(value AS REAL), value
                """
            var labels: [(key: String, values: [String])] = []
            for row in try StoredRow.all(db, sql: sql, arguments: [name]) {
                let (key, value): (String, String) = (try row["key"], try row["value"])
                if labels.last?.key == key {
                    labels[labels.count - 1].values.append(value)
                } else {
                    labels.append((key, [value]))
                }
            }
            return labels
        }
    }

    /// The jobs that a query selects, by age, whatever its order and page.
    func selection(_ query: JobQuery, limit: Int) async throws -> [(id: JobID, resultName: String, state: JobState)] {
        let (conditions, arguments) = query.filter
        let sql = """
            SELECT id, result_name, state FROM jobs WHERE \(conditions.joined(separator: " AND "))
            ORDER BY sequence LIMIT \(limit)
            """
        return try await pool.read { db in
            try StoredRow.all(db, sql: sql, arguments: arguments).compactMap { row in
                guard let id = JobID(try row["id"]), let state = JobState(rawValue: try row["state"]) else {
                    return nil
                }
                return (id, try row["result_name"], state)
            }
        }
    }
}
