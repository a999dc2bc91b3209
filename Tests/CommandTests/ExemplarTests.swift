import Foundation
import ImageFixtures
import Imaging
import NNCore
import Testing

/// What the commands say about an exemplar and do with it.
@Suite struct ExemplarTests {
    let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    /// Noise with a transparent corner.
    private func writePhotograph(_ name: String, width: Int = 60, height: Int = 48) throws -> String {
        let rows = (0..<height).map { y in
            (0..<width).flatMap { x -> [UInt8] in
                let noise = (0..<3).map { UInt8(truncatingIfNeeded: (x * 31 + y * 17 + $0 * 7) &* (x ^ y &+ 5)) }
                return noise + [x < 2 && y < 2 ? 0 : 255]
            }
        }
        let fixture = PNGFixture(width: width, height: height, bitDepth: 8, colorType: .rgba, rows: rows)
        let path = scratch.path(name)
        try fixture.encoded().write(to: URL(fileURLWithPath: path))
        return path
    }

    /// Writes a header with a large size and no pixels.
    private func writeLarge(_ name: String) throws -> String {
        let path = scratch.path(name)
        try PNGFixture(width: 6000, height: 4000, bitDepth: 8, colorType: .rgb, rows: []).encoded()
            .write(to: URL(fileURLWithPath: path))
        return path
    }

    private func train(_ path: String, _ more: [String]) throws -> TexloomProcess.Result {
        try TexloomProcess.run(
            ["train", path, "--out", scratch.path("out"), "--threads", "1"] + TinyCluster.recipe(iterations: 20) + more,
            folder: scratch.url)
    }

    @Test func aPartOfAPhotographIsTrainedOnAndLeftForExpand() throws {
        let photograph = try writePhotograph("wall.png")
        let framing = ["--crop", "50x40+0+0", "--resize", "40"]
        let first = try train(photograph, framing)
        #expect(first.status == 0, "\(first.errors)")
        #expect(first.output.contains("wall.png: transparent pixels are laid over white"))
        #expect(first.output.contains("of 60x48 pixels, its part 50x40+0+0 is taken as 40x32"))
        let folder = scratch.url.appendingPathComponent("out/wall_result")
        let exemplar = folder.appendingPathComponent("exemplar.png")
        let expected = try Framing(crop: Framing.Window("50x40+0+0"), longestSide: 40).frame(
            Image(contentsOf: URL(fileURLWithPath: photograph)), name: "wall")
        #expect(try Image(contentsOf: exemplar) == expected)
        let log = try String(contentsOf: folder.appendingPathComponent("log.jsonl"), encoding: .utf8)
        #expect(log.contains("laid over white") && log.contains("its part 50x40+0+0"))
        // The same crop continues the same run; another crop is another run.
        #expect(try train(photograph, framing).output.contains("is finished already"))
        #expect(try train(photograph, ["--crop", "50x40+1+0", "--resize", "40"]).status == 2)

        let small = try train(photograph, ["--crop", "50x40+0+0", "--resize", "10"])
        #expect(small.errors.contains("wall.png after --crop and --resize is 10x8 pixels"), "\(small.errors)")

        let generator = folder.appendingPathComponent("generator.safetensors").path
        let large = scratch.path("large.png")
        let expanded = try TexloomProcess.run(["expand", generator, photograph, "-o", large], folder: scratch.url)
        #expect(expanded.status == 0 && expanded.errors.contains("transparent pixels"), "\(expanded.errors)")
        #expect(try Image.header(of: Data(contentsOf: URL(fileURLWithPath: large)), name: "x").width == 120)
    }

    @Test func aPhotographThatIsTooLargeIsRefusedBeforeAnythingIsWritten() throws {
        let large = try writeLarge("camera.png")
        let refused = try train(large, [])
        #expect(refused.status == 1 && refused.errors.contains("24.0 megapixels"), "\(refused.errors)")
        #expect(refused.errors.contains("--resize 5016") && refused.errors.contains("--crop"))
        #expect(!FileManager.default.fileExists(atPath: scratch.path("out")))
        // The crop of a readable picture can also be too large.
        let wide = scratch.path("wide.png")
        try Image(width: 9000, height: 2000, pixels: [UInt8](repeating: 9, count: 54_000_000)).png()
            .write(to: URL(fileURLWithPath: wide))
        #expect(try train(wide, ["--crop", "8900x2000"]).errors.contains("8900x2000 pixels"))
        #expect(try train(wide, ["--crop", "9001x20"]).errors.contains("does not lie within"))
        #expect(try train(wide, ["--crop", "12"]).status == 2)
        #expect(try train(wide, ["--resize", "0"]).status == 2)
    }

    @Test func aGeneratorOfNoNumbersIsRefused() throws {
        let photograph = try writePhotograph("wall.png")
        #expect(try train(photograph, []).status == 0)
        let file = scratch.url.appendingPathComponent("out/wall_result/generator.safetensors")
        let whole = try Safetensors(contentsOf: file)
        var writer = SafetensorsWriter(metadata: whole.metadata)
        for (name, entry) in whole.entries {
            let values = try whole.floats(name, shape: entry.shape)
            writer.add(name, shape: entry.shape) { name == "tail.bias" ? values.map { _ in .nan } : values }
        }
        try writer.write(to: file)
        let result = try TexloomProcess.run(["expand", file.path, photograph], folder: scratch.url)
        #expect(result.status == 1 && result.errors.contains("values that are not finite"), "\(result.errors)")
    }

    @Test func aSubmittedPartIsWhatIsTrainedAndTheJobsLogSaysWhatWasDone() throws {
        let cluster = try TinyCluster()
        try cluster.startWorker("one")
        let photograph = try writePhotograph("wall.png")
        let recipe = TinyCluster.recipe(iterations: 20)
        let large = try writeLarge("camera.png")
        let submitted = try cluster.run(["submit", photograph, large] + recipe)
        #expect(submitted.status == 1 && submitted.output.contains("transparent pixels are laid over white"))
        #expect(submitted.output.contains("refused   \(large)") && submitted.output.contains("--resize 5016"))
        let part = try cluster.run(["submit", photograph, "--name", "part", "--crop", "44x40"] + recipe)
        #expect(part.status == 0 && part.output.contains("its part 44x40 is taken as 44x40"), "\(part.output)")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        #expect(try cluster.run(["logs", "wall"]).output.contains("wall.png: transparent pixels are laid over white"))
        #expect(try cluster.run(["logs", "part"]).output.contains("(44x40)"))
    }

    /// Limits with ulimit -v, which batch systems set as h_vmem.
    @Test func aLimitOfAddressesIsKeptOrSpokenOf() throws {
        let photograph = try writePhotograph("wall.png")
        func limited(_ kibibytes: Int, _ arguments: [String]) throws -> (status: Int32, errors: String) {
            let process = Process()
            let errors = Pipe()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments =
                ["-c", "ulimit -v \(kibibytes) && exec \"$0\" \"$@\"", TexloomProcess.executable.path] + arguments
            process.environment = TexloomProcess.environment(home: scratch.url)
            process.standardOutput = FileHandle.nullDevice
            process.standardError = errors
            try process.run()
            let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            return (process.terminationStatus, text)
        }
        let training =
            ["train", photograph, "--out", scratch.path("out"), "--threads", "1"] + TinyCluster.recipe(iterations: 20)
        let enough = try limited(4_000_000, training)
        #expect(enough.status == 0, "\(enough.errors)")
        // More than the arena's share of the limit.
        let little = try limited(
            1_200_000, ["bench", "expand", "--size", "2400", "--memory", "4000", "--threads", "1", "--repeats", "1"])
        #expect(little.status == 2 && little.errors.contains("raise that limit (ulimit -v)"), "\(little.errors)")
        let worker = try limited(1_200_000, ["worker", "--slots", "4", "--data", scratch.path("worker")])
        #expect(worker.status == 2 && worker.errors.contains("ulimit -v"), "\(worker.errors)")
    }
}
