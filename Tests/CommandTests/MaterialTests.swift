import Foundation
import FoundationXML
import ImageFixtures
import Imaging
import NNCore
import Testing

@testable import texloom

/// `texloom train` and `texloom expand` on the maps of a material.
@Suite struct MaterialTests {
    let scratch: ScratchFolder
    private let folder: String
    private var generator: String { scratch.path("out/waves_result/generator.safetensors") }

    init() throws {
        scratch = try ScratchFolder()
        folder = scratch.path("waves")
        try WavesMaterial.write(to: folder)
    }

    private func texloom(_ arguments: [String]) throws -> TexloomProcess.Result {
        try TexloomProcess(
            arguments, folder: scratch.url, launcher: ["/usr/bin/env", "--chdir", scratch.url.path]
        ).wait()
    }

    private func train(_ exemplar: [String], _ more: [String] = []) throws -> TexloomProcess.Result {
        try texloom(
            ["train"] + exemplar + ["--out", scratch.path("out"), "--threads", "1"]
                + TinyCluster.recipe(iterations: 10) + more)
    }

    private func expand(_ arguments: String...) throws -> TexloomProcess.Result {
        try texloom(["expand", generator, folder] + arguments)
    }

    private func header(_ path: String) throws -> (width: Int, depth: Int, isGrey: Bool) {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path(path)))
        return (try Image.header(of: bytes, name: path).width, Int(bytes[24]), bytes[25] == 0)
    }

    @Test func aFolderTrainsAGeneratorThatWritesTheSameMaps() throws {
        let trained = try train([folder])
        #expect(trained.status == 0, "\(trained.errors)")
        #expect(trained.output.contains("maps albedo,normal-dx,roughness,displacement"))
        #expect(trained.output.contains(" on 1 thread of this machine"), "how long it takes: \(trained.output)")
        #expect(trained.output.contains("'texloom expand' enlarges folders of maps with "), "\(trained.output)")
        let result = try String(contentsOfFile: scratch.path("out/waves_result/result.json"), encoding: .utf8)
        #expect(result.contains("\"normal-dx\""))
        // Finished: the same command changes nothing.
        #expect(try train([folder]).output.contains("finished already"))

        let expanded = try expand()
        #expect(expanded.status == 0, "\(expanded.errors)")
        let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("waves_2x")).sorted()
        #expect(
            names == [
                "waves_2x.mtlx", "waves_2x_Color.png", "waves_2x_Displacement.png", "waves_2x_NormalDX.png",
                "waves_2x_Roughness.png",
            ])
        #expect(try header("waves_2x/waves_2x_Color.png") == (72, 8, false))
        #expect(try header("waves_2x/waves_2x_Displacement.png") == (72, 16, true))
        #expect(try header("waves_2x/waves_2x_Roughness.png") == (72, 8, true))
        // Another generator takes the result.
        let again = try texloom(["expand", generator, scratch.path("waves_2x"), "-o", scratch.path("four")])
        #expect(again.status == 0, "\(again.errors)")
        #expect(try header("four/four_NormalDX.png").width == 144)

        let normals = try Image(contentsOf: URL(fileURLWithPath: scratch.path("waves_2x/waves_2x_NormalDX.png")))
        for start in stride(from: 0, to: normals.pixels.count, by: 3) {
            let sum = (0..<3).reduce(0.0) { $0 + pow(Double(normals.pixels[start + $1]) / 127.5 - 1, 2) }
            #expect(abs(sum.squareRoot() - 1) <= 1 / 255)
        }
    }

    @Test func verbsOfExpandWorkOnMaterials() throws {
        #expect(try train([folder]).status == 0)
        #expect(try expand("--size", "100x60", "--depth", "16", "-o", "big").status == 0)
        #expect(try header("big/big_Roughness.png") == (100, 16, true))
        let report = try expand("--seamless", "both", "-o", "tile", "--json")
        #expect(report.status == 0, "\(report.errors)")
        let json = try JSONSerialization.jsonObject(with: Data(report.output.utf8)) as? [String: Any]
        let outputs = json?["outputs"] as? [[String: Any]]
        #expect(outputs?.map { $0["map"] as? String } == ["albedo", "normal-dx", "roughness", "displacement"])
        #expect(outputs?.map { $0["depth"] as? Int } == [8, 8, 8, 16])
        #expect(outputs?.first?["seam_x"] != nil)
        #expect(try expand("--variations", "2", "--seed", "3", "-o", "many").status == 0)
        #expect(try header("many-2/many-2_Color.png").width == 36)
    }

    @Test func namesOfFoldersKeepTheirDots() throws {
        #expect(try train([folder]).status == 0)
        for name in ["Rock.01", "Rock.02"] {
            try WavesMaterial.write(to: scratch.path(name))
            let expanded = try texloom(["expand", generator, name])
            #expect(expanded.status == 0, "\(expanded.errors)")
            #expect(try header("\(name)_2x/\(name)_2x_Color.png").width == 72)
        }
        #expect(try expand("--variations", "2", "-o", "set.v1").status == 0)
        #expect(try header("set.v1-2/set.v1-2_Color.png").width == 36)
    }

    @Test func theDescriptionNamesTheFiles() throws {
        #expect(try train([folder]).status == 0)
        #expect(try expand("-o", "7 walls & more").status == 0)
        let url = URL(fileURLWithPath: scratch.path("7 walls & more/7 walls & more.mtlx"))
        let document = try XMLDocument(contentsOf: url)
        let files = try document.nodes(forXPath: "//input[@type='filename']/@value").compactMap(\.stringValue)
        #expect(files.count == 4)
        let folder = url.deletingLastPathComponent().path
        for file in files {
            #expect(FileManager.default.fileExists(atPath: folder + "/" + file), "\(file)")
        }
        // Every reference has its node.
        let names = Set(try document.nodes(forXPath: "//*/@name").compactMap(\.stringValue))
        let references = try document.nodes(forXPath: "//@nodename | //@nodegraph | //@output")
            .compactMap(\.stringValue)
        #expect(references.count > 8 && names.isSuperset(of: references))
        #expect(names.allSatisfy { $0.wholeMatch(of: /[A-Za-z_][A-Za-z0-9_]*/) != nil })
        // The albedo alone has colours.
        #expect(try document.nodes(forXPath: "//@colorspace").count == 1)
    }

    @Test func mapsAreNamedByHandAndFramed() throws {
        let maps = [
            "--map", "albedo=\(folder)/waves_diff.png", "--map", "roughness=\(folder)/waves_disp.png", "--name", "two",
        ]
        let trained = try train(maps, ["--crop", "24x20"])
        #expect(trained.status == 0, "\(trained.errors)")
        #expect(trained.output.contains("(24x20, maps albedo,roughness)"))
        // The part that was trained on.
        let part = scratch.path("out/two_result/exemplar")
        #expect(try header("out/two_result/exemplar/exemplar_Roughness.png") == (24, 16, true))
        let generator = scratch.path("out/two_result/generator.safetensors")
        #expect(try texloom(["expand", generator, part, "-o", "double"]).status == 0)
        let byHand = try texloom(
            ["expand", generator, "--map", "albedo=\(part)/exemplar_Color.png", "--map"]
                + ["roughness=\(part)/exemplar_Roughness.png", "-o", "hand"])
        #expect(byHand.status == 0, "\(byHand.errors)")
        let one = try Data(contentsOf: URL(fileURLWithPath: scratch.path("double/double_Color.png")))
        #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path("hand/hand_Color.png"))) == one)
    }

    /// Training reads the part's files: samples are rounded to their bits, and normals get unit length.
    @Test(arguments: [["--crop", "24x20"], ["--resize", "24"]])
    func aPartOfAMaterialIsKnownAgain(_ framing: [String]) throws {
        let trained = try train([folder], framing)
        #expect(trained.status == 0, "\(trained.errors)")
        let again = try train([folder], framing)
        #expect(again.status == 0 && again.output.contains("finished already"), "\(again.output)\(again.errors)")
        // The files themselves are the same exemplar.
        let part = try train([scratch.path("out/waves_result/exemplar")], ["--name", "waves"])
        #expect(part.status == 0 && part.output.contains("finished already"), "\(part.output)\(part.errors)")
    }

    /// A folder without a name would be the root folder, and two sets of maps in one folder are none.
    @Test func aMaterialIsWrittenToAFolderOfItsOwn() throws {
        #expect(try train([folder]).status == 0)
        let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        for (output, words) in [
            ("", "expected a path"), ("/", "expected the name of a folder"), ("//", "expected the name of a folder"),
            ("waves", "is the folder of the input itself"), ("out/../waves/", "is the folder of the input itself"),
        ] {
            let result = try expand("-o", output)
            #expect(result.status == 2 && result.errors.contains(words), "\(output): \(result.errors)")
        }
        let maps = ["--map", "albedo=\(folder)/waves_diff.png", "--map", "normal-dx=\(folder)/waves_nor_dx.png"]
        let more = ["--map", "roughness=\(folder)/waves_rough.png", "--map", "displacement=\(folder)/waves_disp.png"]
        let byHand = try texloom(["expand", generator] + maps + more + ["-o", folder])
        #expect(byHand.status == 2 && byHand.errors.contains("the input itself"), "\(byHand.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before)
        for missing in [["expand", generator, ""], ["expand", "", folder]] {
            let result = try texloom(missing)
            #expect(result.status == 2 && result.errors.contains("expected a path"), "\(result.errors)")
        }
        // The folder's name, not its dot, which would hide the files.
        try FileManager.default.createDirectory(atPath: scratch.path("here"), withIntermediateDirectories: false)
        for more in [[], ["--variations", "2"]] {
            let here = try TexloomProcess(
                ["expand", generator, folder, "-o", "."] + more, folder: scratch.url,
                launcher: ["/usr/bin/env", "--chdir", scratch.path("here")]
            ).wait()
            #expect(here.status == 0, "\(here.errors)")
        }
        #expect(try header("here/here_Color.png").width == 72)
        let names = try FileManager.default.contentsOfDirectory(atPath: scratch.path("here"))
        #expect(names.filter { !$0.hasPrefix("here") }.sorted() == ["waves_2x-1", "waves_2x-2"])
        #expect(try header("here/waves_2x-2/waves_2x-2_Color.png").width == 36)
    }

    /// Maps that are too large for an exemplar, too: the pictures to expand may be as large as texloom reads.
    @Test func aMaterialThatDoesNotFitTheMemoryIsRefusedBeforeItsMapsAreDecoded() throws {
        #expect(try train([folder]).status == 0)
        for side in [1024, 5000] {
            // The header of a large map, and nothing that could be decoded.
            let map = PNGFixture(width: side, height: side, bitDepth: 8, colorType: .rgb, rows: [[]]).encoded()
            for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
                try map.write(to: URL(fileURLWithPath: folder).appendingPathComponent(name))
            }
            let result = try expand("--memory", "64")
            #expect(result.status == 2 && result.errors.contains("expected at least --memory"), "\(result.errors)")
        }
    }

    @Test func theFilesOfAMaterialAreReplacedTogetherOrNotAtAll() throws {
        #expect(try train([folder]).status == 0)
        try FileManager.default.createDirectory(
            atPath: scratch.path("set/set.mtlx"), withIntermediateDirectories: true)
        let blocked = try expand("-o", "set")
        #expect(blocked.status == 2 && blocked.errors.contains("set.mtlx is a folder"), "\(blocked.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path("set")) == ["set.mtlx"])
        // Files of at most 512 bytes, so that the first map fails.
        let failed = try TexloomProcess(
            ["expand", generator, folder, "-o", "new/inner"], folder: scratch.url,
            launcher: ["/bin/sh", "-c", "cd '\(scratch.url.path)' && ulimit -f 1 && exec \"$@\"", "sh"]
        ).wait()
        #expect(failed.status == 1, "\(failed.errors)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("new")))
    }

    @Test func mapsThatTheGeneratorDoesNotKnowAreNamed() throws {
        #expect(try train([folder]).status == 0)
        let metal = folder + "/waves_metal.png"
        try FileManager.default.copyItem(atPath: folder + "/waves_rough.png", toPath: metal)
        let result = try expand()
        #expect(result.status == 0 && result.errors.contains("the map metalness is not used"), "\(result.errors)")
    }

    @Test func aDamagedMapIsNoWrongUsage() throws {
        #expect(try train([folder]).status == 0)
        let map = URL(fileURLWithPath: folder + "/waves_rough.png")
        try Data(contentsOf: map).dropLast(40).write(to: map)
        for result in [try expand(), try train([folder], ["--name", "damaged"])] {
            #expect(result.status == 1 && result.errors.contains("waves_rough.png"), "\(result.errors)")
        }
    }

    @Test func aFolderWhoseNameIsNoTextIsRefusedByItsName() throws {
        #expect(try train([folder]).status == 0)
        let script = """
            mv waves $'caf\\xe9' && "$0" expand '\(generator)' $'caf\\xe9'
            test $? = 1 || exit 9
            "$0" expand '\(generator)' --map albedo=$'caf\\xe9/waves_diff.png'
            test $? = 1 || exit 8
            mv $'caf\\xe9' waves && "$0" expand '\(generator)' waves -o $'caf\\xe9'
            test $? = 2 || exit 7
            """
        let shell = Process()
        let errors = scratch.url.appendingPathComponent("shell.err")
        try Data().write(to: errors)
        shell.executableURL = URL(fileURLWithPath: "/bin/bash")
        shell.arguments = ["-c", script, TexloomProcess.executable.path]
        shell.environment = TexloomProcess.environment(home: scratch.url)
        shell.currentDirectoryURL = scratch.url
        shell.standardError = try FileHandle(forWritingTo: errors)
        try shell.run()
        shell.waitUntilExit()
        let said = try String(contentsOf: errors, encoding: .utf8)
        #expect(shell.terminationStatus == 0, "\(said)")
        #expect(said.split(separator: "\n").count { $0.contains("caf\\xE9") && $0.contains("UTF-8") } == 3, "\(said)")
    }

    @Test func whatDoesNotFitIsRefusedInWords() throws {
        #expect(try train([folder]).status == 0)
        let picture = folder + "/waves_diff.png"
        func refused(_ arguments: [String], _ words: String) throws {
            let result = try texloom(arguments)
            #expect(result.status != 0 && result.errors.contains(words), "\(arguments): \(result.errors)")
        }
        try refused(["expand", generator, picture], "is one image")
        try refused(["expand", generator, folder, "-o", "-"], "expected a folder")
        try refused(
            ["expand", generator, "--map", "albedo=\(picture)", "--map", "roughness=\(picture)"], "normal-dx")
        try refused(["expand", generator, "--map", "albedo=\(picture)", "--map", "shine=\(picture)"], "shine")
        try refused(["expand", generator], "expected an image")
        // A refusal leaves no folder.
        try refused(["expand", generator, folder, "--size", "20000x10", "-o", "none/big"], "which is 8 doublings")
        try refused(["expand", generator, folder, "-o", "\(picture)/big"], "big cannot be made a folder")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("none")))
        try refused(["train", folder, "--map", "albedo=\(picture)"], "expected one of them")
        try refused(["train", scratch.url.path], "no albedo")

        let plain = try train([picture], ["--name", "plain"])
        #expect(plain.status == 0, "\(plain.errors)")
        try refused(["expand", scratch.path("out/plain_result/generator.safetensors"), folder], "knows no maps")
        // Its pictures are not looked at before.
        let photographs = scratch.path("out/plain_result/img")
        try refused(
            ["expand", scratch.path("out/plain_result/generator.safetensors"), photographs],
            "expected a picture instead of \(photographs)")
        // A folder's run belongs to its maps.
        try FileManager.default.removeItem(atPath: folder + "/waves_rough.png")
        let other = try train([folder], ["--name", "waves"])
        #expect(other.status != 0 && other.errors.contains("another exemplar"))
    }
}
