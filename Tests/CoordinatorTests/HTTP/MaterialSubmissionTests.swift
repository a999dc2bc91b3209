import ClusterFixtures
import Foundation
import Imaging
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Materials over the API, in the store and on the pages.
@Suite("Materials", .timeLimit(.minutes(10)))
struct MaterialSubmissionTests {
    private func image(_ value: UInt8) throws -> Data {
        try Image(width: 4, height: 4, pixels: [UInt8](repeating: value, count: 48)).png()
    }

    private func upload(_ data: Data, _ coordinator: RunningCoordinator) async throws -> String {
        try await coordinator.send("POST", "/api/v1/exemplars", body: data).decoded(ExemplarReceipt.self).sha256
    }

    /// The files of a material: albedo, roughness, normals.
    private func maps(
        _ coordinator: RunningCoordinator, albedo: UInt8 = 10, roughness: UInt8 = 20
    ) async throws -> [MapFile] {
        [
            MapFile(map: "albedo", fileName: "wall_Color.png", sha256: try await upload(image(albedo), coordinator)),
            MapFile(
                map: "roughness", fileName: "wall <b>_Rough.png",
                sha256: try await upload(image(roughness), coordinator)),
            MapFile(map: "normal-gl", fileName: "wall_NormalGL.png", sha256: try await upload(image(30), coordinator)),
        ]
    }

    private func submission(
        _ maps: [MapFile]?, name: String = "wall", exemplar: String? = nil, recipe: String = "recipe: draft",
        key: String? = nil, once: Bool? = true, then: [FollowUp]? = nil
    ) -> JobSubmission {
        JobSubmission(
            name: name, fileName: "wall", exemplarSHA256: exemplar ?? maps?.first?.sha256 ?? "", recipeYAML: recipe,
            key: key, once: once, then: then, maps: maps)
    }

    private func post(
        _ submissions: JobSubmission..., to coordinator: RunningCoordinator
    ) async throws -> RunningCoordinator.Answer {
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: submissions))
        return try await coordinator.send("POST", "/api/v1/jobs", body: body)
    }

    private func accepted(
        _ submission: JobSubmission, _ coordinator: RunningCoordinator
    ) async throws -> AcceptedJob {
        let answer = try await post(submission, to: coordinator)
        return try #require(try answer.decoded(SubmitJobsResponse.self).jobs.first, "\(answer.text)")
    }

    private func detail(_ id: String, _ coordinator: RunningCoordinator) async throws -> JobDetail {
        try await coordinator.get("/api/v1/jobs/\(id)").decoded(JobDetail.self)
    }

    private func artifacts(_ id: String, _ coordinator: RunningCoordinator) async throws -> [ArtifactSummary] {
        try await coordinator.get("/api/v1/jobs/\(id)/artifacts").decoded(ArtifactList.self).artifacts
    }

    @Test func allFilesBelongToTheJobOverARestart() async throws {
        let folder = TemporaryFolder()
        let first = try await RunningCoordinator(folder: folder)
        let maps = try await maps(first)
        let job = try await accepted(
            submission(
                maps, then: [FollowUp(kind: .expand, spec: "times=1"), FollowUp(kind: .export, spec: "format=onnx")]),
            first)
        // Their order does not count.
        let again = try await accepted(submission(maps.reversed(), exemplar: maps[0].sha256), first)
        #expect(again.id == job.id && again.alreadyExisted)
        // The name, the albedo and the recipe are the same.
        #expect(try await accepted(submission(Array(maps.prefix(2))), first).id != job.id)
        #expect(try await accepted(submission(nil, exemplar: maps[0].sha256), first).id != job.id)
        await first.stop()

        let second = try await RunningCoordinator(folder: folder)
        let detail = try await detail(job.id, second)
        let sorted = maps.sorted { $0.map < $1.map }
        #expect(detail.maps == sorted && detail.job.exemplarSHA256 == maps[0].sha256 && detail.job.fileName == "wall")
        let listed = try await artifacts(job.id, second)
        #expect(listed.map(\.role) == [.exemplar, .map, .map, .map])
        #expect(listed.dropFirst().map(\.sha256) == sorted.map(\.sha256) && listed.map(\.iteration) == [0, 1, 2, 3])
        let followers = try #require(job.followers)
        #expect(try await self.detail(followers[0].id, second).maps == sorted)
        // A generator is exported without them.
        #expect(try await self.detail(followers[1].id, second).maps == nil)
        let page = try await second.get("/jobs/\(job.id)").text
        for map in maps {
            #expect(page.contains("<a href=\"/api/v1/artifacts/\(map.sha256)\"") && page.contains(">\(map.map)</a>"))
        }
        #expect(page.contains("Albedo") && !page.contains("<b>_Rough"), "file names are text")
        #expect(try await second.get("/thumbnails/\(maps[1].sha256).png").status == 200)

        // A worker that trains photographs alone does not get them, and the jobs say why.
        let worker = try ScriptedWorker(second.addresses.workerEndpoint, session: 61)
        worker.hello()
        let photograph = try await worker.askForWork()
        #expect(photograph.attempt.jobID != job.id, "the photograph was submitted later")
        let reason = try await self.detail(job.id, second).job.reason
        #expect(reason?.contains("on materials") == true, "\(reason ?? "")")
        await second.stop()
    }

    @Test func filesGoWithTheirLastJobAndTheCheckKnowsThem() async throws {
        let folder = TemporaryFolder()
        let coordinator = try await RunningCoordinator(folder: folder)
        let wall = try await maps(coordinator)
        let other = try await maps(coordinator, albedo: 11)
        let jobs = [
            try await accepted(submission(wall), coordinator),
            try await accepted(submission(other, name: "b"), coordinator),
        ]
        // What was sent lately stays for an hour.
        for (_, file) in try ArtifactStore(dataFolder: folder.url, isReadOnly: true).files() {
            try FileManager.default.setAttributes(
                [.modificationDate: Date(timeIntervalSinceNow: -2 * Janitor.orphanAge)], ofItemAtPath: file.url.path)
        }
        let body = try APIFormat.encoder.encode(JobSelection(jobs: [jobs[0].id], cancelFirst: true))
        #expect(try await coordinator.send("POST", "/api/v1/selection/delete", body: body).status == 200)
        func left() throws -> Set<String> {
            Set(try ArtifactStore(dataFolder: folder.url, isReadOnly: true).files().compactMap(\.sha256))
        }
        let needed = Set(other.map(\.sha256))
        while try !left().isSubset(of: needed) { try await Task.sleep(for: .milliseconds(50)) }
        #expect(try left() == needed, "roughness and normals are the other job's too")
        await coordinator.stop()

        let store = try ArtifactStore(dataFolder: folder.url)
        let jobStore = try JobStore(file: DataFolder(folder.url).database, newCoordinatorID: "c")
        let check = StoreCheck(store: jobStore, artifacts: store)
        #expect(try await check.run(repairs: false).problems == [])
        try store.remove(other[2].sha256)
        let problems = try await check.run(repairs: false).problems
        #expect(problems.count == 1 && problems[0].text.contains("its map 2"), "\(problems)")
        #expect(problems[0].text.contains("send the map again"), "\(problems)")
        #expect(try check.quick().count == 1, "every start looks for it")
    }

    @Test func materialsWithTheSameAlbedoAreNoSeedsOfEachOther() async throws {
        let coordinator = try await RunningCoordinator {
            $0.seedOfRecipe = { recipe in UInt64(recipe.dropFirst(6)).map { RecipeSeed(rest: "", seed: $0) } }
        }
        let wall = try await maps(coordinator)
        let rough = try await maps(coordinator, roughness: 21)
        let one = try await accepted(submission(wall, recipe: "seed: 1"), coordinator)
        let two = try await accepted(submission(wall, recipe: "seed: 2"), coordinator)
        let other = try await accepted(submission(rough, recipe: "seed: 3"), coordinator)
        let photograph = try await accepted(submission(nil, exemplar: wall[0].sha256, recipe: "seed: 4"), coordinator)
        func group(_ job: AcceptedJob) async throws -> [String] {
            try await coordinator.get("/api/v1/jobs/\(job.id)/seeds").decoded(SeedGroup.self).jobs.map(\.job.id)
        }
        for job in [one, two] { #expect(try await group(job) == [one.id, two.id]) }
        for job in [other, photograph] { #expect(try await group(job) == [job.id]) }
        await coordinator.stop()
    }

    @Test func whatIsNoMaterialIsRefusedInWords() async throws {
        let coordinator = try await RunningCoordinator()
        let good = try await maps(coordinator)
        func refused(_ submission: JobSubmission, _ words: String) async throws {
            let answer = try await post(submission, to: coordinator)
            #expect(answer.status == 422 && answer.text.contains(words), "\(answer.status) \(answer.text)")
        }
        func changed(_ index: Int, _ change: (inout MapFile) -> Void) -> JobSubmission {
            var maps = good
            change(&maps[index])
            return submission(maps, exemplar: good[0].sha256)
        }
        try await refused(submission(Array(good.prefix(1))), "maps has 1 files; expected 2...12")
        try await refused(submission([], exemplar: good[0].sha256), "maps has 0 files")
        let many = (0..<13).map { MapFile(map: "m\($0)", fileName: "x", sha256: good[0].sha256) }
        try await refused(submission(many), "maps has 13 files")
        try await refused(changed(1) { $0.map = "albedo" }, "maps[1].map is 'albedo' for the second time")
        for name in ["", "a b", ".x", "\u{0}", String(repeating: "x", count: 61)] {
            try await refused(changed(1) { $0.map = name }, "maps[1].map is '")
        }
        try await refused(changed(2) { $0.fileName = "" }, "maps[2].fileName has 0 bytes")
        try await refused(changed(2) { $0.fileName = "a\u{0}b" }, "maps[2].fileName")
        try await refused(changed(2) { $0.sha256 = "zz" }, "maps[2].sha256 is not 64")
        let unknown = String(repeating: "0", count: 64)
        try await refused(changed(2) { $0.sha256 = unknown }, "maps[2].sha256 \(unknown) is not stored")
        try await refused(submission(good, exemplar: good[1].sha256), "no albedo with the digest exemplarSHA256")
        try await refused(changed(0) { $0.map = "ao" }, "no albedo")
        #expect(try await coordinator.get("/api/v1/jobs").decoded(JobPage.self).total == 0)
        await coordinator.stop()
    }
}
