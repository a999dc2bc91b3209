import Foundation
import ImageFixtures
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("HTTP API")
struct APITests {
    private func body(_ jobs: [JobSubmission]) throws -> Data {
        try APIFormat.encoder.encode(SubmitJobsRequest(jobs: jobs))
    }

    private func problem(_ answer: RunningCoordinator.Answer) throws -> ProblemDetails {
        #expect(answer.headers["content-type"] == "application/problem+json")
        let problem = try answer.decoded(ProblemDetails.self)
        #expect(problem.status == answer.status)
        return problem
    }

    @Test func jobsAreSubmittedListedShownCancelledAndRetried() async throws {
        let coordinator = try await RunningCoordinator()
        let accepted = try await coordinator.submit("wood", "wood", "rings <b>")
        #expect(accepted.map(\.resultName) == ["wood", "wood-2", "rings _b_"])
        let all = try await coordinator.get("/api/v1/jobs").decoded(JobPage.self)
        #expect(all.jobs.map(\.id) == accepted.map(\.id).reversed())
        let first = try await coordinator.get("/api/v1/jobs?limit=2").decoded(JobPage.self)
        let rest = try await coordinator.get("/api/v1/jobs?limit=2&cursor=\(first.next ?? "")").decoded(JobPage.self)
        #expect(first.jobs.map(\.id) + rest.jobs.map(\.id) == all.jobs.map(\.id) && rest.next == nil)
        #expect(try await coordinator.get("/api/v1/jobs?name=WOOD").decoded(JobPage.self).jobs.count == 2)

        let path = "/api/v1/jobs/\(accepted[0].id)"
        let detail = try await coordinator.get(path).decoded(JobDetail.self)
        #expect(detail.recipeYAML == "recipe: draft" && detail.job.state == .queued && detail.attempts.isEmpty)
        #expect(try await coordinator.send("POST", path + "/cancel").decoded(JobSummary.self).state == .cancelled)
        #expect(try await coordinator.get("/api/v1/jobs?state=cancelled").decoded(JobPage.self).jobs.count == 1)
        #expect(try await coordinator.send("POST", path + "/retry").decoded(JobSummary.self).state == .queued)
        let log = try await coordinator.get(path + "/logs").decoded(LogPage.self).entries
        #expect(log.map(\.message).first == "accepted" && log.count == 3)
        let later = try await coordinator.get(path + "/logs?after=\(log[1].id)").decoded(LogPage.self).entries
        #expect(later == [log[2]])
        let summary = try await coordinator.get("/api/v1/summary").decoded(ClusterSummary.self)
        #expect(summary.jobs["queued"] == 3 && summary.jobs["held"] == 0)
        await coordinator.stop()
    }

    /// Lists show the names of results.
    @Test func jobsAreFoundAndSortedByTheNamesThatAreShown() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("wood", "Wood", "wood", "a:b")
        func names(_ query: String) async throws -> [String] {
            try await coordinator.get("/api/v1/jobs?\(query)").decoded(JobPage.self).jobs.map(\.resultName)
        }
        #expect(try await names("name=WOOD-2") == ["Wood-2"])
        for name in ["a:b", "a_b"] { #expect(try await names("name=\(name)") == ["a_b"]) }
        #expect(try await names("name=wood&sort=name") == ["wood", "Wood-2", "wood-3"])
        var (paged, cursor): ([String], String?) = ([], nil)
        repeat {
            let query = "sort=name&limit=1" + (cursor.map { "&cursor=\($0)" } ?? "")
            let page = try await coordinator.get("/api/v1/jobs?\(query)").decoded(JobPage.self)
            paged += page.jobs.map(\.resultName)
            cursor = page.next
        } while cursor != nil && paged.count < 9
        #expect(paged == ["a_b", "wood", "Wood-2", "wood-3"])
        #expect(try await coordinator.get("/jobs?name=wood-3").text.contains("wood-3</a>"))
        let selected = try await coordinator.send(
            "POST", "/api/v1/selection/cancel", body: Data(#"{"name": "wood-2", "atMost": 9}"#.utf8))
        #expect(selected.status == 200, "\(selected.text)")
        #expect(try await names("state=cancelled") == ["Wood-2"])
        await coordinator.stop()
    }

    @Test func anAcceptedJobSurvivesARestartAndItsKeyIsRemembered() async throws {
        let folder = TemporaryFolder()
        let first = try await RunningCoordinator(folder: folder)
        let accepted = try await first.submit("a", key: "night")
        await first.stop()
        let second = try await RunningCoordinator(folder: folder)
        let again = try await second.submit("a", key: "night")
        #expect(again.map(\.id) == accepted.map(\.id) && again[0].alreadyExisted)
        await second.stop()
    }

    @Test func aBadRequestIsAnsweredWithAProblemThatNamesTheMistake() async throws {
        let coordinator = try await RunningCoordinator { $0.maxExemplarBytes = 1000 }
        let digest = String(repeating: "a", count: 64)
        var job = JobSubmission(name: "a", fileName: "a.png", exemplarSHA256: digest, recipeYAML: "r")
        func post(_ data: Data) async throws -> RunningCoordinator.Answer {
            try await coordinator.send("POST", "/api/v1/jobs", body: data)
        }
        let unstored = try await post(try body([job]))
        #expect(unstored.status == 422)
        #expect(try problem(unstored).detail.contains("is not stored"))
        job.name = ""
        #expect(try problem(try await post(try body([job]))).detail.contains("jobs[0].name"))
        #expect(try await post(try body([])).status == 422)
        let malformed = try await post(Data("{\"jobs\": [{\"name\": 3}]}".utf8))
        #expect(malformed.status == 400)
        #expect(try problem(malformed).detail.contains("jobs.[0].name"))
        #expect(try await post(Data("not json".utf8)).status == 400)
        job.name = "a"
        job.then = [FollowUp(kind: .export, spec: "format=onnx")]
        job.needs = JobNeeds(weights: ["vgg19"])
        job.labels = ["seed": "1"]
        let sound = String(decoding: try body([job]), as: UTF8.self)
        for (member, misspelt, words) in [
            ("jobs", "job", "'jobs' is missing in the body"),
            ("jobs\":", "jobs\":[],\"job\":", "the body has the unknown member 'job'"),
            ("labels", "lables", "jobs[0] has the unknown member 'lables'; expected name, fileName,"),
            ("spec\":", "spec\":\"\",\"size\":", "jobs[0].then[0] has the unknown member 'size'; expected kind, spec"),
            ("weights", "weight", "jobs[0].needs has the unknown member 'weight'"),
            ("seed", "sede", "is not stored"),
        ] {
            let answer = try await post(Data(sound.replacing(member, with: misspelt).utf8))
            #expect(try problem(answer).detail.contains(words), "\(answer.text)")
        }
        for (path, status) in [
            ("/api/v1/jobs/nonsense", 404), ("/api/v1/jobs/0000010000", 404), ("/api/v1/jobs?state=odd", 400),
            ("/api/v1/jobs?limit=0", 400), ("/api/v1/nothing", 404), ("/api/v1/artifacts/..%2f..%2fetc", 404),
        ] {
            let answer = try await coordinator.get(path)
            #expect(answer.status == status, "\(path)")
            _ = try problem(answer)
        }
        let large = try await coordinator.send("POST", "/api/v1/exemplars", body: Data(count: 2000))
        #expect(large.status == 413)
        #expect(try await coordinator.send("POST", "/api/v1/workers/none/drain").status == 404)
        await coordinator.stop()
    }

    @Test func anImageThatDoesNotDecodeIsRefusedAndNotKept() async throws {
        let coordinator = try await RunningCoordinator()
        for corrupt in [Data(), Data("GIF89a".utf8), TestImages.png.prefix(50), TestImages.png.dropLast(30)] {
            let answer = try await coordinator.send("POST", "/api/v1/exemplars", body: Data(corrupt))
            #expect(answer.status == 422)
            _ = try problem(answer)
        }
        let folder = coordinator.folder.url.path
        let left = try FileManager.default.subpathsOfDirectory(atPath: folder + "/artifacts")
        #expect(left.isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/incoming").isEmpty)
        let good = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
        #expect(good.status == 201)
        let receipt = try good.decoded(ExemplarReceipt.self)
        #expect(receipt.width == 5 && receipt.height == 3 && receipt.sizeBytes == TestImages.png.count)
        await coordinator.stop()
    }

    @Test func anExemplarWhoseSnapshotsCouldNotBeReadIsRefused() async throws {
        let coordinator = try await RunningCoordinator()
        // A header with a large size and no pixels: the limit comes first.
        let large = PNGFixture(width: 6000, height: 4000, bitDepth: 8, colorType: .rgb, rows: []).encoded()
        let answer = try await coordinator.send("POST", "/api/v1/exemplars", body: large)
        #expect(answer.status == 422)
        #expect(try problem(answer).detail.contains("24.0 megapixels"))
        #expect(try problem(answer).detail.contains("--resize 5016"))
        await coordinator.stop()
    }

    @Test func artifactsAreServedWholeInPartsAndNotAgain() async throws {
        let coordinator = try await RunningCoordinator()
        let accepted = try await coordinator.submit("a")
        let list = try await coordinator.get("/api/v1/jobs/\(accepted[0].id)/artifacts").decoded(ArtifactList.self)
        let path = "/api/v1/artifacts/\(try #require(list.artifacts.first).sha256)"
        let whole = try await coordinator.get(path)
        #expect(whole.status == 200 && whole.body == TestImages.png && whole.headers["content-type"] == "image/png")
        let part = try await coordinator.get(path, headers: ["Range": "bytes=1-3"])
        #expect(part.status == 206 && part.body == Data("PNG".utf8))
        #expect(part.headers["content-range"] == "bytes 1-3/\(TestImages.png.count)")
        #expect(try await coordinator.get(path, headers: ["Range": "bytes=9999-"]).status == 416)
        let tag = try #require(whole.headers["etag"])
        #expect(try await coordinator.get(path, headers: ["If-None-Match": tag]).status == 304)
        await coordinator.stop()
    }

    @Test func otherSitesCannotActThroughAVisitorsBrowser() async throws {
        let coordinator = try await RunningCoordinator()
        let accepted = try await coordinator.submit("a")
        let path = "/api/v1/jobs/\(accepted[0].id)/cancel"
        let foreign = try await coordinator.send("POST", path, headers: ["Origin": "http://evil.example"])
        #expect(foreign.status == 403)
        let own = try await coordinator.send("POST", path, headers: ["Origin": coordinator.addresses.httpURL])
        #expect(own.status == 200)
        #expect(SameSite.host(of: "localhost:7740") == "localhost" && SameSite.host(of: "[::1]:7740") == "[::1]")
        await coordinator.stop()
    }

    @Test func itIsHealthyAndReady() async throws {
        let coordinator = try await RunningCoordinator()
        #expect(try await coordinator.get("/healthz").status == 200)
        #expect(try await coordinator.get("/readyz").status == 200)
        await coordinator.stop()
    }

    @Test func aPortOrFolderInUseIsToldInPlainWords() async throws {
        let coordinator = try await RunningCoordinator()
        let port = try #require(URL(string: coordinator.addresses.httpURL)?.port)
        let taken = await #expect(throws: CoordinatorError.self) { try await RunningCoordinator { $0.httpPort = port } }
        #expect(taken?.code == .addressUnavailable && taken?.message.contains("\(port)") == true)
        let shared = await #expect(throws: CoordinatorError.self) {
            try await RunningCoordinator(folder: coordinator.folder)
        }
        #expect(shared?.code == .dataFolderInUse)
        let endpoint = coordinator.addresses.workerEndpoint
        let worker = await #expect(throws: CoordinatorError.self) {
            try await RunningCoordinator { $0.workerEndpoint = endpoint }
        }
        #expect(worker?.code == .addressUnavailable)
        await coordinator.stop()
    }

    @Test func aCoordinatorWhoseDataFolderIsGoneOrMovedIsNotReady() async throws {
        let coordinator = try await RunningCoordinator()
        let elsewhere = coordinator.folder.url.deletingLastPathComponent()
            .appendingPathComponent("moved-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: elsewhere) }
        #expect(try await coordinator.get("/readyz").status == 200)
        try FileManager.default.moveItem(at: coordinator.folder.url, to: elsewhere)
        let answer = try await coordinator.get("/readyz")
        #expect(answer.status == 503 && answer.text.contains("is gone"))
        // Another folder of the same name is not the coordinator's folder.
        try FileManager.default.createDirectory(at: coordinator.folder.url, withIntermediateDirectories: true)
        for name in ["coordinator.lock", "jobs.sqlite"] {
            try Data().write(to: coordinator.folder.url.appendingPathComponent(name))
        }
        #expect(try await coordinator.get("/readyz").status == 503)
        #expect(try await coordinator.get("/healthz").status == 200)
        try FileManager.default.removeItem(at: coordinator.folder.url)
        try FileManager.default.moveItem(at: elsewhere, to: coordinator.folder.url)
        #expect(try await coordinator.get("/readyz").status == 200)
        await coordinator.stop()
    }
}
