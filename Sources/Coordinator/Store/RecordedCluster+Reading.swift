import GRDB
import Protocol

extension RecordedCluster {
    /// Reads what `ClusterState` goes on from.
    init(reading db: Database) throws {
        var recipes: [Int64: String] = [:]
        for row in try Row.fetchAll(db, sql: "SELECT id, yaml FROM recipes") { recipes[row["id"]] = row["yaml"] }

        var attempts: [Int64: Attempt] = [:]
        // With a bare MAX, SQLite takes the other columns from the row that has it.
        for row in try Row.fetchAll(db, sql: "SELECT *, MAX(number) FROM attempts GROUP BY job") {
            attempts[row["job"]] = Attempt(
                number: row["number"], workerID: row["worker_id"], workerName: row["worker_name"],
                session: UInt64(bitPattern: row["session"]), startIteration: row["start_iteration"],
                iteration: row["iteration"], outcome: (row["outcome"] as String?).flatMap(Attempt.Outcome.init),
                reason: row["reason"])
        }
        var checkpoints: [Int64: [Checkpoint]] = [:]
        let kept =
            "SELECT job, iteration, sha256, bytes FROM artifacts WHERE kind = 'checkpoint' ORDER BY job, iteration"
        for row in try Row.fetchAll(db, sql: kept) {
            let artifact = StoredArtifact(sha256: row["sha256"], sizeBytes: row["bytes"])
            checkpoints[row["job"], default: []].append(Checkpoint(iteration: row["iteration"], artifact: artifact))
        }
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM jobs ORDER BY sequence")
        while let row = try rows.next() {
            let sequence: Int64 = row["sequence"]
            guard let id = JobID(row["id"]), let state = JobState(rawValue: row["state"]),
                let recipe = recipes[row["recipe"]]
            else {
                let found: String = row["id"]
                throw CoordinatorError(
                    .storeUnavailable, "job \(found) in the store is damaged: restore the data folder from a copy")
            }
            var job = Job(
                id: id, name: row["name"], resultName: row["result_name"], fileName: row["file_name"],
                key: row["submission_key"],
                exemplar: StoredArtifact(sha256: row["exemplar_sha256"], sizeBytes: row["exemplar_bytes"]),
                recipeYAML: recipe, priority: row["priority"], queueOrder: row["queue_order"])
            job.state = state
            job.reason = row["reason"]
            job.failures = row["failures"]
            job.avoidedWorkerID = row["avoided_worker"]
            job.attempt = attempts[sequence]
            job.checkpoints = checkpoints[sequence] ?? []
            job.generatorSHA256 = row["generator_sha256"]
            job.discriminatorSHA256 = row["discriminator_sha256"]
            job.iteration = row["iteration"]
            job.totalIterations = row["total_iterations"]
            job.secondsPerIteration = row["seconds_per_iteration"]
            jobs.append(job)
        }
        for row in try Row.fetchAll(db, sql: "SELECT * FROM workers ORDER BY id") {
            let identity = WorkerIdentity(
                id: row["id"], name: row["name"], softwareVersion: row["software_version"], slots: row["slots"],
                threadsPerSlot: row["threads_per_slot"], cpu: row["cpu"])
            workers.append(
                Worker(
                    identity: identity, session: UInt64(bitPattern: row["session"]), isDraining: row["is_draining"]))
        }
        nextSequence = (try Int64.fetchOne(db, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'") ?? 0) + 1
    }
}
