import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Work that follows a training, over the API and on the pages.
@Suite(.timeLimit(.minutes(10)))
struct FollowUpTests {
    private static let work = [
        FollowUp(kind: .expand, spec: "size=64x64,seamless=both"), FollowUp(kind: .export, spec: "format=onnx"),
    ]

    private func submission(
        _ name: String, key: String? = nil, then: [FollowUp], _ coordinator: RunningCoordinator
    ) async throws -> Data {
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        let job = JobSubmission(
            name: name, fileName: "\(name).png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft", key: key,
            then: then)
        return try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [job]))
    }

    private func submit(
        _ name: String, key: String? = nil, then: [FollowUp] = work, _ coordinator: RunningCoordinator
    ) async throws -> [AcceptedJob] {
        let body = try await submission(name, key: key, then: then, coordinator)
        return try await coordinator.send("POST", "/api/v1/jobs", body: body).decoded(SubmitJobsResponse.self).jobs
    }

    private func state(_ id: String, _ coordinator: RunningCoordinator) async throws -> JobState {
        try await coordinator.get("/api/v1/jobs/\(id)").decoded(JobDetail.self).job.state
    }

    @Test func workOfSecondsDoesNotHideTheTimeLeft() {
        func seconds(trains: Bool, total: Int = 0, each: Double? = nil) -> Double? {
            RecipeLoad(
                queued: 3, isTraining: trains, iterationsDone: 20, totalIterations: total, secondsPerIteration: each
            ).seconds
        }
        #expect(seconds(trains: true) == nil && seconds(trains: false) == 0)
        #expect(seconds(trains: true, total: 100, each: 0.5) == 140)
        #expect(seconds(trains: false, total: 100, each: 0.5) == 140)
    }

    @Test func followersBelongToTheBatchOfTheirTrainingAndAreDeletedWithIt() async throws {
        let coordinator = try await RunningCoordinator(folder: TemporaryFolder())
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        let job = JobSubmission(
            name: "wall", fileName: "wall.png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft", once: true,
            batch: "walls", labels: ["site": "north"], then: Self.work)
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [job]))
        let accepted = try await coordinator.send("POST", "/api/v1/jobs", body: body).decoded(SubmitJobsResponse.self)
        let training = try #require(accepted.jobs.first)
        let page = try await coordinator.get("/api/v1/jobs?batch=walls&label=site%3Dnorth").decoded(JobPage.self)
        #expect(page.total == 3 && page.jobs.allSatisfy { $0.batch == "walls" && $0.labels == ["site": "north"] })
        let batch = try await coordinator.get("/api/v1/batches/walls").decoded(BatchSummary.self)
        #expect(batch.jobs["waiting"] == 2 && batch.jobs["queued"] == 1 && batch.endedAt == nil, "\(batch)")
        // Alone, the training stays: two jobs wait for it.
        func delete(_ selection: JobSelection) async throws -> [String] {
            let body = try APIFormat.encoder.encode(selection)
            return try await coordinator.send("POST", "/api/v1/selection/delete", body: body)
                .decoded(SelectionChanges.self).changed.map(\.id)
        }
        #expect(try await delete(JobSelection(jobs: [training.id], cancelFirst: true)) == [])
        let deleted = try await delete(JobSelection(batch: "walls", cancelFirst: true))
        #expect(Set(deleted).count == 3 && deleted.contains(training.id), "\(deleted)")
        #expect(try await coordinator.get("/api/v1/batches/walls").status == 404)
        await coordinator.stop()
    }

    @Test func followersAreAcceptedShownBlockedAndRevived() async throws {
        let folder = TemporaryFolder()
        let first = try await RunningCoordinator(folder: folder)
        let job = try #require(try await submit("wall", key: "night", first).first)
        let followers = try #require(job.followers)
        #expect(job.state == .queued && followers.map(\.state) == [.waiting, .waiting])
        #expect(followers.map(\.resultName) == ["wall-expand", "wall-export"])
        // Again: the same jobs, and one more.
        let more = Self.work + [FollowUp(kind: .expand, spec: "times=2")]
        let again = try #require(try await submit("wall", key: "night", then: more, first).first)
        #expect(again.id == job.id && again.followers?.prefix(2).map(\.id) == followers.map(\.id))
        #expect(again.followers?.map(\.alreadyExisted) == [true, true, false])
        #expect(again.followers?.last?.resultName == "wall-expand-2")

        let detail = try await first.get("/api/v1/jobs/\(job.id)").decoded(JobDetail.self)
        #expect(detail.followers?.count == 3 && detail.after == nil)
        #expect(try await first.send("POST", "/api/v1/jobs/\(job.id)/cancel").status == 200)
        let waiting = try await first.get("/api/v1/jobs/\(followers[0].id)").decoded(JobDetail.self)
        #expect(waiting.job.state == .blocked && waiting.job.kind == .expand)
        #expect(waiting.job.recipe == "size=64x64,seamless=both" && waiting.recipeYAML == waiting.job.recipe)
        #expect(waiting.after == [JobLink(id: job.id, kind: .train, resultName: "wall", state: .cancelled)])
        #expect(waiting.job.reason?.contains("was cancelled") == true)
        let refused = try await first.send("POST", "/api/v1/jobs/\(followers[0].id)/retry")
        #expect(refused.status == 409 && refused.text.contains("retry that job instead"), "\(refused.text)")
        await first.stop()

        let second = try await RunningCoordinator(folder: folder)
        #expect(try await state(followers[1].id, second) == .blocked)
        #expect(try await second.get("/api/v1/jobs?state=blocked").decoded(JobPage.self).total == 3)
        #expect(try await second.send("POST", "/api/v1/jobs/\(job.id)/retry").status == 200)
        for follower in followers { #expect(try await state(follower.id, second) == .waiting) }
        // Pages link both ways.
        let page = try await second.get("/jobs/\(job.id)").text
        #expect(page.contains("href=\"/jobs/\(followers[0].id)\"") && page.contains("wall-expand"), "\(page)")
        let other = try await second.get("/jobs/\(followers[0].id)").text
        #expect(other.contains("Made from <a href=\"/jobs/\(job.id)\"") && other.contains("size=64x64"), "\(other)")
        await second.stop()
    }

    /// A worker of version 1 trains. What follows waits for another one, and the job says so.
    @Test func aWorkerThatOnlyTrainsIsNotAskedForMore() async throws {
        let coordinator = try await RunningCoordinator()
        let job = try #require(try await submit("wall", coordinator).first)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 71)
        worker.hello()
        _ = try await worker.train(try await worker.askForWork().attempt)
        let follower = try #require(job.followers?.first)
        #expect(try await state(follower.id, coordinator) == .queued)
        let summary = try await coordinator.get("/api/v1/jobs/\(follower.id)").decoded(JobDetail.self).job
        #expect(summary.reason?.contains("'expand'") == true, "\(summary.reason ?? "")")
        var request = WireWorkRequest()
        request.requestID = worker.id()
        request.freeSlots = 1
        worker.send(.workRequest(request))
        let answer = try await worker.next("an answer") { message -> Bool? in
            switch message.body {
            case .noWork?: true
            case .assign?: false
            default: nil
            }
        }
        #expect(answer, "it gets no work")
        // Its input is among its files.
        let files = try await coordinator.get("/api/v1/jobs/\(follower.id)/artifacts").decoded(ArtifactList.self)
            .artifacts
        #expect(files.map(\.role) == [.exemplar, .generator])
        await coordinator.stop()
    }

    private struct TooLarge: Error, CustomStringConvertible { let description = "a PNG may have 9.0 GiB" }

    /// The coordinator asks what the work needs, by the exemplar's size and the recipe.
    @Test func whatTheWorkNeedsIsAskedAndRecorded() async throws {
        let folder = TemporaryFolder()
        let coordinator = try await RunningCoordinator(folder: folder) { configuration in
            configuration.needsOfFollower = { work, source in
                #expect(source.recipeYAML == "recipe: draft" && source.fileName.hasSuffix(".png"))
                if work.spec == "times=9" { throw TooLarge() }
                return JobNeeds(memoryBytes: work.kind == .expand ? source.width << 20 | source.height : 0)
            }
        }
        let body = try await submission(
            "wall", then: [FollowUp(kind: .export, spec: "format=onnx"), FollowUp(kind: .expand, spec: "times=9")],
            coordinator)
        let refused = try await coordinator.send("POST", "/api/v1/jobs", body: body)
        #expect(refused.status == 422 && refused.text.contains("jobs[0].then[1]: a PNG may have 9.0 GiB"))
        #expect(try await coordinator.get("/api/v1/jobs").decoded(JobPage.self).total == 0)
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        _ = try await submit("wall", coordinator)
        await coordinator.stop()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let needs = try store.load().jobs.map(\.needs.memoryBytes)
        #expect(needs == [0, receipt.width << 20 | receipt.height, 0])
    }

    /// Of a training only if its submission does not say.
    @Test func whatATrainingNeedsIsAskedAndRecorded() async throws {
        let folder = TemporaryFolder()
        let coordinator = try await RunningCoordinator(folder: folder) { configuration in
            configuration.needsOfTraining = { JobNeeds(memoryBytes: $0.width << 20 | $0.height) }
        }
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        let jobs = [nil, JobNeeds(weights: ["vgg19"], memoryBytes: 7)].map { needs in
            JobSubmission(
                name: "wall", fileName: "wall.png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft",
                needs: needs)
        }
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: jobs))
        #expect(try await coordinator.send("POST", "/api/v1/jobs", body: body).status == 201)
        await coordinator.stop()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let needs = try store.load().jobs.map(\.needs)
        #expect(
            needs == [
                JobNeeds(memoryBytes: receipt.width << 20 | receipt.height),
                JobNeeds(weights: ["vgg19"], memoryBytes: 7),
            ])
    }

    @Test func whatNothingDoesIsRefused() async throws {
        let coordinator = try await RunningCoordinator()
        for (then, wanted) in [
            ([FollowUp(kind: .train, spec: "x")], "jobs[0].then[0].kind is 'train'; expected expand or export"),
            ([FollowUp(kind: .expand, spec: "")], "jobs[0].then[0].spec has 0 bytes"),
            ([FollowUp](repeating: FollowUp(kind: .expand, spec: "times=1"), count: 17), "expected at most 16"),
        ] {
            let body = try await submission("a", then: then, coordinator)
            let answer = try await coordinator.send("POST", "/api/v1/jobs", body: body)
            #expect(answer.status == 422 && answer.text.contains(wanted), "\(answer.text)")
        }
        #expect(try await coordinator.get("/api/v1/jobs").decoded(JobPage.self).total == 0)
        await coordinator.stop()
    }
}
