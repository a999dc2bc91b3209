import ClusterFixtures
import Foundation
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
    /// - Parameter logger: nil for one that is silent.
    func engine(
        disk: BlockingWork = BlockingWork(), clock: @escaping @Sendable () -> Instant = { .origin },
        logger: Logger? = nil
    ) -> ClusterEngine {
        var silent = Logger(label: "test")
        silent.logLevel = .critical
        return ClusterEngine(
            state: ClusterState(at: .origin), store: jobs, artifacts: artifacts, disk: disk, clock: clock,
            logger: logger ?? silent)
    }
}

extension JobStore {
    /// Stores what an event changes in the driver's cluster, as an engine would.
    func play(_ event: ClusterEvent, in driver: ClusterDriver, at date: Date = Date()) async throws {
        let changes = driver.handle(event).compactMap { if case .record(let change) = $0 { change } else { nil } }
        try await apply(changes, at: date)
    }
}
