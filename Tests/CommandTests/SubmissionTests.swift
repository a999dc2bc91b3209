import Foundation
import Protocol
import TextureGAN
import Testing

@testable import texloom

/// A photograph and a recipe make one job, however the recipe is written.
@Suite struct SubmissionTests {
    @Test func namesThatTheProgramMakesFitTheirLimit() throws {
        #expect(JobName.shortened("moss", suffix: "-seed2") == "moss-seed2")
        let long = String(repeating: "n", count: 250)
        #expect(JobName.shortened(long) == String(repeating: "n", count: 200))
        #expect(JobName.shortened(long, suffix: "-seed2") == String(repeating: "n", count: 194) + "-seed2")
        #expect(JobName.shortened("moss", suffix: long).utf8.count == 200)

        let cluster = try TinyCluster()
        let recipe = TinyCluster.recipe(iterations: 60)
        let file = try cluster.writeExemplar("\(long).png", seed: 1)
        let accepted = try cluster.run(["submit", file, "--seeds", "12"] + recipe)
        #expect(accepted.status == 0 && accepted.output.contains("12 accepted, 0 refused"), "\(accepted.output)")
        #expect(Set(try cluster.jobs().map(\.name)).count == 12)
        let short = try cluster.writeExemplar("wall.png", seed: 2)
        let named = try cluster.run(["submit", short, "--seeds", "12", "--name", String(long.prefix(195))] + recipe)
        #expect(named.status == 0, "\(named.output)")
        let refused = try cluster.run(["submit", short, "--name", long] + recipe)
        #expect(refused.status == 2 && refused.errors.contains("--name has 250 bytes"), "\(refused.errors)")
    }

    @Test func jobsOfASubmissionThatBreaksOffAreTold() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("moss.png", seed: 1)
        let submission = try cluster.start(
            ["submit", exemplar, "--seeds", "1000", "--json"] + TinyCluster.recipe(iterations: 60))
        try eventually("the coordinator has jobs", stopping: submission) { try cluster.jobs().count > 1 }
        cluster.coordinator.killAndWait()
        submission.send(SIGCONT)
        let result = submission.wait()
        #expect(result.status == 75 && result.errors.contains("cannot be reached"), "\(result.errors)")
        struct Outcome: Decodable {
            var accepted: Bool
            var job: String?
            var reason: String?
        }
        let outcomes = try JSONDecoder().decode([Outcome].self, from: Data(result.output.utf8))
        let accepted = outcomes.prefix { $0.accepted && $0.job != nil }
        #expect(outcomes.count == 1000 && (1..<1000).contains(accepted.count), "\(accepted.count)")
        let rest = outcomes.dropFirst(accepted.count)
        #expect(rest.allSatisfy { !$0.accepted && $0.reason?.contains("cannot be reached") == true })
        let cancelled = try cluster.run(["cancel", "moss", "--json"])
        #expect(cancelled.status == 75 && cancelled.output.hasPrefix("["), "\(cancelled.output)\(cancelled.errors)")
    }

    /// Answers like a coordinator, but not to large images: under `/full` it has no room for them (507), elsewhere it
    /// takes nothing for now (503).
    private func choosyCoordinator() throws -> PythonServer {
        try PythonServer(
            """
            import http.server, json
            class Coordinator(http.server.BaseHTTPRequestHandler):
                def answer(self, status, value):
                    body = json.dumps(value).encode()
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    if status != 200: self.send_header("Retry-After", "60")
                    self.end_headers()
                    self.wfile.write(body)
                def do_GET(self):
                    self.answer(200, {"version": "1", "coordinatorID": "c", "startedAt": "2026-05-01T12:00:00Z",
                        "workerEndpoint": "", "jobs": {}, "workersConnected": 0, "slots": 0, "slotsWanted": 0,
                        "iterationsPerSecond": 0})
                def do_POST(self):
                    body = self.rfile.read(int(self.headers["Content-Length"]))
                    if self.path.endswith("/jobs"):
                        name = json.loads(body)["jobs"][0]["name"]
                        self.answer(200, {"jobs": [{"id": "0000000001", "name": name, "resultName": name,
                            "state": "queued", "alreadyExisted": True}]})
                    elif len(body) > 10_000:
                        status = 507 if self.path.startswith("/full/") else 503
                        self.answer(status, {"title": "", "status": status, "detail": "too large for today"})
                    else:
                        self.answer(200, {"sha256": "0" * 64, "sizeBytes": len(body), "width": 40, "height": 36})
            server = http.server.HTTPServer(("127.0.0.1", 0), Coordinator)
            print(server.server_port, flush=True)
            server.serve_forever()
            """)
    }

    private func writeALargeExemplarBetweenSmallOnes(_ folder: ScratchFolder) throws {
        for (name, side) in [("a.png", 40), ("b.png", 160), ("c.png", 40)] {
            let bytes = try TinyCluster.exemplar(seed: 1, width: side, height: side)
            try bytes.write(to: folder.url.appendingPathComponent(name))
        }
    }

    @Test func aFileWithoutRoomStopsNoSmallerOne() throws {
        let scratch = try ScratchFolder()
        let server = try choosyCoordinator()
        try writeALargeExemplarBetweenSmallOnes(scratch)
        let files = ["a.png", "b.png", "c.png"].map(scratch.path)
        let result = try TexloomProcess.run(
            ["submit"] + files + ["--api", "\(server.address)/full"] + TinyCluster.recipe(iterations: 60),
            folder: scratch.url)
        #expect(result.status == 75, "\(result.errors)")
        #expect(result.output.contains("accepted  \(files[0]) as"), "\(result.output)")
        #expect(result.output.contains("refused   \(files[1]): too large for today"), "\(result.output)")
        #expect(result.output.contains("accepted  \(files[2]) as"), "\(result.output)")
        #expect(result.output.contains("2 accepted, 1 refused\n1 of 3 was not submitted"), "\(result.output)")
    }

    @Test func aSubmissionThatBreaksOffSaysWhatIsLeft() throws {
        let scratch = try ScratchFolder()
        let server = try choosyCoordinator()
        try writeALargeExemplarBetweenSmallOnes(scratch)
        let files = ["a.png", "b.png", "none.png", "c.png"].map(scratch.path)
        // Of two seeds, the second one of a.png is left, too.
        for (seeds, left) in [("1", "2 of 4"), ("2", "5 of 7")] {
            let result = try TexloomProcess.run(
                ["submit"] + files + ["--seeds", seeds, "--api", server.address] + TinyCluster.recipe(iterations: 60),
                folder: scratch.url)
            #expect(result.status == 75)
            #expect(result.errors == "texloom: \(files[1]): too large for today\n")
            #expect(result.output.contains("refused   \(files[2]): no such file"), "\(result.output)")
            #expect(
                result.output.contains("1 accepted, 1 refused\n\(left) were not submitted; the same command"),
                "\(result.output)")
        }
    }

    @Test func aReleaseThatExplainsItsRecipesInOtherWordsTrainsNothingTwice() async throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("moss.png", seed: 1)
        let recipe = TinyCluster.recipe(iterations: 60)
        #expect(try cluster.run(["submit", exemplar] + recipe).status == 0)
        let job = try #require(try cluster.jobs().first)
        let api = try APIClient(address: cluster.address)
        let stored = try await api.get("/api/v1/jobs/\(job.id)", as: JobDetail.self).recipeYAML
        let reworded =
            "# Written by another release.\n"
            + stored.split(separator: "\n").filter { !$0.hasPrefix("#") }.reversed().joined(separator: "\n\n")
        #expect(reworded != stored)

        func submit(_ yaml: String, key: String? = nil, once: Bool? = nil) async throws -> [AcceptedJob] {
            let submission = JobSubmission(
                name: "moss", fileName: "moss.png", exemplarSHA256: job.exemplarSHA256, recipeYAML: yaml, key: key,
                once: once)
            return try await api.post(
                "/api/v1/jobs", body: SubmitJobsRequest(jobs: [submission]), as: SubmitJobsResponse.self
            ).jobs
        }
        // The same request as the dashboard's.
        let again = try await submit(reworded, once: true)
        #expect(again.map(\.id) == [job.id] && again[0].alreadyExisted)
        let other = try await submit(stored.replacing("seed: 1\n", with: "seed: 2\n"), once: true)
        #expect(other.map(\.alreadyExisted) == [false])

        let named = try await submit(stored, key: "night")
        let renamed = try await submit(reworded, key: "night")
        #expect(renamed.map(\.id) == named.map(\.id) && renamed[0].alreadyExisted)
        for refused in [stored.replacing("seed: 1\n", with: "seed: 2\n"), "not: a recipe"] {
            await #expect(throws: CommandFailure.self) { try await submit(refused, key: "night") }
        }
        await #expect(throws: CommandFailure.self) { try await submit(stored, key: "night", once: true) }
        #expect(try cluster.run(["submit", exemplar] + recipe).output.contains("was submitted before"))
    }
}
