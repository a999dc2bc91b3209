import ClusterFixtures
import EventFiles
import EventReader
import Foundation
import GRDB
import Logging
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Event files of jobs")
struct EventFileWriterTests {
    let folder: TemporaryFolder
    let store: JobStore
    let artifacts: ArtifactStore
    let engine: ClusterEngine
    let driver = ClusterDriver()
    let complaints = Complaints()

    init() throws {
        let stores = try Stores()
        (folder, store, artifacts) = (stores.folder, stores.jobs, stores.artifacts)
        engine = stores.engine(logger: complaints.logger)
    }

    // MARK: A cluster's records, without its engine

    private func play(_ event: ClusterEvent) async throws {
        try await store.play(event, in: driver, at: Date(timeIntervalSince1970: 1_700_000_000.25))
    }

    private func submit(_ name: String) async throws -> JobID {
        let submission = Submission(
            name: name, fileName: "\(name).png", exemplar: try artifacts.store(Data(name.utf8)), recipeYAML: "r",
            priority: 0, key: nil)
        try await play(.submit(driver.token(), [submission], salts: [1]))
        return try #require(driver.disk.jobs.last).id
    }

    /// A worker takes the oldest waiting job.
    private func take(_ session: UInt64) async throws -> AttemptReference {
        try await play(.hello(session: session, worker: .named("worker-\(session)"), running: []))
        try await play(.workRequest(session: session, requestID: .random(in: 1 ... .max)))
        return try #require(driver.state.leases.values.first { $0.session == session }).attempt
    }

    private func measure(
        _ iterations: some Sequence<Int>, _ attempt: AttemptReference, by session: UInt64, value: Float? = nil
    ) async throws {
        let rows = iterations.map {
            MetricsBlock.Row(iteration: $0, unixSeconds: 1_000 + Double($0), values: [value ?? Float($0), .nan, 0.5])
        }
        let block = MetricsBlock(columns: ["l1", "style", "seconds_per_iteration"], rows: rows)
        try await play(
            .metrics(
                session: session, attempt, requestID: .random(in: 1 ... .max), block))
    }

    private func keep(
        _ kind: ArtifactRole, _ iteration: Int, _ attempt: AttemptReference, by session: UInt64, _ bytes: Data
    ) async throws {
        let artifact = try artifacts.store(bytes)
        let offer = ArtifactOffer(
            attempt: attempt, transferID: 1, role: kind, artifact: artifact, iteration: iteration)
        try await play(.artifactStored(session: session, offer))
    }

    // MARK: The writer, and what it wrote

    private func writer() -> EventFileWriter {
        EventFileWriter(
            folder: eventFiles, store: store, artifacts: artifacts, engine: engine, disk: BlockingWork(),
            logger: complaints.logger)
    }

    private var eventFiles: URL { folder.url.appendingPathComponent("tensorboard") }

    private func file(_ name: String) -> URL {
        eventFiles.appendingPathComponent(name).appendingPathComponent(EventFile.name)
    }

    private func counting(_ name: String) throws -> [ReadEvent] {
        ReadEvent.counting(try ReadEvent.all(in: file(name)))
    }

    private func losses(_ name: String) throws -> [Int: Float] {
        let pairs = try counting(name).compactMap { event in event.scalars["loss/l1"].map { (event.step, $0) } }
        return try Dictionary(pairs) { _, _ in throw ReadEvent.Damage(description: "a step twice in \(name)") }
    }

    private func pictures(_ name: String) throws -> [Int] {
        try counting(name).filter { !$0.images.isEmpty }.map(\.step)
    }

    /// Starts a new writer, as after a restart, and lets it do all its work.
    @discardableResult
    private func restart() async -> EventFileWriter {
        let writer = writer()
        await writer.findOldJobs()
        await writer.beat()
        return writer
    }

    @Test func whatIsRecordedIsInTheFileABeatLaterAndOnce() async throws {
        let job = try await submit("wood")
        let attempt = try await take(1)
        let writer = await restart()
        #expect(!FileManager.default.fileExists(atPath: file("wood").path), "nothing measured, no file")
        try await measure([5, 10], attempt, by: 1)
        try await keep(.snapshot, 10, attempt, by: 1, TestImages.png)
        await writer.bringUpToDate([job])
        try await measure([15], attempt, by: 1)
        await writer.bringUpToDate([job])
        await writer.bringUpToDate([job])

        let events = try ReadEvent.all(in: file("wood"))
        #expect(events.first?.fileVersion == "brain.Event:2")
        #expect(events.compactMap(\.session?.message) == ["attempt 1"])
        #expect(try losses("wood") == [5: 5, 10: 10, 15: 15])
        let ten = try #require(events.first { $0.step == 10 })
        #expect(ten.wallTime == 1_010 && ten.scalars == ["loss/l1": 10, "training/seconds_per_iteration": 0.5])
        let images = events.flatMap { Array($0.images) }
        #expect(images.count == 1 && images.first?.key == "snapshot")
        #expect(
            images.first?.value
                == ReadEvent.Image(width: 5, height: 3, colourSpace: 3, encoded: Array(TestImages.png)))
    }

    @Test func aRestartLeavesNeitherGapsNorDuplicates() async throws {
        let job = try await submit("wood")
        let attempt = try await take(1)
        try await measure([5], attempt, by: 1)
        await restart()
        // The store has these records, but the process died before it wrote them. Its last write is torn.
        try await measure(stride(from: 10, through: 12_000, by: 5), attempt, by: 1)
        try await keep(.snapshot, 50, attempt, by: 1, TestImages.png)
        let writer = await restart()
        let whole = try Data(contentsOf: file("wood"))
        for count in [whole.count - 1, whole.count / 2, 3] {
            try whole.prefix(count).write(to: file("wood"))
            await restart()
            #expect(try Data(contentsOf: file("wood")) == whole, "torn at byte \(count)")
        }
        #expect(try losses("wood").count == 2_400)
        #expect(try pictures("wood") == [50])
        // The running writer notices a replaced or missing file.
        try FileManager.default.removeItem(at: eventFiles)
        await writer.bringUpToDate([job])
        #expect(try Data(contentsOf: file("wood")) == whole)
    }

    @Test func aResumedTrainingTakesTheLostAttemptsPlace() async throws {
        let job = try await submit("wood")
        let first = try await take(1)
        try await measure([10, 20], first, by: 1)
        try await keep(.checkpoint, 20, first, by: 1, Data("checkpoint".utf8))
        try await measure([30, 40], first, by: 1)
        try await keep(.snapshot, 40, first, by: 1, TestImages.png)
        let writer = await restart()
        try await play(.goodbye(session: 1, reason: "gone"))
        let second = try await take(2)
        #expect(second.job == job && second.number == 2)
        await writer.bringUpToDate([job])
        #expect(try losses("wood") == [10: 10, 20: 20, 30: 30, 40: 40], "the new attempt has measured nothing yet")

        try await measure([30], second, by: 2, value: 33)
        await writer.bringUpToDate([job])
        #expect(try losses("wood") == [10: 10, 20: 20, 30: 33])
        #expect(try pictures("wood").isEmpty, "the picture was the lost attempt's")
        try await measure([40, 50], second, by: 2, value: 44)
        await writer.bringUpToDate([job])
        let expected: [Int: Float] = [10: 10, 20: 20, 30: 33, 40: 44, 50: 44]
        #expect(try losses("wood") == expected)
        #expect(try pictures("wood") == [40])
        #expect(try ReadEvent.all(in: file("wood")).compactMap(\.session?.message) == ["attempt 1", "attempt 2"])
        let whole = try Data(contentsOf: file("wood"))
        await restart()
        #expect(try Data(contentsOf: file("wood")) == whole)
        // A file made again tells the same story.
        try FileManager.default.removeItem(at: eventFiles)
        await restart()
        #expect(try losses("wood") == expected)
        #expect(try pictures("wood") == [40])
    }

    @Test func whatALostAttemptMeasuredBeyondTheCheckpointIsLeftOutWhenTheFileIsMadeAnew() async throws {
        _ = try await submit("wood")
        let first = try await take(1)
        try await measure([10, 20, 30, 40], first, by: 1)
        try await keep(.checkpoint, 20, first, by: 1, Data("checkpoint".utf8))
        try await play(.goodbye(session: 1, reason: "gone"))
        let second = try await take(2)
        try await measure([30], second, by: 2, value: 33)
        await restart()
        #expect(try losses("wood") == [10: 10, 20: 20, 30: 33])
    }

    @Test func rowsOfAnOlderStoreAreTakenAsTheyAre() async throws {
        _ = try await submit("wood")
        let attempt = try await take(1)
        try await measure([10, 20], attempt, by: 1)
        try await store.pool.write { try $0.execute(sql: "UPDATE metrics SET attempt = 0") }
        await restart()
        #expect(try losses("wood") == [10: 10, 20: 20])
    }

    /// - Returns: The job's complete file.
    private func endedJob(_ name: String) async throws -> (JobID, URL) {
        let job = try await submit(name)
        let attempt = try await take(1)
        try await measure([10], attempt, by: 1)
        try await play(.cancel(driver.token(), job, reason: "enough"))
        await restart()
        return (job, file(name))
    }

    @Test func aFileThatHasEverythingIsNotReadAgainAtTheNextStart() async throws {
        let (_, url) = try await endedJob("wood")
        // Artificial damage that shows whether the writer reads the file.
        let time = try #require(FileManager.default.attributesOfItem(atPath: url.path)[.modificationDate] as? Date)
        let torn = try Data(contentsOf: url).dropLast()
        try torn.write(to: url)
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: url.path)
        await restart()
        #expect(try Data(contentsOf: url) == torn)
        // The writer reads a file whose time differs.
        try torn.write(to: url)
        await restart()
        #expect(try losses("wood") == [10: 10])
    }

    @Test func aDeletedFolderIsMadeAgainAtTheNextStart() async throws {
        _ = try await endedJob("wood")
        try FileManager.default.removeItem(at: eventFiles)
        await restart()
        #expect(try losses("wood") == [10: 10])
    }

    @Test func manyOldJobsAreSeenToAFewABeat() async throws {
        let jobs = EventFileWriter.maxOldJobsPerBeat + 3
        for number in 0..<jobs { _ = try await endedJob("wood-\(number)") }
        try FileManager.default.removeItem(at: eventFiles)
        func count() -> Int { (try? FileManager.default.contentsOfDirectory(atPath: eventFiles.path).count) ?? 0 }
        let writer = await restart()
        #expect(count() == EventFileWriter.maxOldJobsPerBeat)
        await writer.beat()
        #expect(count() == jobs)
    }

    @Test func aFolderThatCannotBeWrittenIsSaidOnceAndCaughtUpLater() async throws {
        let job = try await submit("wood")
        let attempt = try await take(1)
        try await measure([10], attempt, by: 1)
        try Data([1]).write(to: eventFiles)
        let writer = await restart()
        try await measure([20], attempt, by: 1)
        await writer.bringUpToDate([job])
        await writer.bringUpToDate([])
        #expect(complaints.all.count { $0.contains("cannot be written") } == 1, "\(complaints.all)")
        try FileManager.default.removeItem(at: eventFiles)
        await writer.beat()
        #expect(try losses("wood") == [10: 10, 20: 20])
        #expect(complaints.all.last?.contains("can be written again") == true)
    }

    @Test func aSnapshotThatIsNoImageIsLeftOutAndSaidOnce() async throws {
        let job = try await submit("wood")
        let attempt = try await take(1)
        try await measure([10, 20], attempt, by: 1)
        try await keep(.snapshot, 10, attempt, by: 1, Data("no image".utf8))
        let writer = await restart()
        await writer.bringUpToDate([job])
        try await keep(.snapshot, 20, attempt, by: 1, TestImages.png)
        await writer.bringUpToDate([job])
        #expect(try pictures("wood") == [20])
        #expect(complaints.all.count == 1 && complaints.all[0].contains("is left out"), "\(complaints.all)")
    }

    @Test func aWholeCoordinatorKeepsTheFilesOfItsJobs() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("wood")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 7)
        worker.hello()
        _ = try await worker.welcome()
        let assign = try await worker.askForWork()
        var metrics = WireMetricBatch()
        metrics.attempt = assign.attempt
        metrics.requestID = worker.id()
        metrics.columns = ["l1"]
        metrics.rows = [.with { ($0.iteration, $0.unixSeconds, $0.values) = (10, 5, [0.25]) }]
        worker.send(.metrics(metrics))
        _ = try await worker.acknowledgement()
        let url = EventFileWriter.file(
            of: "wood", in: coordinator.folder.url.appendingPathComponent("tensorboard"))
        var events: [ReadEvent] = []
        while !events.contains(where: { $0.step == 10 }) {
            try await Task.sleep(for: .milliseconds(50))
            events = (try? ReadEvent.all(in: url)) ?? []
        }
        #expect(events.last?.scalars == ["loss/l1": 0.25])
        await coordinator.stop()
    }
}
