import ClusterCore
import Foundation
import GRDB

/// A file of a deleted job. Another job may need it.
struct Leftover: Sendable, Hashable {
    var sha256: String
    /// Whether the job began from it. A person may have sent the same photograph again since.
    var isInput: Bool
}

extension ChangeWriter {
    /// Removes every row of a job.
    /// - Returns: The files that it named.
    func delete(_ id: JobID) throws -> Set<Leftover> {
        let rows = try StoredRow.all(
            db,
            sql:
                "SELECT sha256, sha256 IN (SELECT sha256 FROM inputs WHERE job = ?1) AS is_input FROM artifacts WHERE job = ?1",
            arguments: [id.sequence])
        let files = try Set(rows.map { Leftover(sha256: try $0["sha256"], isInput: try $0["is_input"]) })
        let recipe = try Int64.fetchOne(
            db, sql: "SELECT recipe FROM jobs WHERE sequence = ?", arguments: [id.sequence])
        for (table, column) in try Self.references(db) {
            try run("DELETE FROM \(table) WHERE \(column) = ?", [id.sequence])
        }
        try run("DELETE FROM jobs WHERE sequence = ?", [id.sequence])
        // SQLite would give the highest number to the next recipe, and what is cached by number would be another's.
        try run(
            """
            DELETE FROM recipes WHERE id = ?1 AND id < (SELECT MAX(id) FROM recipes)
                AND NOT EXISTS (SELECT 1 FROM jobs WHERE recipe = ?1)
            """, [recipe])
        return files
    }

    /// Every table whose rows belong to a job, and the column that names it. The schema says so, and a table that a
    /// later migration adds is among them.
    static func references(_ db: Database) throws -> [(table: String, column: String)] {
        let sql = """
            SELECT tables.name AS name, keys."from" AS job FROM sqlite_master AS tables
            JOIN pragma_foreign_key_list(tables.name) AS keys
            WHERE tables.type = 'table' AND keys."table" = 'jobs' ORDER BY 1, 2
            """
        return try StoredRow.all(db, sql: sql).map { (try $0["name"], try $0["job"]) }
    }
}

extension JobStore {
    /// The result names of all jobs.
    func resultNames() async throws -> Set<String> {
        try await pool.read { try Set(String.fetchAll($0, sql: "SELECT result_name FROM jobs")) }
    }
}
