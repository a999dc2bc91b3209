import ClusterCore
import Foundation
import GRDB
import Protocol

private let iterations = 0...Int(Limits.maxIterations)

extension RecordedCluster {
    /// Reads what `ClusterState` needs to continue after a restart.
    init(reading db: Database) throws {
        self.init()
        let tables = try JobTables(
            recipes: Self.recipes(db), attempts: Self.attempts(db), checkpoints: Self.checkpoints(db),
            inputs: Self.inputs(db), products: Self.products(db), awaited: Self.awaited(db), labels: Self.labels(db))
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM jobs ORDER BY sequence")
        while let row = try rows.next().map(StoredRow.init) { jobs.append(try Job(row, tables)) }
        workers = try StoredRow.all(db, sql: "SELECT * FROM workers ORDER BY id").map { row in
            try Worker(
                identity: WorkerIdentity(row), session: UInt64(bitPattern: row["session"]),
                isDraining: row["is_draining"])
        }
        nextSequence = try Self.lastSequence(db) + 1
    }

    /// By the recipe's id.
    private static func recipes(_ db: Database) throws -> [Int64: String] {
        var recipes: [Int64: String] = [:]
        for row in try StoredRow.all(db, sql: "SELECT id, yaml FROM recipes") {
            recipes[try row["id"]] = try row["yaml"]
        }
        return recipes
    }

    /// The newest attempt of each job.
    private static func attempts(_ db: Database) throws -> [Int64: Attempt] {
        var attempts: [Int64: Attempt] = [:]
        // With a bare MAX, SQLite takes the other columns from the row with the maximum.
        for row in try StoredRow.all(db, sql: "SELECT *, MAX(number) FROM attempts GROUP BY job") {
            attempts[try row["job"]] = try Attempt(
                number: row["number", in: 1...Int(Int32.max)], workerID: row["worker_id"],
                workerName: row["worker_name"],
                session: UInt64(bitPattern: row["session"]), startIteration: row["start_iteration", in: iterations],
                iteration: row["iteration", in: iterations],
                outcome: (row["outcome"] as String?).flatMap(Attempt.Outcome.init),
                reason: row["reason"])
        }
        return attempts
    }

    private static func checkpoints(_ db: Database) throws -> [Int64: [StoredCheckpoint]] {
        let sql =
            "SELECT job, iteration, sha256, bytes FROM artifacts WHERE kind = 'checkpoint' ORDER BY job, iteration"
        var checkpoints: [Int64: [StoredCheckpoint]] = [:]
        for row in try StoredRow.all(db, sql: sql) {
            let artifact = try Artifact(row)
            let checkpoint = StoredCheckpoint(iteration: try row["iteration", in: iterations], artifact: artifact)
            checkpoints[try row["job"], default: []].append(checkpoint)
        }
        return checkpoints
    }

    private static func inputs(_ db: Database) throws -> [Int64: [JobInput]] {
        var inputs: [Int64: [JobInput]] = [:]
        for row in try StoredRow.all(db, sql: "SELECT * FROM inputs ORDER BY job, position") {
            let artifact = try Artifact(row)
            let input = try JobInput(name: row["name"], artifact: artifact, fileName: row["file_name"])
            inputs[try row["job"], default: []].append(input)
        }
        return inputs
    }

    private static func labels(_ db: Database) throws -> [Int64: [String: String]] {
        var labels: [Int64: [String: String]] = [:]
        for row in try StoredRow.all(db, sql: "SELECT * FROM labels") {
            labels[try row["job"], default: [:]][try row["key"]] = try row["value"] as String
        }
        return labels
    }

    private static func lastSequence(_ db: Database) throws -> Int64 {
        let last = try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'") ?? 0
        guard (0..<JobID.maxSequence).contains(last) else {
            throw CoordinatorError(
                .storeUnavailable, "the job store is damaged: the last job's number is \(last)")
        }
        return last
    }
}

/// What the other tables hold for the jobs: all but the recipes by a job's sequence number.
private struct JobTables {
    let recipes: [Int64: String]
    let attempts: [Int64: Attempt]
    let checkpoints: [Int64: [StoredCheckpoint]]
    let inputs: [Int64: [JobInput]]
    let products: [Int64: [ArtifactRole: Artifact]]
    let awaited: [Int64: [AwaitedInput]]
    let labels: [Int64: [String: String]]
}

extension Job {
    /// - Parameter row: Of `jobs`.
    fileprivate init(_ row: StoredRow, _ tables: JobTables) throws {
        let sequence: Int64 = try row["sequence"]
        guard let id = JobID(try row["id"]), let state = JobState(rawValue: try row["state"]),
            let recipe = tables.recipes[try row["recipe"]], id.sequence == sequence
        else {
            let found: String = try row["id"]
            throw CoordinatorError(
                .storeUnavailable, "job \(found) in the store is damaged: restore the data folder from a copy")
        }
        self.init(
            id: id, name: try row["name"], resultName: try row["result_name"],
            kind: JobKind(rawValue: try row["kind"]), key: try row["submission_key"],
            inputs: tables.inputs[sequence] ?? [], awaited: tables.awaited[sequence] ?? [], spec: recipe,
            priority: try row["priority"], queueOrder: try row["queue_order", in: 0...Int64.max / 2])
        // Damaged needs count as none: the worker reports what it lacks.
        needs =
            (try row["needs"] as String?).flatMap { try? JSONDecoder().decode(JobNeeds.self, from: Data($0.utf8)) }
            ?? JobNeeds()
        self.state = state
        reason = try row["reason"]
        failures = try row["failures", in: 0...Int(Int32.max)]
        avoidedWorkerIDs = (try row["avoided_worker"] as String?)?.split(separator: " ").map(String.init) ?? []
        attempt = tables.attempts[sequence]
        checkpoints = tables.checkpoints[sequence] ?? []
        products = tables.products[sequence] ?? [:]
        iteration = try row["iteration", in: iterations]
        totalIterations = try row["total_iterations", in: iterations]
        secondsPerIteration = try row["seconds_per_iteration"]
        tags = JobTags(batch: try row["batch"], labels: tables.labels[sequence] ?? [:])
    }
}

extension Artifact {
    /// - Parameter row: Of `artifacts` or `inputs`.
    fileprivate init(_ row: StoredRow) throws {
        self.init(sha256: try row["sha256"], sizeBytes: try row["bytes", in: 0...Int.max])
    }
}
