import Foundation
import Imaging
import NNCore
import Testing

@testable import texloom

/// `texloom train` and its results, as users run it.
@Suite struct TrainTests {
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func writeExemplar(_ name: String, seed: Int = 7) throws -> String {
        let url = scratch.url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        let pixels = (0..<40 * 40 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / seed) }
        try Image(width: 40, height: 40, pixels: pixels).png().write(to: url)
        return url.path
    }

    private func arguments(_ exemplar: String, iterations: Int, _ more: [String] = []) -> [String] {
        ["train", exemplar, "--out", scratch.path("out"), "--threads", "1"]
            + TinyCluster.recipe(iterations: iterations, checkpointEvery: 100) + more
    }

    private func start(
        _ exemplar: String, iterations: Int = 1_000_000, launcher: [String] = []
    ) throws -> TexloomProcess {
        try TexloomProcess(
            arguments(exemplar, iterations: iterations), folder: scratch.url, launcher: launcher)
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: scratch.path(path)) }

    private func listing(_ folder: String) throws -> [String: Data] {
        let names = try FileManager.default.subpathsOfDirectory(atPath: scratch.path(folder))
        return Dictionary(
            uniqueKeysWithValues: names.map {
                ($0, FileManager.default.contents(atPath: scratch.path("\(folder)/\($0)")) ?? Data())
            })
    }

    @Test func aSecondTrainingOfTheSameNameLeavesTheFirstAlone() throws {
        let brick = try writeExemplar("brick/albedo.png")
        let wood = try writeExemplar("wood/albedo.png", seed: 11)
        let first = try start(brick)
        defer { first.killAndWait() }
        try eventually("a checkpoint is there") { exists("out/albedo_result/last_checkpoint.safetensors") }
        // A stopped process writes nothing, so another process causes every change.
        first.send(SIGSTOP)
        let before = try listing("out/albedo_result")

        let same = try TexloomProcess.run(arguments(brick, iterations: 40), folder: scratch.url)
        #expect(same.status == 75, "\(same.errors)")
        #expect(same.errors.contains("in use by process \(first.id) on") && same.errors.contains(brick))
        let named = try TexloomProcess.run(
            arguments(wood, iterations: 40, ["--name", "albedo"]), folder: scratch.url)
        #expect(named.status == 75 && named.errors.contains("--name"), "\(named.errors)")
        // Another exemplar gets its own folder, and a second run finds that folder again.
        for expected in ["done: ", "is finished already"] {
            let other = try TexloomProcess.run(arguments(wood, iterations: 40), folder: scratch.url)
            #expect(other.status == 0 && other.output.contains(expected), "\(other.errors)")
            #expect(other.output.contains("out/wood_albedo_result"))
        }
        #expect(try listing("out/albedo_result") == before)

        first.send(SIGCONT)
        first.send(SIGTERM)
        #expect(first.wait().status == 85)
        let again = try TexloomProcess.run(arguments(wood, iterations: 40, ["--name", "albedo"]), folder: scratch.url)
        #expect(again.status == 2 && again.errors.contains("holds a run of another exemplar"), "\(again.errors)")
        // The same file with other contents means that the user changed it. It is not another exemplar.
        _ = try writeExemplar("brick/albedo.png", seed: 13)
        let changed = try TexloomProcess.run(arguments(brick, iterations: 40), folder: scratch.url)
        #expect(changed.status == 2 && !exists("out/brick_albedo_result"), "\(changed.errors)")
    }

    @Test func theLastJSONLineNamesTheResult() throws {
        let exemplar = try writeExemplar("moss.png")
        // Trained, then finished already.
        for _ in 1...2 {
            let result = try TexloomProcess.run(arguments(exemplar, iterations: 40, ["--json"]), folder: scratch.url)
            let last = try #require(result.output.split(separator: "\n").last)
            let object = try JSONSerialization.jsonObject(with: Data(last.utf8)) as? [String: String]
            #expect(object?["event"] == "finished" && object?["verdict"]?.isEmpty == false, "\(last)")
            #expect(object?["folder"] == scratch.path("out/moss_result"))
            #expect(object?["generator"] == scratch.path("out/moss_result/generator.safetensors"))
        }
    }

    /// A job of the same name has a folder of the same name.
    @Test func aResultHasTheNameOfAJobsFolder() throws {
        let exemplar = try writeExemplar("Großer Stein (2).png")
        func train(_ more: String...) throws -> TexloomProcess.Result {
            try TexloomProcess.run(arguments(exemplar, iterations: 20, more), folder: scratch.url)
        }
        #expect(try train().output.contains("done: ") && exists("out/Großer Stein _2__result/result.json"))
        // An earlier release has trained it.
        try FileManager.default.moveItem(
            atPath: scratch.path("out/Großer Stein _2__result"), toPath: scratch.path("out/Großer Stein (2)_result"))
        let known = try train()
        #expect(known.output.contains("Großer Stein (2)_result is finished already"), "\(known.output)")
        #expect(!known.errors.contains("another exemplar") && !exists("out/Großer Stein _2__result"))
        #expect(try train("--name", ".hidden").output.contains("done: ") && exists("out/hidden_result"))
        let nameless = try train("--name", "")
        #expect(nameless.status == 2 && nameless.errors.contains("--name has 0 bytes"), "\(nameless.errors)")
    }

    /// What `--checkpoint-days` and `--quota` leave of a gathered job.
    @Test func aResultWithoutACheckpointIsLeftAlone() throws {
        let exemplar = try writeExemplar("moss.png")
        func train(_ more: String...) throws -> TexloomProcess.Result {
            try TexloomProcess.run(arguments(exemplar, iterations: 40, more), folder: scratch.url)
        }
        #expect(try train().status == 0)
        let folder = ResultFolder(named: "moss", in: URL(fileURLWithPath: scratch.path("out")))
        try FileManager.default.removeItem(at: folder.checkpoint)
        func generator() throws -> String { try sha256(of: folder.generator) }
        let before = try generator()
        let same = try train()
        #expect(same.status == 0 && same.output.contains("is finished already"), "\(same.output)\(same.errors)")
        let other = try train("--set", "seed=77")
        #expect(other.status == 2 && other.errors.contains("another exemplar or recipe"), "\(other.errors)")
        // As an interrupted gathering leaves it.
        try FileManager.default.removeItem(at: folder.resultJSON)
        #expect(try train("--set", "seed=77").status == 2)
        #expect(try generator() == before)
        #expect(try train().output.contains("done: "))
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGXCPU])
    func everySignalThatAsksForAnEndLeavesACheckpoint(signal: Int32) throws {
        let training = try start(try writeExemplar("moss.png"), launcher: TinyCluster.heedingHangUps)
        try eventually("a snapshot is there") { exists("out/moss_result/img/itr00000050.png") }
        training.send(signal)
        let ended = training.wait()
        #expect(ended.status == 85 && ended.errors.contains("with a checkpoint"), "\(ended.errors)")
        let checkpoint = scratch.path("out/moss_result/last_checkpoint.safetensors")
        #expect(try Safetensors(contentsOf: URL(fileURLWithPath: checkpoint)).hasValidChecksum == true)
    }

    @Test func aTrainingUnderNohupOutlivesItsTerminal() throws {
        let training = try start(
            try writeExemplar("moss.png"), launcher: ["/usr/bin/env", "--ignore-signal=HUP"])
        try eventually("a snapshot is there") { exists("out/moss_result/img/itr00000050.png") }
        training.send(SIGHUP)
        try eventually("it trains on") { exists("out/moss_result/img/itr00000300.png") }
        training.send(SIGTERM)
        #expect(training.wait().status == 85)
    }

    @Test func aSecondInterruptionIsAnnouncedAndEndsAtOnce() throws {
        let training = try start(try writeExemplar("moss.png"))
        try eventually("a snapshot is there") { exists("out/moss_result/img/itr00000050.png") }
        // Without its folder, the program tries to write the checkpoint for ten seconds.
        try FileManager.default.removeItem(atPath: scratch.path("out/moss_result/.training"))
        training.send(SIGUSR1)
        training.send(SIGTERM)
        training.send(SIGINT)
        try eventually("it says what another does, and waits", stopping: training) {
            training.errors.contains("press Ctrl-C again to end at once")
                && training.output.contains("waiting for the disk")
        }
        #expect(training.isRunning)
        training.send(SIGINT)
        training.send(SIGCONT)
        let ended = training.wait()
        #expect(ended.wasKilled && ended.status == SIGINT)
    }

    @Test func rowsThatTheFileLostComeBackFromTheCheckpoint() throws {
        let exemplar = try writeExemplar("moss.png")
        let training = try start(exemplar, iterations: 600)
        try eventually("two checkpoints are there", stopping: training) {
            exists("out/moss_result/previous_checkpoint.safetensors")
        }
        training.send(SIGTERM)
        training.send(SIGCONT)
        #expect([0, 85].contains(training.wait().status))
        let folder = try ResultFolder(in: URL(fileURLWithPath: scratch.path("out")), name: "moss")
        try? FileManager.default.removeItem(at: folder.resultJSON)
        let lines = try String(contentsOf: folder.metrics, encoding: .utf8).split(separator: "\n")
        try Data((lines.prefix(7).joined(separator: "\n") + "\n{\"iter").utf8).write(to: folder.metrics)
        let resumed = try TexloomProcess.run(arguments(exemplar, iterations: 600), folder: scratch.url)
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(folder.readMetrics().map(\.iteration) == [1] + Array(stride(from: 5, through: 600, by: 5)))
    }

    @Test func aGeneratorIsWrittenAndUsedFromACheckpoint() throws {
        let exemplar = try writeExemplar("moss.png")
        #expect(try TexloomProcess.run(arguments(exemplar, iterations: 60), folder: scratch.url).status == 0)
        let folder = scratch.path("out/moss_result")
        let checkpoint = "\(folder)/last_checkpoint.safetensors"
        let written = try TexloomProcess.run(
            ["generator", checkpoint, "-o", scratch.path("g.safetensors")], folder: scratch.url)
        #expect(written.status == 0, "\(written.errors)")
        let isSame = FileManager.default.contentsEqual(
            atPath: scratch.path("g.safetensors"), andPath: "\(folder)/generator.safetensors")
        #expect(isSame)
        for file in [checkpoint, scratch.path("g.safetensors")] {
            let output = scratch.path("\(URL(fileURLWithPath: file).lastPathComponent).png")
            let expanded = try TexloomProcess.run(["expand", file, exemplar, "-o", output], folder: scratch.url)
            #expect(expanded.status == 0, "\(expanded.errors)")
        }
        #expect(
            FileManager.default.contentsEqual(
                atPath: scratch.path("last_checkpoint.safetensors.png"), andPath: scratch.path("g.safetensors.png")))

        let again = try TexloomProcess.run(
            ["generator", scratch.path("g.safetensors"), "-o", scratch.path("h.safetensors")], folder: scratch.url)
        #expect(again.status == 1 && again.errors.contains("is a generator already"), "\(again.errors)")
        let whole = try TexloomProcess.run(
            ["export", folder, "-o", scratch.path("m.onnx")], folder: scratch.url)
        #expect(whole.errors.contains("is a folder; expected a file in it, such as generator"), "\(whole.errors)")

        func expand(_ arguments: String...) throws -> TexloomProcess.Result {
            try TexloomProcess.run(["expand"] + arguments, folder: scratch.url)
        }
        let jpeg = scratch.path("double.jpg")
        #expect(try expand(checkpoint, exemplar, "-o", jpeg).status == 0)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: jpeg))
        let header = try Image.header(of: bytes, name: jpeg)
        #expect(header.format == .jpeg && header.width == 80 && header.height == 80)
        let other = try expand(checkpoint, exemplar, "-o", scratch.path("double.webp"))
        #expect(other.status == 2 && other.errors.contains("ends in .png or .jpg"), "\(other.errors)")
        let swapped = try expand(exemplar, checkpoint)
        #expect(swapped.status == 1 && swapped.errors.contains("were two arguments exchanged?"), "\(swapped.errors)")
        let photo = try Data(contentsOf: URL(fileURLWithPath: exemplar))
        let input = try expand(checkpoint, exemplar, "-o", exemplar)
        #expect(input.status == 2 && input.errors.contains("is the input"), "\(input.errors)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: exemplar)) == photo)
        // The program's standard output is a file here. It contains only the picture.
        let piped = try TexloomProcess(["expand", checkpoint, exemplar, "-o", "-"], folder: scratch.url)
        #expect(piped.wait().status == 0)
        #expect(try piped.outputBytes == Data(contentsOf: URL(fileURLWithPath: scratch.path("g.safetensors.png"))))
    }
}
