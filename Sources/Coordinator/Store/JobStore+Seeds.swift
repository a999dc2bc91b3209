import Foundation
import GRDB
import Protocol

extension JobStore {
    /// A job as it is told from others of its exemplar.
    struct JobRecipe: Sendable {
        var sequence: Int64
        var exemplar: String
        /// The row of `recipes`.
        var recipe: Int64
    }

    /// The jobs of one exemplar, by age.
    func jobs(ofExemplar sha256: String) async throws -> [JobRecipe] {
        let sql = """
            SELECT sequence, exemplar_sha256, recipe FROM artifacts JOIN jobs ON jobs.sequence = artifacts.job
            WHERE artifacts.sha256 = ? AND artifacts.kind = 'exemplar' ORDER BY sequence
            """
        return try await pool.read { try Self.jobRecipes($0, sql, [sha256]) }
    }

    /// Those of the jobs that exist, and the recipes that their exemplars have in all jobs.
    func recipes(
        ofJobs sequences: [Int64]
    ) async throws -> (jobs: [JobRecipe], ofTheirExemplars: [(exemplar: String, recipe: Int64)]) {
        let list = sequences.map(String.init).joined(separator: ",")
        let all = """
            SELECT DISTINCT exemplar_sha256, recipe FROM artifacts JOIN jobs ON jobs.sequence = artifacts.job
            WHERE artifacts.sha256 IN (SELECT exemplar_sha256 FROM jobs WHERE sequence IN (\(list)))
                AND artifacts.kind = 'exemplar'
            """
        return try await pool.read { db in
            let sql = "SELECT sequence, exemplar_sha256, recipe FROM jobs WHERE sequence IN (\(list))"
            return (
                try Self.jobRecipes(db, sql, []),
                try StoredRow.all(db, sql: all).map { try ($0["exemplar_sha256"], $0["recipe"]) }
            )
        }
    }

    private static func jobRecipes(_ db: Database, _ sql: String, _ arguments: StatementArguments) throws -> [JobRecipe] {
        try StoredRow.all(db, sql: sql, arguments: arguments).map { row in
            try JobRecipe(sequence: row["sequence"], exemplar: row["exemplar_sha256"], recipe: row["recipe"])
        }
    }

    /// Recipes as they were submitted, by their rows.
    func recipeTexts(_ rows: some Collection<Int64>) async throws -> [Int64: String] {
        let list = rows.map(String.init).joined(separator: ",")
        return try await pool.read { db in
            let found = try StoredRow.all(db, sql: "SELECT id, yaml FROM recipes WHERE id IN (\(list))")
            return Dictionary(uniqueKeysWithValues: try found.map { try ($0["id"], $0["yaml"]) })
        }
    }

    /// What workers reported of the jobs that have finished, by sequence number, as JSON text.
    func reports(of sequences: [Int64]) async throws -> [Int64: String] {
        let list = sequences.map(String.init).joined(separator: ",")
        let sql = "SELECT sequence, report_json FROM jobs WHERE sequence IN (\(list)) AND report_json IS NOT NULL"
        return try await pool.read { db in
            let found = try StoredRow.all(db, sql: sql)
            return Dictionary(uniqueKeysWithValues: try found.map { try ($0["sequence"], $0["report_json"]) })
        }
    }
}
