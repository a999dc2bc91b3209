import Testing

@testable import TextureGAN

/// Options of expansions and exports as text.
struct ExpansionOptionsTests {
    @Test(
        arguments: [
            ("", "times=1"), ("times=3", "times=3"), ("size=4096x2160", "size=4096x2160"),
            ("seamless,size=64x32", "size=64x32,seamless=both"), ("seamless=x", "times=1,seamless=x"),
            ("variations=4", "times=1,variations=4,seed=1"),
            ("input=tiles,seed=7,times=2", "times=2,input=tiles:4,seed=7"),
            ("depth=8", "times=1,depth=8"),
            ("input=noise,statistics=running,depth=16", "times=1,input=noise,seed=1,depth=16,statistics=running"),
        ])
    func equalOptionsAreOneText(text: String, canonical: String) throws {
        let options = try ExpansionOptions(text)
        #expect("\(options)" == canonical)
        #expect("\(try ExpansionOptions(canonical))" == canonical)
        #expect(try ExpansionOptions(canonical).names(stem: "a") == options.names(stem: "a"))
    }

    @Test(
        arguments: [
            ("size=10", "expected WxH, such as size=10x10"), ("size=wide", "such as size=4096x4096"),
            ("times=9", "--times 9: expected 1 to 8"), ("times", "expected NAME=VALUE"),
            ("size=8x8,times=1", "expected one of them"), ("seed=1", "has no effect"), ("seamless=z", "both, x or y"),
            ("memory=9", "there is no option 'memory'"), ("depth=12", "expected 8 or 16"), ("times=1,times=2", "twice"),
            ("periodic-input", "NAME=VALUE"), ("input=tiles:1", "image, tiles"), ("variations=0", "1 to 10000"),
        ])
    func aMistakeIsNamed(text: String, wanted: String) {
        let failure = #expect(throws: ExpansionFailure.self) { try ExpansionOptions(text) }
        #expect(failure?.message.contains(wanted) == true, "\(failure?.message ?? "")")
    }

    @Test func resultsHaveTheNamesOfTheCommand() throws {
        #expect(try ExpansionOptions("").names(stem: "moss") == ["moss_2x.png"])
        #expect(try ExpansionOptions("size=9x8").names(stem: "moss") == ["moss_9x8.png"])
        #expect(try ExpansionOptions("seamless=x").names(stem: "moss") == ["moss_2x_tile.png"])
        #expect(
            try ExpansionOptions("input=tiles,seamless").names(stem: "moss", extension: "") == ["moss_2x_tiles_tile"])
        #expect(try ExpansionOptions("").names(stem: "moss", guide: "layout") == ["moss_2x_layout.png"])
        #expect(try ExpansionOptions("times=2,variations=2").names(stem: "m") == ["m_4x-1.png", "m_4x-2.png"])
    }

    @Test(
        arguments: [
            (200, "seamless,size=1000x1000", ": 992x992 or 1024x1024"),
            // 992 pixels take three doublings, 1000 take four.
            (124, "seamless,size=1000x1000", ": 992x992 or 1024x1024"),
            (200, "seamless=x,size=1000x999", ": 992x999 or 1024x999"),
            (40, "seamless,size=34x34", ": 32x32 or 40x40"),
            // A smaller one would be made from fewer than 16 pixels.
            (16, "seamless,size=4090x4090", ": 4096x4096"),
        ])
    func theNearestSizesThatTileAreNamed(side: Int, text: String, wanted: String) throws {
        let options = try ExpansionOptions(text)
        let failure = #expect(throws: ExpansionFailure.self) {
            try PictureExpansion.check(options, of: "a.png", width: side, height: side)
        }
        #expect(failure?.message.hasSuffix("where they tile" + wanted) == true, "\(failure?.message ?? "")")
    }

    @Test func whatCannotBeMadeOfASizeIsKnownBeforeTheWork() throws {
        func check(_ text: String, _ width: Int, _ height: Int) throws {
            try PictureExpansion.check(try ExpansionOptions(text), of: "a.png", width: width, height: height)
        }
        for (text, width, height) in [
            ("times=1", 40, 36), ("size=300x200", 40, 36), ("seamless", 40, 36), ("seamless,size=64x64", 40, 36),
            ("variations=3", 9, 9), ("input=tiles:4", 16, 16),
        ] {
            #expect(throws: Never.self) { try check(text, width, height) }
        }
        for (text, width, height) in [
            ("size=40000x40000", 40, 36), ("seamless", 12, 40), ("seamless=x", 40, 12), ("seamless,size=66x64", 40, 36),
            ("times=8", 4000, 4000),
            ("input=tiles:8", 16, 16), ("size=30000x20000", 40, 36), ("seamless,size=16384x16384", 400, 400),
        ] {
            #expect(throws: ExpansionFailure.self, "\(text)") { try check(text, width, height) }
        }
    }

    @Test func anExportIsOneText() throws {
        for text in ["", "onnx", "format=onnx"] { #expect("\(try ExportOptions(text))" == "format=onnx") }
        #expect("\(try ExportOptions("onnx,statistics=running"))" == "format=onnx,statistics=running")
        for text in ["format=usd", "size=4x4", "statistics=batch", "statistics"] {
            #expect(throws: ExpansionFailure.self) { try ExportOptions(text) }
        }
        let object = #expect(throws: ExpansionFailure.self) { try ExportOptions("obj") }
        #expect(object?.message == "'obj' is not a format of export; expected onnx")
    }
}
