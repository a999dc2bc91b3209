import ClusterCore
import Foundation
import GRDB

extension JobStore {
    /// A job's exemplar and recipe, which distinguish it from other jobs.
    struct JobRecipe: Sendable {
        var sequence: Int64
        /// What identifies the exemplar: its digest, and the names and digests of a material's maps.
        var exemplar: String
        /// The row of `recipes`.
        var recipe: Int64
    }

    /// Two materials may share their albedo.
    private static let identity = """
        inputs.sha256 || COALESCE((SELECT group_concat(file) FROM (SELECT maps.name || maps.sha256 AS file
            FROM inputs AS maps WHERE maps.job = inputs.job AND maps.name GLOB '\(JobInput.mapPrefix)*' ORDER BY file)), '')
        """

    /// The existing jobs of these numbers, and all recipes that any job uses with their exemplars.
    func recipes(
        ofJobs sequences: [Int64]
    ) async throws -> (jobs: [JobRecipe], ofTheirExemplars: [(exemplar: String, recipe: Int64)]) {
        let list = sequences.map(String.init).joined(separator: ",")
        let jobs = "FROM jobs JOIN inputs ON job = sequence AND position = 0"
        let all = """
            SELECT DISTINCT \(Self.identity) AS exemplar, recipe \(jobs)
            WHERE sha256 IN (SELECT sha256 FROM inputs WHERE position = 0 AND job IN (\(list)))
            """
        return try await pool.read { db in
            let found = try StoredRow.all(
                db, sql: "SELECT sequence, \(Self.identity) AS exemplar, recipe \(jobs) WHERE sequence IN (\(list))")
            return (
                try found.map {
                    try JobRecipe(sequence: $0["sequence"], exemplar: $0["exemplar"], recipe: $0["recipe"])
                },
                try StoredRow.all(db, sql: all).map { try ($0["exemplar"], $0["recipe"]) }
            )
        }
    }

    /// The jobs of an exemplar with one of these recipes: the recipe's row by the job's sequence number.
    /// - Parameter exemplar: What identifies it: ``JobRecipe/exemplar``.
    func jobs(ofExemplar exemplar: String, recipes: some Collection<Int64>) async throws -> [Int64: Int64] {
        let list = recipes.map(String.init).joined(separator: ",")
        let sql = """
            SELECT sequence, recipe FROM inputs JOIN jobs ON sequence = job
            WHERE sha256 = ? AND position = 0 AND recipe IN (\(list)) AND \(Self.identity) = ?
            """
        return try await pool.read { db in
            let found = try StoredRow.all(db, sql: sql, arguments: [String(exemplar.prefix(64)), exemplar])
            return Dictionary(uniqueKeysWithValues: try found.map { try ($0["sequence"], $0["recipe"]) })
        }
    }

    /// The submitted texts of recipes, by their rows.
    func recipeTexts(_ rows: some Collection<Int64>) async throws -> [Int64: String] {
        let list = rows.map(String.init).joined(separator: ",")
        return try await pool.read { db in
            let found = try StoredRow.all(db, sql: "SELECT id, yaml FROM recipes WHERE id IN (\(list))")
            return Dictionary(uniqueKeysWithValues: try found.map { try ($0["id"], $0["yaml"]) })
        }
    }

    /// The workers' reports of finished jobs, by sequence number, as JSON text.
    func reports(of sequences: [Int64]) async throws -> [Int64: String] {
        let list = sequences.map(String.init).joined(separator: ",")
        let sql = "SELECT sequence, report_json FROM jobs WHERE sequence IN (\(list)) AND report_json IS NOT NULL"
        return try await pool.read { db in
            let found = try StoredRow.all(db, sql: sql)
            return Dictionary(uniqueKeysWithValues: try found.map { try ($0["sequence"], $0["report_json"]) })
        }
    }
}
