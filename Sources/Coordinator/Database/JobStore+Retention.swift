import ClusterCore
import Foundation
import GRDB

// What the retention policy may give up, of jobs that ended and are not on hold.
extension JobStore {
    private static let ended = "jobs.state IN ('finished', 'failed', 'cancelled')"

    static let distinctArtifactBytesSQL = "SELECT SUM(bytes) FROM (SELECT bytes FROM artifacts GROUP BY sha256)"

    /// Bytes of all artifacts, each counted once.
    func distinctArtifactBytes() async throws -> Int {
        try await pool.read { try Int.fetchOne($0, sql: Self.distinctArtifactBytesSQL) ?? 0 }
    }

    /// Checkpoints of jobs that ended before a time, those that ended first first.
    func checkpoints(endedBefore time: Date, limit: Int) async throws -> [SpareArtifact] {
        try await spare(
            """
            SELECT id, artifacts.kind AS role, artifacts.iteration AS at, sha256 FROM artifacts
            JOIN jobs ON jobs.sequence = artifacts.job
            WHERE artifacts.kind = 'checkpoint' AND \(Self.ended) AND jobs.finished_at < ?
            ORDER BY jobs.finished_at, artifacts.iteration LIMIT ?
            """, [time.timeIntervalSince1970, limit])
    }

    /// The snapshots beyond a number, of trainings that ended before a time. The last one stays, and others spread evenly.
    func snapshots(beyond count: Int, endedBefore time: Date, limit: Int) async throws -> [SpareArtifact] {
        let jobs = """
            SELECT job FROM artifacts JOIN jobs ON jobs.sequence = artifacts.job
            WHERE artifacts.kind = 'snapshot' AND jobs.kind = 'train' AND \(Self.ended) AND jobs.finished_at < ?1
            GROUP BY job HAVING COUNT(*) > ?2 LIMIT 1000
            """
        let all = try await spare(
            """
            SELECT id, artifacts.kind AS role, artifacts.iteration AS at, sha256 FROM artifacts
            JOIN jobs ON jobs.sequence = artifacts.job
            WHERE artifacts.kind = 'snapshot' AND artifacts.job IN (\(jobs))
            ORDER BY artifacts.job, artifacts.iteration
            """, [time.timeIntervalSince1970, count])
        let thinned = Dictionary(grouping: all, by: \.job).sorted { $0.key < $1.key }.flatMap { _, snapshots in
            let kept = Self.spread(count, over: snapshots.count)
            return snapshots.indices.filter { !kept.contains($0) }.map { snapshots[$0] }
        }
        return Array(thinned.prefix(limit))
    }

    /// `count` of `total` places, evenly, with the last one; with two or more, with the first one, too.
    static func spread(_ count: Int, over total: Int) -> Set<Int> {
        guard count < total else { return Set(0..<total) }
        guard count > 1 else { return [total - 1] }
        return Set((0..<count).map { Int((Double($0) * Double(total - 1) / Double(count - 1)).rounded()) })
    }

    /// Files that finished jobs can do without, in the order in which the quota gives them up. A file that several jobs
    /// have disappears with the last of them: all its holders can do without it, and it ranks with the youngest.
    /// - Parameter limit: The number of files.
    func dispensable(limit: Int) async throws -> [(holders: [SpareArtifact], bytes: Int)] {
        let rows = try await spare(
            """
            WITH spare AS (
                SELECT id, artifacts.kind AS role, artifacts.iteration AS at, sha256, bytes, jobs.sequence, finished_at
                FROM artifacts JOIN jobs ON jobs.sequence = artifacts.job
                WHERE jobs.state = 'finished' AND (artifacts.kind = 'checkpoint' OR artifacts.kind = 'snapshot'
                    AND jobs.kind = 'train' AND artifacts.iteration < (SELECT MAX(newest.iteration)
                        FROM artifacts AS newest WHERE newest.job = artifacts.job AND newest.kind = 'snapshot'))
            ), files AS (
                SELECT sha256, MAX(role = 'snapshot') AS is_snapshot, MAX(finished_at) AS ended,
                    MAX(sequence) AS youngest, MAX(at) AS last
                FROM spare GROUP BY sha256
                HAVING COUNT(*) = (SELECT COUNT(*) FROM artifacts AS every WHERE every.sha256 = spare.sha256)
                ORDER BY is_snapshot, ended, youngest, last, sha256 LIMIT ?
            )
            SELECT spare.id, spare.role, spare.at, spare.sha256, spare.bytes
            FROM files JOIN spare ON spare.sha256 = files.sha256
            ORDER BY is_snapshot, ended, youngest, last, files.sha256, spare.sequence, spare.at
            """, [limit]
        ) { artifact, row in
            let bytes: Int = try row["bytes"]
            return (artifact: artifact, bytes: bytes)
        }
        var files: [(holders: [SpareArtifact], bytes: Int)] = []
        for (artifact, bytes) in rows {
            if files.last?.holders.last?.sha256 == artifact.sha256 {
                files[files.count - 1].holders.append(artifact)
            } else {
                files.append((holders: [artifact], bytes: bytes))
            }
        }
        return files
    }

    private func spare(_ sql: String, _ arguments: StatementArguments) async throws -> [SpareArtifact] {
        try await spare(sql, arguments) { artifact, _ in artifact }
    }

    private func spare<Value: Sendable>(
        _ sql: String, _ arguments: StatementArguments,
        _ value: @escaping @Sendable (SpareArtifact, StoredRow) throws -> Value
    ) async throws -> [Value] {
        try await pool.read { db in
            try StoredRow.all(db, sql: sql, arguments: arguments).compactMap { row in
                guard let job = JobID(try row["id"]), let role = ArtifactRole(rawValue: try row["role"]) else {
                    return nil
                }
                let artifact = try SpareArtifact(job: job, role: role, iteration: row["at"], sha256: row["sha256"])
                return try value(artifact, row)
            }
        }
    }
}
