import ClusterCore
import Foundation
import GRDB
import Protocol

/// What a job's event file lacks, as of one commit.
struct MissingMeasurements: Sendable {
    /// The newest attempt; 0 if there is none yet.
    var attempt: Int
    /// The rows start after this iteration: the file's last one, or the earlier one where a newer attempt began.
    var after: Int
    /// Rows in ascending order of iterations.
    var rows: [MetricsEntry]
    var snapshots: [Snapshot]
    var isRunning: Bool
    /// When the job reached its present end; nil if it has not ended.
    var endedAt: Date?

    struct Snapshot: Sendable {
        var iteration: Int
        var sha256: String
        var createdAt: Date
    }
}

/// A job with metrics, or a training with snapshots.
struct MeasuredJob: Sendable {
    var id: JobID
    var resultName: String
    var endedAt: Date?
}

extension JobStore {
    /// Measurements of the training that the newest attempt continues. They leave out what an earlier attempt measured
    /// beyond the checkpoint where a later one began.
    /// - Parameters:
    ///   - last: The file's last iteration, written by attempt `attempt` or an earlier one.
    ///   - limit: The maximum number of rows.
    /// - Returns: nil if there is no such job.
    func measurements(
        of id: JobID, after last: Int, of attempt: Int, limit: Int
    ) async throws -> MissingMeasurements? {
        try await pool.read { db in
            let jobs = try StoredRow.all(
                db, sql: "SELECT state, finished_at FROM jobs WHERE sequence = ?", arguments: [id.sequence])
            guard let job = jobs.first else { return nil }
            let newer = try StoredRow(
                Row.fetchOne(
                    db,
                    sql: """
                        SELECT MAX(number) AS newest, MIN(CASE WHEN number > ? THEN start_iteration END) AS start
                        FROM attempts WHERE job = ?
                        """, arguments: [attempt, id.sequence]) ?? Row())
            let after = min(last, (try newer["start"] as Int?) ?? last)
            let sql = """
                SELECT iteration, unix_seconds, names, "values" FROM metrics
                JOIN metric_columns ON metric_columns.id = metrics.columns
                WHERE job = ?1 AND iteration > ?2 AND (metrics.attempt = 0 OR NOT EXISTS (SELECT 1 FROM attempts AS later
                    WHERE later.job = ?1 AND later.number > metrics.attempt
                        AND later.start_iteration < metrics.iteration))
                ORDER BY iteration LIMIT ?3
                """
            var columns = ColumnNames()
            let rows = try StoredRow.all(db, sql: sql, arguments: [id.sequence, after, limit]).map { row in
                try MetricsEntry(
                    iteration: row["iteration"], unixSeconds: row["unix_seconds"], values: columns.values(row))
            }
            // Those of other work are previews of its pictures.
            let snapshots = try StoredRow.all(
                db,
                sql: """
                    SELECT artifacts.* FROM artifacts JOIN jobs ON jobs.sequence = artifacts.job AND jobs.kind = 'train'
                    WHERE job = ? AND artifacts.kind = 'snapshot' ORDER BY artifacts.iteration
                    """, arguments: [id.sequence])
            return MissingMeasurements(
                attempt: (try newer["newest"] as Int?) ?? 0, after: after, rows: rows,
                snapshots: try snapshots.map { row in
                    try MissingMeasurements.Snapshot(
                        iteration: row["iteration"], sha256: row["sha256"],
                        createdAt: Date(timeIntervalSince1970: row["created_at"]))
                },
                isRunning: try job["state"] == JobState.running.rawValue,
                endedAt: (try job["finished_at"] as Double?).map(Date.init(timeIntervalSince1970:)))
        }
    }

    /// The name of a job's folders; nil if there is no such job.
    func resultName(of id: JobID) async throws -> String? {
        try await pool.read { db in
            try String.fetchOne(
                db, sql: "SELECT result_name FROM jobs WHERE sequence = ?", arguments: [id.sequence])
        }
    }

    /// Every job that has metrics or snapshots.
    func measuredJobs() async throws -> [MeasuredJob] {
        try await pool.read { db in
            let sql = """
                SELECT id, result_name, finished_at FROM jobs
                WHERE EXISTS (SELECT 1 FROM metrics WHERE job = sequence)
                    OR kind = 'train'
                        AND EXISTS (SELECT 1 FROM artifacts WHERE job = sequence AND artifacts.kind = 'snapshot')
                """
            return try StoredRow.all(db, sql: sql).compactMap { row in
                try JobID(row["id"]).map { id in
                    MeasuredJob(
                        id: id, resultName: try row["result_name"],
                        endedAt: (try row["finished_at"] as Double?).map(Date.init(timeIntervalSince1970:)))
                }
            }
        }
    }
}
