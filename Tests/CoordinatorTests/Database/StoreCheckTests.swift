import ClusterFixtures
import Foundation
import GRDB
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Store check")
struct StoreCheckTests {
    let folder: TemporaryFolder
    let store: JobStore
    let artifacts: ArtifactStore
    let driver = ClusterDriver()
    var check: StoreCheck { StoreCheck(store: store, artifacts: artifacts) }

    init() throws {
        let stores = try Stores()
        (folder, store, artifacts) = (stores.folder, stores.jobs, stores.artifacts)
    }

    private func play(_ event: ClusterEvent) async throws {
        try await store.play(event, in: driver)
    }

    /// A running job with the given checkpoints, all in the store.
    private func runningJob(checkpoints: [Int] = [10, 20]) async throws -> AttemptReference {
        let exemplar = try artifacts.store(Data("exemplar".utf8))
        let submission = Submission(
            name: "wood", fileName: "wood.png", exemplar: exemplar, recipeYAML: "r", priority: 0, key: nil)
        try await play(.submit(driver.token(), [submission], salts: [1]))
        try await play(.hello(session: 1, worker: .named("w"), running: []))
        try await play(.workRequest(session: 1, requestID: 1))
        let attempt = try #require(driver.state.leases.values.first).attempt
        for iteration in checkpoints { try await keep(.checkpoint, iteration, of: attempt) }
        return attempt
    }

    @discardableResult
    private func keep(_ kind: ArtifactRole, _ iteration: Int, of attempt: AttemptReference) async throws
        -> Artifact
    {
        let artifact = try artifacts.store(Data("\(kind) \(iteration) of \(attempt.job)".utf8))
        try await play(
            .artifactStored(
                session: 1,
                ArtifactOffer(attempt: attempt, transferID: 1, role: kind, artifact: artifact, iteration: iteration)))
        return artifact
    }

    /// Finishes a job with products and a checkpoint of iteration 30.
    @discardableResult
    private func finish(_ attempt: AttemptReference) async throws -> (generator: Artifact, checkpoint: Artifact) {
        let generator = try await keep(.generator, 30, of: attempt)
        let discriminator = try await keep(.discriminator, 30, of: attempt)
        let checkpoint = try await keep(.checkpoint, 30, of: attempt)
        let completion = Completion(
            iteration: 30, generatorSHA256: generator.sha256, discriminatorSHA256: discriminator.sha256,
            checkpointSHA256: checkpoint.sha256, trainingSeconds: 1, reportJSON: "{}")
        try await play(.finish(session: 1, attempt, requestID: 9, completion))
        try #require(driver.state.job(attempt.job)?.state == .finished)
        return (generator, checkpoint)
    }

    private func checkpoints() throws -> [Int] { try store.load().jobs[0].checkpoints.map(\.iteration) }

    @Test func aSoundFolderHasNoProblems() async throws {
        _ = try await runningJob()
        let report = try await check.run(repairs: false)
        #expect(report.problems.isEmpty && report.orphans == 0 && report.jobs == 1 && report.artifacts == 3)
        #expect(try check.quick().isEmpty)
    }

    @Test func aChangedByteInACheckpointIsFoundAndRepairedByTheOneBefore() async throws {
        _ = try await runningJob()
        let newest = try #require(driver.disk.jobs[0].checkpoints.last).artifact
        try folder.damage(newest.sha256)
        let found = try await check.run(repairs: false)
        #expect(found.problems.count == 1 && found.repairs.isEmpty)
        #expect(found.problems[0].text.contains("checkpoint of iteration 20"))
        #expect(found.problems[0].text.contains("is damaged: has the SHA-256"))
        #expect(try checkpoints() == [10, 20], "a check alone changes nothing")

        let repaired = try await check.run(repairs: true)
        #expect(repaired.repairs.count == 1)
        #expect(try checkpoints() == [10])
        #expect(FileManager.default.fileExists(atPath: folder.url.path + "/damaged/\(newest.sha256)"))
        #expect(try await check.run(repairs: false).problems.isEmpty)
    }

    @Test func whatIsMissingOrCutShortIsFoundAtEveryStart() async throws {
        _ = try await runningJob()
        let (older, newest) = (driver.disk.jobs[0].checkpoints[0].artifact, driver.disk.jobs[0].checkpoints[1].artifact)
        try FileManager.default.removeItem(at: folder.artifact(older.sha256))
        try Data("checkp".utf8).write(to: folder.artifact(newest.sha256))
        let found = try check.quick()
        #expect(found.count == 2 && found[0].contains("is missing") && found[1].contains("has 6 bytes"))
        #expect(try checkpoints() == [10, 20], "they are given up when a worker asks for them")
        #expect(try check.quick() == found)
    }

    /// A disk that does not answer says nothing about its files.
    @Test func aFileThatTheSystemCannotLookAtIsNotTakenForMissing() async throws {
        _ = try await runningJob()
        let newest = try #require(driver.disk.jobs[0].checkpoints.last).artifact
        let shelf = folder.artifact(newest.sha256).deletingLastPathComponent()
        // Every look into it fails, also that of root.
        try FileManager.default.removeItem(at: shelf)
        try FileManager.default.createSymbolicLink(atPath: shelf.path, withDestinationPath: shelf.path)
        #expect(throws: CoordinatorError.self) { try artifacts.size(of: newest.sha256) }
        let found = try check.quick()
        #expect(found.count == 1 && found[0].contains("cannot look at"), "\(found)")
        // The report is about all other files too, and a repair leaves this one alone.
        let exemplar = driver.disk.jobs[0].exemplar
        try FileManager.default.removeItem(at: folder.artifact(exemplar.sha256))
        let report = try await check.run(repairs: true)
        let texts = report.problems.filter { $0.kind == .artifact }.map(\.text)
        #expect(texts.count == 2 && texts.contains { $0.contains("cannot look at") }, "\(texts)")
        #expect(texts.contains { $0.contains("its exemplar") && $0.contains("is missing") }, "\(texts)")
        #expect(try report.repairs.isEmpty && checkpoints() == [10, 20])
    }

    @Test func aFolderThatLacksAllFilesOfUnfinishedJobsIsNotServed() async throws {
        _ = try await runningJob()
        let shelves = folder.url.appendingPathComponent("artifacts")
        let elsewhere = folder.url.appendingPathComponent("elsewhere")
        try FileManager.default.moveItem(at: shelves, to: elsewhere)
        try FileManager.default.createDirectory(at: shelves, withIntermediateDirectories: true)
        let error = #expect(throws: CoordinatorError.self) { try check.quick() }
        #expect(error?.code == .notStored && error?.message.contains("none of the 3 files") == true)
        #expect(try checkpoints() == [10, 20])
        // A person who gives the files up says so, and the job then waits for its exemplar.
        _ = try await check.run(repairs: true)
        #expect(try check.quick().count == 1)
        #expect(try checkpoints() == [])
    }

    @Test func aMissingFolderOfArtifactsStopsTheStartAndARepairAndCostsNothing() async throws {
        let folder = TemporaryFolder()
        let coordinator = try await RunningCoordinator(folder: folder)
        _ = try await coordinator.submit("wood")
        await coordinator.stop()
        let shelves = folder.url.appendingPathComponent("artifacts")
        let elsewhere = folder.url.appendingPathComponent("elsewhere")
        try FileManager.default.moveItem(at: shelves, to: elsewhere)
        let error = await #expect(throws: CoordinatorError.self) { try await RunningCoordinator(folder: folder) }
        #expect(error?.message.contains("artifacts is not there, and jobs.sqlite names 1 file") == true)
        await #expect(throws: CoordinatorError.self) {
            try await CoordinatorService.check(folder.url, repairs: true)
        }
        #expect(try await CoordinatorService.check(folder.url, repairs: false).problems.count == 1)
        #expect(!FileManager.default.fileExists(atPath: shelves.path), "an empty one would hide what is wrong")
        try FileManager.default.moveItem(at: elsewhere, to: shelves)
        let again = try await RunningCoordinator(folder: folder)
        #expect(try await again.get("/readyz").status == 200)
        await again.stop()
    }

    @Test func theProductsOfAFinishedJobAreReportedAndNeverTouched() async throws {
        let attempt = try await runningJob(checkpoints: [20])
        let (generator, last) = try await finish(attempt)
        try folder.damage(generator.sha256)
        try folder.damage(last.sha256)
        let report = try await check.run(repairs: true)
        #expect(report.problems.count == 2 && report.repairs.isEmpty)
        #expect(
            report.problems.contains { $0.text.contains("generator") && $0.text.contains("restore it from a copy") })
        #expect(try checkpoints() == [20, 30] && artifacts.contains(generator))
    }

    @Test func aFinishedJobWithoutTheRecordOfAProductIsReported() async throws {
        let attempt = try await runningJob(checkpoints: [])
        try await finish(attempt)
        try await store.apply([.artifactDropped(attempt.job, .checkpoint, iteration: 30)], at: Date())
        #expect(try await check.run(repairs: false).problems == [], "the retention policy gives up checkpoints")
        try await store.pool.write { try $0.execute(sql: "DELETE FROM artifacts WHERE kind = 'generator'") }
        let problems = try await check.run(repairs: false).problems
        #expect(problems.map(\.kind) == [.artifact])
        #expect(
            problems.map(\.text) == [
                "job \(attempt.job) is finished, but the store has no record of its products: generator"
            ])
    }

    /// The work that follows cannot make its input again. Its training can.
    @Test func aGeneratorThatIsGoneIsReportedWithWhatRestoresIt() async throws {
        let exemplar = try artifacts.store(Data("exemplar".utf8))
        let generator = try artifacts.store(Data("generator".utf8))
        func job(_ state: JobState, _ number: Int64) -> Job {
            Job(
                id: JobID(sequence: number, salt: 1), name: "wall-expand", resultName: "wall-expand-\(number)",
                kind: .expand,
                inputs: [
                    JobInput(name: JobInput.exemplar, artifact: exemplar, fileName: "a.png"),
                    JobInput(name: JobInput.generator, artifact: generator, fileName: "generator.safetensors"),
                ], spec: "times=1", priority: 0, queueOrder: number, state: state)
        }
        try await store.apply([.job(job(.queued, 1)), .job(job(.finished, 2))], at: Date())
        try FileManager.default.removeItem(at: folder.artifact(generator.sha256))
        let texts = try await check.run(repairs: false).problems.map(\.text)
        let lost = texts.filter { $0.contains("generator") && $0.contains("is missing") }
        #expect(lost.count == 2, "\(texts)")
        #expect(
            lost.first?.hasSuffix(
                "restore it from a copy, or delete the job that made it and submit that again, which makes the same file, "
                    + "then retry the job") == true, "\(lost)")
        #expect(lost.last?.hasSuffix("the job has its products and no longer needs it") == true, "\(lost)")
    }

    @Test func filesThatNoJobRefersToAreCountedAndRemovedOnRequest() async throws {
        _ = try await runningJob()
        let orphan = try artifacts.store(Data("never submitted".utf8))
        try Data().write(to: folder.url.appendingPathComponent("artifacts/notes.txt"))
        let report = try await check.run(repairs: false)
        #expect(report.orphans == 1 && report.orphanBytes == orphan.sizeBytes && artifacts.contains(orphan))
        #expect(report.problems.map(\.kind) == [.stray] && report.problems[0].text.contains("notes.txt"))
        #expect(try await check.run(repairs: true).repairs == ["removed 1 file that no job refers to"])
        #expect(!artifacts.contains(orphan) && artifacts.contains(driver.disk.jobs[0].exemplar))
    }

    @Test func damagedPagesOfTheDatabaseAreReported() async throws {
        _ = try await runningJob()
        try await store.pool.writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
        try store.pool.close()
        let file = folder.url.appendingPathComponent("jobs.sqlite")
        var data = try Data(contentsOf: file)
        // Damages the cell pointers of every page after the first few.
        for page in stride(from: 4096 * 4, to: data.count, by: 4096) {
            for index in 8..<min(64, data.count - page) { data[page + index] ^= 0xFF }
        }
        try data.write(to: file)
        do {
            // If some rows are unreadable, the check must not treat any file as unreferenced.
            let report = try await CoordinatorService.check(folder.url, repairs: true)
            #expect(report.problems.contains { $0.kind == .database && $0.text.contains("jobs.sqlite") })
            #expect(report.repairs.isEmpty)
        } catch let error as CoordinatorError {
            #expect(error.code == .storeUnavailable)
        }
        #expect(artifacts.files().count == 3)
    }

    @Test func aRowThatCannotBeReadIsAProblemAndCostsNoFile() async throws {
        let attempt = try await runningJob()
        let generator = try await keep(.generator, 30, of: attempt)
        try await store.pool.write { db in
            try db.execute(sql: "UPDATE artifacts SET kind = 'weird' WHERE kind = 'generator'")
        }
        let report = try await check.run(repairs: true)
        #expect(report.problems.map(\.kind) == [.database] && report.problems[0].text.contains("role is 'weird'"))
        #expect(artifacts.contains(generator) && report.repairs.isEmpty)
    }

    @Test func aRowOfAJobThatIsGoneIsAProblemAndCostsNoFile() async throws {
        _ = try await runningJob()
        let file = try artifacts.store(Data("whose".utf8))
        try await store.pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA foreign_keys = OFF")
            try db.execute(
                sql: """
                    INSERT INTO artifacts (job, kind, iteration, sha256, bytes, created_at)
                    VALUES (99, 'generator', 30, ?, ?, 0)
                    """, arguments: [file.sha256, file.sizeBytes])
            try db.execute(sql: "PRAGMA foreign_keys = ON")
        }
        let report = try await check.run(repairs: true)
        #expect(report.problems.map(\.kind) == [.database])
        #expect(report.problems.map(\.text) == ["jobs.sqlite: a row of artifacts refers to a missing row of jobs"])
        #expect(report.repairs.isEmpty && artifacts.contains(file))
    }

    @Test func aRowOfAnotherTypeDoesNotEndTheProcess() async throws {
        _ = try await runningJob()
        // STRICT stops SQLite from writing such values, but does not stop a damaged page.
        try await store.pool.writeWithoutTransaction { db in
            try db.execute(sql: "PRAGMA writable_schema = ON")
            try db.execute(
                sql: """
                    UPDATE sqlite_schema
                    SET sql = replace(replace(sql, 'STRICT, WITHOUT ROWID', 'WITHOUT ROWID'), ') STRICT', ')')
                    """)
            try db.execute(sql: "PRAGMA writable_schema = RESET")
            try db.execute(sql: "UPDATE artifacts SET bytes = 'many' WHERE kind = 'checkpoint' AND iteration = 10")
            try db.execute(sql: "UPDATE jobs SET name = x'FF00'")
        }
        #expect(try check.quick().isEmpty == false)
        #expect(try await check.run(repairs: true).problems.contains { $0.kind == .database })
    }

    @Test func aCheckAloneLeavesTheFolderAsItIs() async throws {
        // A store of the first version from an older program, with the remains of an interrupted write.
        let old = TemporaryFolder()
        try await old.makeStoreOfVersionOne(journal: "WAL")
        let left = old.url.appendingPathComponent("incoming/left")
        try FileManager.default.createDirectory(
            at: left.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data("half".utf8).write(to: left)
        let before = try Data(contentsOf: old.database)
        let report = try await CoordinatorService.check(old.url, repairs: false)
        #expect(report.jobs == 3)
        #expect(try Data(contentsOf: old.database) == before)
        #expect(FileManager.default.fileExists(atPath: left.path))
        #expect(!FileManager.default.fileExists(atPath: old.url.path + "/artifacts"))
    }

    /// As docs/operations.md describes it.
    @Test func aBackupThatIsMadeBesideAWriterIsAWholeStore() async throws {
        _ = try await runningJob()
        let copy = TemporaryFolder()
        try FileManager.default.createDirectory(at: copy.url, withIntermediateDirectories: true)
        let file = copy.url.appendingPathComponent("jobs.sqlite")
        let writer = Task { [store] in
            while !Task.isCancelled {
                try? await store.pool.write {
                    try $0.execute(sql: "INSERT OR REPLACE INTO meta VALUES ('noise', hex(randomblob(8)))")
                }
            }
        }
        let source = try DatabaseQueue(path: folder.url.appendingPathComponent("jobs.sqlite").path)
        try await source.writeWithoutTransaction { try $0.execute(sql: "VACUUM INTO ?", arguments: [file.path]) }
        writer.cancel()
        await writer.value
        try FileManager.default.copyItem(
            at: folder.url.appendingPathComponent("artifacts"), to: copy.url.appendingPathComponent("artifacts"))

        let report = try await CoordinatorService.check(copy.url, repairs: false)
        #expect(report.problems.isEmpty && report.jobs == 1)
        let restored = try JobStore(file: file, newCoordinatorID: "other")
        #expect(restored.coordinatorID == store.coordinatorID)
        // The copy itself is not in WAL mode.
        #expect(try await restored.pool.read { try String.fetchOne($0, sql: "PRAGMA journal_mode") } == "wal")
        // No number is given a second time.
        let numbers = "SELECT group_concat(name || seq) FROM (SELECT * FROM sqlite_sequence ORDER BY name)"
        let before = try await store.pool.read { try String.fetchOne($0, sql: numbers) }
        #expect(try await restored.pool.read { try String.fetchOne($0, sql: numbers) } == before && before != nil)
        #expect(try restored.load().jobs == store.load().jobs)
    }

    @Test func aDamagedExemplarIsSetAsideSoThatItCanBeSentAgain() async throws {
        _ = try await runningJob()
        let exemplar = driver.disk.jobs[0].exemplar
        try folder.damage(exemplar.sha256)
        #expect(try await check.run(repairs: false).problems.count == 1)
        #expect(artifacts.contains(exemplar), "a check alone moves nothing")
        #expect(try await check.run(repairs: true).repairs.count == 1)
        #expect(!artifacts.contains(exemplar))
        #expect(try artifacts.store(Data("exemplar".utf8)) == exemplar)
        #expect(try await check.run(repairs: false).problems.isEmpty)
    }

    @Test func theJanitorForgetsWorkersThatAreGoneAndPicturesBeyondThoseKept() async throws {
        _ = try await runningJob()
        driver.hello(7, worker: "old")
        driver.handle(.goodbye(session: 7, reason: "told to stop"))
        let longAgo = Date(timeIntervalSinceNow: -Janitor.workerLifetime - 3600)
        try await store.apply(
            [.worker(.named("old"), session: 7, isDraining: false, isConnected: true)], at: longAgo)
        try await store.apply(
            [.worker(.named("w"), session: 1, isDraining: false, isConnected: true)], at: longAgo)
        try await store.apply(
            [.worker(.named("recent"), session: 8, isDraining: false, isConnected: false)], at: Date())
        let thumbnails = folder.url.appendingPathComponent("thumbnails")
        try FileManager.default.createDirectory(at: thumbnails, withIntermediateDirectories: true)
        for number in 0..<Janitor.thumbnailsKept + 20 {
            try Data().write(to: thumbnails.appendingPathComponent("\(number).png"))
        }
        let (janitor, engine) = makeJanitor()
        try await janitor.trim()
        try await janitor.forgetWorkers()
        #expect(try await store.workers().map(\.identity.id) == ["recent", "w"], "the one that is connected stays")
        let loop = Task { await engine.run() }
        defer { loop.cancel() }
        _ = await engine.request {
            .cancel($0, JobID(sequence: 9, salt: 9), reason: "everything before has been handled")
        }
        #expect(await engine.committed.credentials.keys.sorted() == ["w"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: thumbnails.path).count == Janitor.thumbnailsKept)
    }

    @Test func aFolderInUseOrWithoutAStoreIsNotChecked() async throws {
        let held = try DataFolder(folder.url)
        await #expect(throws: CoordinatorError.self) { try await CoordinatorService.check(folder.url, repairs: true) }
        withExtendedLifetime(held) {}
        let empty = TemporaryFolder()
        let error = await #expect(throws: CoordinatorError.self) {
            try await CoordinatorService.check(empty.url, repairs: true)
        }
        #expect(error?.message.contains("holds no job store") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: empty.url.path).isEmpty)
    }

    /// A janitor and its engine, which a test runs if it needs to.
    private func makeJanitor() -> (Janitor, ClusterEngine) {
        let engine = ClusterEngine(store, artifacts, state: driver.state)
        return (Janitor(store, artifacts, in: folder, engine: engine, keys: nil), engine)
    }

    @Test func theJanitorTakesOldOrphansAndNothingElse() async throws {
        let attempt = try await runningJob()
        let needed = driver.disk.jobs[0].exemplar
        let (old, young) = (try artifacts.store(Data("old".utf8)), try artifacts.store(Data("young".utf8)))
        for artifact in [needed, old] { try folder.age(artifact.sha256, hours: 25) }
        let (janitor, engine) = makeJanitor()
        let loop = Task { await engine.run() }
        defer { loop.cancel() }
        #expect(try await janitor.collect(olderThan: Janitor.orphanAge) == 1)
        _ = await engine.request { .cancel($0, attempt.job, reason: "everything before has been handled") }
        #expect(!artifacts.contains(old) && artifacts.contains(young) && artifacts.contains(needed))
    }

    @Test func aPictureWhoseArtifactIsGoneIsRemoved() async throws {
        let thumbnails = DataFolder.thumbnails(in: folder.url)
        try FileManager.default.createDirectory(at: thumbnails, withIntermediateDirectories: true)
        let kept = try artifacts.store(Data("kept".utf8)).sha256
        let gone = try artifacts.store(Data("gone".utf8)).sha256
        try artifacts.remove(gone)
        // What a crash leaves that comes between the two files.
        for sha256 in [kept, gone] { try Data().write(to: thumbnails.appendingPathComponent("\(sha256).png")) }
        try await makeJanitor().0.trim()
        #expect(try FileManager.default.contentsOfDirectory(atPath: thumbnails.path) == ["\(kept).png"])
    }

    @Test func theJanitorLetsOtherEventsInBetweenTheFilesThatItRemoves() async throws {
        for number in 0..<1000 { _ = try artifacts.store(Data("\(number)".utf8)) }
        let (janitor, engine) = makeJanitor()
        let loop = Task { await engine.run() }
        defer { loop.cancel() }
        #expect(try await janitor.collect(olderThan: -3600) == 1000)
        #expect(artifacts.files().isEmpty)
        engine.metrics.update { counts in
            #expect(counts.eventWait.count >= 2 * 1000 / 64, "as many events, and a request after each")
        }
    }

    @Test func anExemplarThatWasCollectedBeforeItsJobArrivedIsToldOf() async throws {
        let engine = ClusterEngine(store, artifacts, state: driver.state)
        let loop = Task { await engine.run() }
        defer { loop.cancel() }
        let exemplar = try artifacts.store(Data("exemplar".utf8))
        await engine.post(.unreferenced([exemplar.sha256]))
        let nobody = JobID(sequence: 9, salt: 9)
        _ = await engine.request { .cancel($0, nobody, reason: "everything before has been handled") }
        let submission = Submission(
            name: "a", fileName: "a.png", exemplar: exemplar, recipeYAML: "r", priority: 0, key: nil)
        #expect(
            await engine.request { .submit($0, [submission], salts: [1]) }
                == .refused(.inputMissing(sha256: exemplar.sha256)))
        #expect(try store.load().jobs.isEmpty)
    }
}
