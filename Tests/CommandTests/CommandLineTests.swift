import Foundation
import Testing

import Imaging
import NNCore
@testable import texloom

@Suite struct CommandLineTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    @Test func exitCodesSayWhatWentWrong() throws {
        func status(_ arguments: [String], _ environment: [String: String] = [:]) throws -> (Int32, String) {
            let result = try TexloomProcess.run(arguments, folder: scratch.url, environment: environment)
            return (result.status, result.errors)
        }
        #expect(try TexloomProcess.run(["recipes"], folder: scratch.url).status == 0)
        #expect(try status(["expand", "missing.safetensors", "x.png"]).0 == 1)
        let photo = scratch.path("photo.png")
        try TinyCluster.exemplar(seed: 1).write(to: URL(fileURLWithPath: photo))
        let exchanged = try status(["expand", photo, "generator.safetensors"])
        #expect(exchanged.0 == 1 && exchanged.1.contains("is a PNG image, not a safetensors file"), "\(exchanged.1)")
        let folder = try status(["evaluate", scratch.url.path, photo])
        #expect(folder.0 == 1 && folder.1.contains("is a folder; expected a PNG or a JPEG"), "\(folder.1)")
        #expect(try status(["expand"]).0 == 2)
        #expect(try status(["recipes", "nosuch"]).0 == 2)
        for arguments in [["recipes", "drft"], ["train", photo, "--recipe", "drft"]] {
            let (code, message) = try status(arguments)
            #expect(code == 2 && message.contains("did you mean 'draft'?"), "\(message)")
        }
        #expect(try status(["worker", "--slots", "none"]).0 == 2)
        // No server listens on port 9.
        let (code, message) = try status(["list"], ["TEXLOOM_API": "http://127.0.0.1:9"])
        #expect(code == 75 && message.contains("127.0.0.1:9"))
    }

    @Test func anInterruptedTrainingGoesOnBitForBit() throws {
        let pixels = (0..<40 * 40 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }
        let exemplar = scratch.path("moss.png")
        try Image(width: 40, height: 40, pixels: pixels).png().write(to: URL(fileURLWithPath: exemplar))
        let recipe = TinyCluster.recipe(iterations: 1500, checkpointEvery: 100_000)
        func train(_ out: String) -> [String] {
            ["train", exemplar, "--out", scratch.path(out), "--threads", "1"] + recipe
        }
        let first = try TexloomProcess(train("a"), folder: scratch.url)
        try eventually("a snapshot is there", stopping: first) {
            FileManager.default.fileExists(atPath: scratch.path("a/moss_result/img/itr00000050.png"))
        }
        first.send(SIGINT)
        first.send(SIGCONT)
        #expect(first.wait().status == 85)
        let second = try TexloomProcess.run(train("a"), folder: scratch.url)
        #expect(second.status == 0 && second.output.contains("resumed at iteration"), "\(second.errors)")
        #expect(try TexloomProcess.run(train("b"), folder: scratch.url).status == 0)
        let file = "moss_result/generator.safetensors"
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: scratch.path("a/\(file)")))
                == Data(contentsOf: URL(fileURLWithPath: scratch.path("b/\(file)"))))
        let rows = try ResultFolder(in: URL(fileURLWithPath: scratch.path("a")), name: "moss").readMetrics()
        #expect(
            rows.map(\.iteration) == rows.map(\.iteration).sorted() && Set(rows.map(\.iteration)).count == rows.count)
    }

    @Test func aTrainingWhoseLastCheckpointIsDamagedGoesOnFromTheOneBefore() throws {
        let pixels = (0..<40 * 40 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }
        let exemplar = scratch.path("moss.png")
        try Image(width: 40, height: 40, pixels: pixels).png().write(to: URL(fileURLWithPath: exemplar))
        let recipe = TinyCluster.recipe(iterations: 900, checkpointEvery: 100)
        func train(_ out: String) -> [String] {
            ["train", exemplar, "--out", scratch.path(out), "--threads", "1"] + recipe
        }
        let first = try TexloomProcess(train("a"), folder: scratch.url)
        let folder = try ResultFolder(in: URL(fileURLWithPath: scratch.path("a")), name: "moss")
        try eventually("two checkpoints are there", stopping: first) {
            [folder.checkpoint, folder.previousCheckpoint].allSatisfy {
                FileManager.default.fileExists(atPath: $0.path)
            }
        }
        first.killAndWait()
        let iteration = try Safetensors(contentsOf: folder.previousCheckpoint).metadata["iteration"]!
        var bytes = try Data(contentsOf: folder.checkpoint)
        let whole = bytes
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: folder.checkpoint)
        let second = try TexloomProcess.run(train("a"), folder: scratch.url)
        #expect(
            second.status == 0 && second.output.contains("resumed at iteration \(iteration)\n"), "\(second.errors)")
        #expect(!second.output.contains("resuming"), "it is said once")
        #expect(second.errors.contains("last_checkpoint.safetensors") && second.errors.contains("sum is wrong"))
        #expect(!FileManager.default.fileExists(atPath: folder.previousCheckpoint.path), "a finished run needs one")
        #expect(try TexloomProcess.run(train("b"), folder: scratch.url).status == 0)
        let file = "moss_result/generator.safetensors"
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: scratch.path("a/\(file)")))
                == Data(contentsOf: URL(fileURLWithPath: scratch.path("b/\(file)"))))

        // With both damaged, the command must not guess.
        try FileManager.default.removeItem(at: folder.resultJSON)
        try bytes.write(to: folder.checkpoint)
        try Data(whole.prefix(100)).write(to: folder.previousCheckpoint)
        let third = try TexloomProcess.run(train("a"), folder: scratch.url)
        #expect(third.status == 1 && third.errors.contains("remove them to train from the start"), "\(third.errors)")
    }

    /// The system may give it the next time. A run from an older one, or from the start, would replace it.
    @Test func aCheckpointThatCannotBeReadIsNeitherReplacedNorCalledDamaged() throws {
        let pixels = (0..<40 * 40 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }
        let exemplar = scratch.path("moss.png")
        try Image(width: 40, height: 40, pixels: pixels).png().write(to: URL(fileURLWithPath: exemplar))
        let train =
            ["train", exemplar, "--out", scratch.path("a"), "--threads", "1"] + TinyCluster.recipe(iterations: 20)
        #expect(try TexloomProcess.run(train, folder: scratch.url).status == 0)
        let folder = try ResultFolder(in: URL(fileURLWithPath: scratch.path("a")), name: "moss")
        try FileManager.default.removeItem(at: folder.resultJSON)
        try FileManager.default.moveItem(at: folder.checkpoint, to: folder.previousCheckpoint)
        // A folder in its place: root, too, cannot read that.
        try FileManager.default.createDirectory(at: folder.checkpoint, withIntermediateDirectories: false)
        let again = try TexloomProcess.run(train, folder: scratch.url)
        #expect(again.status == 1 && again.errors.contains("last_checkpoint.safetensors: cannot be read: "))
        #expect(!again.errors.contains("is whole") && !again.output.contains("resumed"), "\(again.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder.resultJSON.path))
    }

    @Test func theWeightsCommandAndTheSetupScriptPinTheSameSum() throws {
        let script = try Project.text("scripts/setup")
        #expect(script.contains("weights_sha256=\(try #require(WeightsCommand.pinnedSHA256[.vgg16]))"))
    }

    @Test func aTorchvisionCheckpointBecomesFeatureWeights() throws {
        // A state dict in PyTorch's zip format, made without PyTorch: thin layers, real names.
        let make = """
            import io, pickle, struct, sys, zipfile, collections
            class Ref:
                def __init__(self, key, count): self.key, self.count = key, count
            class P(pickle.Pickler):
                def persistent_id(self, o):
                    return ("storage", FloatStorage, o.key, "cpu", o.count) if isinstance(o, Ref) else None
            class FloatStorage: pass
            FloatStorage.__module__ = "torch"; FloatStorage.__qualname__ = "FloatStorage"
            def _rebuild_tensor_v2(*a): pass
            _rebuild_tensor_v2.__module__ = "torch._utils"
            import types
            for name, value in {"torch": {"FloatStorage": FloatStorage}, "torch._utils": {"_rebuild_tensor_v2": _rebuild_tensor_v2}}.items():
                m = types.ModuleType(name); m.__dict__.update(value); sys.modules[name] = m
            class T:
                def __init__(self, *a): self.a = a
                def __reduce__(self): return (_rebuild_tensor_v2, self.a)
            state, data, channels, index = collections.OrderedDict(), {}, 3, 0
            for block, count in enumerate([2, 2, 4, 4, 4]):
                for _ in range(count):
                    out = 2 + block
                    for kind, shape in (("weight", (out, channels, 3, 3)), ("bias", (out,))):
                        n, stride = 1, []
                        for e in reversed(shape): stride.insert(0, n); n *= e
                        key = str(len(data)); data[key] = struct.pack(f"<{n}f", *[index + i / 64 for i in range(n)])
                        state[f"features.{index}.{kind}"] = T(Ref(key, n), 0, shape, tuple(stride), False, collections.OrderedDict())
                    channels, index = out, index + 2
                index += 1
            b = io.BytesIO(); P(b, 2).dump(state)
            with zipfile.ZipFile(sys.argv[1], "w") as z:
                z.writestr("archive/data.pkl", b.getvalue())
                for k, v in data.items(): z.writestr(f"archive/data/{k}", v)
            """
        let script = scratch.path("make.py")
        try Data(make.utf8).write(to: URL(fileURLWithPath: script))
        let python = Process()
        python.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        python.arguments = ["python3", script, scratch.path("vgg19.pth")]
        try python.run()
        python.waitUntilExit()
        try #require(python.terminationStatus == 0)
        let environment = ["TEXLOOM_WEIGHTS_DIR": scratch.path("weights")]
        let converted = try TexloomProcess.run(
            ["weights", "--convert", scratch.path("vgg19.pth")], folder: scratch.url, environment: environment)
        #expect(converted.status == 0, "\(converted.errors)")
        #expect(converted.output.contains("vgg19  complete"))
        let file = try Safetensors(contentsOf: URL(fileURLWithPath: scratch.path("weights/vgg19.safetensors")))
        #expect(try file.floats("conv2_1.weight", shape: [3, 2, 3, 3]).prefix(2) == [5, 5 + 1 / 64])
        // The error names a file that is not a checkpoint.
        try Data("not a checkpoint".utf8).write(to: scratch.url.appendingPathComponent("bad.pth"))
        let refused = try TexloomProcess.run(
            ["weights", "--convert", scratch.path("bad.pth")], folder: scratch.url, environment: environment)
        #expect(refused.status == 1 && refused.errors.contains("bad.pth"))
        try TinyCluster.exemplar(seed: 1).write(to: scratch.url.appendingPathComponent("p.png"))
        let picture = try TexloomProcess.run(
            ["weights", "--convert", scratch.path("p.png")], folder: scratch.url, environment: environment)
        #expect(
            picture.errors.contains(
                "p.png is a PNG image, not torchvision's VGG19; expected vgg19-dcbb9e9d.pth ('texloom weights"),
            "\(picture.errors)")
        #expect(!picture.errors.contains("generator.safetensors"))
    }

    @Test func exemplarsAreFoundInFilesFoldersAndPatterns() throws {
        for name in ["a.png", "b.JPG", ".hidden", "c.txt"] {
            try Data([1]).write(to: scratch.url.appendingPathComponent(name))
        }
        try FileManager.default.createDirectory(atPath: scratch.path("inner"), withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: scratch.path(".loop"), withDestinationPath: ".loop")
        let folder = scratch.url.path
        let found = ExemplarFiles.collect(
            [folder, scratch.path("*.png"), scratch.path("missing.png"), scratch.path(".loop/a.png")])
        #expect(
            found == [
                .file("\(folder)/a.png"), .file("\(folder)/b.JPG"), .file("\(folder)/c.txt"),
                .refused("\(folder)/inner", reason: "is a folder; name it to submit what is in it"),
                .refused(scratch.path("missing.png"), reason: "no such file"),
                .refused(scratch.path(".loop/a.png"), reason: "Too many levels of symbolic links"),
            ])
    }

    @Test func metricsRowsSurviveTheirLines() throws {
        let row = ResultFolder.Row(iteration: 7, unixSeconds: 12.5, ["l1", "style"], [0.25, .nan])
        #expect(row.line == "{\"iteration\":7,\"unix_seconds\":12.5,\"l1\":0.25}")
        #expect(
            ResultFolder.Row(line: Substring(row.line))
                == ResultFolder.Row(iteration: 7, unixSeconds: 12.5, values: ["l1": 0.25]))
    }
}

@Suite struct InstructionSetTests {
    private static let v3: Set<Substring> = [
        "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave", "sse4_2",
    ]

    @Test func aBuildIsRefusedWhereWhatItNeedsIsMissing() throws {
        #expect(InstructionSet.refusal(on: Self.v3, level: 3) == nil)
        let old = try #require(InstructionSet.refusal(on: Self.v3.subtracting(["avx2", "movbe"]), level: 3))
        #expect(old.contains("avx2, movbe is missing") && old.contains("TEXLOOM_MARCH=native"))
        let narrow = try #require(InstructionSet.refusal(on: Self.v3, level: 4))
        #expect(narrow.contains("x86-64-v4") && narrow.contains("avx512f"))
    }

    @Test func aBuildForAnotherCPUOrOneThatCannotBeAskedIsNotRefused() {
        #expect(InstructionSet.refusal(on: ["sse2"], level: 0) == nil)
        #expect(InstructionSet.refusal(on: [], level: 3) == nil)
    }
}
