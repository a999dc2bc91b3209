import Foundation
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

        for (place, reason) in [
            ("/proc/none", "No such file or directory"), (exemplars[0], "Not a directory"),
        ] {
            let refused = try cluster.run(["gather", "--out", place])
            #expect(refused.status == 1 && refused.errors.contains(reason), "\(refused.errors)")
            #expect(!refused.errors.contains("Domain"), "\(refused.errors)")
        }
        try expectAMessageOnAFullDisk(cluster)
    }

    /// Limits files to 2 KiB, which is less than a network needs.
    private func expectAMessageOnAFullDisk(_ cluster: TinyCluster) throws {
        let limiter = "/usr/bin/prlimit"
        guard FileManager.default.isExecutableFile(atPath: limiter) else { return }
        let out = cluster.scratch.folder.url.appendingPathComponent("full")
        let process = Process()
        let errors = cluster.scratch.folder.url.appendingPathComponent("full.err")
        try Data().write(to: errors)
        process.executableURL = URL(fileURLWithPath: limiter)
        process.arguments = ["--fsize=2048", TexloomProcess.executable.path, "gather", "tile2", "--out", out.path]
        process.environment = ProcessInfo.processInfo.environment.merging(["TEXLOOM_API": cluster.address]) { $1 }
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        process.waitUntilExit()
        let said = try String(contentsOf: errors, encoding: .utf8)
        #expect(process.terminationReason == .exit && process.terminationStatus == 1, "\(said)")
        #expect(said.contains(".safetensors cannot be written: File too large"), "\(said)")
        let left = try FileManager.default.subpathsOfDirectory(atPath: out.path)
        #expect(!left.contains { $0.contains("partial") || $0.hasSuffix("safetensors") }, "\(left)")
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

    @Test func aFileIsThereWholeOrNotAtAll() throws {
        let scratch = try ScratchFolder()
        let url = scratch.url.appendingPathComponent("generator.safetensors")
        func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: scratch.url.path) }
        do {
            let abandoned = try NewFile(at: url)
            try abandoned.write(Data(repeating: 1, count: 1 << 20))
            #expect(try names().isEmpty, "an interruption now would leave what is here")
        }
        #expect(try names().isEmpty)
        for content in ["old", "new"] {
            let file = try NewFile(at: url)
            try file.write(Data(content.utf8))
            try file.place()
            #expect(try String(contentsOf: url, encoding: .utf8) == content)
        }
        #expect(try names() == [url.lastPathComponent])
        let mode = try FileManager.default.attributesOfItem(atPath: url.path)[.posixPermissions] as? Int
        #expect(mode.map { $0 & 0o444 != 0 } == true)
        #expect(throws: CommandFailure.self) { try NewFile(at: scratch.url.appendingPathComponent("none/file")) }
    }
}
