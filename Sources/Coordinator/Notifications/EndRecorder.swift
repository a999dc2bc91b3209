import ClusterCore
import Foundation
import GRDB
import Protocol

/// Records messages about ends in the transaction that records the ends themselves: neither survives without the other.
struct EndRecorder {
    let policy: NotificationPolicy
    let db: Database
    /// The wall clock of the transaction, in Unix seconds.
    let seconds: Double

    private struct End {
        var kind: NotificationKind
        var job: Int64
        var state: JobState
        var reason: String?
    }

    /// Ends whose messages are not written yet.
    private var ends: [End] = []
    /// Batches with a job that has just ended, the first one first.
    private var batches: [String] = []

    init(_ policy: NotificationPolicy, _ db: Database, seconds: Double) {
        self.policy = policy
        self.db = db
        self.seconds = seconds
    }

    /// Notices an end. Call it before the job is written.
    mutating func note(_ job: Job) throws {
        guard let kind = NotificationKind(ofJobIn: job.state) else { return }
        let statement = try db.cachedStatement(sql: "SELECT state FROM jobs WHERE sequence = ?")
        let before = try String.fetchOne(statement, arguments: [job.id.sequence]).flatMap(JobState.init)
        // A finished job never changes.
        guard before != job.state, before != .finished else { return }
        if policy.kinds.contains(kind) {
            ends.append(End(kind: kind, job: job.id.sequence, state: job.state, reason: job.reason))
        }
        // A held job that is cancelled had ended already, and with it perhaps its batch.
        let hadEnded = before?.isSettled ?? false
        if let batch = job.tags.batch, !hadEnded, !batches.contains(batch) { batches.append(batch) }
    }

    /// Writes the messages about jobs: at the end of the transaction, when all else about them is written, and before a
    /// deletion.
    mutating func writeJobs() throws {
        for end in ends {
            guard let job = try subject(of: end) else { continue }
            try write(end.kind, .init(job: job))
        }
        ends = []
    }

    /// Writes the messages about batches, at the end of the transaction: a job that another change of it has put back
    /// counts as not ended.
    mutating func writeBatches() throws {
        for name in batches where policy.kinds.contains(.batchEnded) {
            guard let batch = try subject(ofBatch: name) else { continue }
            try write(.batchEnded, .init(batch: batch))
        }
        batches = []
    }

    private func write(_ kind: NotificationKind, _ data: NotificationMessage.Subject) throws {
        let message = NotificationMessage(
            id: UUID.random().uuidString.lowercased(), type: kind, timestamp: Date(timeIntervalSince1970: seconds),
            data: data)
        let body = String(decoding: try APIFormat.encoder.encode(message), as: UTF8.self)
        for receiver in policy.receivers {
            try db.cachedStatement(
                sql: "INSERT INTO notifications (receiver, message, kind, at, due_at, body) VALUES (?, ?, ?, ?, ?, ?)"
            ).execute(arguments: [receiver, message.id, kind.rawValue, seconds, seconds, body])
        }
    }

    private func subject(of end: End) throws -> NotificationMessage.EndedJob? {
        let statement = try db.cachedStatement(
            sql: """
                SELECT jobs.*, (SELECT COUNT(*) FROM attempts WHERE job = jobs.sequence) AS attempts,
                    (SELECT json_group_object(key, value) FROM labels WHERE job = jobs.sequence) AS labels
                FROM jobs WHERE sequence = ?
                """)
        guard let row = try Row.fetchOne(statement, arguments: [end.job]).map(StoredRow.init) else { return nil }
        let id: String = try row["id"]
        // Of an earlier end: a job that failed may have been put back.
        let report = end.state == .finished ? (try row["report_json"] as String?).flatMap(TrainingReport.init) : nil
        return try NotificationMessage.EndedJob(
            id: id, kind: row["kind"], name: row["name"], resultName: row["result_name"], state: end.state,
            reason: end.reason, batch: row["batch"],
            labels: JSONDecoder().decode([String: String].self, from: Data((row["labels"] as String).utf8)),
            attempts: row["attempts"], iteration: row["iteration"], totalIterations: row["total_iterations"],
            submittedAt: Date(timeIntervalSince1970: row["submitted_at"]),
            startedAt: (row["started_at"] as Double?).map(Date.init(timeIntervalSince1970:)),
            endedAt: Date(timeIntervalSince1970: seconds),
            trainingSeconds: end.state == .finished ? row["training_seconds"] : nil, verdict: report?.verdict,
            figures: report?.quality ?? [:], links: policy.jobLinks(id))
    }

    /// Nil if the batch has a job that has not ended, or none at all.
    private func subject(ofBatch name: String) throws -> NotificationMessage.EndedBatch? {
        // The index `open_jobs_of_batch` holds these alone, so a batch of ten thousand jobs costs no more than one of ten.
        let open = try db.cachedStatement(
            sql: "SELECT EXISTS (SELECT 1 FROM jobs WHERE batch = ? AND state IN \(JobStore.openStates))")
        guard try Bool.fetchOne(open, arguments: [name]) == false else { return nil }
        let rows = try StoredRow.all(
            db,
            sql: """
                SELECT state, COUNT(*) AS count, MIN(submitted_at) AS submitted_at FROM jobs WHERE batch = ?
                GROUP BY state
                """, arguments: [name])
        let submissions = try rows.map { try $0["submitted_at"] as Double }
        guard let first = submissions.min() else { return nil }
        return NotificationMessage.EndedBatch(
            name: name, jobs: Dictionary(uniqueKeysWithValues: try rows.map { (try $0["state"], try $0["count"]) }),
            submittedAt: Date(timeIntervalSince1970: first), endedAt: Date(timeIntervalSince1970: seconds),
            links: policy.batchLinks(name))
    }
}
