import ClusterCore
import Foundation
import GRDB
import Protocol

extension RecordedCluster {
    /// Reads what `ClusterState` needs to continue after a restart.
    init(reading db: Database) throws {
        self.init()
        let iterations = 0...Int(Limits.maxIterations)
        var recipes: [Int64: String] = [:]
        for row in try StoredRow.all(db, sql: "SELECT id, yaml FROM recipes") {
            recipes[try row["id"]] = try row["yaml"]
        }

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
        var checkpoints: [Int64: [StoredCheckpoint]] = [:]
        let kept =
            "SELECT job, iteration, sha256, bytes FROM artifacts WHERE kind = 'checkpoint' ORDER BY job, iteration"
        for row in try StoredRow.all(db, sql: kept) {
            let artifact = try Artifact(sha256: row["sha256"], sizeBytes: row["bytes", in: 0...Int.max])
            let checkpoint = StoredCheckpoint(iteration: try row["iteration", in: iterations], artifact: artifact)
            checkpoints[try row["job"], default: []].append(checkpoint)
        }
        var inputs: [Int64: [JobInput]] = [:]
        for row in try StoredRow.all(db, sql: "SELECT * FROM inputs ORDER BY job, position") {
            let artifact = try Artifact(sha256: row["sha256"], sizeBytes: row["bytes", in: 0...Int.max])
            let input = try JobInput(name: row["name"], artifact: artifact, fileName: row["file_name"])
            inputs[try row["job"], default: []].append(input)
        }
        let products = try Self.products(db)
        let awaited = try Self.awaited(db)
        var labels: [Int64: [String: String]] = [:]
        for row in try StoredRow.all(db, sql: "SELECT * FROM labels") {
            labels[try row["job"], default: [:]][try row["key"]] = try row["value"] as String
        }
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM jobs ORDER BY sequence")
        while let row = try rows.next().map(StoredRow.init) {
            let sequence: Int64 = try row["sequence"]
            guard let id = JobID(try row["id"]), let state = JobState(rawValue: try row["state"]),
                let recipe = recipes[try row["recipe"]], id.sequence == sequence
            else {
                let found: String = try row["id"]
                throw CoordinatorError(
                    .storeUnavailable, "job \(found) in the store is damaged: restore the data folder from a copy")
            }
            var job = try Job(
                id: id, name: row["name"], resultName: row["result_name"], kind: JobKind(rawValue: row["kind"]),
                key: row["submission_key"], inputs: inputs[sequence] ?? [],
                awaited: awaited[sequence] ?? [], spec: recipe, priority: row["priority"],
                queueOrder: row["queue_order", in: 0...Int64.max / 2])
            // Damaged needs count as none: the worker reports what it lacks.
            job.needs =
                (try row["needs"] as String?).flatMap { try? JSONDecoder().decode(JobNeeds.self, from: Data($0.utf8)) }
                ?? JobNeeds()
            job.state = state
            job.reason = try row["reason"]
            job.failures = try row["failures", in: 0...Int(Int32.max)]
            job.avoidedWorkerIDs = (try row["avoided_worker"] as String?)?.split(separator: " ").map(String.init) ?? []
            job.attempt = attempts[sequence]
            job.checkpoints = checkpoints[sequence] ?? []
            job.products = products[sequence] ?? [:]
            job.iteration = try row["iteration", in: iterations]
            job.totalIterations = try row["total_iterations", in: iterations]
            job.secondsPerIteration = try row["seconds_per_iteration"]
            job.tags = JobTags(batch: try row["batch"], labels: labels[sequence] ?? [:])
            jobs.append(job)
        }
        for row in try StoredRow.all(db, sql: "SELECT * FROM workers ORDER BY id") {
            workers.append(
                try Worker(
                    identity: WorkerIdentity(row), session: UInt64(bitPattern: row["session"]),
                    isDraining: row["is_draining"]))
        }
        let last = try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'") ?? 0
        guard (0..<JobID.maxSequence).contains(last) else {
            throw CoordinatorError(
                .storeUnavailable, "the job store is damaged: the last job's number is \(last)")
        }
        nextSequence = last + 1
    }
}
