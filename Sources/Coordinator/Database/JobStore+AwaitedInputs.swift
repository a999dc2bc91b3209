import ClusterCore
import GRDB

extension JobStore {
    /// Jobs that wait for others: the inputs that another job makes.
    static func registerAwaitedInputs(_ migrator: inout DatabaseMigrator) {
        migrator.registerMigration("awaited inputs") { db in
            try db.execute(
                sql: """
                    CREATE TABLE awaited (
                        job INTEGER NOT NULL REFERENCES jobs (sequence),
                        position INTEGER NOT NULL,
                        name TEXT NOT NULL,
                        -- The job that makes it, and the role of its product.
                        source INTEGER NOT NULL REFERENCES jobs (sequence),
                        role TEXT NOT NULL,
                        PRIMARY KEY (job, position)
                    ) STRICT, WITHOUT ROWID;
                    CREATE INDEX awaited_by_source ON awaited (source, job);
                    """)
        }
    }
}

extension RecordedCluster {
    /// The newest stored file of each job's products, by sequence number.
    static func products(_ db: Database) throws -> [Int64: [ArtifactRole: Artifact]] {
        let sql = """
            SELECT products.job, role, products.sha256, MAX(bytes) AS bytes FROM products
            LEFT JOIN artifacts ON artifacts.job = products.job AND kind = role AND artifacts.sha256 = products.sha256
            GROUP BY products.job, role
            """
        var products: [Int64: [ArtifactRole: Artifact]] = [:]
        for row in try StoredRow.all(db, sql: sql) {
            // Skips a role that only a newer version knows: no kind of job here needs it.
            guard let role = ArtifactRole(rawValue: try row["role"]) else { continue }
            products[try row["job"], default: [:]][role] = try Artifact(
                sha256: row["sha256"], sizeBytes: (row["bytes"] as Int?) ?? 0)
        }
        return products
    }

    /// The inputs that other jobs make, by the sequence number of the job that needs them.
    static func awaited(_ db: Database) throws -> [Int64: [AwaitedInput]] {
        let sql = """
            SELECT awaited.*, jobs.id AS source_id FROM awaited JOIN jobs ON jobs.sequence = source
            ORDER BY job, position
            """
        var awaited: [Int64: [AwaitedInput]] = [:]
        for row in try StoredRow.all(db, sql: sql) {
            let (source, role): (String, String) = (try row["source_id"], try row["role"])
            guard let id = JobID(source), let role = ArtifactRole(rawValue: role) else {
                throw CoordinatorError(
                    .storeUnavailable,
                    "the job store is damaged: a job waits for the \(role.prefix(64)) of \(source.prefix(64)); restore "
                        + "the data folder from a copy")
            }
            awaited[try row["job"], default: []].append(AwaitedInput(name: try row["name"], job: id, role: role))
        }
        return awaited
    }
}
