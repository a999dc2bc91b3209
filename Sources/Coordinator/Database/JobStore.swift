import ClusterCore
import Foundation
import GRDB

/// The cluster's promises, in SQLite: jobs, attempts, artifacts, metrics, logs and workers.
///
/// WAL with `synchronous = FULL`: after `apply` returns, its changes survive a power cut. There is one writer. Readers
/// see the last committed state and never wait for the writer.
final class JobStore: Sendable {
    /// Log lines kept for each job, the newest.
    static let logLinesKept = 10_000

    let pool: DatabasePool
    /// Random, made with the database: distinguishes this cluster from another one at the same address.
    let coordinatorID: String
    /// Which ends get messages, and for whom; nil: none.
    private let notifications: NotificationPolicy?

    /// Opens or creates the database and migrates it forward.
    /// - Parameter notifications: Which ends get messages, and for whom. Default: none.
    /// - Throws: `CoordinatorError` if the file is no database, is damaged, or comes from a newer texloom.
    init(
        file: URL, newCoordinatorID: @autoclosure () -> String, notifications: NotificationPolicy? = nil
    ) throws {
        self.notifications = notifications
        (pool, coordinatorID) = try Self.open(file) { pool in
            try Self.migrator.migrate(pool)
            let id = newCoordinatorID()
            try pool.write { db in
                try db.execute(
                    sql: "INSERT INTO meta (key, value) VALUES ('coordinator_id', ?) ON CONFLICT DO NOTHING",
                    arguments: [id])
            }
        }
    }

    /// Opens the database that a running coordinator uses, for reading and writing, without a migration.
    /// - Throws: `CoordinatorError` if the coordinator is of an older or a newer texloom.
    init(sharing file: URL) throws {
        notifications = nil
        (pool, coordinatorID) = try Self.open(file) { pool in
            guard try pool.read(Self.migrator.hasCompletedMigrations) else {
                throw CoordinatorError(
                    .storeUnavailable,
                    "the coordinator that uses \(file.path) is of an older texloom; restart it with this one")
            }
        }
    }

    /// Opens the database of any older version for reading, without a migration.
    /// - Throws: `CoordinatorError` if the file is no job store, is damaged, or comes from a newer texloom.
    init(reading file: URL) throws {
        notifications = nil
        (pool, coordinatorID) = try Self.open(file, isReadOnly: true)
    }

    /// Opens the database, refuses one of a newer texloom, prepares it and reads the coordinator's id.
    private static func open(
        _ file: URL, isReadOnly: Bool = false, prepare: (DatabasePool) throws -> Void = { _ in }
    ) throws -> (DatabasePool, String) {
        var configuration = Configuration()
        configuration.label = "texloom.jobs"
        configuration.readonly = isReadOnly
        configuration.maximumReaderCount = 4
        configuration.busyMode = .timeout(10)
        configuration.foreignKeysEnabled = true
        do {
            let pool = try DatabasePool(path: file.path, configuration: configuration)
            // GRDB sets NORMAL with WAL, but a promise must survive a power cut.
            if !isReadOnly { try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") } }
            try refuseNewer(pool, file)
            try prepare(pool)
            let id = try pool.read {
                try String.fetchOne($0, sql: "SELECT value FROM meta WHERE key = 'coordinator_id'")
            }
            return (pool, id ?? "")
        } catch let error as DatabaseError {
            throw unusable(file, error)
        }
    }

    private static func refuseNewer(_ pool: DatabasePool, _ file: URL) throws {
        guard try pool.read(migrator.hasBeenSuperseded) else { return }
        throw CoordinatorError(
            .newerStore, "\(file.path) was written by a newer texloom; upgrade this one, or use another data folder")
    }

    private static func unusable(_ file: URL, _ error: DatabaseError) -> CoordinatorError {
        CoordinatorError(
            .storeUnavailable,
            "\(file.path) cannot be used as a job store: \(error.message ?? "SQLite error \(error.resultCode)")")
    }

    /// Records changes in order, all or none. Returns once they are on disk.
    /// - Parameter time: The wall clock, for people. No decision depends on it.
    /// - Returns: The files of deleted jobs. Other jobs may need them.
    @discardableResult
    func apply(_ changes: [Change], at time: Date) async throws -> Set<Leftover> {
        guard !changes.isEmpty else { return [] }
        return try await pool.write { [notifications] db in
            let writer = ChangeWriter(db: db, seconds: time.timeIntervalSince1970)
            var ends = notifications.map { EndRecorder($0, db, seconds: writer.seconds) }
            var leftovers: Set<Leftover> = []
            for change in changes {
                if case .jobDeleted(let id) = change {
                    try ends?.writeJobs()
                    leftovers.formUnion(try writer.delete(id))
                } else {
                    if case .job(let job) = change { try ends?.note(job) }
                    try writer.write(change)
                }
            }
            try ends?.writeJobs()
            try ends?.writeBatches()
            return leftovers
        }
    }

    /// Everything that `ClusterState` needs to continue after a restart.
    func load() throws -> RecordedCluster {
        do {
            return try pool.read { try RecordedCluster(reading: $0) }
        } catch let error as DatabaseError {
            throw CoordinatorError(.storeUnavailable, "the job store cannot be read: \(error)")
        }
    }

    /// Whether any job needs the file.
    func isReferenced(sha256: String) async throws -> Bool {
        try await pool.read { db in
            try Bool.fetchOne(
                db, sql: "SELECT EXISTS (SELECT 1 FROM artifacts WHERE sha256 = ?)", arguments: [sha256]) ?? false
        }
    }

    /// Why the store cannot be read or written at present, in SQLite's words; nil for an error of another kind.
    static func outage(_ error: any Error) -> String? {
        guard let error = error as? DatabaseError else { return nil }
        switch error.resultCode {
        case .SQLITE_FULL, .SQLITE_IOERR, .SQLITE_BUSY, .SQLITE_READONLY:
            return error.message ?? "SQLite error \(error.resultCode.rawValue)"
        default: return nil
        }
    }

    /// Reads a little. Fails if the store cannot be read.
    func ping() async throws {
        _ = try await pool.read { try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM meta") }
    }

    /// Writes more than a full disk may have left, and deletes it again.
    /// - Throws: If the store cannot be written.
    func tryWriting() async throws {
        try await pool.write { db in
            try db.execute(sql: "INSERT OR REPLACE INTO meta VALUES ('probe', hex(zeroblob(32768)))")
            try db.execute(sql: "DELETE FROM meta WHERE key = 'probe'")
        }
    }

    func close() throws { try pool.close() }
}
