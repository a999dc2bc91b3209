import Foundation
import Protocol
import Testing

@testable import texloom

@Suite struct GatherTests {
    @Test func whatCannotBeGatheredDoesNotKeepTheRestFromIt() throws {
        let cluster = try TinyCluster()
        try cluster.startWorker("one")
        let exemplars = try (1...2).map { try cluster.writeExemplar("tile\($0).png", seed: $0) }
        #expect(try cluster.run(["submit"] + exemplars + TinyCluster.recipe(iterations: 30)).status == 0)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let scratch = cluster.scratch.folder

        // The folder of the older job holds another run.
        let taken = scratch.url.appendingPathComponent("out/tile1_result")
        try FileManager.default.createDirectory(at: taken, withIntermediateDirectories: true)
        try Data("x: y\n".utf8).write(to: taken.appendingPathComponent("recipe.yaml"))
        let first = try cluster.run(["gather"], environment: ["TEXLOOM_OUT": scratch.path("out")])
        #expect(first.status == 1)
        #expect(first.errors.contains("holds another run") && first.errors.contains("1 of 2 jobs"), "\(first.errors)")
        #expect(FileManager.default.fileExists(atPath: scratch.path("out/tile2_result/result.json")))
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: taken.path) == ["recipe.yaml"], "it is left as it is")
        #expect(try String(contentsOf: taken.appendingPathComponent("recipe.yaml"), encoding: .utf8) == "x: y\n")

        // Gathering does not use the folder for temporary files.
        let second = try cluster.run(
            ["gather", "--out", scratch.path("second")], environment: ["TMPDIR": "/nonexistent"])
        #expect(second.status == 0 && second.output.contains("tile2_result: finished"), "\(second.errors)")

        // Nor does what lies in the way of a single file.
        for (name, reason) in [
            ("generator.safetensors", "generator.safetensors cannot be read: Is a directory"),
            ("loss.svg", "loss.svg is a folder"),
        ] {
            let out = scratch.path("without-\(name)")
            try FileManager.default.createDirectory(
                atPath: "\(out)/tile1_result/\(name)", withIntermediateDirectories: true)
            let rest = try cluster.run(["gather", "--json", "--out", out])
            #expect(rest.status == 1 && rest.errors.contains("1 of 2 jobs"), "\(rest.errors)")
            #expect(rest.errors.contains("texloom: tile1: ") && rest.errors.contains(reason), "\(rest.errors)")
            struct Gathered: Decodable { var folder: String }
            let gathered = try JSONDecoder().decode([Gathered].self, from: Data(rest.output.utf8))
            #expect(gathered.map { $0.folder.hasSuffix("/tile2_result") } == [true], "\(rest.output)")
        }

        for (place, reason) in [
            ("/proc/none", "No such file or directory"), (exemplars[0], "Not a directory"),
        ] {
            let refused = try cluster.run(["gather", "--out", place])
            #expect(refused.status == 1 && refused.errors.contains(reason), "\(refused.errors)")
            #expect(!refused.errors.contains("Domain"), "\(refused.errors)")
        }
    }

    /// Limits files to 2 KiB, which is less than a network needs.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit"), "prlimit is not installed"))
    func aFullDiskEndsWithAMessageAndLeavesNoPartOfAFile() throws {
        let cluster = try TinyCluster()
        try cluster.startWorker("one")
        let exemplar = try cluster.writeExemplar("tile.png", seed: 2)
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 30)).status == 0)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let out = cluster.scratch.folder.path("full")
        let full = try TexloomProcess(
            ["gather", "--out", out], folder: cluster.scratch.folder.url, environment: ["TEXLOOM_API": cluster.address],
            launcher: ["/usr/bin/prlimit", "--fsize=2048"]
        ).wait()
        #expect(!full.wasKilled && full.status == 1, "\(full.errors)")
        #expect(full.errors.contains(".safetensors cannot be written: File too large"), "\(full.errors)")
        let left = try FileManager.default.subpathsOfDirectory(atPath: out)
        #expect(!left.contains { $0.contains("partial") || $0.hasSuffix("safetensors") }, "\(left)")
    }

    /// Also of jobs that did not finish. What comes after a training has no files yet.
    @Test func unfinishedJobsAreGatheredOnRequestWithThePicturesThatTheyHave() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("tile.png", seed: 2)
        let submitted = try cluster.run(
            ["submit", exemplar, "--then", "expand"] + TinyCluster.recipe(iterations: 200_000))
        #expect(submitted.status == 0, "\(submitted.errors)")
        try cluster.startWorker("one")
        try eventually("there are pictures") {
            try cluster.jobs().contains { ($0.latestSnapshotIteration ?? 0) >= 50 }
        }
        #expect(try cluster.run(["cancel", "tile"]).status == 0)
        let out = cluster.scratch.folder.path("out")
        let finished = try cluster.run(["gather", "--out", out])
        #expect(finished.status == 0 && finished.output.contains("no job has finished yet"), "\(finished.output)")
        let all = try cluster.run(["gather", "--unfinished", "--out", out])
        #expect(all.status == 0 && all.output.contains("tile_result: cancelled"), "\(all.output)\(all.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: out) == ["tile_result"])
        let names = Set(try FileManager.default.subpathsOfDirectory(atPath: "\(out)/tile_result"))
        #expect(names.isSuperset(of: ["img/itr00000050.png", "recipe.yaml"]), "\(names)")
        #expect(!names.contains("generator.safetensors"), "\(names)")
    }

    @Test func aFetchedFileWithAWrongByteIsRefusedAndLeavesNothing() async throws {
        let scratch = try ScratchFolder()
        let script = """
            import http.server
            bodies = [b"abd", b"abc"]
            class Coordinator(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200); self.send_header("Content-Length", "3"); self.end_headers()
                    self.wfile.write(bodies.pop(0))
            server = http.server.HTTPServer(("127.0.0.1", 0), Coordinator)
            print(server.server_port, flush=True)
            server.serve_forever()
            """
        let server = try PythonServer(script)
        let api = try APIClient(address: server.address)
        let artifact = ArtifactSummary(
            role: .generator, iteration: 30, sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            sizeBytes: 3, createdAt: Date())
        let file = scratch.url.appendingPathComponent("generator.safetensors")
        let failure = await #expect(throws: CommandFailure.self) { try await api.fetch(artifact, to: file) }
        #expect(failure?.exitCode == .tryAgain, "\(String(describing: failure))")
        #expect(failure?.message.contains("what arrived has the SHA-256 a52d159f") == true)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.path).isEmpty)
        #expect(try await api.fetch(artifact, to: file))
        #expect(try String(contentsOf: file, encoding: .utf8) == "abc")
    }

    /// What `--checkpoint-days` and `--quota` leave of a job.
    @Test func aJobWithoutACheckpointIsComplete() throws {
        let scratch = try ScratchFolder()
        let folder = try ResultFolder(in: scratch.url, name: "moss")
        func finish() throws -> Set<String> {
            try folder.finish(
                ResultFolder.Result(
                    job: "0000000001", name: "moss", exemplar: "moss.png", startedAt: nil, finishedAt: nil,
                    trainingSeconds: nil, worker: nil, attempts: 1, report: nil))
            struct Written: Decodable { var artifacts: [String: [String: String]] }
            let written = try JSONDecoder().decode(Written.self, from: Data(contentsOf: folder.resultJSON))
            return Set(written.artifacts.keys)
        }
        #expect(throws: CommandFailure.self, "there is no generator") { try finish() }
        for file in [folder.generator, folder.discriminator] { try Data([1]).write(to: file) }
        #expect(try finish() == ["generator.safetensors", "discriminator.safetensors"])
        try Data([2]).write(to: folder.checkpoint)
        #expect(try finish().contains("last_checkpoint.safetensors"))
    }

    /// Also where the file system has no nameless files.
    @Test(arguments: [true, false]) func aFileIsThereWholeOrNotAtAll(canBeNameless: Bool) throws {
        let scratch = try ScratchFolder()
        let url = scratch.url.appendingPathComponent("generator.safetensors")
        func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: scratch.url.path) }
        func new() throws -> NewFile { try NewFile(at: url.path, canBeNameless: canBeNameless) }
        do {
            let abandoned = try new()
            try abandoned.write(Data(repeating: 1, count: 1 << 20))
            let left = try names()
            #expect(left.count == (canBeNameless ? 0 : 1), "an interruption now would leave \(left)")
            #expect(left.allSatisfy { $0.hasPrefix(".") })
            withExtendedLifetime(abandoned) {}
        }
        #expect(try names().isEmpty)
        // Two processes that write the same file do not mix its bytes.
        let files = [try new(), try new()]
        let contents = ["old", "new"]
        for (file, content) in zip(files, contents) { try file.write(Data(content.utf8)) }
        for (file, content) in zip(files, contents) {
            try file.place()
            #expect(try String(contentsOf: url, encoding: .utf8) == content)
        }
        #expect(try names() == [url.lastPathComponent])
        let mode = try FileManager.default.attributesOfItem(atPath: url.path)[.posixPermissions] as? Int
        #expect(mode.map { $0 & 0o444 != 0 } == true)
        #expect(throws: CommandFailure.self) { try NewFile(at: scratch.url.appendingPathComponent("none/file")) }
    }

    /// A file system in the network may say so only when the bytes are synced.
    @Test(arguments: [true, false]) func aDiskThatIsFullAtTheEndLeavesTheOldFile(canBeNameless: Bool) throws {
        let scratch = try ScratchFolder()
        let url = scratch.url.appendingPathComponent("generator.safetensors")
        try Data("old".utf8).write(to: url)
        do {
            let new = try NewFile(at: url.path, canBeNameless: canBeNameless, syncing: { _ in ENOSPC })
            try new.write(Data("new".utf8))
            let failure = #expect(throws: CommandFailure.self) { try new.place() }
            #expect(failure?.message.contains("free some, or name another place") == true)
        }
        #expect(try String(contentsOf: url, encoding: .utf8) == "old")
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.url.path) == [url.lastPathComponent])
    }
}
