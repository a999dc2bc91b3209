import ClusterFixtures
import Foundation
import Imaging
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Jobs of one exemplar whose recipes differ only in the seed.
@Suite("Seeds", .timeLimit(.minutes(10)))
struct SeedTests {
    /// Reads recipes of lines `key: value`. Lines with a # and the order do not count.
    @Sendable private static func seed(of recipe: String) -> RecipeSeed? {
        let lines = recipe.split(separator: "\n").filter { !$0.hasPrefix("#") }
        guard let line = lines.first(where: { $0.hasPrefix("seed: ") }), let seed = UInt64(line.dropFirst(6)) else {
            return nil
        }
        return RecipeSeed(rest: lines.filter { $0 != line }.sorted().joined(separator: "\n"), seed: seed)
    }

    private func coordinator() async throws -> RunningCoordinator {
        try await RunningCoordinator {
            $0.seedOfRecipe = Self.seed
            $0.qualityScores = { $0.map { $0["quality_patches"] } }
        }
    }

    /// - Parameter recipes: By the names of their jobs.
    private func submit(
        _ recipes: KeyValuePairs<String, String>, of exemplar: Data = TestImages.png, to coordinator: RunningCoordinator
    ) async throws -> [String] {
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: exemplar)
            .decoded(ExemplarReceipt.self)
        let jobs = recipes.map {
            JobSubmission(name: $0, fileName: "x.png", exemplarSHA256: receipt.sha256, recipeYAML: $1)
        }
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: jobs))
        return try await coordinator.send("POST", "/api/v1/jobs", body: body).decoded(SubmitJobsResponse.self)
            .jobs.map(\.id)
    }

    private func group(_ id: String, _ coordinator: RunningCoordinator) async throws -> SeedGroup {
        try await coordinator.get("/api/v1/jobs/\(id)/seeds").decoded(SeedGroup.self)
    }

    @Test func aGroupIsOfOneExemplarAndOfRecipesThatDifferInTheSeedAlone() async throws {
        let coordinator = try await coordinator()
        let jobs = try await submit(
            [
                "moss": "k: 8\nname: a\nseed: 2", "moss-seed1": "# In other words\nname: a\nseed: 1\nk: 8",
                "wide": "k: 9\nname: a\nseed: 1", "broken": "k: 8", "broken too": "k: 8",
                "again": "seed: 2\nk: 8\nname: a",
            ], to: coordinator)
        let other = try Image(width: 4, height: 4, pixels: [UInt8](repeating: 90, count: 48)).png()
        let elsewhere = try await submit(["sand": "k: 8\nname: a\nseed: 3"], of: other, to: coordinator)
        for job in [jobs[0], jobs[1], jobs[5]] {
            let group = try await group(job, coordinator)
            #expect(group.jobs.map(\.job.id) == [jobs[1], jobs[0], jobs[5]], "by seed, then by age")
            #expect(group.jobs.map(\.seed) == [1, 2, 2] && group.resultName == "moss" && group.best == nil)
        }
        for job in [jobs[2], jobs[3], jobs[4], elsewhere[0]] {
            #expect(try await group(job, coordinator).jobs.map(\.job.id) == [job])
        }
        #expect(try await coordinator.get("/api/v1/jobs/0000000000/seeds").status == 404)

        let list = try await coordinator.get("/jobs").text
        #expect(list.components(separatedBy: "compare 2 seeds").count == 4, "a link for each of the three")
        #expect(list.contains("<a href=\"/jobs/\(jobs[1])/seeds\">seed 1, compare 2 seeds</a>"))
        await coordinator.stop()
    }

    @Test func theBestHasTheLowestScoreOfThoseThatHaveFinished() {
        func member(_ number: Int, seed: UInt64, _ state: JobState, _ figure: Float?) -> SeedJob {
            let job = JobSummary(
                id: "\(number)", name: "moss", resultName: "moss-\(number)", fileName: "x", recipe: "r", state: state,
                priority: 0, iteration: 0, totalIterations: 0, secondsPerIteration: nil, etaSeconds: nil, attempt: 0,
                failures: 0, worker: nil, reason: nil, exemplarSHA256: "", latestSnapshot: nil,
                latestSnapshotIteration: nil, submittedAt: Date(), startedAt: nil, finishedAt: nil, lossLatest: [:])
            return SeedJob(
                job: job, seed: seed, quality: figure.map { ["f": $0] } ?? [:], verdict: nil, score: nil)
        }
        func best(_ members: [SeedJob]) -> String? {
            let group = SeedGroup(members, scoredBy: { $0.map { $0["f"] } })
            #expect(group.jobs.allSatisfy { ($0.score != nil) == ($0.job.state == .finished && !$0.quality.isEmpty) })
            return group.best
        }
        let running = member(4, seed: 4, .running, 0.1)
        #expect(best([running, member(5, seed: 5, .failed, 0)]) == nil)
        #expect(
            best([member(1, seed: 1, .finished, 0.5), member(2, seed: 2, .finished, 0.25), running]) == "2",
            "what still runs may become worse")
        #expect(best([member(1, seed: 1, .finished, nil), member(2, seed: 2, .finished, 7)]) == "2")
        #expect(
            best([member(1, seed: 9, .finished, 0.5), member(2, seed: 2, .finished, 0.5)]) == "2", "the first seed")
        #expect(best([member(1, seed: 2, .finished, nil), member(2, seed: 2, .finished, nil)]) == "1", "the older one")
    }

    @Test func figuresComeFromTheReportElseFromTheLastSnapshotAndThePagesShowThem() async throws {
        let coordinator = try await coordinator()
        let jobs = try await submit(
            ["moss": "seed: 1", "moss-seed2": "seed: 2", "moss-seed3": "seed: 3", "lone": "k: 8\nseed: 1"],
            to: coordinator)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 72)
        worker.hello()
        let report = #"{"quality":{"quality_patches":0.25,"other":1,"quality_x":"y"},"verdict":"<b>lines</b> break"}"#
        try await worker.train(try await worker.askForWork().attempt, report: report)
        // An older worker reports the figures only as metrics.
        try await worker.train(try await worker.askForWork().attempt, figure: 0.125)
        let found = try await group(jobs[2], coordinator)
        #expect(found.jobs.map(\.quality) == [["quality_patches": 0.25], ["quality_patches": 0.125], [:]])
        #expect(found.jobs.map(\.score) == [0.25, 0.125, nil] && found.best == jobs[1])
        #expect(found.jobs.map(\.verdict) == ["<b>lines</b> break", nil, nil])

        for path in ["/jobs/\(jobs[0])", "/jobs/\(jobs[2])", "/jobs/\(jobs[0])/seeds"] {
            let page = try await coordinator.get(path)
            #expect(page.status == 200)
            let cards = page.text.components(separatedBy: "<li class=\"card").dropFirst()
                .map { $0.components(separatedBy: "</li>")[0] }
            try #require(cards.count == 3, "\(path)")
            for (index, card) in cards.enumerated() {
                #expect(card.contains("Seed \(index + 1)") && card.contains("href=\"/jobs/\(jobs[index])\""))
                #expect(card.contains("best</span>") == (index == 1), "\(path): \(card)")
                #expect(card.contains("no snapshot yet") == (index == 2))
                #expect(card.contains("lines") == (index == 0), "another's verdict is not its own: \(card)")
                #expect(card.contains("<dt>score</dt>") == (index != 2))
            }
            #expect(cards[0].contains("&lt;b&gt;lines") && !page.text.contains("<b>lines"))
            #expect(cards[1].contains("<dt>patches</dt><dd>0.125</dd>"))
            let isLarge = path.hasSuffix("/seeds")
            #expect(cards[0].contains(isLarge ? "src=\"/api/v1/artifacts/" : "src=\"/thumbnails/"))
        }
        let lone = try await coordinator.get("/jobs/\(jobs[3])").text
        #expect(lone.contains("<section data-live=\"seeds\"></section>"), "empty, and hidden by the style sheet")
        #expect(try await coordinator.get("/jobs/0000000000/seeds").status == 404)
        await worker.socket.close()
        await coordinator.stop()
    }
}
