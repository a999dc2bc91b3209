import ClusterFixtures
import Foundation
import GRDB
import Logging

@testable import ClusterCore
@testable import Coordinator

/// A job store and an artifact store in a folder of their own.
struct Stores {
    let folder = TemporaryFolder()
    let jobs: JobStore
    let artifacts: ArtifactStore

    init() throws {
        jobs = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        artifacts = try ArtifactStore(dataFolder: folder.url)
    }

    /// An engine of an empty cluster, which handles nothing before its `run()`.
    func engine(
        disk: BlockingWork = BlockingWork(), clock: @escaping @Sendable () -> Instant = { .origin },
        wallClock: @escaping @Sendable () -> Date = { Date() }, logger: Logger = .silent
    ) -> ClusterEngine {
        ClusterEngine(jobs, artifacts, disk: disk, clock: clock, wallClock: wallClock, logger: logger)
    }
}

extension ClusterEngine {
    /// An engine that handles nothing before its `run()`.
    init(
        _ store: JobStore, _ artifacts: ArtifactStore, state: ClusterState = ClusterState(at: .origin),
        disk: BlockingWork = BlockingWork(), clock: @escaping @Sendable () -> Instant = { .origin },
        wallClock: @escaping @Sendable () -> Date = { Date() }, logger: Logger = .silent
    ) {
        self.init(
            state: state, store: store, artifacts: artifacts, disk: disk, clock: clock, wallClock: wallClock,
            logger: logger)
    }
}

extension Janitor {
    /// The janitor of a coordinator's folder.
    /// - Parameter keys: nil if the workers' address is plain.
    init(
        _ store: JobStore, _ artifacts: ArtifactStore, in folder: TemporaryFolder, engine: ClusterEngine,
        keys: WorkerKeys?
    ) {
        self.init(
            store: store, artifacts: artifacts, engine: engine, keys: keys, disk: BlockingWork(),
            thumbnails: DataFolder.thumbnails(in: folder.url), logger: .silent)
    }
}

extension TemporaryFolder {
    var database: URL { DataFolder.database(in: url) }

    /// Makes a store of version 1 in this folder, as a coordinator of that time left it.
    /// - Parameter journal: the database's journal mode.
    func makeStoreOfVersionOne(journal: String = "DELETE") async throws {
        let script = Project.folder.appendingPathComponent("Tests/CoordinatorTests/Fixtures/store-version-1.sql")
        let sql = try String(contentsOf: script, encoding: .utf8)
        let queue = try DatabaseQueue(path: database.path)
        try await queue.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA journal_mode = \(journal)")
            try db.execute(sql: sql)
        }
        try queue.close()
    }
}

extension JobStore {
    /// Stores what an event changes in the driver's cluster, as an engine would.
    func play(_ event: ClusterEvent, in driver: ClusterDriver, at date: Date = Date()) async throws {
        let changes = driver.handle(event).compactMap { if case .record(let change) = $0 { change } else { nil } }
        try await apply(changes, at: date)
    }
}
