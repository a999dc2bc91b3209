import Foundation
import Protocol
import Testing

@testable import texloom

/// Checks that commands announce times before the work starts, and name their source. Never checks how long they are.
@Suite struct ExpectedTimeTests {
    private func object(_ json: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    }

    @Test func aTrainingTellsItsTimeBeforeItsFirstIterationAndWhatItCostInTheEnd() throws {
        let scratch = try ScratchFolder()
        let exemplar = scratch.path("wall.png")
        try TinyCluster.exemplar(seed: 3).write(to: URL(fileURLWithPath: exemplar))
        let arguments = ["train", exemplar, "--out", scratch.path("out"), "--threads", "1"]
        let run = try TexloomProcess.run(arguments + TinyCluster.recipe(iterations: 60), folder: scratch.url)
        #expect(run.status == 0, "\(run.errors)")
        let told = try #require(run.output.firstMatch(of: /about .* on 1 thread of this machine \(.* an iteration\)\n/))
        let line = try #require(run.output.firstMatch(of: /\d+\/60 .* it\/s .* left/))
        #expect(told.range.lowerBound < line.range.lowerBound, "\(run.output)")
        let log = try String(contentsOfFile: scratch.path("out/wall_result/log.jsonl"), encoding: .utf8)
        #expect(log.contains("on 1 thread of this machine"))
        let result = try object(
            String(contentsOfFile: scratch.path("out/wall_result/result.json"), encoding: .utf8))
        let report = try #require(result["report"] as? [String: Any])
        #expect(report["cpuSeconds"] as? Double ?? 0 > 0)
        // With --json, the output has only the metrics' lines.
        let json = try TexloomProcess.run(
            arguments + ["--json", "--name", "other"] + TinyCluster.recipe(iterations: 20), folder: scratch.url)
        #expect(json.status == 0 && !json.output.contains("about"))
    }

    @Test func recipesTellTheirTimesWhenAsked() throws {
        let scratch = try ScratchFolder()
        let plain = try TexloomProcess.run(["recipes"], folder: scratch.url)
        #expect(plain.status == 0 && !plain.output.contains("about"))
        // The dashboard's form shows each purpose without the others.
        #expect(!plain.output.contains("same"), "\(plain.output)")
        let timed = try TexloomProcess.run(["recipes", "draft", "--time", "--threads", "1"], folder: scratch.url)
        #expect(timed.status == 0, "\(timed.errors)")
        let told = /600x400 pixels takes, on 1 thread of this machine:\ndraft .*\n +about .*[a-z] \(.* an iteration\)/
        #expect(timed.output.contains(told), "\(timed.output)")
        let json = try TexloomProcess.run(["recipes", "draft", "--time", "--json"], folder: scratch.url)
        let time = try #require(JSONDecoder().decode([RecipeTime].self, from: Data(json.output.utf8)).first)
        #expect(time.name == "draft" && time.iterations == 9000 && time.snapshots == 18)
        #expect(time.seconds ?? 0 > 0 && time.problem == nil)
        let alone = try TexloomProcess.run(["recipes", "--json"], folder: scratch.url)
        #expect(alone.status == 2 && alone.errors.contains("--json goes with --time"))
    }

    @Test func theCoordinatorMeasuresItsRecipesInProcessesOfTheirOwn() throws {
        let time = try #require(RecipeTime.measureInChild("draft", program: TexloomProcess.executable))
        #expect(time.name == "draft" && time.threads == 1 && time.seconds ?? 0 > 0)
    }

    @Test func aSubmissionTellsItsTimeAndPrefersWhatTheClusterHasRecorded() throws {
        let cluster = try TinyCluster()
        let exemplars = try (1...3).map { try cluster.writeExemplar("tile\($0).png", seed: $0) }
        let recipe = TinyCluster.recipe(iterations: 60)
        let first = try cluster.run(["submit", exemplars[0]] + recipe)
        #expect(first.status == 0, "\(first.errors)")
        let measured = /about .* on a core like this machine's \(.* an iteration\); no worker is connected\n/
        #expect(first.output.contains(measured), "\(first.output)")
        // A repeated submission adds no time.
        #expect(try !cluster.run(["submit", exemplars[0]] + recipe).output.contains("about"))

        try cluster.startWorker("one")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let others = ["submit"] + exemplars[1...] + recipe + ["--set", "seed=2"]
        let second = try cluster.run(others)
        let recorded = /2 jobs, about .* each, as 1 finished job of this recipe took; with 1 slot about \d/
        #expect(second.output.contains(recorded), "\(second.output)")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let json = try cluster.run(["submit", exemplars[0], "--json"] + recipe + ["--set", "seed=3"])
        let outcome = try #require(
            (JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]])?.first)
        let expected = try #require(outcome["expected"] as? [String: Any], "\(json.output)")
        #expect(expected["source"] as? String == "finishedJobs" && expected["jobs"] as? Int ?? 0 > 0)
        // Another number of iterations is another recipe.
        let other = try cluster.run(["submit", exemplars[0]] + TinyCluster.recipe(iterations: 80))
        #expect(other.output.contains("on a core like this machine's"), "\(other.output)")

        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let out = cluster.scratch.folder.path("out")
        #expect(try cluster.run(["gather", "--out", out]).status == 0)
        let result = try object(String(contentsOfFile: "\(out)/tile1_result/result.json", encoding: .utf8))
        #expect((result["report"] as? [String: Any])?["cpuSeconds"] as? Double ?? 0 > 0)
    }
}
