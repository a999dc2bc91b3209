import ClusterCore
import GRDB

/// How long the newest finished jobs of some recipes took.
struct FinishedJobTimes: Sendable {
    var jobs: Int
    /// Total time of the attempts that finished, from assignment to result.
    var seconds: Double
    /// Iterations that those attempts trained.
    var iterations: Int
    /// Iterations of a whole job.
    var totalIterations: Int
}

extension JobStore {
    /// The recipes added after one, by age.
    func recipes(after id: Int64) async throws -> [(id: Int64, yaml: String)] {
        try await pool.read { db in
            try StoredRow.all(db, sql: "SELECT id, yaml FROM recipes WHERE id > ? ORDER BY id", arguments: [id])
                .map { row in (try row["id"], try row["yaml"]) }
        }
    }

    /// - Parameters:
    ///   - maps: The maps of the jobs' exemplars, sorted; empty for photographs.
    ///   - limit: The maximum number of jobs.
    /// - Returns: nil if no such job has finished.
    func finishedTimes(ofRecipes ids: [Int64], maps: [String], limit: Int) async throws -> FinishedJobTimes? {
        let list = ids.map(String.init).joined(separator: ",")
        let names = maps.map { JobInput.mapPrefix + $0 }.joined(separator: ",")
        let sql = """
            SELECT COUNT(*) AS count, SUM(attempts.ended_at - attempts.started_at) AS seconds,
                SUM(attempts.iteration - attempts.start_iteration) AS iterations, MAX(newest.total_iterations) AS total
            FROM (SELECT sequence, total_iterations FROM jobs WHERE state = 'finished' AND recipe IN (\(list))
                AND (SELECT COALESCE(group_concat(name), '') FROM (SELECT name FROM inputs
                    WHERE job = sequence AND name GLOB '\(JobInput.mapPrefix)*' ORDER BY name)) = ?
                ORDER BY sequence DESC LIMIT \(limit)) AS newest
            JOIN attempts ON attempts.job = newest.sequence AND attempts.outcome = 'finished'
                AND attempts.iteration > attempts.start_iteration AND attempts.ended_at > attempts.started_at
            """
        return try await pool.read { db in
            guard let row = try StoredRow.all(db, sql: sql, arguments: [names]).first, try row["count"] as Int > 0
            else { return nil }
            return try FinishedJobTimes(
                jobs: row["count"], seconds: row["seconds"], iterations: row["iterations"],
                totalIterations: row["total"])
        }
    }
}
