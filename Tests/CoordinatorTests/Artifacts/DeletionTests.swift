import ClusterFixtures
import Foundation
import GRDB
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// What a deletion removes, and above all what it leaves.
@Suite("Deletion", .timeLimit(.minutes(10)))
struct DeletionTests {
    private func delete(
        _ coordinator: RunningCoordinator, _ selection: JobSelection
    ) async throws -> SelectionChanges {
        let answer = try await coordinator.send(
            "POST", "/api/v1/selection/delete", body: try APIFormat.encoder.encode(selection))
        #expect(answer.status == 200, "\(answer.text)")
        return try answer.decoded(SelectionChanges.self)
    }

    private func files(_ coordinator: RunningCoordinator) -> Set<String> {
        let store = try? ArtifactStore(dataFolder: coordinator.folder.url, isReadOnly: true)
        return Set(store?.files().compactMap(\.sha256) ?? [])
    }

    /// Waits until the files are as expected: a deletion removes them after its answer. The suite's time limit guards
    /// against those that stay.
    private func settle(_ coordinator: RunningCoordinator, _ isRight: (Set<String>) -> Bool) async throws {
        while !isRight(files(coordinator)) { try await Task.sleep(for: .milliseconds(50)) }
    }

    @Test func everyRowOfAJobGoesWhateverTableHoldsItAndNoOtherDoes() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        // A table of a later version.
        try await store.pool.write {
            try $0.execute(
                sql: "CREATE TABLE extras (id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (sequence))")
        }
        let driver = ClusterDriver()
        func play(_ event: ClusterEvent) async throws {
            try await store.play(event, in: driver)
        }
        let submissions = ["a", "b"].map { name in
            var submission = Submission(
                name: name, fileName: "a.png", exemplar: .named("shared"), recipeYAML: "recipe: \(name)", priority: 0,
                key: nil)
            submission.tags = JobTags(batch: "walls", labels: ["seed": "1"])
            return submission
        }
        try await play(.submit(driver.token(), submissions, salts: [1, 2]))
        let jobs = driver.disk.jobs.map(\.id)
        for session in [1, 2] as [UInt64] {
            try await play(.hello(session: session, worker: .named("w\(session)"), running: []))
            try await play(.workRequest(session: session, requestID: 1))
            let attempt = try #require(driver.state.leases.values.first { $0.session == session }).attempt
            let block = MetricsBlock(columns: ["l1"], rows: [.init(iteration: 1, unixSeconds: 1, values: [1])])
            try await play(.metrics(session: session, attempt, requestID: 2, block))
            for kind in [ArtifactRole.snapshot, .checkpoint, .generator, .discriminator] {
                let artifact = Artifact.named(
                    kind == .snapshot ? "shared snapshot" : "\(kind) of \(attempt.job) at 100")
                let offer = ArtifactOffer(
                    attempt: attempt, transferID: 3, role: kind, artifact: artifact, iteration: 100)
                try await play(.artifactStored(session: session, offer))
            }
            try await play(.finish(session: session, attempt, requestID: 4, .of(attempt, iteration: 100)))
        }
        for job in jobs {
            try await store.pool.write {
                try $0.execute(sql: "INSERT INTO extras (job) VALUES (?)", arguments: [job.sequence])
                // No job waits for itself, but the rows are enough here.
                try $0.execute(
                    sql: "INSERT INTO awaited (job, position, name, source, role) VALUES (?1, 0, 'x', ?1, 'generator')",
                    arguments: [job.sequence])
            }
        }
        func rows() async throws -> [String: Int] {
            try await store.pool.read { db in
                var counts: [String: Int] = [:]
                for (table, column) in try ChangeWriter.references(db) + [("jobs", "sequence"), ("recipes", "id")] {
                    counts[table] = try Int.fetchOne(db, sql: "SELECT COUNT(DISTINCT \(column)) FROM \(table)")
                }
                return counts
            }
        }
        let before = try await rows()
        #expect(
            Set(before.keys).isSuperset(of: [
                "attempts", "artifacts", "metrics", "logs", "inputs", "products", "labels", "awaited", "extras",
            ]))
        #expect(before.values.allSatisfy { $0 == 2 }, "\(before)")
        let leftovers = try await store.apply([.jobDeleted(jobs[0])], at: Date())
        let after = try await rows()
        #expect(after.values.allSatisfy { $0 == 1 }, "\(after)")
        #expect(leftovers.contains(Leftover(sha256: Artifact.named("shared").sha256, isInput: true)))
        #expect(leftovers.contains(Leftover(sha256: Artifact.named("shared snapshot").sha256, isInput: false)))
        #expect(leftovers.count == 5)
        #expect(try await store.isReferenced(sha256: Artifact.named("shared snapshot").sha256))
        #expect(try await !store.isReferenced(sha256: Artifact.named("generator of \(jobs[0]) at 100").sha256))
        driver.handle(.change(driver.token(), [jobs[0]], in: Set(JobState.allCases), .delete(cancelsFirst: false)))
        try await store.pool.write { try $0.execute(sql: "DELETE FROM awaited") }
        #expect(try store.load() == driver.disk)
    }

    @Test func filesThatAnotherJobNeedsStayAndTheOthersGo() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await coordinator.submit("a", "b", "c", "d")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 91)
        worker.hello()
        // Equal trainings make equal files.
        let shared = try await worker.train(try await worker.askForWork().attempt)
        _ = try await worker.train(try await worker.askForWork().attempt)
        let running = try await worker.askForWork().attempt
        func uploadSnapshot(_ bytes: [UInt8], of attempt: WireAttemptRef) async throws -> String {
            let answer = try await worker.upload(bytes, .snapshot, iteration: 3, of: attempt)
            guard case .artifactReceipt = answer else { throw ScriptedWorker.Unanswered(wanted: "RECEIPT") }
            return ScriptedWorker.artifact(bytes).sha256
        }
        let unlike = try await uploadSnapshot([8, 8], of: try await worker.askForWork().attempt)

        let some = try await delete(coordinator, JobSelection(jobs: jobs.map(\.id), state: .finished, name: "a"))
        #expect(some.changed.map(\.id) == [jobs[0].id] && some.matched == 1)
        #expect(try await coordinator.get("/api/v1/jobs/\(jobs[0].id)").status == 404)
        #expect(try await coordinator.get("/jobs/\(jobs[0].id)").status == 404)
        // Once a file has gone that no other job has, the first job's would have gone, too.
        #expect(try await delete(coordinator, JobSelection(jobs: [jobs[3].id], cancelFirst: true)).changed.count == 1)
        try await settle(coordinator) { !$0.contains(unlike) }
        // The engine answers after it has removed files.
        let own = try await uploadSnapshot([9, 9], of: running)
        for file in shared { #expect(try await coordinator.get("/api/v1/artifacts/\(file)").status == 200) }

        let rest = try await delete(coordinator, JobSelection(jobs: jobs[1...2].map(\.id)))
        #expect(rest.matched == 2 && rest.changed.map(\.id) == [jobs[1].id], "the running one stays")
        try await settle(coordinator) { $0.isDisjoint(with: shared) }
        #expect(files(coordinator).contains(own))
        let all = try await delete(coordinator, JobSelection(jobs: [jobs[2].id], cancelFirst: true))
        #expect(all.changed.count == 1)
        try await settle(coordinator) { !$0.contains(own) }
        // The photograph was sent a moment ago, and another submission of it may be on its way.
        let again = try await coordinator.submit("a")
        #expect(again.count == 1 && !again[0].alreadyExisted && again[0].resultName == "a-2")
        await worker.socket.close()
        await coordinator.stop()
        let report = try await CoordinatorService.check(coordinator.folder.url, repairs: false)
        #expect(report.problems == [] && report.orphans == 0 && report.jobs == 1)
    }

    @Test func theSmallPictureOfADeletedPhotographGoesWithIt() async throws {
        let coordinator = try await RunningCoordinator()
        let job = try await coordinator.submit("a")[0]
        let exemplar = try await coordinator.get("/api/v1/jobs/\(job.id)").decoded(JobDetail.self).job.exemplarSHA256
        #expect(try await coordinator.get("/thumbnails/\(exemplar).png").status == 200)
        let picture = coordinator.folder.url.appendingPathComponent("thumbnails/\(exemplar).png")
        #expect(FileManager.default.fileExists(atPath: picture.path))
        try coordinator.folder.age(exemplar, hours: 25)
        #expect(try await delete(coordinator, JobSelection(jobs: [job.id], cancelFirst: true)).changed.count == 1)
        try await settle(coordinator) { !$0.contains(exemplar) }
        // The engine answers after it has removed files.
        _ = try await coordinator.submit("b")
        #expect(!FileManager.default.fileExists(atPath: picture.path))
        await coordinator.stop()
    }

    /// The records are gone first. A process that dies then leaves files that nothing names, and no record without a file.
    @Test func aKillBetweenRecordsAndFilesLeavesAFolderInOrder() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await coordinator.submit("a", "b")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 92)
        worker.hello()
        let shared = try await worker.train(try await worker.askForWork().attempt)
        _ = try await worker.train(try await worker.askForWork().attempt)
        await worker.socket.close()
        await coordinator.stop()
        let file = coordinator.folder.url.appendingPathComponent("jobs.sqlite")
        func kill(after job: Int) async throws {
            let store = try JobStore(file: file, newCoordinatorID: "c")
            try await store.apply([.jobDeleted(try #require(JobID(jobs[job].id)))], at: Date())
            try store.close()
        }
        try await kill(after: 0)
        let first = try await CoordinatorService.check(coordinator.folder.url, repairs: true)
        #expect(first.problems == [] && first.orphans == 0 && first.jobs == 1)
        try await kill(after: 1)
        let second = try await CoordinatorService.check(coordinator.folder.url, repairs: false)
        #expect(second.problems == [] && second.orphans == shared.count + 1)
        let repaired = try await CoordinatorService.check(coordinator.folder.url, repairs: true)
        #expect(repaired.problems == [] && repaired.repairs.contains { $0.contains("\(shared.count + 1) files") })
        #expect(try await CoordinatorService.check(coordinator.folder.url, repairs: false).orphans == 0)
    }

    @Test func deletionsWhileJobsFinishLoseNothingThatIsReferenced() async throws {
        let coordinator = try await RunningCoordinator()
        let names = (0..<40).map { "job\($0)" }
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        let jobs = names.map {
            JobSubmission(
                name: $0, fileName: "x.png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft", batch: "load")
        }
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: jobs))
        #expect(try await coordinator.send("POST", "/api/v1/jobs", body: body).status == 201)
        let endpoint = coordinator.addresses.workerEndpoint
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<4 {
                group.addTask {
                    let worker = try ScriptedWorker(endpoint, session: UInt64(300 + number))
                    worker.hello()
                    // Every training makes the same files, so that nearly each deletion meets files of others.
                    for _ in 0..<10 { try await worker.train(try await worker.askForWork().attempt) }
                    await worker.socket.close()
                    return 0
                }
            }
            group.addTask {
                var deleted = 0
                while deleted < 25 {
                    let page = try await coordinator.get("/api/v1/jobs?batch=load&state=finished&limit=3").decoded(
                        JobPage.self)
                    let ids = page.jobs.map(\.id)
                    guard !ids.isEmpty else {
                        try await Task.sleep(for: .milliseconds(20))
                        continue
                    }
                    deleted += try await delete(coordinator, JobSelection(jobs: ids)).changed.count
                }
                return deleted
            }
            var deleted = 0
            for try await count in group { deleted += count }
            #expect(deleted >= 25)
        }
        // No later job stores these files again.
        let last = try await coordinator.get("/api/v1/jobs?batch=load&limit=3").decoded(JobPage.self).jobs
        #expect(try await delete(coordinator, JobSelection(jobs: last.map(\.id))).changed.count == 3)
        // A file that no other job has goes after theirs.
        let marker = try await coordinator.submit("marker")
        let worker = try ScriptedWorker(endpoint, session: 310)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        _ = try await worker.upload([7, 7], .snapshot, iteration: 3, of: attempt)
        let own = ScriptedWorker.artifact([7, 7]).sha256
        #expect(files(coordinator).contains(own))
        #expect(try await delete(coordinator, JobSelection(jobs: [marker[0].id], cancelFirst: true)).changed.count == 1)
        try await settle(coordinator) { !$0.contains(own) }
        await worker.socket.close()
        let left = try await coordinator.get("/api/v1/jobs?batch=load").decoded(JobPage.self).jobs
        #expect(!left.isEmpty && left.allSatisfy { $0.state == .finished })
        for job in left {
            let artifacts = try await coordinator.get("/api/v1/jobs/\(job.id)/artifacts").decoded(ArtifactList.self)
                .artifacts
            #expect(artifacts.count == 5)
            for artifact in artifacts {
                #expect(try await coordinator.get("/api/v1/artifacts/\(artifact.sha256)").status == 200, "\(artifact)")
            }
        }
        await coordinator.stop()
        let report = try await CoordinatorService.check(coordinator.folder.url, repairs: false)
        #expect(report.problems == [] && report.jobs == left.count)
    }

    @Test func aDeletionThatFailsHalfwaySaysHowManyJobsAreGone() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await coordinator.submit("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
        let all = JobSelection(jobs: jobs.map(\.id))
        let body = try APIFormat.encoder.encode(all)
        #expect(try await coordinator.send("POST", "/api/v1/selection/cancel", body: body).status == 200)
        var configuration = GRDB.Configuration()
        configuration.busyMode = .timeout(Double(hangGuardSeconds))
        let database = try DatabaseQueue(
            path: coordinator.folder.url.appendingPathComponent("jobs.sqlite").path, configuration: configuration)
        // The oldest job is in the second transaction.
        try await database.write {
            try $0.execute(
                sql: """
                    CREATE TRIGGER stop BEFORE DELETE ON jobs WHEN OLD.id = '\(jobs[0].id)'
                    BEGIN SELECT RAISE(ABORT, 'the disk is gone'); END
                    """)
        }
        let failed = try await coordinator.send("POST", "/api/v1/selection/delete", body: body)
        #expect(failed.status == 503)
        let reason = try failed.decoded(ProblemDetails.self).detail
        #expect(reason.hasPrefix("deleted 8 of 10 jobs; for the others: the job store cannot be written"), "\(reason)")
        let left = try await coordinator.get("/api/v1/jobs?sort=oldest").decoded(JobPage.self)
        #expect(left.jobs.map(\.id) == [jobs[0].id, jobs[1].id])
        let entry = try await coordinator.get("/api/v1/audit").decoded(AuditPage.self).entries.last
        #expect(entry?.action == "jobs.delete" && entry?.object == "8 jobs, the first \(jobs[2].id)")
        #expect(entry?.result.hasPrefix("503") == true)

        try await database.write { try $0.execute(sql: "DROP TRIGGER stop") }
        try database.close()
        let rest = try await delete(coordinator, JobSelection(jobs: left.jobs.map(\.id)))
        #expect(rest.changed.count == 2)
        await coordinator.stop()
    }

    @Test func listenersLearnThatAJobIsGoneAndItsEventFileIsRemoved() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await coordinator.submit("wood", "stone")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 93)
        worker.hello()
        for _ in 0..<2 { _ = try await worker.train(try await worker.askForWork().attempt) }
        let folder = coordinator.folder.url.appendingPathComponent("tensorboard")
        func folders() -> Set<String> {
            Set((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
        }
        while folders().count < 2 { try await Task.sleep(for: .milliseconds(50)) }
        #expect(folders() == ["wood", "stone"])
        // A folder that holds what texloom did not write stays.
        let mine = folder.appendingPathComponent("mine")
        try FileManager.default.createDirectory(at: mine, withIntermediateDirectories: true)
        try Data("notes".utf8).write(to: mine.appendingPathComponent("notes.txt"))
        let address = coordinator.addresses.httpURL
        let cluster = try EventReader(address + "/api/v1/events")
        let page = try EventReader(address + "/api/v1/jobs/\(jobs[0].id)/events")
        _ = try await cluster.next("reset")
        let last = try await cluster.next("workers")
        _ = try await page.next("job")
        #expect(try await delete(coordinator, JobSelection(jobs: [jobs[0].id])).changed.count == 1)
        for listener in [cluster, page] {
            #expect(try await listener.next("deleted").decoded(DeletedJobs.self).jobs == [jobs[0].id])
            listener.close()
        }
        // Who was away at that moment learns of it, too.
        let late = try EventReader(address + "/api/v1/events", lastEventID: last.id)
        #expect(try await late.next { $0.name == "deleted" || $0.name == "summary" }.name == "deleted")
        late.close()
        while folders().contains("wood") { try await Task.sleep(for: .milliseconds(50)) }
        #expect(folders() == ["mine", "stone"])
        #expect(FileManager.default.fileExists(atPath: mine.appendingPathComponent("notes.txt").path))
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func theDashboardDeletesOnlyWhatEnded() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await coordinator.submit("a", "b")
        let json = ["Accept": "application/json"]
        let early = try await coordinator.send("POST", "/jobs/\(jobs[0].id)/delete", headers: json)
        #expect(early.status == 409 && early.text.contains("another waits for it"))
        #expect(try await !coordinator.get("/jobs/\(jobs[0].id)").text.contains("Delete…"))
        _ = try await coordinator.send("POST", "/api/v1/jobs/\(jobs[0].id)/cancel")
        #expect(try await coordinator.get("/jobs/\(jobs[0].id)").text.contains("Delete…"))
        let done = try await coordinator.send("POST", "/jobs/\(jobs[0].id)/delete", headers: json)
        #expect(done.status == 200 && done.text.contains("“a” is deleted"), "\(done.text)")
        let page = try await coordinator.get("/api/v1/jobs").decoded(JobPage.self)
        #expect(page.jobs.map(\.id) == [jobs[1].id])
        await coordinator.stop()
    }
}
