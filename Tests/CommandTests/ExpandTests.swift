import Crypto
import Foundation
import Imaging
import NNCore
import Testing

@testable import texloom

/// Results of `texloom expand`: sizes, files, reports.
@Suite struct ExpandTests {
    let scratch: ScratchFolder
    private let photograph: String
    private let generator: String

    init() throws {
        scratch = try ScratchFolder()
        photograph = scratch.path("moss.png")
        let image = Image(
            width: 72, height: 64, pixels: (0..<72 * 64 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) })
        try image.png().write(to: URL(fileURLWithPath: photograph))
        generator = scratch.path("out/moss_result/generator.safetensors")
        let trained = try TexloomProcess.run(
            ["train", photograph, "--out", scratch.path("out"), "--threads", "1"] + TinyCluster.recipe(iterations: 10),
            folder: scratch.url)
        #expect(trained.status == 0, "\(trained.errors)")
    }

    private func expand(_ arguments: String...) throws -> TexloomProcess.Result {
        let process = try TexloomProcess(
            ["expand", generator, photograph] + arguments, folder: scratch.url,
            launcher: ["/usr/bin/env", "--chdir", scratch.url.path])
        return process.wait()
    }

    private struct Report: Decodable {
        struct Output: Decodable {
            let path: String
            let width: Int
            let height: Int
            let depth: Int
            let sha256: String
            let seconds: Double
            let seam_x: Double?
        }
        let outputs: [Output]
    }

    private func report(_ result: TexloomProcess.Result) throws -> Report {
        #expect(result.status == 0, "\(result.errors)")
        return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    private func picture(_ name: String) throws -> Image {
        try Image(contentsOf: URL(fileURLWithPath: scratch.path(name)))
    }

    @Test func aSizeIsReachedExactlyAndReported() throws {
        let output = try #require(try report(expand("--size", "301x150", "--json")).outputs.first)
        #expect(output.path == "moss_301x150.png" && output.width == 301 && output.height == 150 && output.depth == 8)
        #expect(output.seconds > 0 && output.seam_x == nil)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path(output.path)))
        #expect(SHA256.hash(data: bytes).map { String(format: "%02x", $0) }.joined() == output.sha256)
        let large = try picture(output.path)
        #expect(large.width == 301 && large.height == 150)
    }

    @Test func theMiddleIsDoubledAsOftenAsNecessary() throws {
        #expect(try expand("--size", "304x152", "-o", "sized.png").status == 0)
        // Three doublings of 38x19 pixels.
        try picture("moss.png").middle(width: 38, height: 19).png()
            .write(to: URL(fileURLWithPath: scratch.path("moss.png")))
        let whole = try expand("--times", "3", "-o", "whole.png")
        #expect(whole.status == 0 && whole.output.contains("whole.png: 304x152"), "\(whole.errors)")
        #expect(try picture("whole.png") == picture("sized.png"))
    }

    @Test func aTileHasTheSizeThatIsAskedFor() throws {
        let output = try #require(
            try report(expand("--size", "192x128", "--seamless", "both", "--json", "-o", "tile.png")).outputs.first)
        #expect(output.width == 192 && output.height == 128 && output.seam_x != nil)
        let odd = try expand("--size", "194x128", "--seamless", "both")
        #expect(odd.status == 2 && odd.errors.contains("multiples of 16"), "\(odd.errors)")
        let oneAxis = try expand("--size", "192x99", "--seamless", "x", "-o", "row.png")
        #expect(oneAxis.status == 0 && oneAxis.output.contains("row.png: 192x99, seam x"), "\(oneAxis.errors)")
    }

    @Test func variationsDifferAndTheSeedBringsThemBack() throws {
        for input in ["image", "tiles:2", "noise"] {
            let first = try report(
                expand("--variations", "3", "--seed", "7", "--input", input, "--json", "-o", "a.png"))
            #expect(first.outputs.map(\.path) == ["a-1.png", "a-2.png", "a-3.png"])
            #expect(Set(first.outputs.map(\.sha256)).count == 3)
            let again = try report(
                expand("--variations", "3", "--seed", "7", "--input", input, "--json", "-o", "b.png"))
            #expect(again.outputs.map(\.sha256) == first.outputs.map(\.sha256))
            let other = try report(
                expand("--variations", "1", "--seed", "8", "--input", input, "--json", "-o", "c.png"))
            #expect(other.outputs[0].path == "c-1.png" && other.outputs[0].sha256 != first.outputs[0].sha256)
            // A crop has half the sides.
            #expect(first.outputs[0].width == (input == "image" ? 72 : 144))
        }
        let tile = try expand("--variations", "2", "--size", "96x64", "--seamless", "both")
        #expect(tile.status == 0 && tile.output.contains("moss_96x64-2.png: 96x64, seam x"), "\(tile.errors)")
    }

    @Test func sixteenBitsGoThroughTheGeneratorAndOut() throws {
        let shallow = try report(expand("--json", "-o", "eight.png"))
        let deep = try report(expand("--depth", "16", "--json", "-o", "sixteen.png"))
        #expect(shallow.outputs[0].depth == 8 && deep.outputs[0].depth == 16)
        let (eight, sixteen) = (try picture("eight.png"), try deepPicture("sixteen.png"))
        // One rounding each, of the same numbers.
        let differences = zip(eight.pixels, sixteen.pixels).map { abs(257 * Int($0) - Int($1)) }
        #expect((differences.max() ?? 0) <= 129)
        #expect(sixteen.pixels.contains { $0 % 257 != 0 })
        // Sixteen bits of the input count, too.
        let photo = try picture("moss.png")
        let finer = DeepImage(
            width: photo.width, height: photo.height,
            pixels: photo.pixels.enumerated().map { UInt16($1) * 257 / 2 + UInt16($0 % 100) })
        let file = scratch.path("finer.png")
        try finer.png().write(to: URL(fileURLWithPath: file))
        let rounded = scratch.path("rounded.png")
        try Image(contentsOf: URL(fileURLWithPath: file)).png().write(to: URL(fileURLWithPath: rounded))
        let digests = try [file, rounded].map { path in
            let result = try TexloomProcess.run(
                ["expand", generator, path, "--depth", "16", "--times", "2", "--json", "-o", scratch.path("f.png")],
                folder: scratch.url)
            return try report(result).outputs[0].sha256
        }
        #expect(digests[0] != digests[1])
    }

    private func deepPicture(_ name: String) throws -> DeepImage {
        try DecodedRaster<UInt16>(contentsOf: URL(fileURLWithPath: scratch.path(name))).image
    }

    @Test func whatCannotBeHadIsRefused() throws {
        for (arguments, part) in [
            (["--size", "20000x10"], "expected at most 18432x16384, which is 8 doublings"),
            (["--size", "40"], "WxH"), (["--size", "0x9"], "WxH"),
            (["--size", "90x90", "--times", "2"], "expected one of them"),
            (["--size", "96x96", "--seamless", "x", "--periodic-input"], "does not tile"),
            (["--size", "13312x12288", "--seamless", "both"], "megapixels"),
            (["--json", "-o", "-"], "standard output"),
            (["--variations", "0"], "expected 1 to 10000"), (["--variations", "2", "-o", "-"], "numbers are added"),
            (["--seed", "3"], "has no effect"), (["--input", "tiles:1"], "tiles:N"), (["--input", "clouds"], "noise"),
            (["--input", "tiles:20"], "take fewer tiles"), (["--depth", "12"], "expected 8 or 16"),
            (["--depth", "16", "-o", "deep.jpg"], "a JPEG has 8 bits"),
            (["--input", "noise", "--seamless", "x", "--periodic-input"], "do not tile"),
            (["--size", "9000x9000", "-o", "large.jpg"], "expected a name that ends in .png"),
        ] {
            let result = try TexloomProcess.run(["expand", generator, photograph] + arguments, folder: scratch.url)
            #expect(result.status == 2 && result.errors.contains(part), "\(arguments): \(result.errors)")
        }
    }
}
