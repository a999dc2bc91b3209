import ClusterCore
import Foundation
import GRDB
import Protocol

// What the API and the pages show, as committed.
extension JobStore {
    /// A page of jobs.
    func summaries(_ query: JobQuery) async throws -> (jobs: [JobSummary], next: JobCursor?, total: Int) {
        let (filter, filterArguments) = query.filter
        let (position, positionArguments) = query.position
        let page = """
            SELECT jobs.*, \(query.order.key) AS sort_key FROM jobs
            WHERE \((filter + position).joined(separator: " AND "))
            ORDER BY \(query.order.sql) LIMIT \(query.limit + 1)
            """
        let sql = Self.summarySQL(of: page) + " ORDER BY " + query.order.outerSQL
        let count = "SELECT COUNT(*) FROM jobs WHERE " + filter.joined(separator: " AND ")
        return try await pool.read { db in
            var rows = try StoredRow.all(db, sql: sql, arguments: filterArguments + positionArguments)
            let hasMore = rows.count > query.limit
            if hasMore { rows.removeLast() }
            let next =
                try hasMore ? rows.last.map { try JobCursor(key: $0["sort_key"], sequence: $0["sequence"]) } : nil
            return (
                try rows.map { try Self.summary($0, db) }, next,
                try Int.fetchOne(db, sql: count, arguments: filterArguments) ?? 0
            )
        }
    }

    /// The existing jobs of these sequence numbers, in no order.
    func summaries(of sequences: [Int64]) async throws -> [JobSummary] {
        let list = sequences.map(String.init).joined(separator: ",")
        let sql = Self.summarySQL(of: "SELECT * FROM jobs WHERE sequence IN (\(list))")
        return try await pool.read { db in try StoredRow.all(db, sql: sql).map { try Self.summary($0, db) } }
    }

    /// Answers from the index `jobs_of_recipe`, which lacks the kind. Jobs of one recipe are of one kind, so one of them
    /// says it for all.
    static let recipeLoadsSQL = """
        SELECT SUM(state = 'queued') AS queued,
            SUM(CASE WHEN state = 'queued' THEN iteration ELSE 0 END) AS done, MAX(total_iterations) AS total,
            AVG(CASE WHEN seconds_per_iteration > 0 THEN seconds_per_iteration END) AS seconds,
            (SELECT one.kind = 'train' FROM jobs AS one WHERE one.recipe = jobs.recipe LIMIT 1) AS trains
        FROM jobs GROUP BY recipe HAVING queued > 0
        """

    /// Of each recipe with queued jobs: how many wait, and what is known of its length.
    func recipeLoads() async throws -> [RecipeLoad] {
        try await pool.read { db in
            try StoredRow.all(db, sql: Self.recipeLoadsSQL).map { row in
                try RecipeLoad(
                    queued: row["queued"], isTraining: row["trains"], iterationsDone: row["done"],
                    totalIterations: row["total"], secondsPerIteration: row["seconds"])
            }
        }
    }

    /// Names of the recipes that jobs have.
    func recipeNames() async throws -> [String] {
        try await pool.read { try String.fetchAll($0, sql: "SELECT DISTINCT name FROM recipes ORDER BY name") }
    }

    /// A job with its recipe and attempts; nil if there is no such job.
    func detail(_ id: JobID) async throws -> JobDetail? {
        try await pool.read { db in
            let sql = Self.summarySQL(of: "SELECT * FROM jobs WHERE sequence = ? AND id = ?")
            let found = try Row.fetchOne(db, sql: sql, arguments: [id.sequence, id.description])
            guard let row = found.map(StoredRow.init) else { return nil }
            let attempts = try StoredRow.all(
                db, sql: "SELECT * FROM attempts WHERE job = ? ORDER BY number", arguments: [id.sequence])
            let recipe = try String.fetchOne(
                db, sql: "SELECT yaml FROM recipes WHERE id = ?", arguments: [try row["recipe"] as Int64])
            return JobDetail(
                job: try Self.summary(row, db), recipeYAML: recipe ?? "",
                attempts: try attempts.map { attempt in
                    try AttemptSummary(
                        number: attempt["number"], workerID: attempt["worker_id"], worker: attempt["worker_name"],
                        startIteration: attempt["start_iteration"], iteration: attempt["iteration"],
                        startedAt: Date(timeIntervalSince1970: attempt["started_at"]),
                        endedAt: (attempt["ended_at"] as Double?).map(Date.init(timeIntervalSince1970:)),
                        outcome: attempt["outcome"], reason: attempt["reason"])
                },
                reportJSON: try row["report_json"], trainingSeconds: try row["training_seconds"],
                after: try Self.links(
                    db, "sequence IN (SELECT source FROM awaited WHERE job = ?)", of: id),
                followers: try Self.links(
                    db, "sequence IN (SELECT job FROM awaited WHERE source = ?)", of: id),
                maps: try Self.maps(db, of: id))
        }
    }

    /// The jobs that a condition on a job's number selects, by age; nil if there are none.
    private static func links(_ db: Database, _ condition: String, of id: JobID) throws -> [JobLink]? {
        let sql = "SELECT id, kind, result_name, state FROM jobs WHERE \(condition) ORDER BY sequence"
        let links = try StoredRow.all(db, sql: sql, arguments: [id.sequence]).map { row in
            try JobLink(
                id: row["id"], kind: JobKind(rawValue: row["kind"]), resultName: row["result_name"],
                state: JobState(rawValue: row["state"]) ?? .held)
        }
        return links.isEmpty ? nil : links
    }

    /// The maps of a job's exemplar, in their order; nil for a photograph.
    private static func maps(_ db: Database, of id: JobID) throws -> [MapFile]? {
        let sql = "SELECT name, file_name, sha256 FROM inputs WHERE job = ? ORDER BY position"
        let maps = try StoredRow.all(db, sql: sql, arguments: [id.sequence]).compactMap { row -> MapFile? in
            let input = try JobInput(
                name: row["name"], artifact: Artifact(sha256: row["sha256"], sizeBytes: 0), fileName: row["file_name"])
            return input.map.map { MapFile(map: $0, fileName: input.fileName, sha256: input.artifact.sha256) }
        }
        return maps.isEmpty ? nil : maps
    }

    func artifacts(of id: JobID) async throws -> [ArtifactSummary] {
        let list = try await pool.read { db in
            try StoredRow.all(
                db, sql: "SELECT * FROM artifacts WHERE job = ? ORDER BY kind, iteration", arguments: [id.sequence]
            ).compactMap { row -> ArtifactSummary? in
                try ArtifactRole(rawValue: row["kind"]).map { role in
                    try ArtifactSummary(
                        role: role, iteration: row["iteration"], sha256: row["sha256"], sizeBytes: row["bytes"],
                        createdAt: Date(timeIntervalSince1970: row["created_at"]))
                }
            }
        }
        return list.filter { $0.role == .exemplar } + list.filter { $0.role == .map }
            + list.filter { !$0.role.isSubmitted }
    }

    /// The role of an artifact in some job that has it; nil if no job has it.
    func role(ofArtifact sha256: String) async throws -> ArtifactRole? {
        let role = try await pool.read { db in
            try String.fetchOne(db, sql: "SELECT kind FROM artifacts WHERE sha256 = ? LIMIT 1", arguments: [sha256])
        }
        return role.flatMap(ArtifactRole.init)
    }

    /// Rows with iterations above `after`, ascending, as far as they fit an answer.
    func metrics(of id: JobID, after: Int, limit: Int) async throws -> StoredPage<MetricsEntry> {
        try await pool.read { db in
            let sql = """
                SELECT iteration, unix_seconds, names, "values" FROM metrics
                JOIN metric_columns ON metric_columns.id = metrics.columns
                WHERE job = ? AND iteration > ? ORDER BY iteration LIMIT ?
                """
            var columns = ColumnNames()
            let rows = try Row.fetchCursor(db, sql: sql, arguments: [id.sequence, after, limit])
            return try StoredPage(rows, limit: limit) { row in
                let entry = try MetricsEntry(
                    iteration: row["iteration"], unixSeconds: row["unix_seconds"],
                    values: columns.values(row))
                return (entry, entry.values.keys.reduce(80) { $0 + $1.utf8.count + 24 })
            }
        }
    }

    /// Lines with ids above `after`, oldest first, as far as they fit an answer.
    func logs(of id: JobID, after: Int64, limit: Int) async throws -> StoredPage<LogEntry> {
        try await pool.read { db in
            let rows = try Row.fetchCursor(
                db, sql: "SELECT * FROM logs WHERE job = ? AND id > ? ORDER BY id LIMIT ?",
                arguments: [id.sequence, after, limit])
            return try StoredPage(rows, limit: limit) { row in
                let entry = try LogEntry(
                    id: row["id"], at: Date(timeIntervalSince1970: row["at"]), level: row["level"],
                    source: (row["request"] as Int64?) == nil ? "coordinator" : "worker", attempt: row["attempt"],
                    message: row["message"])
                return (entry, entry.message.utf8.count + 160)
            }
        }
    }

    /// The newest lines, oldest first.
    func newestLogs(of id: JobID, limit: Int) async throws -> [LogEntry] {
        let start = try await pool.read { db in
            try Int64.fetchOne(
                db, sql: "SELECT id FROM logs WHERE job = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
                arguments: [id.sequence, limit])
        }
        return try await logs(of: id, after: start ?? 0, limit: limit).entries
    }

    // MARK: Rows

    /// Summaries of the jobs that a query selects. The joins look up rows for those jobs only.
    private static func summarySQL(of jobs: String) -> String {
        """
        SELECT jobs.*, subjects.sha256 AS subject_sha256, subjects.file_name,
            CASE WHEN jobs.kind = 'train' THEN recipes.name ELSE recipes.yaml END AS recipe_name,
            attempts.number AS attempt, attempts.worker_name AS worker,
            snapshots.sha256 AS snapshot, snapshots.iteration AS snapshot_iteration,
            (SELECT group_concat(DISTINCT sources.id) FROM awaited JOIN jobs AS sources ON sources.sequence = source
                WHERE awaited.job = jobs.sequence) AS after_ids,
            (SELECT json_group_object(key, value) FROM labels WHERE labels.job = jobs.sequence) AS labels
        FROM (\(jobs)) AS jobs
        JOIN recipes ON recipes.id = jobs.recipe
        JOIN inputs AS subjects ON subjects.job = jobs.sequence AND subjects.position = 0
        LEFT JOIN attempts ON attempts.job = jobs.sequence
            AND attempts.number = (SELECT MAX(number) FROM attempts WHERE job = jobs.sequence)
        LEFT JOIN artifacts AS snapshots ON snapshots.job = jobs.sequence AND snapshots.kind = 'snapshot'
            AND snapshots.iteration =
                (SELECT MAX(iteration) FROM artifacts WHERE job = jobs.sequence AND kind = 'snapshot')
        """
    }

    private static func summary(_ row: StoredRow, _ db: Database) throws -> JobSummary {
        let secondsPerIteration: Double = try row["seconds_per_iteration"]
        return try JobSummary(
            id: row["id"], kind: JobKind(rawValue: row["kind"]), name: row["name"], resultName: row["result_name"],
            fileName: row["file_name"],
            recipe: row["recipe_name"], state: JobState(rawValue: row["state"]) ?? .held, priority: row["priority"],
            iteration: row["iteration"],
            totalIterations: row["total_iterations"],
            secondsPerIteration: secondsPerIteration > 0 ? secondsPerIteration : nil, etaSeconds: nil,
            attempt: (row["attempt"] as Int?) ?? 0, failures: row["failures"], worker: row["worker"],
            reason: row["reason"],
            exemplarSHA256: row["subject_sha256"], latestSnapshot: row["snapshot"],
            latestSnapshotIteration: row["snapshot_iteration"],
            submittedAt: Date(timeIntervalSince1970: row["submitted_at"]),
            startedAt: (row["started_at"] as Double?).map(Date.init(timeIntervalSince1970:)),
            finishedAt: (row["finished_at"] as Double?).map(Date.init(timeIntervalSince1970:)),
            lossLatest: newestLosses(of: row["sequence"], db), batch: row["batch"],
            labels: JSONDecoder().decode([String: String].self, from: Data((row["labels"] as String).utf8)),
            after: (row["after_ids"] as String?)?.split(separator: ",").map(String.init))
    }

    /// Workers may measure terms at different intervals, so a few rows are searched for each term's newest value.
    private static func newestLosses(of sequence: Int64, _ db: Database) throws -> [String: Float] {
        let sql = """
            SELECT names, "values" FROM metrics JOIN metric_columns ON metric_columns.id = metrics.columns
            WHERE job = ? ORDER BY iteration DESC LIMIT 4
            """
        var columns = ColumnNames()
        var newest: [String: Float] = [:]
        for row in try db.cachedStatement(sql: sql).fetchRows(sequence) {
            newest.merge(try columns.values(row)) { newer, _ in newer }
        }
        // A snapshot's figures are not losses.
        return newest.filter { !QualityColumn.isQuality($0.key) }
    }
}

/// Decodes metric rows; most rows of a job share one list of names.
struct ColumnNames {
    private var decoded: [String: [String]] = [:]

    mutating func values(_ row: StoredRow) throws -> [String: Float] {
        let text: String = try row["names"]
        let names = try decoded[text] ?? JSONDecoder().decode([String].self, from: Data(text.utf8))
        decoded[text] = names
        let blob: Data = try row["values"]
        var values: [String: Float] = [:]
        for (index, name) in names.enumerated() where 4 * index + 4 <= blob.count {
            let bits = blob.dropFirst(4 * index).prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let value = Float(bitPattern: bits)
            if value.isFinite { values[name] = value }
        }
        return values
    }
}

extension Statement {
    fileprivate func fetchRows(_ sequence: Int64) throws -> [StoredRow] {
        try Row.fetchAll(self, arguments: [sequence]).map(StoredRow.init)
    }
}
