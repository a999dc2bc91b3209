import ArgumentParser
import ClusterCore
import Foundation
import Protocol
import TextureGAN
import Testing

@testable import texloom

@Suite struct BatchTests {
    @Test func aSweepIsAListOrARange() throws {
        #expect(try Sweep("k=32,64").values == ["32", "64"])
        #expect(try Sweep("seed=1..4").values == ["1", "2", "3", "4"])
        #expect(try Sweep("seed=-1..1").values == ["-1", "0", "1"])
        #expect(try Sweep("style=off").values == ["off"])
        #expect(try Sweep("learning_rate=1e-4,0.0002").values == ["1e-4", "0.0002"])
        for wrong in [
            "k", "=1", "k=", "k=1,,2", "k=1,1", "k=4..1", "k=1..x", "k=1..2000", "a b=1", "k=1\n",
            "k=-9223372036854775808..9223372036854775807",
        ] {
            let error = #expect(throws: ValidationError.self) { try Sweep(wrong) }
            #expect(error?.message.contains("expected") == true, "\(wrong)")
        }
    }

    @Test func everyCombinationIsARecipeWithItsNameAndLabels() throws {
        let recipe = try Recipe(named: "draft", overrides: [])
        let sweeps = try [Sweep("k=32,64"), Sweep("learning_rate=0.001,0.002")]
        let variants = try RecipeVariant.all(of: recipe, sweeps, seeds: 2)
        #expect(variants.count == 8 && Set(variants.map { $0.recipe.yaml() }).count == 8)
        #expect(
            variants[0].suffix == "-k32-learning_rate0.001" && variants[1].suffix == "-k32-learning_rate0.001-seed2")
        #expect(variants[7].labels == ["k": "64", "learning_rate": "0.002"] && variants[7].recipe.k == 64)
        #expect(throws: TrainingError.self) { try RecipeVariant.all(of: recipe, [Sweep("no_field=1")], seeds: 1) }
        #expect(throws: TrainingError.self) { try RecipeVariant.all(of: recipe, [Sweep("k=many")], seeds: 1) }
        let alone = try RecipeVariant.all(of: recipe, [], seeds: 2)
        #expect(alone.map(\.suffix) == ["", "-seed2"] && alone.allSatisfy { $0.labels.isEmpty })
    }

    @Test func whatCannotBeIsRefusedBeforeAnythingIsSent() throws {
        let scratch = try ScratchFolder()
        for (arguments, reason) in [
            (["submit", "x.png", "--sweep", "k=32,64"], "expected --batch NAME"),
            (["submit", "x.png", "--batch", "a b"], "batch is 'a b'"),
            (["submit", "x.png", "--label", "wall"], "expected key=value"),
            (
                ["submit", "x.png", "--batch", "b", "--sweep", "k=1..40", "--sweep", "seed=1..40"],
                "more than 1000 jobs"
            ),
            (["submit", "x.png", "--batch", "b", "--sweep", "k=32", "--sweep", "k=64"], "given twice"),
            (["submit", "x.png", "--batch", "b", "--sweep", "seed=1..2", "--seeds", "2"], "both choose seeds"),
            (["submit", "x.png", "--batch", "b", "--sweep", "k=32", "--label", "k=1"], "two labels of one key"),
            (["cancel"], "no jobs are named"), (["retry", "bricks", "--batch", "b"], "go without"),
            (["list", "--label", "a=1", "--label", "a=2"], "two values"),
            (["watch", "x", "--batch", "b"], "go without"),
            (["gather", "x", "--label", "a=b"], "go without"),
        ] {
            let result = try TexloomProcess.run(
                arguments, folder: scratch.url, environment: ["TEXLOOM_API": "http://127.0.0.1:9"])
            #expect(
                result.status == 2 && result.errors.contains(reason), "\(arguments): \(result.status) \(result.errors)")
        }
    }

    @Test func aJobThatEndsWhileAPersonIsAskedIsNotDeleted() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("moss.png", seed: 1)
        let submitted = try cluster.run(
            ["submit", exemplar, "--batch", "night"] + TinyCluster.recipe(iterations: 10) + ["--sweep", "seed=1..4"])
        #expect(submitted.status == 0, "\(submitted.errors)")
        func cancel(seed: Int) throws {
            let result = try cluster.run(["cancel", "--batch", "night", "--label", "seed=\(seed)"])
            #expect(result.output == "cancelled 1 job\n", "\(result.errors)")
        }
        func delete(_ terminal: Terminal) throws -> TexloomProcess {
            try TexloomProcess(
                ["delete", "--batch", "night"], folder: cluster.scratch.folder.url,
                environment: ["TEXLOOM_API": cluster.address], input: terminal.input)
        }
        let terminal = try Terminal()
        defer { withExtendedLifetime(terminal) {} }
        try cancel(seed: 1)
        try cancel(seed: 2)
        let asking = try delete(terminal)
        try eventually("it asks") { asking.errors.contains("delete 2 jobs? [y/N]") }
        try cancel(seed: 3)
        try terminal.enter("y")
        let refused = asking.wait()
        #expect(refused.status == 1 && refused.errors.contains("nothing was changed"), "\(refused.errors)")
        #expect(try cluster.jobs().count == 4)

        let again = try delete(terminal)
        try eventually("it asks") { again.errors.contains("delete 3 jobs? [y/N]") }
        try terminal.enter("y")
        let deleted = again.wait()
        #expect(
            deleted.output == "deleted 3 jobs; 1 more matched and stayed as they were\n",
            "\(deleted.output)\(deleted.errors)")
    }

    @Test func severalNamedJobsChangeOnlyAfterAYes() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("moss.png", seed: 1)
        let submitted = try cluster.run(
            ["submit", exemplar, "--batch", "night"] + TinyCluster.recipe(iterations: 10) + ["--sweep", "seed=1..3"])
        #expect(submitted.status == 0, "\(submitted.errors)")
        func states() throws -> [JobState] { try cluster.jobs().sorted { $0.id < $1.id }.map(\.state) }
        let names = try cluster.jobs().sorted { $0.id < $1.id }.map(\.resultName)
        try #require(names.count == 3)
        // One acts at once.
        #expect(try cluster.run(["cancel", names[0]]).status == 0)
        for action in ["cancel", "retry", "delete"] {
            let asked = try cluster.run([action, names[1], names[2]])
            #expect(
                asked.status == 2 && asked.errors.contains("\(action) 2 jobs? Nothing was changed"), "\(asked.errors)")
        }
        #expect(try states() == [.cancelled, .queued, .queued])

        let terminal = try Terminal()
        defer { withExtendedLifetime(terminal) {} }
        let asking = try TexloomProcess(
            ["cancel", names[1], names[2]], folder: cluster.scratch.folder.url,
            environment: ["TEXLOOM_API": cluster.address], input: terminal.input)
        try eventually("it asks") { asking.errors.contains("cancel 2 jobs? [y/N]") }
        try terminal.enter("y")
        #expect(asking.wait().status == 0)
        #expect(try states() == [.cancelled, .cancelled, .cancelled])
        #expect(try cluster.run(["retry", names[1], names[2], "--yes"]).status == 0)
        #expect(try states() == [.cancelled, .queued, .queued])
        #expect(try cluster.run(["delete", names[1], names[2], "--cancel", "--yes"]).status == 0)
        #expect(try cluster.run(["delete", names[0], names[0]]).status == 0, "twice the same job is one")
        #expect(try states() == [])
    }

    @Test func manyJobsAreDeletedWithSeveralRequests() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("moss.png", seed: 1)
        let submitted = try cluster.run(
            ["submit", exemplar, "--batch", "night"] + TinyCluster.recipe(iterations: 10) + ["--sweep", "seed=1..70"])
        #expect(submitted.status == 0, "\(submitted.errors)")
        #expect(try cluster.run(["cancel", "--batch", "night", "--yes"]).output == "cancelled 70 jobs\n")
        let deleted = try cluster.run(["delete", "--batch", "night", "--yes"])
        #expect(deleted.output == "deleted 70 jobs\n", "\(deleted.output)\(deleted.errors)")
        #expect(try cluster.jobs().isEmpty)
        let audit = try cluster.run(["audit"]).output
        #expect(audit.components(separatedBy: "jobs.delete").count == 3, "\(audit)")
    }

    /// The coordinator loses the first job between the list and the deletion.
    @Test func aJobThatAnotherClientDeletesMeanwhileDoesNotEndTheDeletion() async throws {
        let script = """
            import http.server, json, sys
            jobs = json.loads(sys.argv[1])
            class Coordinator(http.server.BaseHTTPRequestHandler):
                def answer(self, status, value):
                    body = json.dumps(value).encode()
                    self.send_response(status)
                    kind = "application/json" if status == 200 else "application/problem+json"
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                def do_GET(self): self.answer(200, {"jobs": jobs, "total": len(jobs)})
                def do_POST(self):
                    ids = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["jobs"]
                    if len(jobs) == 3: del jobs[0]
                    if not set(ids) <= {job["id"] for job in jobs}:
                        return self.answer(404, {"title": "Not Found", "status": 404, "detail": "there is no job"})
                    self.answer(200, {"matched": len(ids), "changed": [{"id": i, "resultName": "moss"} for i in ids]})
            server = http.server.HTTPServer(("127.0.0.1", 0), Coordinator)
            print(server.server_port, flush=True)
            server.serve_forever()
            """
        let jobs = (1...3).map { number in
            JobSummary(
                id: "000000000\(number)", name: "moss", resultName: "moss", fileName: "moss.png", recipe: "draft",
                state: .finished, priority: 0, iteration: 9, totalIterations: 9, secondsPerIteration: nil,
                etaSeconds: nil, attempt: 1, failures: 0, worker: nil, reason: nil, exemplarSHA256: "",
                latestSnapshot: nil, latestSnapshotIteration: nil, submittedAt: Date(), startedAt: nil, finishedAt: nil,
                lossLatest: [:])
        }
        func api() throws -> (PythonServer, APIClient) {
            let server = try PythonServer(script, String(decoding: try APIFormat.encoder.encode(jobs), as: UTF8.self))
            return (server, try APIClient(address: server.address))
        }
        let (server, filtering) = try api()
        let changes = try await filtering.delete(JobSelection(batch: "night"))
        #expect(changes.matched == 2 && Set(changes.changed.map(\.id)) == [jobs[1].id, jobs[2].id])
        let (other, naming) = try api()
        let failure = await #expect(throws: CommandFailure.self) {
            try await naming.delete(JobSelection(jobs: jobs.map(\.id)))
        }
        #expect(failure?.status == 404, "a person who names a job wants to know")
        withExtendedLifetime((server, other)) {}
    }

    @Test func aSweepIsSubmittedOnceListedCancelledRetriedAndGatheredByItsLabels() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("moss.png", seed: 1)
        _ = try cluster.run(["submit", exemplar, "--name", "alone"] + TinyCluster.recipe(iterations: 10))
        let sweep =
            ["submit", exemplar, "--batch", "night", "--label", "wall=north"] + TinyCluster.recipe(iterations: 10)
            + ["--sweep", "ngf=4,6", "--sweep", "seed=1..3"]
        let submitted = try cluster.run(sweep)
        #expect(submitted.status == 0 && submitted.output.contains("6 accepted, 0 refused"), "\(submitted.errors)")
        let repeated = try cluster.run(sweep + ["--json"]).output.replacing(" ", with: "")
        #expect(repeated.components(separatedBy: "\"alreadyExisted\":true").count == 7, "\(repeated)")
        func jobs(_ arguments: String...) throws -> [JobSummary] {
            let result = try cluster.run(["list", "--json", "--sort", "oldest"] + arguments)
            return try APIFormat.decoder.decode([JobSummary].self, from: Data(result.output.utf8))
        }
        let batch = try jobs("--batch", "night")
        #expect(
            batch.map(\.resultName) == ["4", "6"].flatMap { k in (1...3).map { "moss-ngf\(k)-seed\($0)" } })
        #expect(batch[4].labels == ["ngf": "6", "seed": "2", "wall": "north"] && batch[4].batch == "night")
        #expect(try jobs("--batch", "night", "--label", "ngf=6", "--label", "seed=2").map(\.id) == [batch[4].id])
        #expect(try jobs("--label", "wall=south").isEmpty)

        let asked = try cluster.run(["cancel", "--batch", "night", "--label", "ngf=6"])
        #expect(asked.status == 2 && asked.errors.contains("cancel 3 jobs?") && asked.errors.contains("--yes"))
        #expect(try jobs("--state", "cancelled").isEmpty)
        let cancelled = try cluster.run(["cancel", "--batch", "night", "--label", "ngf=6", "--yes", "--reason", "no"])
        #expect(cancelled.output == "cancelled 3 jobs\n", "\(cancelled.output)\(cancelled.errors)")
        #expect(try jobs("--state", "cancelled").map(\.reason) == ["no", "no", "no"])
        // One job needs no confirmation.
        let retried = try cluster.run(["retry", "--batch", "night", "--label", "seed=1"])
        #expect(
            retried.output == "put back into the queue: 1 job; 1 more matched and stayed as they were\n",
            "\(retried.output)\(retried.errors)")
        for arguments in [
            ["retry", "--batch", "nights"], ["cancel", "--label", "wall=south", "-y"],
            ["delete", "--name", "stone", "--state", "finished", "--json"], ["gather", "--batch", "nights"],
        ] {
            let result = try cluster.run(arguments)
            #expect(result.status == 1 && result.errors == "texloom: no job matches\n", "\(arguments): \(result)")
            #expect(result.output.isEmpty, "\(arguments): \(result.output)")
        }
        // That no job is in a state is an answer, and so is a list without jobs.
        let held = try cluster.run(["retry", "--batch", "night", "--state", "held"])
        #expect(held.status == 0 && held.output == "none of these jobs is held\n", "\(held)")
        let none = try cluster.run(["list", "--batch", "nights"])
        #expect(none.status == 0 && none.output == "no job matches\n", "\(none)")
        let listed = try cluster.run(["batches"]).output
        #expect(listed.contains("night") && listed.contains("QUEUED") && listed.contains("CANCELLED"), "\(listed)")

        try cluster.startWorker("one")
        let watched = try cluster.run(["watch", "--batch", "night", "--label", "seed=1", "--interval", "0.2"])
        #expect(watched.status == 0 && watched.output.contains("moss-ngf6-seed1: finished"), "\(watched.output)")
        let out = cluster.scratch.folder.path("out")
        #expect(try cluster.run(["gather", "--batch", "night", "--label", "seed=1", "--out", out]).status == 0)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: out).sorted()
                == ["moss-ngf4-seed1_result", "moss-ngf6-seed1_result"])

        #expect(try cluster.run(["delete", "--batch", "night", "--label", "seed=1"]).errors.contains("delete 2 jobs?"))
        let deleted = try cluster.run(["delete", "--batch", "night", "--label", "seed=1", "-y"])
        #expect(deleted.output == "deleted 2 jobs\n", "\(deleted.output)\(deleted.errors)")
        #expect(try jobs("--batch", "night").count == 4)
        #expect(FileManager.default.fileExists(atPath: out + "/moss-ngf4-seed1_result/generator.safetensors"))
        let gone = try cluster.run(["gather", "--batch", "night", "--label", "seed=1", "--out", out])
        #expect(gone.status == 1 && gone.errors.contains("no job matches"), "\(gone)")
        let again = try cluster.run(sweep)
        #expect(again.output.contains("6 accepted"), "\(again.errors)")
        #expect(try jobs("--batch", "night").count == 6, "the deleted ones are new jobs")
    }
}
