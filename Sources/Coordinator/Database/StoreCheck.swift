import Base
import ClusterCore
import Foundation
import GRDB
import OperatingSystem

/// Compares the job store's records with the files on disk.
struct StoreCheck: Sendable {
    let store: JobStore
    let artifacts: ArtifactStore

    /// A row that names a file.
    struct Record: Sendable {
        var job: JobID
        var name: String
        var state: JobState
        var kind: JobKind
        var role: ArtifactRole
        var iteration: Int
        var artifact: Artifact
    }

    /// Reads every page of the database and every byte of every artifact.
    /// - Parameter repairs: Whether to remove unreferenced files, let unfinished jobs resume from the checkpoint before
    ///   a damaged one, and set damaged exemplars and maps aside, so that people can send them again. A repair changes nothing
    ///   else: the report lists what it cannot restore.
    func run(repairs: Bool) async throws -> StoreReport {
        var report = StoreReport()
        let records: [Record]
        do {
            report.problems += try databaseProblems().map { .init(.database, "jobs.sqlite: \($0)") }
            let rows = try Self.records(in: store)
            records = rows.records
            report.problems += rows.unreadable.map { .init(.database, "jobs.sqlite: \($0)") }
        } catch let error as DatabaseError {
            // Without the rows, nothing is known about the files, and certainly not that they are unreferenced.
            let found = error.message ?? "SQLite error \(error.resultCode)"
            report.problems.append(
                .init(.database, "jobs.sqlite cannot be read: \(found); restore the data folder from a copy"))
            return report
        }
        report.jobs = Set(records.map(\.job)).count
        var conditions: [Artifact: ArtifactStore.Condition] = [:]
        for record in records {
            do {
                let condition: ArtifactStore.Condition
                if let known = conditions[record.artifact] {
                    condition = known
                } else {
                    condition = try artifacts.condition(of: record.artifact)
                    conditions[record.artifact] = condition
                    report.artifacts += 1
                    report.bytes += record.artifact.sizeBytes
                }
                if let problem = Self.problem(record, condition) { report.problems.append(problem) }
                guard repairs, condition != .intact else { continue }
                if record.role.isSubmitted, condition != .missing {
                    try artifacts.setAside(record.artifact.sha256)
                    conditions[record.artifact] = .missing
                    report.repairs.append(
                        "the damaged \(record.role.rawValue) \(record.artifact.sha256) is set aside in damaged/")
                }
                guard Self.canFallBack(record) else { continue }
                try await drop(record)
                report.repairs.append(
                    "job \(record.job) continues without its checkpoint of iteration \(record.iteration)")
            } catch let error as CoordinatorError {
                // A file that the system cannot look at or move: the report says so, and of all others how they are.
                report.problems.append(.init(.artifact, "job \(record.job) (\(record.name)): \(error)"))
            }
        }
        report.problems += finishedWithoutProducts(records).map { .init(.artifact, $0) }
        // A damaged page may hide rows that name any of the files.
        let isWhole = !report.problems.contains { $0.kind == .database }
        collectOrphans(except: Set(records.map(\.artifact.sha256)), repairs: repairs && isWhole, &report)
        report.incomingBytes = artifacts.incomingBytes()
        return report
    }

    /// Runs at every start: exemplars and checkpoints of unfinished jobs must exist with the right size. The
    /// coordinator compares their contents before it sends them, and gives up a damaged checkpoint then.
    /// - Returns: The problems, in words.
    /// - Throws: `.notStored` if all files are missing, checkpoints among them: jobs would begin again from the start.
    func quick() throws -> [String] {
        let rows = try Self.records(in: store, onlyNeeded: true)
        var found = rows.unreadable
        var missing: Set<Artifact> = []
        for record in rows.records {
            do {
                guard let condition = try artifacts.conditionBySize(of: record.artifact) else { continue }
                if condition == .missing { missing.insert(record.artifact) }
                if let problem = Self.problem(record, condition) { found.append(problem.text) }
            } catch {
                found.append("job \(record.job) (\(record.name)): \(error)")
            }
        }
        let hasCheckpoints = rows.records.contains(where: Self.canFallBack)
        if hasCheckpoints, missing.count > 1, missing == Set(rows.records.map(\.artifact)) {
            throw CoordinatorError(
                .notStored,
                "none of the \(missing.count) files that unfinished jobs need is in the data folder's artifacts/; mount its "
                    + "disk, or restore it from a copy. If the files are lost, run 'texloom coordinator --check --repair': "
                    + "the jobs then begin again from the start, once their exemplars are sent again")
        }
        return found
    }

    /// Call this before the artifact store makes an empty `artifacts/`: records of files without the folder mean that
    /// its disk is not mounted, or that a copy was not restored whole.
    /// - Throws: `.notStored`, `.fileSystem`.
    static func requireArtifacts(of store: JobStore, in dataFolder: URL) throws {
        let folder = ArtifactStore.folder(in: dataFolder)
        guard access(folder.path, F_OK) != 0 else { return }
        let failure = FileFailure("open", folder)
        guard failure.number == ENOENT else { throw CoordinatorError(failure) }
        let count: Int
        do {
            count = try store.pool.read {
                try Int.fetchOne($0, sql: "SELECT COUNT(DISTINCT sha256) FROM artifacts") ?? 0
            }
        } catch let error as DatabaseError {
            throw CoordinatorError(.storeUnavailable, "the job store cannot be read: \(error)")
        }
        guard count > 0 else { return }
        throw CoordinatorError(
            .notStored,
            "\(folder.path) is not there, and jobs.sqlite names \(counted(count, "file")) in it; mount its disk, or "
                + "restore it from a copy. If the files are lost, create the folder and run 'texloom coordinator "
                + "--check --repair'")
    }

    // MARK: Rows

    /// - Returns: The records, and descriptions of the unreadable rows.
    static func records(
        in store: JobStore, onlyNeeded: Bool = false
    ) throws -> (records: [Record], unreadable: [String]) {
        return try store.pool.read { db in
            // A check without repairs migrates nothing, and an older store knows one kind of work.
            let knowsKinds = try db.columns(in: "jobs").contains { $0.name == "kind" }
            let needed = """
                WHERE jobs.state <> 'finished' AND (artifacts.kind = 'checkpoint'
                    OR sha256 IN (SELECT sha256 FROM inputs WHERE inputs.job = jobs.sequence))
                """
            let sql = """
                SELECT jobs.id, jobs.name, jobs.state, \(knowsKinds ? "jobs.kind" : "'train'") AS kind,
                    artifacts.kind AS role, artifacts.iteration, sha256, bytes
                FROM artifacts JOIN jobs ON jobs.sequence = artifacts.job \(onlyNeeded ? needed : "")
                ORDER BY jobs.sequence, role, artifacts.iteration
                """
            var records: [Record] = []
            var unreadable: [String] = []
            for row in try StoredRow.all(db, sql: sql) {
                do {
                    records.append(try Record(row))
                } catch let error as CoordinatorError {
                    unreadable.append("the record of an artifact cannot be read: \(error.message)")
                }
            }
            return (records, unreadable)
        }
    }

    private func databaseProblems() throws -> [String] {
        try store.pool.read { db in
            let pages = try String.fetchAll(db, sql: "PRAGMA integrity_check(20)").filter { $0 != "ok" }
            let references = try StoredRow.all(db, sql: "PRAGMA foreign_key_check").map {
                "a row of \(try $0["table"] as String) refers to a missing row of \(try $0["parent"] as String)"
            }
            return pages + references
        }
    }

    private static func problem(_ record: Record, _ condition: ArtifactStore.Condition) -> StoreReport.Problem? {
        let file = record.role == .map ? "map" : "photograph"
        let what =
            switch record.role {
            case .map, .picture, .material: "\(record.role.rawValue) \(record.iteration)"
            case let role where record.iteration > 0: "\(role.rawValue) of iteration \(record.iteration)"
            case let role: role.rawValue
            }
        let subject = "job \(record.job) (\(record.name)): its \(what)"
        let found: String
        switch condition {
        case .intact: return nil
        case .missing: found = "is missing"
        case .damaged(let reason): found = "is damaged: \(reason)"
        }
        let advice: String
        switch record.role {
        case .exemplar where record.state.isSettled, .map where record.state.isSettled:
            advice = "send the \(file) again before you retry the job"
        case .exemplar, .map: advice = "send the \(file) again; the job is held until then"
        case .checkpoint where record.state != .finished: advice = "the job resumes from the previous one"
        case .checkpoint: advice = "the job is finished; training cannot resume from it"
        case .generator, .discriminator, .picture, .model, .material:
            let makes = WorkContract.table[record.kind]?.products.contains(record.role) ?? true
            advice =
                if !makes {
                    record.state == .finished
                        ? "the job has its products and no longer needs it"
                        : "\(JobInput.remedyForProduct), then retry the job"
                } else if record.state == .finished {
                    "restore it from a copy, or delete the job and submit it again"
                } else {
                    "the job makes it again"
                }
        case .snapshot: advice = "a picture to look at; nothing depends on it"
        }
        return StoreReport.Problem(.artifact, "\(subject) (\(record.artifact.sha256)) \(found); \(advice)")
    }

    private static func canFallBack(_ record: Record) -> Bool {
        record.role == .checkpoint && record.state != .finished
    }

    private func drop(_ record: Record) async throws {
        try await store.apply(
            [
                .artifactDropped(record.job, .checkpoint, iteration: record.iteration),
                .note(
                    record.job, attempt: 0, level: .warning,
                    message: "the checkpoint of iteration \(record.iteration) is damaged or gone; resuming without it"),
            ], at: Date())
        try artifacts.setAside(record.artifact.sha256)
    }

    private func finishedWithoutProducts(_ records: [Record]) -> [String] {
        var lacking: [JobID: Set<ArtifactRole>] = [:]
        for record in records where record.state == .finished {
            // The retention policy may have given up the checkpoint.
            let required = (WorkContract.table[record.kind]?.products ?? []).subtracting([.checkpoint])
            lacking[record.job, default: required].remove(record.role)
        }
        return lacking.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }.map { job, roles in
            let names = roles.map(\.rawValue).sorted().joined(separator: ", ")
            return "job \(job) is finished, but the store has no record of its products: \(names)"
        }
    }

    // MARK: Files

    private func collectOrphans(except known: Set<String>, repairs: Bool, _ report: inout StoreReport) {
        var removed = 0
        for (sha256, file) in artifacts.files() {
            guard let sha256 else {
                report.problems.append(.init(.stray, "\(file.url.path) is not an artifact; move it away"))
                continue
            }
            guard !known.contains(sha256) else { continue }
            report.orphans += 1
            report.orphanBytes += file.sizeBytes
            guard repairs else { continue }
            do {
                try artifacts.remove(sha256)
                removed += 1
            } catch {
                report.problems.append(.init(.artifact, "\(error)"))
            }
        }
        if removed > 0 { report.repairs.append("removed \(counted(removed, "file")) that no job refers to") }
    }
}

extension StoreCheck.Record {
    /// - Throws: `CoordinatorError`, which names the column with an unexpected value.
    fileprivate init(_ row: StoredRow) throws {
        func known<Value>(_ column: String, _ read: (String) -> Value?) throws -> Value {
            let text: String = try row[column]
            guard let value = read(text) else {
                throw CoordinatorError(.storeUnavailable, "\(column) is '\(text.prefix(100))'")
            }
            return value
        }
        try self.init(
            job: known("id") { JobID($0) }, name: row["name"], state: known("state") { JobState(rawValue: $0) },
            kind: known("kind") { JobKind(rawValue: $0) }, role: known("role") { ArtifactRole(rawValue: $0) },
            iteration: row["iteration"],
            artifact: Artifact(
                sha256: known("sha256") { SHA256Text.isValid($0) ? $0 : nil },
                sizeBytes: row["bytes", in: 0...Int.max]))
    }
}

/// The result of a check of a data folder.
public struct StoreReport: Sendable, Equatable {
    public struct Problem: Sendable, Equatable {
        public enum Kind: Sendable, Equatable { case database, artifact, stray }
        public var kind: Kind
        /// The subject, what was found and what to do.
        public var text: String

        init(_ kind: Kind, _ text: String) {
            self.kind = kind
            self.text = text
        }
    }

    public var jobs = 0
    /// The number of distinct files that jobs refer to, and their bytes.
    public var artifacts = 0
    public var bytes = 0
    /// Files that no job refers to. They are no problem: they only cost space.
    public var orphans = 0
    public var orphanBytes = 0
    /// Bytes of interrupted transfers.
    public var incomingBytes = 0
    public var problems: [Problem] = []
    /// What the check repaired.
    public var repairs: [String] = []
}
