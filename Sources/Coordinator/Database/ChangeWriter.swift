import ClusterCore
import Foundation
import GRDB

/// Writes changes inside one transaction.
struct ChangeWriter {
    let db: Database
    /// The wall clock of the batch, in Unix seconds.
    let seconds: Double

    func write(_ change: Change) throws {
        switch change {
        case .job(let job): try write(job)
        case .attempt(let id, let attempt): try write(attempt, of: id)
        case .artifact(let id, let role, let iteration, let artifact):
            try write(role, iteration, artifact, of: id)
        case .artifactDropped(let id, let role, let iteration):
            try run(
                "DELETE FROM artifacts WHERE job = ? AND kind = ? AND iteration = ?",
                [id.sequence, role.rawValue, iteration])
        case .report(let id, let trainingSeconds, let json):
            try run(
                "UPDATE jobs SET training_seconds = ?, report_json = ? WHERE sequence = ?",
                [trainingSeconds, json, id.sequence])
        case .metricsCopied(let id, let source):
            // Attempt 0: these rows count whatever the new job's attempts measure.
            try run(
                """
                INSERT INTO metrics (job, iteration, attempt, columns, unix_seconds, "values")
                SELECT ?1, iteration, 0, columns, unix_seconds, "values" FROM metrics
                WHERE job = ?2 AND iteration <= (SELECT iteration FROM jobs WHERE sequence = ?1)
                """, [id.sequence, source.sequence])
        case .metrics(let id, let attempt, let block): try write(block, of: id, attempt)
        case .log(let id, let attempt, let session, let request, let lines):
            for (index, line) in lines.enumerated() {
                try run(
                    """
                    INSERT INTO logs (job, attempt, session, request, line, at, level, message)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    ON CONFLICT DO NOTHING
                    """,
                    [
                        id.sequence, attempt, Int64(bitPattern: session), Int64(bitPattern: request), index,
                        line.unixSeconds, line.level.rawValue, line.message,
                    ])
            }
            try forgetOldLines(of: id)
        case .note(let id, let attempt, let level, let message):
            try run(
                "INSERT INTO logs (job, attempt, at, level, message) VALUES (?, ?, ?, ?, ?)",
                [id.sequence, attempt, seconds, level.rawValue, message])
            try forgetOldLines(of: id)
        case .jobDeleted(let id): _ = try delete(id)
        case .worker(let worker, let session, let isDraining, let isConnected):
            try write(worker, session, isDraining, isConnected)
        }
    }

    /// Keeps the newest lines, because they say how a job ended. A job that logs without end must not fill the disk.
    private func forgetOldLines(of id: JobID) throws {
        try run(
            """
            DELETE FROM logs WHERE job = ?1
                AND id <= (SELECT id FROM logs WHERE job = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
            """, [id.sequence, JobStore.logLinesKept])
    }

    private func write(_ job: Job) throws {
        try writeRecipe(of: job)
        try writeRow(of: job)
        try writeLabels(of: job)
        try writeInputs(of: job)
        try writeAwaited(of: job)
        try writeProducts(of: job)
    }

    private func writeRecipe(of job: Job) throws {
        // Thousands of jobs share a recipe. Reading its name takes longer than a lookup.
        if try Int64.fetchOne(db, sql: "SELECT id FROM recipes WHERE yaml = ?", arguments: [job.spec]) == nil {
            let name = job.kind == .train ? RecipeName.read(from: job.spec) : job.kind.rawValue
            try run("INSERT INTO recipes (yaml, name) VALUES (?, ?)", [job.spec, name])
        }
    }

    private func writeRow(of job: Job) throws {
        // Ids contain no spaces.
        let avoided = job.avoidedWorkerIDs.isEmpty ? nil : job.avoidedWorkerIDs.joined(separator: " ")
        let needs =
            job.needs == JobNeeds()
            ? nil : String(decoding: try JSONEncoder().encode(job.needs), as: UTF8.self)
        // A finished job never changes, whatever the caller believes.
        try run(
            """
            INSERT INTO jobs (sequence, id, name, result_name, kind, submission_key, recipe, priority, queue_order,
                state, reason, failures, avoided_worker, iteration, total_iterations, seconds_per_iteration,
                submitted_at, needs, batch)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT id FROM recipes WHERE yaml = ?7), ?8, ?9, ?10, ?11, ?12, ?13, ?14,
                ?15, ?16, ?17, ?18, ?19)
            ON CONFLICT (sequence) DO UPDATE SET
                priority = ?8, queue_order = ?9, state = ?10, reason = ?11, failures = ?12, avoided_worker = ?13,
                iteration = ?14, total_iterations = ?15, seconds_per_iteration = ?16,
                started_at = CASE WHEN ?10 = 'running' THEN COALESCE(started_at, ?17) ELSE started_at END,
                finished_at = CASE WHEN ?10 IN ('queued', 'running', 'waiting') THEN NULL
                    WHEN jobs.state = ?10 THEN finished_at ELSE ?17 END
            WHERE jobs.state <> 'finished'
            """,
            [
                job.id.sequence, job.id.description, job.name, job.resultName, job.kind.rawValue, job.key, job.spec,
                job.priority, job.queueOrder, job.state.rawValue, job.reason, job.failures, avoided, job.iteration,
                job.totalIterations, job.secondsPerIteration, seconds, needs, job.tags.batch,
            ])
    }

    private func writeLabels(of job: Job) throws {
        for (key, value) in job.tags.labels {
            try run(
                "INSERT INTO labels (job, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                [job.id.sequence, key, value])
        }
    }

    private func writeInputs(of job: Job) throws {
        for (position, input) in job.inputs.enumerated() {
            try run(
                """
                INSERT INTO inputs (job, position, name, sha256, bytes, file_name) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT DO NOTHING
                """,
                [
                    job.id.sequence, position, input.name, input.artifact.sha256, input.artifact.sizeBytes,
                    input.fileName,
                ])
            // A job has several maps, so their places tell them apart.
            if input.map != nil {
                try write(.map, position, input.artifact, of: job.id)
            } else {
                try write(ArtifactRole(rawValue: input.name) ?? .exemplar, 0, input.artifact, of: job.id)
            }
        }
    }

    private func writeAwaited(of job: Job) throws {
        for (position, awaited) in job.awaited.enumerated() {
            try run(
                "INSERT INTO awaited (job, position, name, source, role) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [job.id.sequence, position, awaited.name, awaited.job.sequence, awaited.role.rawValue])
        }
    }

    private func writeProducts(of job: Job) throws {
        for (role, product) in job.products {
            try run(
                """
                INSERT INTO products (job, role, sha256) VALUES (?1, ?2, ?3)
                ON CONFLICT (job, role) DO UPDATE SET sha256 = ?3 WHERE sha256 <> ?3
                """,
                [job.id.sequence, role.rawValue, product.sha256])
        }
    }

    private func write(_ attempt: Attempt, of id: JobID) throws {
        try run(
            """
            INSERT INTO attempts (job, number, worker_id, worker_name, session, start_iteration, iteration, started_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
            ON CONFLICT (job, number) DO UPDATE SET
                session = ?5, iteration = ?7, ended_at = CASE WHEN ?9 IS NULL THEN NULL ELSE ?8 END,
                outcome = ?9, reason = ?10
            """,
            [
                id.sequence, attempt.number, attempt.workerID, attempt.workerName, Int64(bitPattern: attempt.session),
                attempt.startIteration, attempt.iteration, seconds, attempt.outcome?.rawValue, attempt.reason,
            ])
    }

    private func write(_ role: ArtifactRole, _ iteration: Int, _ artifact: Artifact, of id: JobID) throws {
        try run(
            """
            INSERT INTO artifacts (job, kind, iteration, sha256, bytes, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (job, kind, iteration) DO UPDATE SET sha256 = ?4, bytes = ?5 WHERE sha256 <> ?4
            """,
            [id.sequence, role.rawValue, iteration, artifact.sha256, artifact.sizeBytes, seconds])
    }

    private func write(_ block: MetricsBlock, of id: JobID, _ attempt: Int) throws {
        let names = String(decoding: try JSONEncoder().encode(block.columns), as: UTF8.self)
        try run("INSERT INTO metric_columns (names) VALUES (?) ON CONFLICT DO NOTHING", [names])
        for row in block.rows {
            var values = Data(capacity: 4 * row.values.count)
            for value in row.values {
                withUnsafeBytes(of: value.bitPattern.littleEndian) { values.append(contentsOf: $0) }
            }
            try run(
                """
                INSERT INTO metrics (job, iteration, attempt, columns, unix_seconds, "values")
                VALUES (?, ?, ?, (SELECT id FROM metric_columns WHERE names = ?), ?, ?)
                ON CONFLICT (job, iteration) DO UPDATE SET attempt = excluded.attempt, columns = excluded.columns,
                    unix_seconds = excluded.unix_seconds, "values" = excluded."values"
                -- A worker's next process repeats the loss history, without the figures of the snapshots in it.
                WHERE excluded.attempt <> metrics.attempt OR length(excluded."values") >= length(metrics."values")
                """,
                [id.sequence, row.iteration, attempt, names, row.unixSeconds, values])
        }
    }

    private func write(_ worker: WorkerIdentity, _ session: UInt64, _ isDraining: Bool, _ isConnected: Bool) throws {
        try run(
            """
            INSERT INTO workers (id, name, software_version, slots, threads_per_slot, cpu, session, is_draining,
                is_connected, first_seen_at, last_seen_at, key, secret_digest)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12)
            ON CONFLICT (id) DO UPDATE SET name = ?2, software_version = ?3, slots = ?4, threads_per_slot = ?5,
                cpu = ?6, session = ?7, is_draining = ?8, is_connected = ?9, last_seen_at = ?10,
                key = ?11, secret_digest = ?12
            """,
            [
                worker.id, worker.name, worker.softwareVersion, worker.slots, worker.threadsPerSlot, worker.cpu,
                Int64(bitPattern: session), isDraining, isConnected, seconds,
                worker.credentials.key, worker.credentials.secretDigest,
            ])
    }

    func run(_ sql: String, _ arguments: StatementArguments) throws {
        try db.cachedStatement(sql: sql).execute(arguments: arguments)
    }
}
