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
        #expect(tile.status == 0 && tile.output.contains("moss_96x64_tile-2.png: 96x64, seam x"), "\(tile.errors)")
    }

    @Test func aFolderGetsPicturesWithTheirUsualNames() throws {
        try FileManager.default.createDirectory(atPath: scratch.path("set"), withIntermediateDirectories: false)
        for folder in ["set", "set/", "set//"] {
            let one = try report(expand("--json", "-o", folder))
            #expect(one.outputs.map(\.path) == ["set/moss_2x.png"])
            let some = try report(expand("--variations", "2", "--json", "-o", folder))
            #expect(some.outputs.map(\.path) == ["set/moss_2x-1.png", "set/moss_2x-2.png"])
        }
        // Standard output, also beside a folder of that name.
        try FileManager.default.createDirectory(atPath: scratch.path("-"), withIntermediateDirectories: false)
        let piped = try TexloomProcess(
            ["expand", generator, photograph, "-o", "-"], folder: scratch.url,
            launcher: ["/usr/bin/env", "--chdir", scratch.url.path])
        #expect(piped.wait().status == 0)
        #expect(try piped.outputBytes == Data(contentsOf: URL(fileURLWithPath: scratch.path("set/moss_2x.png"))))
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path("-")).isEmpty)
        let missing = try expand("--variations", "2", "-o", "none/")
        #expect(missing.status == 2 && missing.errors.contains("none/moss_2x-1.png"), "\(missing.errors)")
    }

    /// As the cluster cuts it, see `whatIsMadeOfALongNameFitsAFolder`.
    @Test func aLongNameIsCutSoThatTheResultsFits() throws {
        let name = String(repeating: "n", count: 250) + ".png"
        try FileManager.default.copyItem(atPath: photograph, toPath: scratch.path(name))
        let expanded = try TexloomProcess(
            ["expand", generator, name, "--json"], folder: scratch.url,
            launcher: ["/usr/bin/env", "--chdir", scratch.url.path]
        ).wait()
        #expect(try report(expanded).outputs.map(\.path) == [String(repeating: "n", count: 175) + "_2x.png"])
    }

    @Test func variationsNearAPictureAreOfTheCropsThatAreLikeIt() throws {
        // Smooth, and different everywhere.
        var pixels: [UInt8] = []
        for y in 0..<64 {
            for x in 0..<72 { pixels += [UInt8(2 * x + y), UInt8(3 * y), UInt8((x * y) / 20)] }
        }
        let slope = Image(width: 72, height: 64, pixels: pixels)
        try slope.png().write(to: URL(fileURLWithPath: photograph))
        for name in ["near.png", "crop.png"] {
            try slope.cropped(x: 20, y: 9, width: 36, height: 32).png()
                .write(to: URL(fileURLWithPath: scratch.path(name)))
        }
        let near = try report(
            expand("--variations", "3", "--near", scratch.path("near.png"), "--json", "-o", "n.png"))
        #expect(near.outputs.map(\.path) == ["n-1.png", "n-2.png", "n-3.png"])
        #expect(Set(near.outputs.map(\.sha256)).count == 3)
        let whole = try TexloomProcess.run(
            ["expand", generator, scratch.path("crop.png"), "--json", "-o", scratch.path("c.png")], folder: scratch.url)
        #expect(near.outputs[0].sha256 == (try report(whole).outputs[0].sha256))
        let many = try expand("--variations", "2000", "--near", scratch.path("near.png"), "-o", "m.png")
        #expect(many.status == 2 && many.errors.contains("expected at most --variations"), "\(many.errors)")
    }

    @Test func aLayoutDecidesSizeAndLight() throws {
        let layout = scratch.path("layout.png")
        try Image(
            width: 100, height: 60,
            pixels: (0..<60).flatMap { _ in (0..<100).flatMap { x in [UInt8](repeating: x < 50 ? 20 : 90, count: 3) } }
        ).png().write(to: URL(fileURLWithPath: layout))
        let first = try report(expand("--layout", layout, "--json", "-o", "l.png")).outputs[0]
        #expect(first.width == 200 && first.height == 120)
        let again = try report(expand("--layout", layout, "--strength", "1", "--seed", "1", "--json", "-o", "m.png"))
        #expect(again.outputs[0].sha256 == first.sha256)
        for other in [["--seed", "2"], ["--strength", "0.2"]] {
            let result = try TexloomProcess.run(
                ["expand", generator, photograph, "--layout", layout, "--json", "-o", scratch.path("n.png")] + other,
                folder: scratch.url)
            #expect(try report(result).outputs[0].sha256 != first.sha256)
        }
        let several = try report(
            expand(
                "--layout", layout, "--variations", "2", "--size", "120x96", "--seamless", "both", "--json", "-o",
                "v.png"
            ))
        #expect(several.outputs.map(\.width) == [120, 120] && several.outputs.map(\.height) == [96, 96])
        #expect(Set(several.outputs.map(\.sha256)).count == 2)
    }

    @Test func aTileOfSixteenBitsIsRolledWithItsInput() throws {
        func expanded(_ name: String, _ image: Image) throws -> DeepImage {
            try image.png().write(to: URL(fileURLWithPath: scratch.path("\(name).png")))
            let result = try TexloomProcess.run(
                [
                    "expand", generator, scratch.path("\(name).png"), "--depth", "16", "--seamless", "both",
                    "--periodic-input", "-o", scratch.path("\(name)-2x.png"),
                ], folder: scratch.url)
            #expect(result.status == 0, "\(result.errors)")
            return try deepPicture("\(name)-2x.png")
        }
        let photo = try picture("moss.png")
        let (tile, rolled) = (try expanded("tile", photo), try expanded("rolled", photo.rolled(x: 12, y: -8)))
        #expect(tile.pixels.contains { $0 % 257 != 0 })
        #expect(rolled == tile.rolled(x: 24, y: -16))
    }

    @Test func messagesAboutACropNameTheCrop() throws {
        for (arguments, part) in [
            (["--variations", "2", "--size", "10000x10"], "a crop of moss.png has 36x32 pixels"),
            (["--size", "20000x10"], "moss.png has 72x64 pixels"),
            (["--input", "tiles:5", "--size", "20000x10"], "the shuffled moss.png has 70x60 pixels"),
            (["--variations", "2", "--size", "90x96", "--seamless", "both"], "2 doublings of a crop of moss.png"),
        ] {
            let result = try TexloomProcess.run(["expand", generator, photograph] + arguments, folder: scratch.url)
            #expect(result.status != 0, "\(arguments)")
            let text = result.errors.replacingOccurrences(of: scratch.url.path + "/", with: "")
            #expect(text.contains(part), "\(arguments): \(result.errors)")
        }
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
            (["--size", "40"], "expected WxH, such as 40x40"), (["--size", "0x9"], "WxH"),
            (["--size", "90x90", "--times", "2"], "expected one of them"),
            (["--size", "96x96", "--seamless", "x", "--periodic-input"], "does not tile"),
            (["--size", "13312x12288", "--seamless", "both"], "megapixels"),
            (["--size", "576x8", "--seamless", "x"], "takes 72x1 pixels"),
            (["--layout", photograph, "--size", "9223372036854775807x16"], "megapixels"),
            (["--layout", photograph, "--size", "4000000000x4000000000"], "megapixels"),
            (["--json", "-o", "-"], "standard output"),
            (["--variations", "0"], "expected 1 to 10000"), (["--variations", "2", "-o", "-"], "numbers are added"),
            (["--seed", "3"], "has no effect"), (["--input", "tiles:1"], "tiles:N"), (["--input", "clouds"], "noise"),
            (["--input", "tiles:20"], "take fewer tiles"), (["--depth", "12"], "expected 8 or 16"),
            (["--near", "a.png"], "expected --variations N too"), (["--strength", "1"], "expected --layout"),
            (["--layout", "a.png", "--strength", "1.5"], "expected 0 to 1"),
            (["--layout", "a.png", "--input", "noise"], "expected one of them"),
            (["--layout", "a.png", "--seamless", "x", "--periodic-input"], "does not tile"),
            (["--near", "a.png", "--variations", "2", "--seed", "1"], "nothing is random"),
            (["--near", "a.png", "--variations", "2", "--input", "tiles"], "expected one of them"),
            (["--depth", "16", "-o", "deep.jpg"], "a JPEG has 8 bits"),
            (["--input", "noise", "--seamless", "x", "--periodic-input"], "do not tile"),
        ] {
            let result = try TexloomProcess.run(["expand", generator, photograph] + arguments, folder: scratch.url)
            #expect(result.status == 2 && result.errors.contains(part), "\(arguments): \(result.errors)")
        }
    }
}
