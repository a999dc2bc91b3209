import Foundation
import Testing

@testable import texloom

@Suite struct OutputFileTests {
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: scratch.url.path).sorted()
    }

    private func text(_ name: String) throws -> String {
        try String(contentsOfFile: scratch.path(name), encoding: .utf8)
    }

    private func refusal(_ path: String, sparing inputs: [String] = []) -> String {
        do {
            _ = try OutputFile(path, sparing: inputs)
            return "accepted"
        } catch { return (error as? CommandFailure)?.message ?? "\(error)" }
    }

    @Test func aFileIsReplacedWithItsPermissionsAndNothingStaysBeside() throws {
        let path = scratch.path("x.png")
        try OutputFile(path).write(Data("one".utf8))
        #expect(chmod(path, 0o640) == 0)
        try OutputFile(path).write(Data("another".utf8))
        #expect(try text("x.png") == "another")
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o640)
        #expect(try names() == ["x.png"])
    }

    /// Rows are written as they come, so only libjpeg's limit of a side counts.
    @Test func aJPEGMayBeAsLargeAsAPNGExceptForItsSides() throws {
        func output(_ width: Int, _ height: Int) throws -> PictureOutput {
            try PictureOutput(scratch.path("x.jpg"), width: width, height: height, bitDepth: 8, sparing: [])
        }
        _ = try output(32768, 32768)
        _ = try output(65_500, 16_000)
        for (width, height) in [(65_501, 2), (2, 65_501)] {
            let refused = #expect(throws: CommandFailure.self) { _ = try output(width, height) }
            #expect(refused?.message.contains("at most 65500 a side; expected a name that ends in .png") == true)
        }
        #expect(try names() == [])
    }

    @Test func linksStayAndLeadToWhatIsWritten() throws {
        try FileManager.default.createDirectory(atPath: scratch.path("inner"), withIntermediateDirectories: false)
        try Data("old".utf8).write(to: scratch.url.appendingPathComponent("inner/target"))
        for (link, target) in [("link", "inner/target"), ("second", "link"), ("dangling", "inner/new")] {
            try FileManager.default.createSymbolicLink(atPath: scratch.path(link), withDestinationPath: target)
            try OutputFile(scratch.path(link)).write(Data(link.utf8))
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: scratch.path(link)) == target)
            #expect(try text(link) == link)
        }
        #expect(try text("inner/target") == "second" && text("inner/new") == "dangling")
    }

    @Test func aPipeIsWrittenIntoAndStaysOne() throws {
        let path = scratch.path("pipe")
        try #require(mkfifo(path, 0o600) == 0)
        let reader = Process()
        reader.executableURL = URL(fileURLWithPath: "/bin/sh")
        reader.arguments = ["-c", "cat pipe > copy"]
        reader.currentDirectoryURL = scratch.url
        try reader.run()
        // More than the buffer of a pipe.
        let data = Data((0..<300_000).map { UInt8(truncatingIfNeeded: $0) })
        try OutputFile(path).write(data)
        reader.waitUntilExit()
        #expect(try Data(contentsOf: scratch.url.appendingPathComponent("copy")) == data)
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
    }

    @Test func whatHasNothingToSyncIsNoFailure() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let null = open("/dev/null", O_WRONLY)
        defer { for descriptor in ends + [null] { close(descriptor) } }
        #expect(syncAll(ends[1]) == nil && syncAll(null) == nil)
        #expect(syncAll(-1) == EBADF)
    }

    @Test func whatCannotBeWrittenIsRefusedBeforeTheWork() throws {
        let photo = scratch.path("photo.png")
        try Data("photo".utf8).write(to: URL(fileURLWithPath: photo))
        try FileManager.default.createSymbolicLink(atPath: scratch.path("link.png"), withDestinationPath: "photo.png")
        #expect(link(photo, scratch.path("twin.png")) == 0)
        for same in [photo, scratch.path("link.png"), scratch.path("twin.png"), scratch.path("./photo.png")] {
            #expect(refusal(same, sparing: ["none", photo]).contains("is the input \(photo) itself"))
        }
        #expect(refusal(photo) == "accepted" && refusal(scratch.path("new.png"), sparing: [photo]) == "accepted")
        #expect(refusal(scratch.url.path).contains("is a folder"))
        #expect(refusal(scratch.path("none/x.png")).contains("its folder does not exist"))
        #expect(refusal(scratch.path("none") + "/").contains("its folder does not exist"))
        #expect(refusal("\(photo)/x.png").contains("Not a directory"))
        #expect(refusal("").contains("cannot be written"))
        #expect(chmod(photo, 0o444) == 0 && refusal(photo).contains("is write-protected"))
        #expect(try text("photo.png") == "photo" && names() == ["link.png", "photo.png", "twin.png"])
    }
}

@Suite struct ExemplarNamesTests {
    @Test func filesThatShareANameGetTheirFoldersNameBefore() {
        let paths = ["brick/albedo.png", "wood/albedo.png", "wood/rings.jpg", "/albedo.png"]
        #expect(ExemplarNames.together(paths) == ["brick_albedo", "wood_albedo", "rings", "albedo"])
        // If folders do not distinguish the names, the coordinator's numbers do.
        #expect(ExemplarNames.together(["a/x.png", "a/x.jpg"]) == ["x", "x"])
        // Twins in the two forms of Unicode keep their own form.
        let twins = ExemplarNames.together(["a/caf\u{E9}.png", "a/cafe\u{301}.png"])
        #expect(twins.map { Array($0.utf8) } == [Array("caf\u{E9}".utf8), Array("cafe\u{301}".utf8)])
        let latin1 = FileName.text(of: Array("caf".utf8) + [0xE9, 0x2F] + Array("x.png".utf8))
        #expect(ExemplarNames.together([latin1, "b/x.png"]) == ["caf\u{FFFD}_x", "b_x"])
        // The folder of a material has no extension.
        #expect(ExemplarNames.together(["Rock.01", "Rock.02/", "v1.5/moss.JPG"]) == ["Rock.01", "Rock.02", "moss"])
        #expect(
            Array(ExemplarNames.candidates("brick/../wood/albedo.png").prefix(3))
                == ["albedo", "wood_albedo", "wood_albedo-2"])
    }
}
