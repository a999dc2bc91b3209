import ClusterFixtures
import Foundation
import GRDB
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Jobs that wait for others, in the store.
struct AwaitedInputTests {
    private let folder = TemporaryFolder()
    private var file: URL { folder.url.appendingPathComponent("jobs.sqlite") }

    private func open() throws -> JobStore { try JobStore(file: file, newCoordinatorID: "cluster") }

    private func play(_ store: JobStore, _ driver: ClusterDriver, _ event: ClusterEvent) async throws {
        try await store.play(event, in: driver, at: Date(timeIntervalSince1970: 1_700_000_000))
    }

    private static func submissions() -> [Submission] {
        let training = Submission(
            name: "a", fileName: "a.png", exemplar: .named("a"), recipeYAML: "recipe: draft", priority: 0, key: nil)
        let follower = Submission(
            kind: .expand, name: "a-expand", inputs: training.inputs,
            awaited: [Submission.Awaited(name: JobInput.generator, source: .submission(0), role: .generator)],
            spec: "times=2", priority: 0)
        return [training, follower]
    }

    @Test func aWaitingJobIsReadBackAsItWasInEveryState() async throws {
        let (driver, store) = (ClusterDriver(), try open())
        try await play(store, driver, .submit(driver.token(), Self.submissions(), salts: [1, 2]))
        #expect(try open().load().jobs == driver.disk.jobs)
        #expect(driver.disk.jobs.map(\.state) == [.queued, .waiting])
        let ids = driver.disk.jobs.map(\.id)
        try await play(store, driver, .cancel(driver.token(), ids[0], reason: "x"))
        #expect(try open().load().jobs == driver.disk.jobs)
        #expect(driver.disk.jobs[1].state == .blocked)
        try await play(store, driver, .retry(driver.token(), ids[0]))

        // The inputs of a released job are stored with their sizes.
        try await play(store, driver, .hello(session: 1, worker: .named("w"), running: []))
        try await play(store, driver, .workRequest(session: 1, requestID: 1))
        let attempt = try #require(driver.state.leases[ids[0]]).attempt
        for role in [ArtifactRole.checkpoint, .generator, .discriminator] {
            let artifact = Artifact.named("\(role) of \(attempt.job) at 100")
            let offer = ArtifactOffer(attempt: attempt, transferID: 1, role: role, artifact: artifact, iteration: 100)
            try await play(store, driver, .artifactStored(session: 1, offer))
        }
        // A process that restarts before the end knows the size of a product.
        #expect(try open().load().jobs[0].products == driver.state.job(ids[0])?.products)
        try await play(store, driver, .finish(session: 1, attempt, requestID: 9, .of(attempt, iteration: 100)))
        let loaded = try open().load().jobs
        #expect(loaded == driver.disk.jobs && loaded[1].state == .queued)
        #expect(loaded[1].inputs.map(\.name) == ["exemplar", "generator"])
        #expect(loaded[1].input(JobInput.generator)?.artifact.sizeBytes == 1000)
        // The janitor keeps the file while either job has it.
        let sha256 = loaded[1].inputs[1].artifact.sha256
        #expect(try await store.isReferenced(sha256: sha256))
        let detail = try #require(try await store.detail(ids[1]))
        #expect(detail.after?.map(\.id) == [ids[0].description] && detail.job.after == [ids[0].description])
        #expect(detail.job.recipe == "times=2" && detail.job.kind == .expand)
        #expect(try await store.detail(ids[0])?.followers?.map(\.resultName) == ["a-expand"])
    }

    /// A data folder from before jobs waited for others.
    @Test func anOlderStoreGetsTheTable() async throws {
        let queue = try DatabaseQueue(path: file.path)
        let migrator = JobStore.migrator
        try migrator.migrate(queue, upTo: "worker keys")
        try await queue.write { db in
            try db.execute(
                sql: """
                    INSERT INTO recipes (yaml, name) VALUES ('recipe: draft', 'draft');
                    INSERT INTO jobs (sequence, id, name, result_name, recipe, priority, queue_order, state, failures,
                        iteration, total_iterations, seconds_per_iteration, submitted_at)
                        VALUES (1, '0000010001', 'a', 'a', 1, 0, 1, 'queued', 0, 0, 0, 0, 1);
                    INSERT INTO inputs VALUES (1, 0, 'exemplar', '\(String(repeating: "a", count: 64))', 5, 'a.png');
                    """)
        }
        #expect(try await queue.read { try $0.tableExists("awaited") } == false)
        try queue.close()
        let store = try open()
        let loaded = try store.load()
        #expect(loaded.jobs.count == 1 && loaded.jobs[0].awaited.isEmpty && loaded.jobs[0].state == .queued)
        // And a job can wait for the old one.
        let driver = ClusterDriver()
        driver.disk = loaded
        driver.restart()
        var follower = Self.submissions()[1]
        follower.awaited[0].source = .job(loaded.jobs[0].id)
        try await play(store, driver, .submit(driver.token(), [follower], salts: [2]))
        #expect(try open().load().jobs.last?.state == .waiting)
    }
}
