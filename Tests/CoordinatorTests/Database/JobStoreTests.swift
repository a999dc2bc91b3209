import ClusterFixtures
import Foundation
import GRDB
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Job store")
struct JobStoreTests {
    let folder = TemporaryFolder()
    var file: URL { folder.url.appendingPathComponent("jobs.sqlite") }

    func open() throws -> JobStore { try JobStore(file: file, newCoordinatorID: "cluster") }

    /// Plays events through a cluster and stores each event's changes as a batch.
    private func play(_ store: JobStore, _ driver: ClusterDriver, _ events: [ClusterEvent]) async throws {
        for event in events {
            try await store.play(event, in: driver, at: Date(timeIntervalSince1970: 1_700_000_000))
        }
    }

    private func submission(_ name: String, key: String? = nil) -> Submission {
        Submission(
            name: name, fileName: "\(name).png", exemplar: .named(name), recipeYAML: "recipe: draft", priority: 3,
            key: key)
    }

    @Test func whatWasRecordedIsReadBackExactlyAfterAReopen() async throws {
        let driver = ClusterDriver()
        let store = try open()
        let token = driver.token()
        try await play(
            store, driver,
            [
                .submit(token, [submission("a", key: "k"), submission("b"), submission("c")], salts: [1, 2, 3]),
                .hello(session: UInt64.max - 5, worker: .named("w"), running: []),
                .workRequest(session: UInt64.max - 5, requestID: 1),
            ])
        let attempt = try #require(driver.state.leases.values.first).attempt
        var events: [ClusterEvent] = [10, 20, 30].map { iteration in
            .artifactStored(
                session: UInt64.max - 5,
                ArtifactOffer(
                    attempt: attempt, transferID: 1, role: .checkpoint, artifact: .named("c\(iteration)"),
                    iteration: iteration))
        }
        events.append(.workRequest(session: UInt64.max - 5, requestID: 2))
        try await play(store, driver, events)
        let second = try #require(driver.state.leases.values.first { $0.attempt != attempt }).attempt
        try await play(
            store, driver,
            [
                .fail(session: UInt64.max - 5, second, requestID: 3, iteration: 4, reason: "NaN", isRetryable: true),
                .drain(driver.token(), workerID: "w"),
            ])
        let loaded = try open().load()
        #expect(loaded.jobs == driver.disk.jobs)
        #expect(loaded.workers == driver.disk.workers)
        #expect(loaded.nextSequence == 4)
    }

    @Test func commitsAreSyncedToDisk() throws {
        let store = try open()
        #expect(try store.pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
        #expect(try store.pool.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
    }

    @Test func aProcessThatDiesLeavesWhatItCommitted() async throws {
        let driver = ClusterDriver()
        let store = try open()
        let token = driver.token()
        try await play(store, driver, [.submit(token, [submission("a")], salts: [1])])
        // The files as a killed process leaves them: the write-ahead log is not in the database yet.
        let copy = folder.url.appendingPathComponent("copy")
        try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(
                at: URL(fileURLWithPath: file.path + suffix), to: copy.appendingPathComponent("jobs.sqlite" + suffix))
        }
        let survivor = try JobStore(file: copy.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "other")
        #expect(try survivor.load().jobs == driver.disk.jobs)
        #expect(survivor.coordinatorID == "cluster")
    }

    @Test func aBatchIsRecordedWholeOrNotAtAll() async throws {
        let driver = ClusterDriver()
        let store = try open()
        try await store.pool.write {
            try $0.execute(
                sql: "CREATE TRIGGER full BEFORE INSERT ON logs BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        }
        let token = driver.token()
        await #expect(throws: DatabaseError.self) {
            try await play(store, driver, [.submit(token, [submission("a")], salts: [1])])
        }
        #expect(try store.load().jobs.isEmpty)
    }

    /// Every process numbers its requests from the start.
    @Test func theLinesOfAWorkersNextProcessAreNotTakenForRepeatedOnes() async throws {
        let driver = ClusterDriver()
        let store = try open()
        let token = driver.token()
        try await play(store, driver, [.submit(token, [submission("a")], salts: [1])])
        let id = driver.disk.jobs[0].id
        for session in [1, 1, 2, 2] as [UInt64] {
            let line = LogLine(unixSeconds: 1, level: .info, message: "of process \(session)")
            try await store.apply(
                [.log(id, attempt: 1, session: session, requestID: 1, [line])], at: Date())
        }
        let lines = try await store.logs(of: id, after: 0, limit: 10).entries.filter { $0.source == "worker" }
        #expect(lines.map(\.message) == ["of process 1", "of process 2"])
    }

    @Test func whatAJobNeedsIsRecorded() async throws {
        let driver = ClusterDriver()
        let store = try open()
        let token = driver.token()
        var paper = submission("a")
        paper.needs = JobNeeds(weights: ["vgg19", "vgg16", "vgg19"], memoryBytes: 600 << 20)
        try await play(store, driver, [.submit(token, [paper, submission("b")], salts: [1, 2])])
        let needs = try store.load().jobs.map(\.needs)
        #expect(needs == [JobNeeds(weights: ["vgg16", "vgg19"], memoryBytes: 600 << 20), JobNeeds()])
    }

    /// A page of ten thousand jobs costs no sort of them.
    @Test(arguments: JobOrder.allCases) func everyOrderHasAnIndex(order: JobOrder) async throws {
        let plan = try await open().pool.read { db in
            try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN SELECT * FROM jobs ORDER BY \(order.sql) LIMIT 9")
                .map { $0["detail"] as String }
        }
        #expect(plan.count == 1 && !plan[0].contains("TEMP B-TREE"), "\(plan)")
    }

    @Test func aFinishedJobIsNeverOverwritten() async throws {
        let store = try open()
        var job = Job(
            id: JobID(sequence: 1, salt: 1), name: "a", resultName: "a", kind: .train,
            inputs: [JobInput(name: JobInput.exemplar, artifact: .named("a"), fileName: "a.png")], spec: "r",
            priority: 0, queueOrder: 1)
        job.state = .finished
        try await store.apply([.job(job)], at: Date())
        job.state = .cancelled
        try await store.apply([.job(job)], at: Date())
        #expect(try store.load().jobs.first?.state == .finished)
    }

    @Test func repeatedMetricsAndLogBatchesAreStoredOnce() async throws {
        let driver = ClusterDriver()
        let store = try open()
        let token = driver.token()
        try await play(store, driver, [.submit(token, [submission("a")], salts: [1])])
        let id = driver.disk.jobs[0].id
        let block = MetricsBlock(
            columns: ["l1", "style"],
            rows: [
                .init(iteration: 10, unixSeconds: 1, values: [0.5, .nan]),
                .init(iteration: 20, unixSeconds: 2, values: [0.25, 3]),
            ])
        let log = Change.log(
            id, attempt: 1, session: .max, requestID: .max, [LogLine(unixSeconds: 1, level: .info, message: "hello")])
        for _ in 0..<2 { try await store.apply([.metrics(id, attempt: 1, block), log], at: Date()) }
        let rows = try await store.metrics(of: id, after: -1, limit: 10).entries
        #expect(rows.map(\.values) == [["l1": 0.5], ["l1": 0.25, "style": 3]])
        #expect(try await store.metrics(of: id, after: 10, limit: 10).entries.map(\.iteration) == [20])
        #expect(try await store.logs(of: id, after: 0, limit: 10).entries.filter { $0.source == "worker" }.count == 1)
        let summary = try await store.summaries(JobQuery(limit: 10)).jobs[0]
        #expect(summary.lossLatest == ["l1": 0.25, "style": 3])

        // A snapshot's figures are metrics, but not losses.
        let snapshot = MetricsBlock(
            columns: ["l1", "style", "quality_patches"],
            rows: [.init(iteration: 25, unixSeconds: 3, values: [0.2, 2, 0.1])])
        try await store.apply([.metrics(id, attempt: 1, snapshot)], at: Date())
        #expect(try await store.metrics(of: id, after: 20, limit: 1).entries[0].values["quality_patches"] == 0.1)
        #expect(try await store.summaries(JobQuery(limit: 10)).jobs[0].lossLatest == ["l1": 0.2, "style": 2])

        // A worker's next process repeats the rows of its attempt without these figures. Another attempt makes its own.
        let plain = MetricsBlock(
            columns: ["l1", "style"], rows: [.init(iteration: 25, unixSeconds: 4, values: [0.2, 2])])
        try await store.apply([.metrics(id, attempt: 1, plain)], at: Date())
        #expect(try await store.metrics(of: id, after: 20, limit: 1).entries[0].values["quality_patches"] == 0.1)
        try await store.apply([.metrics(id, attempt: 2, plain)], at: Date())
        #expect(try await store.metrics(of: id, after: 20, limit: 1).entries[0].values == ["l1": 0.2, "style": 2])
    }

    @Test func aDatabaseOfANewerVersionIsRefused() throws {
        let store = try open()
        try store.pool.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('v999')") }
        try store.close()
        let error = #expect(throws: CoordinatorError.self) { try open() }
        #expect(error?.code == .newerStore)
        #expect(error?.message.contains("upgrade") == true)
    }

    /// A frozen store of version 1. Never update it.
    @Test func aStoreOfVersionOneIsMigratedForwardWithAllThatIsInIt() async throws {
        try await folder.makeStoreOfVersionOne()
        let store = try open()
        #expect(store.coordinatorID == "cluster-of-old")
        let loaded = try store.load()
        #expect(loaded.nextSequence == 4)
        #expect(loaded.jobs.map(\.state) == [.finished, .running, .held])
        let running = loaded.jobs[1]
        #expect(running.attempt?.number == 2 && running.attempt?.session == UInt64.max - 1 && running.failures == 1)
        #expect(running.checkpoints.map(\.iteration) == [100, 200] && running.spec == "recipe: draft\n")
        #expect(running.avoidedWorkerIDs == ["w2"] && running.key == "night-2")
        // In this version, every job trains on one exemplar.
        let digests = try await store.pool.read { db in
            try String.fetchAll(db, sql: "SELECT sha256 FROM artifacts WHERE kind = 'exemplar' ORDER BY job")
        }
        #expect(loaded.jobs.map(\.kind) == [.train, .train, .train] && digests.count == 3)
        #expect(loaded.jobs.map(\.inputs.count) == [1, 1, 1])
        #expect(loaded.jobs.map { $0.input(JobInput.exemplar)?.artifact.sha256 } == digests)
        #expect(Set(loaded.jobs[0].products.keys) == [.generator, .discriminator])
        #expect(loaded.jobs[1].products.isEmpty)
        #expect(loaded.workers.map(\.identity.id) == ["w1"])
        let id = loaded.jobs[0].id
        #expect(
            try await store.metrics(of: id, after: -1, limit: 9).entries.map(\.values) == [["l1": 0.5, "style": 2]])
        #expect(try await store.logs(of: id, after: 0, limit: 9).entries.map(\.message) == ["accepted", "begun"])
        #expect(try await store.detail(id)?.reportJSON == "{}")
        // Jobs continue from it, and later changes can be read back.
        var job = loaded.jobs[2]
        job.state = .queued
        try await store.apply([.job(job)], at: Date())
        #expect(try open().load().jobs[2].state == .queued)
    }

    @Test func aClusterOfTenThousandJobsIsReadBackWhole() async throws {
        let driver = ClusterDriver()
        let store = try open()
        for batch in 0..<10 {
            let names = (0..<1000).map { submission("job \(batch * 1000 + $0)") }
            try await play(store, driver, [.submit(driver.token(), names, salts: names.indices.map { UInt32($0) })])
        }
        var wide = WorkerIdentity.named("w")
        wide.slots = 200
        try await play(store, driver, [.hello(session: 1, worker: wide, running: [])])
        for request in 1...200 {
            try await play(store, driver, [.workRequest(session: 1, requestID: UInt64(request))])
        }
        let restored = ClusterState(restoring: try open().load(), at: .origin)
        #expect(restored.counts[.queued] == 9800 && restored.counts[.running] == 200)
        #expect(restored.leases.count == 200 && restored.nextSequence == 10_001)
        var state = restored
        #expect(state.handle(.hello(session: 2, worker: .named("x"), running: []), at: .origin).welcomed == [])
        let first = state.handle(.workRequest(session: 2, requestID: 1), at: .origin).assignment
        #expect(first?.name == "job 200")
    }

    @Test func theLoadsOfRecipesAreReadFromAnIndexAlone() async throws {
        let driver = ClusterDriver()
        let store = try open()
        try await play(store, driver, [.submit(driver.token(), [submission("a"), submission("b")], salts: [1, 2])])
        let loads = try await store.recipeLoads()
        #expect(loads.map(\.queued) == [2] && loads.map(\.isTraining) == [true])
        let plan = try await store.pool.read { db in
            try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + JobStore.recipeLoadsSQL).map { $0["detail"] as String }
        }
        // Without rows of `jobs` and without a sort of them, but for one row of each recipe.
        #expect(plan.contains { $0.hasPrefix("SCAN jobs USING COVERING INDEX jobs_of_recipe") }, "\(plan)")
        #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
    }

    @Test func theBytesOfAllFilesAreReadFromAnIndexAlone() async throws {
        let plan = try await open().pool.read { db in
            try Row.fetchAll(db, sql: "EXPLAIN QUERY PLAN " + JobStore.distinctArtifactBytesSQL)
                .map { $0["detail"] as String }
        }
        #expect(plan.contains { $0.hasPrefix("SCAN artifacts USING COVERING INDEX artifacts_by_digest") }, "\(plan)")
        #expect(!plan.contains { $0.contains("TEMP B-TREE") }, "\(plan)")
    }

    @Test func onlyTheNewestLogLinesOfAJobAreKept() async throws {
        let driver = ClusterDriver()
        let store = try open()
        let token = driver.token()
        try await play(store, driver, [.submit(token, [submission("a"), submission("b")], salts: [1, 2])])
        let (flood, quiet) = (driver.disk.jobs[0].id, driver.disk.jobs[1].id)
        for batch in 0..<12 {
            let lines = (0..<1000).map { LogLine(unixSeconds: 1, level: .info, message: "\(batch * 1000 + $0)") }
            try await store.apply([.log(flood, attempt: 1, session: 1, requestID: UInt64(batch), lines)], at: Date())
        }
        let kept = try await store.logs(of: flood, after: 0, limit: 20_000).entries
        #expect(kept.count == JobStore.logLinesKept && kept.last?.message == "11999" && kept.first?.message == "2000")
        #expect(try await store.logs(of: quiet, after: 0, limit: 10).entries.map(\.message) == ["accepted"])
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        try Data(repeating: 7, count: 5000).write(to: file)
        #expect(throws: CoordinatorError.self) { try open() }
    }
}

/// A folder that is removed after the test.
final class TemporaryFolder: Sendable {
    let url: URL

    init() {
        url = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-test-\(UUID().uuidString)")
        try! FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }
}
