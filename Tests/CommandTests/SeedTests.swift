import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import texloom

/// Several seeds of one exemplar, and the choice of the best.
@Suite struct SeedTests {
    private func member(
        _ seed: UInt64, _ state: JobState = .finished, score: Float? = nil, _ change: (inout SeedJob) -> Void = { _ in }
    ) -> SeedJob {
        let name = seed == 1 ? "bricks" : "bricks-seed\(seed)"
        let job = JobSummary(
            id: "000000000\(seed)", name: name, resultName: name, fileName: "bricks.png", recipe: "draft", state: state,
            priority: 0, iteration: 500, totalIterations: 1000, secondsPerIteration: nil, etaSeconds: nil, attempt: 1,
            failures: 0, worker: nil, reason: nil, exemplarSHA256: "", latestSnapshot: nil,
            latestSnapshotIteration: nil, submittedAt: Date(), startedAt: nil, finishedAt: nil, lossLatest: [:])
        var member = SeedJob(job: job, seed: seed, quality: [:], verdict: nil, score: score)
        change(&member)
        return member
    }

    private func group(_ jobs: [SeedJob], best: UInt64?) -> SeedGroup {
        SeedGroup(resultName: "bricks", jobs: jobs, best: best.map { "000000000\($0)" })
    }

    @Test func whatIsKeptIsSaidWithTheReason() {
        func choice(_ jobs: [SeedJob], best: UInt64?) -> String? {
            SeedComparison(group: group(jobs, best: best)).choice
        }
        #expect(choice([member(1, .running)], best: nil) == nil)
        #expect(
            choice([member(1, score: 1.5), member(2, score: 0.25), member(3, score: 0.5)], best: 2)
                == "kept: seed 2 (bricks-seed2): its score 0.250 is the lowest, before seed 3 with 0.500")
        for (jobs, best, reason) in [
            ([member(1, .held), member(2, score: 2)], UInt64(2), "the only one that has finished"),
            ([member(1), member(2, score: 2)], 2, "the only one that has figures"),
            ([member(1), member(2)], 1, "none has figures, and it is the first"),
            ([member(1, score: 1), member(2, score: 1)], 1, "as low as that of seed 2, and it comes first"),
        ] { #expect(choice(jobs, best: best)?.hasSuffix(reason) == true) }
    }

    @Test func siblingsThatHaveNotFinishedAreTold() {
        let jobs = [
            member(1, score: 1), member(2, .running), member(3, .queued), member(4, .cancelled),
            member(5, .failed) { $0.job.reason = "no\u{1B}[2J memory" },
        ]
        let pending = SeedComparison(group: group(jobs, best: 1)).pending
        #expect(pending.count == 5 && pending[0] == "seed 2 is running (50%)" && pending[1] == "seed 3 is queued")
        #expect(pending[2] == "seed 4 was cancelled" && pending[3].hasPrefix("seed 5 failed: no"))
        #expect(!pending[3].contains("\u{1B}") && pending[4].contains("gather again"))
        #expect(SeedComparison(group: group([member(1), member(4, .cancelled)], best: 1)).pending.count == 1)
    }

    @Test(arguments: [60, 80, 200])
    func theTableFitsItsTerminalAndMarksTheBest(columns: Int) {
        let jobs = [UInt64](1...3).map { seed in
            member(seed, score: Float(seed)) {
                for name in ["patches", "coverage", "structure", "checkerboard", "copying", "gram"] {
                    $0.quality["quality_\(name)"] = 0.25
                }
                $0.verdict = "good"
            }
        }
        let lines = SeedComparison(group: group(jobs, best: 1)).lines(width: columns).map { $0.text(paints: false) }
        #expect(lines[1...4].allSatisfy { $0.columns <= columns }, "\(lines)")
        #expect(lines.count { $0.hasPrefix("*") } == 1 && lines[2].hasPrefix("*") && lines[2].contains("1.000"))
        #expect(lines[1].contains("CHECKERBOARD") == (columns == 200), "\(lines[1])")
        #expect(lines.contains("  seed 2: good") && lines.last?.contains("kept: seed 1") == true)
    }

    @Test func aSeedsFaultsAreOneLineAndAdviceIsSaidOnce() {
        let verdicts = [
            "good",
            "details differ: train longer; light, colour or size are elsewhere; lines break: train longer or shorter",
            "a frame runs along the border: crop a few pixels\u{1B}[2J; details differ: train longer",
        ]
        let jobs = verdicts.enumerated().map { index, verdict in member(UInt64(index + 1)) { $0.verdict = verdict } }
        func lines(_ width: Int?) -> [String] {
            SeedComparison(group: group(jobs, best: 1)).lines(width: width).map { $0.text(paints: false) }
        }
        let all = lines(nil)
        #expect(
            all.filter { $0.hasPrefix("  seed") } == [
                "  seed 1: good", "  seed 2: details differ; light, colour or size are elsewhere; lines break",
                "  seed 3: a frame runs along the border; details differ",
            ], "\(all)")
        let advice = all.filter { $0.hasPrefix("  to try: ") }
        #expect(advice.count == 1 && advice[0].contains("train longer or shorter; crop a few pixels"), "\(advice)")
        #expect(!advice.joined().contains("\u{1B}"))
        // Sentences are not drawn again, so a terminal may wrap them.
        #expect(lines(40).suffix(5) == all.suffix(5) && lines(40).count == all.count, "\(lines(40))")
    }

    @Test func anEarlierBestOneMovesAsideAndNothingElseDoes() throws {
        let scratch = try ScratchFolder()
        let group = group([member(1), member(2), member(3)], best: 3)
        let folder = scratch.url.appendingPathComponent("bricks_result")
        func place(_ text: String) throws {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: folder.appendingPathComponent("note"))
        }
        func makeRoom(_ holder: String?) throws -> SeedFolders.Move? {
            try SeedFolders.makeRoom(at: "bricks", for: group, in: scratch.url, heldBy: holder)
        }
        try place("of seed 1")
        for holder in [nil, "another", group.best] { #expect(try makeRoom(holder) == nil) }
        let move = try #require(try makeRoom("0000000001"))
        #expect(move.seed == "1" && move.to.hasSuffix("/bricks-seed1_result") && move.from == folder.path)
        let note = URL(fileURLWithPath: move.to).appendingPathComponent("note")
        #expect(try String(contentsOf: note, encoding: .utf8) == "of seed 1")
        #expect(!FileManager.default.fileExists(atPath: folder.path))
        // The new name is taken, so both stay.
        try place("again")
        let failure = #expect(throws: CommandFailure.self) { try makeRoom("0000000001") }
        #expect(failure?.message.contains("already exists") == true)
        #expect(FileManager.default.fileExists(atPath: folder.path))
        #expect(try String(contentsOf: note, encoding: .utf8) == "of seed 1")
    }

    @Test func workOnTheBestOneIsCalledAfterTheGroup() throws {
        let group = group([member(1), member(2), member(3)], best: 3)
        let best = try #require(group.jobs.first { $0.job.id == group.best }).job
        // As in the second batch of an exemplar.
        let links = [("7", JobKind.expand, "expand-4"), ("8", .export, "export-4"), ("9", .expand, "expand-5")].map {
            JobLink(id: "000000000\($0)", kind: $1, resultName: "bricks-seed3-\($2)", state: .finished)
        }
        let detail = JobDetail(
            job: best, recipeYAML: "", attempts: [], reportJSON: nil, trainingSeconds: nil, followers: links)
        let names = (links.map(\.id) + [best.id]).map { id in
            var work = best
            work.id = id
            return SeedFolders.name(of: work, after: detail, in: group)
        }
        #expect(names == ["bricks-expand", "bricks-export", "bricks-expand-2", nil])

        let scratch = try ScratchFolder()
        let folder = scratch.url.appendingPathComponent("bricks-expand_result")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let move = try #require(
            try SeedFolders.makeRoom(at: "bricks-expand", for: group, in: scratch.url, heldBy: "0000000001"))
        #expect(move.from == folder.path && move.to.hasSuffix("/bricks-seed1-expand_result"))
    }

    /// The best of a batch is one of the batch's own jobs.
    @Test func aPartOfAGroupHasABestJobAndANameOfItsOwn() {
        let group = SeedGroup(
            resultName: "bricks", jobs: [member(1, score: 1), member(2, score: 3), member(3, score: 2)],
            best: "0000000001")
        let part = group.only(["0000000002", "0000000003", "0000000009"])
        #expect(part.jobs.map(\.seed) == [2, 3] && part.best == "0000000003" && part.resultName == "bricks-seed2")
        #expect(SeedGroup.best(of: [member(4, .running), member(5), member(6, score: 9)]) == "0000000006")
        #expect(SeedGroup.best(of: [member(4, .running)]) == nil)
    }

    @Test func seedsAreSubmittedOnceAndTheBestIsGathered() async throws {
        let cluster = try TinyCluster()
        let exemplars = try ["moss", "sand"].enumerated().map { try cluster.writeExemplar("\($1).png", seed: $0) }
        let recipe = TinyCluster.recipe(iterations: 30)
        struct Outcome: Decodable {
            var resultName: String?
            var seed: UInt64?
            var alreadyExisted: Bool?
        }
        func submit(_ arguments: [String]) throws -> [Outcome] {
            let result = try cluster.run(["submit", "--json"] + arguments + recipe)
            #expect(result.status == 0, "\(result.errors)")
            return try JSONDecoder().decode([Outcome].self, from: Data(result.output.utf8))
        }
        #expect(try submit([exemplars[0]]).map(\.resultName) == ["moss"])
        let outcomes = try submit(exemplars + ["--seeds", "2"])
        #expect(outcomes.map(\.resultName) == ["moss", "sand", "moss-seed2", "sand-seed2"])
        #expect(outcomes.map(\.seed) == [1, 1, 2, 2] && outcomes.map(\.alreadyExisted) == [true, false, false, false])
        #expect(try submit(exemplars + ["--seeds", "2"]).allSatisfy { $0.alreadyExisted == true })
        let named = try cluster.run(
            ["submit", exemplars[0], "--name", "wall", "--seeds", "2", "--set", "seed=7"]
                + TinyCluster.recipe(iterations: 20))
        #expect(
            named.output.contains("(wall, seed 7)") && named.output.contains("(wall-seed8, seed 8)"), "\(named.output)")

        let out = cluster.scratch.folder.path("out")
        let early = try cluster.run(["gather", "--best", "moss", "--out", out])
        #expect(early.status == 1 && early.output.contains("seed 2 is queued"), "\(early.output)")
        #expect(early.errors.contains("none has finished"), "\(early.errors)")
        try cluster.startWorker("one")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)

        let api = try APIClient(address: cluster.address)
        let moss = try await api.get("/api/v1/jobs/\(try await api.job("moss").id)/seeds", as: SeedGroup.self)
        try #require(moss.jobs.count == 2 && moss.jobs.allSatisfy { $0.score != nil && $0.verdict != nil })
        let best = try #require(moss.jobs.first { $0.job.id == moss.best })
        let other = try #require(moss.jobs.first { $0.job.id != moss.best })
        #expect(best.score! <= other.score!)
        let gathered = try cluster.run(["gather", "--best", "--out", out])
        #expect(gathered.status == 0, "\(gathered.errors)")
        #expect(
            gathered.output.contains("kept: seed \(best.seed!) (\(best.job.resultName)): its score"),
            "\(gathered.output)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: out).sorted()
                == ["moss_result", "sand_result", "wall_result"])
        let marker = URL(fileURLWithPath: out + "/moss_result/.job")
        #expect(try String(contentsOf: marker, encoding: .utf8) == best.job.id)

        // Pretends that the other job was the best at the earlier gather.
        try Data(other.job.id.utf8).write(to: marker)
        let again = try cluster.run(["gather", "--best", "moss-seed2", "--out", out])
        let place = "moss-seed\(other.seed!)_result"
        #expect(again.status == 0 && again.output.contains("is now in"), "\(again.output)\(again.errors)")
        #expect(FileManager.default.fileExists(atPath: "\(out)/\(place)/result.json"))
        #expect(try String(contentsOf: marker, encoding: .utf8) == best.job.id)
        let json = try cluster.run(["gather", "--best", "--json", "--out", out])
        #expect(
            json.status == 0 && json.output.contains("\"best\"") && !json.output.contains("movedAside"),
            "\(json.output)")
    }

    @Test func seedsThatCannotBeAreRefusedBeforeAnythingIsSent() throws {
        let scratch = try ScratchFolder()
        for (arguments, reason) in [
            (["submit", "x.png", "--seeds", "0"], "expected 1 to 1000"),
            (["submit", "x.png", "--seeds", "2", "--set", "seed=18446744073709551615"], "is not followed by 1 others"),
            (["gather", "--best", "--unfinished"], "--unfinished"),
        ] {
            let result = try TexloomProcess.run(
                arguments, folder: scratch.url, environment: ["TEXLOOM_API": "http://127.0.0.1:9"])
            #expect(result.status == 2 && result.errors.contains(reason), "\(result.status) \(result.errors)")
        }
    }
}
