import ClusterCore
import Foundation
import Protocol
import TextureGAN
import Testing

@testable import texloom

@Suite struct FileNameTests {
    private static let latin1: [UInt8] = Array("caf".utf8) + [0xE9] + Array(".png".utf8)

    @Test(
        arguments: [
            Array("plain.png".utf8), Array("café 織機 👩‍🔬".utf8), latin1, [0x80, 0xFF, 0xC3, 0x28, 0xE2, 0x82], [0xC3], [],
            [0xED, 0xA0, 0x80],
        ] as [[UInt8]])
    func everyNameKeepsItsBytes(bytes: [UInt8]) {
        #expect(FileName.bytes(of: FileName.text(of: bytes)) == bytes)
    }

    @Test(arguments: [
        ("x", ".", "x"), ("", ".", ""), ("/", "/", ""), ("/x", "/", "x"), ("../b/x.png", "../b", "x.png"),
        ("a/", "a", ""), ("\u{E9}", ".", "\u{E9}"),
        // A slash and an accent are one character.
        ("a/\u{301}x", "a", "\u{301}x"),
    ])
    func aPathHasAFolderAndAName(path: String, folder: String, name: String) {
        #expect(FileName.parent(ofPath: path) == folder && FileName.lastComponent(ofPath: path) == name)
    }

    @Test func whatIsNoTextIsWrittenOut() {
        let text = FileName.text(of: Self.latin1)
        #expect(FileName.readable(text) == "caf\\xE9.png" && FileName.readable("café") == "café")
        #expect(FileName.last(of: "folder/" + text) == "caf\u{FFFD}.png" && FileName.stem(of: text) == "caf\u{FFFD}")
        #expect(FileName.stem(of: "a/b.c.jpg") == "b.c")
    }

    @Test func aPictureWhoseNameIsNoTextIsClosedWhenItIsRead() throws {
        let scratch = try ScratchFolder()
        let path = scratch.url.path + "/" + FileName.text(of: Self.latin1)
        try TinyCluster.exemplar(seed: 1).write(to: scratch.url.appendingPathComponent("plain.png"))
        try #require(rename(scratch.path("plain.png"), FileName.cString(path)) == 0)
        let image = try loadImage(path)
        #expect(try pictureHeader(path).width == image.width)
        let folder = scratch.url.resolvingSymlinksInPath().path
        let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").filter { descriptor in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
            return target?.hasPrefix(folder) == true
        }
        #expect(open == [])
    }

    @Test func aLongNameIsCutAndKeepsItsExtension() {
        #expect(FileName.shortened("wall.png") == "wall.png")
        let long = "exemplar-" + String(repeating: "ä", count: 125) + ".png"
        let cut = FileName.shortened(long)
        #expect(cut == "exemplar-" + String(repeating: "ä", count: 121) + ".png" && cut.utf8.count == 255)
        // Neither is an extension.
        for name in [String(repeating: "n", count: 300), "a." + String(repeating: "n", count: 300)] {
            #expect(FileName.shortened(name) == String(name.prefix(255)))
        }
    }

    private func expansion(of fileName: String, _ options: String) -> JobSummary {
        JobSummary(
            id: "0000000001", kind: .expand, name: "n", resultName: "n", fileName: fileName, recipe: options,
            state: .finished, priority: 0, iteration: 1, totalIterations: 1, secondsPerIteration: nil,
            etaSeconds: nil, attempt: 1, failures: 0, worker: nil, reason: nil, exemplarSHA256: "",
            latestSnapshot: nil, latestSnapshotIteration: nil, submittedAt: Date(), startedAt: nil, finishedAt: nil,
            lossLatest: [:])
    }

    /// The MaterialX file refers to them.
    @Test func mapsAreCalledAsTheWorkerSays() {
        func names(_ first: String?, _ second: String?) -> [String] {
            let pictures = [("albedo", first), ("roughness", second)].map { map, name in
                "{\"map\":\"\(map)\"" + (name.map { ",\"name\":\"\($0)\"}" } ?? "}")
            }
            let report = "{\"pictures\":[\(pictures.joined(separator: ","))]}"
            let names = ProductNames(expansion(of: "wall", "seamless"), reportJSON: report)
            return [names.picture(1), names.picture(2)]
        }
        let own = ["wall_2x_tile/wall_2x_tile_Color.png", "wall_2x_tile/wall_2x_tile_Roughness.png"]
        #expect(names(nil, nil) == own)
        #expect(
            names("wall_2x_Color.png", "wall_2x_Roughness.png")
                == ["wall_2x_tile/wall_2x_Color.png", "wall_2x_tile/wall_2x_Roughness.png"])
        let long = String(repeating: "n", count: 252) + ".png"
        for bad in [nil, "", ".png", "..", "../a.png", "/a.png", "a/b.png", "a.exe", "a\\u0000.png", "a.png", long] {
            #expect(names("a.png", bad) == own, "\(bad ?? "none")")
        }
    }

    /// A slash and an accent are one character, which is not equal to a slash.
    @Test func noNameOfACoordinatorLeadsOutOfItsFolder() {
        let parent = URL(fileURLWithPath: "/tmp/out")
        for name in ["../\u{301}x", "..\u{0D4E}/x", "/\u{301}\0\u{301}", "a/../\u{301}b"] {
            let folder = ResultFolder(named: name, in: parent)
            #expect(folder.url.deletingLastPathComponent().path == parent.path, "\(folder.url.path)")
            #expect(folder.url.path.utf8.count { $0 == UInt8(ascii: "/") } == 3, "\(folder.url.path)")
            let map = folder.exemplarMap(MapFile(map: name, fileName: "a.png", sha256: ""))
            #expect(map.deletingLastPathComponent().path == folder.exemplarMaps.path, "\(map.path)")
            let picture = ProductNames(expansion(of: "wall\(name)", "size=64x64"), reportJSON: nil).picture(1)
            #expect(!picture.utf8.contains(UInt8(ascii: "/")), "\(picture)")
            #expect(!FileName.component(name).utf8.contains(0))
        }
        let report = "{\"pictures\":[{\"map\":\"albedo\",\"name\":\"x/\u{301}a.png\"}]}"
        let names = ProductNames(expansion(of: "wall", "seamless"), reportJSON: report)
        #expect(names.picture(1) == "wall_2x_tile/wall_2x_tile_Color.png")
    }

    /// `submit` takes every name that a file can have.
    @Test func whatIsMadeOfALongNameFitsAFolder() throws {
        let stem = String(repeating: "n", count: 251)
        func names(_ options: String, _ maps: [MapKind] = []) -> ProductNames {
            let pictures = maps.map { "{\"map\":\"\($0.rawValue)\"}" }.joined(separator: ",")
            return ProductNames(
                expansion(of: stem + ".png", options), reportJSON: maps.isEmpty ? nil : "{\"pictures\":[\(pictures)]}")
        }
        let sized = names("size=256x256")
        #expect(sized.picture(1).hasPrefix("nnn") && sized.picture(1).hasSuffix("n_256x256.png"))
        let longest = "size=99999x99999,seamless,variations=100,input=tiles"
        for name in [sized.picture(1), names(longest).picture(100), sized.picture(7)] {
            #expect((100...255).contains(name.utf8.count), "\(name)")
        }
        let map = names(longest, [.albedo, .ambientOcclusion]).picture(2)
        #expect(map.hasSuffix("_tile-1_AmbientOcclusion.png"), "\(map)")
        #expect(map.split(separator: "/").allSatisfy { (100...255).contains($0.utf8.count) }, "\(map)")
        let folder = ResultFolder(named: stem, in: URL(fileURLWithPath: "/tmp")).url.lastPathComponent
        #expect(folder.utf8.count == 255 && folder.hasSuffix("n_result"))
    }

    @Test func aMaterialWhoseNameIsNoTextIsRefusedInPlainWords() throws {
        let scratch = try ScratchFolder()
        let folder = scratch.path("mat") + FileName.text(of: [0xE9])
        try #require(mkdir(FileName.cString(folder), 0o755) == 0)
        defer { rmdir(FileName.cString(folder)) }
        let failure = #expect(throws: CommandFailure.self) { try TrainCommand.parse([folder]).run() }
        #expect(failure?.message.hasPrefix("\(scratch.path("mat"))\\xE9: the names of a material's files") == true)
        #expect(failure.map { "\($0)" } == failure?.message)
    }

    /// é is one character or two in Unicode, and Swift treats the two as equal.
    @Test func twinsInTheTwoFormsOfUnicodeAreTwoFiles() throws {
        let scratch = try ScratchFolder()
        let names = ["caf\u{E9}.png", "cafe\u{301}.png"]
        for name in names { try Data([1]).write(to: scratch.url.appendingPathComponent(name)) }
        let folder = scratch.url.path
        let expected: Set = Set(names.map { Array("\(folder)/\($0)".utf8) })
        for paths in [[folder], ["\(folder)/*.png"], names.map { "\(folder)/\($0)" }] {
            let found = ExemplarFiles.collect(paths).compactMap { candidate -> [UInt8]? in
                if case .file(let path) = candidate { Array(path.utf8) } else { nil }
            }
            #expect(Set(found) == expected && found.count == 2, "\(found.map { String(decoding: $0, as: UTF8.self) })")
        }
    }

    @Test func oldArchivesAreSubmittedTrainedAndExpandedAsTheyAre() throws {
        let cluster = try TinyCluster()
        let folder = cluster.scratch.folder.path("archive")
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        // A shell makes these files: Foundation cannot name the first.
        let plain = try cluster.writeExemplar("plain.png", seed: 1)
        let twin = try cluster.writeExemplar("twin.png", seed: 2)
        let recipe = TinyCluster.recipe(iterations: 10)
        let script = """
            cd '\(folder)' && cp '\(plain)' $'caf\\xe9.png' && cp '\(plain)' $'caf\\u00e9.png' \
            && cp '\(twin)' $'cafe\\u0301.png' || exit 9
            "$0" submit . "$@" && "$0" submit $'caf\\xe9.png' --name named "$@" && "$0" submit $'c\\xe9.png' "$@"
            echo "status $?"
            mkdir $'mat\\xe9' && touch $'mat\\xe9/m_Color.png' $'mat\\xe9/m_NormalGL.png'
            "$0" submit $'mat\\xe9' "$@"
            "$0" train $'caf\\xe9.png' --threads 1 --out . "$@" >/dev/null || exit 8
            "$0" expand *_result/generator.safetensors $'caf\\xe9.png' || exit 7
            """
        let shell = Process()
        let output = cluster.scratch.folder.url.appendingPathComponent("shell.out")
        try Data().write(to: output)
        shell.executableURL = URL(fileURLWithPath: "/bin/bash")
        shell.arguments = ["-c", script, TexloomProcess.executable.path] + recipe
        shell.environment = TexloomProcess.environment(home: cluster.scratch.folder.url).merging(
            ["TEXLOOM_API": cluster.address, "LC_ALL": "C.UTF-8"]) { $1 }
        shell.standardOutput = try FileHandle(forWritingTo: output)
        shell.standardError = shell.standardOutput
        try shell.run()
        shell.waitUntilExit()
        let said = try String(contentsOf: output, encoding: .utf8)
        #expect(shell.terminationStatus == 0, "\(said)")
        #expect(said.contains("3 accepted, 0 refused") && said.contains("caf\\xE9.png"), "\(said)")
        #expect(said.contains("refused   c\\xE9.png: no such file") && said.contains("status 1"), "\(said)")
        #expect(said.contains("refused   mat\\xE9: the names of a material's files"), "\(said)")
        #expect(said.contains("caf\u{FFFD}_2x.png: 80x72"), "\(said)")
        let jobs = try cluster.jobs()
        #expect(jobs.count == 4 && Set(jobs.map(\.resultName)).count == 4, "\(jobs.map(\.resultName))")
    }
}
