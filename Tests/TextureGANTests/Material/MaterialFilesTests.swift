import Foundation
import ImageFixtures
import Imaging
import Testing

@testable import TextureGAN

/// Which file of a material contains which map, and what is read from it.
@Suite struct MaterialFilesTests {
    private typealias Content = MapNames.Content

    @Test(arguments: [
        ("Bricks076C_1K-PNG_Color", MapKind.albedo), ("Bricks076C_1K-PNG_NormalGL", .normalGL),
        ("Bricks076C_1K-PNG_NormalDX", .normalDX), ("Bricks076C_1K-PNG_AmbientOcclusion", .ambientOcclusion),
        ("Metal032_2K-JPG_Metalness", .metalness), ("Bricks076C_1K-PNG_Displacement", .displacement),
        ("Leaf001_Opacity", .opacity), ("rock_wall_10_nor_gl_1k", .normalGL), ("rock_wall_10_nor_dx_4k", .normalDX),
        ("rock_wall_10_diff_1k", .albedo), ("rock_wall_10_rough_1k", .roughness),
        ("rock_wall_10_disp_8k", .displacement),
        ("metal_plate_ao_2k", .ambientOcclusion), ("metal_plate_metal_2k", .metalness), ("wood-base-color", .albedo),
        ("WoodBaseColor", .albedo), ("wood_basecolor", .albedo), ("Wood_Normal_OpenGL", .normalGL),
        ("Wood_Normal_DirectX", .normalDX), ("Wood_nrm", .normalGL), ("wood mtl", .metalness), ("wood.rgh", .roughness),
        ("wood_heightMap", .displacement), ("wood_alpha", .opacity), ("albedo", .albedo),
    ])
    func namesSayTheirMap(_ name: String, _ kind: MapKind) {
        #expect(MapNames.contents(of: [name]) == [.map(kind)])
    }

    @Test func packedMapsAndOtherWordsAreTold() {
        let all = Content.packed(hasOcclusion: true)
        #expect(MapNames.contents(of: ["wood_arm_1k", "wood_ORM"]) == [all, all])
        #expect(MapNames.contents(of: ["occlusionRoughnessMetallic"]) == [.packed(hasOcclusion: true)])
        #expect(MapNames.contents(of: ["Default_metalRoughness"]) == [.packed(hasOcclusion: false)])
        #expect(MapNames.contents(of: ["Bricks076C", "Bricks_Preview", "photo"]) == [nil, nil, nil])
        #expect(MapNames.contents(of: ["Bricks_AORoughnessMetallic", "b_aoRoughnessMetalness"]) == [all, all])
        #expect(MapNames.contents(of: ["Bricks_AmbientOcclusionRoughnessMetallic"]) == [all])
        for name in [
            "Bricks_SpecularColor", "Bricks_Normal_Bump", "Bricks_Color_preview", "Bricks_Color_1K_preview",
            "Bricks_Emission_Color", "Bricks_MaskRoughness", "Bricks_GlossMetal",
        ] {
            #expect(MapNames.contents(of: [name]) == [nil], "\(name)")
        }
        #expect(MapNames.contents(of: ["Leaf_OpacityMask"]) == [.map(.opacity)])
        #expect(MapNames.contents(of: ["Bricks_specularRoughness"]) == [.map(.roughness)])
        // What all names begin with is the material's name.
        #expect(
            MapNames.contents(of: ["metal_plate", "metal_plate_diff", "metal_plate_rough"])
                == [nil, .map(.albedo), .map(.roughness)])
    }

    /// "Gloss" belongs to the name of the material, also if not every picture in the folder begins with it.
    @Test func aForeignPictureChangesNoMap() throws {
        let names = ["HighGloss_BaseColor", "HighGloss_NormalGL", "HighGloss_Roughness"]
        for foreign in [[], ["thumb"], ["High"], ["a1", "z2"]] {
            let contents = MapNames.contents(of: names + foreign)
            #expect(contents.prefix(3) == [.map(.albedo), .map(.normalGL), .map(.roughness)], "\(foreign)")
            #expect(contents.dropFirst(3).allSatisfy { $0 == nil })
            #expect(MaterialFiles.areMaps((names + foreign).map { "\($0).png" }), "\(foreign)")
        }
    }

    @Test func aFolderWithoutAnAlbedoNamesWhatWasNotUsed() throws {
        try TinyRun.inFolder { folder in
            try file(folder, "a_Roughness.png", grey(77))
            for number in 1...5 { try file(folder, "photo\(number).png", grey(1)) }
            let message = TinyRun.error { _ = try MaterialFiles(folder: folder, name: "a") }?.message ?? ""
            #expect(message.hasPrefix("a has no albedo; ") && message.hasSuffix("; and 2 more)"), "\(message)")
            #expect(message.contains("the maps of one material") && message.contains("'texloom submit'"))
            #expect(message.contains("(photo1.png is not used: its name says no map that texloom knows; "))
        }
    }

    @Test func aFolderOfPhotographsIsNoMaterial() {
        #expect(MaterialFiles.areMaps(["Bricks_Color.jpg", "Bricks_NormalGL.jpg", "Bricks.png", "Bricks.usdc"]))
        #expect(MaterialFiles.areMaps(["wall_diff_1k.png", "wall_arm_1k.png"]))
        #expect(!MaterialFiles.areMaps(["wall_diff_1k.png", "._wall_rough_1k.png"]), "hidden")
        #expect(!MaterialFiles.areMaps(["wood.jpg", "metal.jpg", "rough.jpg"]), "no albedo")
        #expect(!MaterialFiles.areMaps(["albedo.png"]))
        #expect(!MaterialFiles.areMaps(["base.png", "metal.png", "wood.png", "sand.png"]), "chance")
        #expect(!MaterialFiles.areMaps(["a_Color.txt", "a_Roughness.txt"]) && !MaterialFiles.areMaps([]))
    }

    /// What is fetched of a cluster is found by its name.
    @Test func everyContentHasANameThatSaysIt() throws {
        for content in MaterialFiles.contentNames {
            let suffix = try #require(MaterialFiles.fileSuffix(of: content))
            let names = ["exemplar_\(suffix)", "exemplar_x"]
            let found = try #require(MapNames.contents(of: names)[0])
            switch found {
            case .map(let kind): #expect(kind.rawValue == content)
            case .packed(let hasOcclusion): #expect((hasOcclusion ? "orm" : "metallic-roughness") == content)
            }
        }
        #expect(MaterialFiles.fileSuffix(of: "shine") == nil)
    }

    @Test func layoutsAreKeptAsText() {
        let layout = MapLayout([.roughness, .albedo, .normalDX])
        #expect(layout?.description == "albedo,normal-dx,roughness" && layout?.channels == 7)
        #expect(layout?.range(of: .roughness) == 6..<7 && layout?.normals == 3..<6)
        #expect(layout.map { MapLayout($0.description) } == layout)
        for bad in ["", "roughness", "albedo,roughness,normal-dx", "albedo,albedo", "albedo,shine", "albedo,"] {
            #expect(MapLayout(bad) == nil, "\(bad)")
        }
        #expect(MapLayout([.albedo, .normalGL, .normalDX]) == nil)
        #expect(MapLayout.picture.channels == 3 && !MapLayout.picture.isMaterial)
    }

    private func given(_ content: String, _ url: URL) -> MaterialFiles.Given {
        MaterialFiles.Given(content: content, name: url.path, url: url)
    }

    // MARK: Folders

    private func file(_ folder: URL, _ name: String, _ image: some Any, isSRGB: Bool = true) throws {
        let data: Data
        switch image {
        case let image as Image: data = try image.png(isSRGB: isSRGB)
        case let image as DeepImage: data = try image.png(isSRGB: isSRGB)
        default: data = Data()
        }
        try data.write(to: folder.appendingPathComponent(name))
    }

    private func grey(_ value: UInt8, width: Int = 4, height: Int = 3) -> Image {
        Image(
            width: width, height: height, channels: 1, pixels: [UInt8](repeating: value, count: width * height))
    }

    private func rgb(_ colour: [UInt8], width: Int = 4, height: Int = 3) -> Image {
        Image(width: width, height: height, pixels: (0..<width * height).flatMap { _ in colour })
    }

    @Test func aFolderBecomesOnePictureOfAllMaps() throws {
        try TinyRun.inFolder { folder in
            try file(folder, "a_Color.png", rgb([10, 20, 30]))
            try file(folder, "a_NormalGL.png", rgb([128, 128, 255]))
            try file(folder, "a_NormalDX.png", rgb([128, 127, 255]))
            try file(folder, "a_Roughness.png", grey(77))
            try file(
                folder, "a_Displacement.png",
                DeepImage(width: 4, height: 3, channels: 1, pixels: (0..<12).map { UInt16(4321 + $0) }))
            try file(folder, "a_arm.png", rgb([1, 2, 3]))
            try file(folder, "a_thumbnail.png", rgb([0, 0, 0], width: 1, height: 1))
            let (material, notes) = try MaterialFiles(folder: folder, name: "a").read()
            #expect(material.layout.description == "albedo,normal-gl,roughness,metalness,ao,displacement")
            #expect(material.depths == [8, 8, 8, 8, 8, 16])
            // A file of its own counts more than a packed one.
            let expected: [UInt16] = [10, 20, 30, 128, 128, 255, 77, 3, 1].map { 257 * $0 } + [4321]
            #expect(Array(material.pixels.pixels.prefix(10)) == expected)
            #expect(material.pixels.pixels.last == 4332)
            #expect(notes.count == 3 && notes.contains { $0.contains("NormalDX") })
            #expect(notes.contains { $0.hasPrefix("a/a_arm.png: its roughness is not used") }, "\(notes)")
        }
    }

    @Test func headersSayWhatReadingTakes() throws {
        try TinyRun.inFolder { folder in
            try file(folder, "a_Color.png", rgb([10, 20, 30], width: 100, height: 80))
            try file(folder, "a_NormalGL.png", rgb([128, 128, 255], width: 100, height: 80))
            try file(folder, "a_ORM.png", rgb([1, 2, 3], width: 100, height: 80))
            let files = try MaterialFiles(folder: folder, name: "a")
            let (width, height, bytes) = try files.header()
            #expect(width == 100 && height == 80)
            // Ten channels with the albedo's alpha: read, and side by side.
            #expect(bytes == 4 * 10 * 8000)
            // Nothing is decoded for that.
            let damaged = folder.appendingPathComponent("a_ORM.png")
            try Data(contentsOf: damaged).prefix(60).write(to: damaged)
            #expect(try files.header().readingBytes == bytes)
            try Data().write(to: damaged)
            #expect(TinyRun.error { _ = try files.header() }?.message.contains("a/a_ORM.png is empty") == true)
        }
    }

    @Test func filesBesideTheMapsAreNotTakenForThem() throws {
        try TinyRun.inFolder { folder in
            try file(folder, "a_Color.png", rgb([10, 20, 30]))
            try file(folder, "a_Roughness.png", grey(77))
            try file(folder, "a_Metalness.png", grey(78))
            try file(folder, "a_AO.png", grey(79))
            try file(folder, "a_ORM.png", rgb([1, 2, 3]))
            try file(folder, "a_SpecularColor.png", rgb([1, 2, 3]))
            try file(folder, "._a_Color.png", "no image")
            let (material, notes) = try MaterialFiles(folder: folder, name: "a").read()
            #expect(material.layout.description == "albedo,roughness,metalness,ao")
            #expect(Array(material.pixels.pixels.prefix(6)) == [10, 20, 30, 77, 78, 79].map { 257 * $0 })
            #expect(notes.count == 2, "\(notes)")
            #expect(notes.contains { $0.hasPrefix("a/a_ORM.png is not used") })
            #expect(notes.contains { $0.hasPrefix("a_SpecularColor.png is not used") })
        }
    }

    @Test func aMapThatTheSystemDoesNotGiveIsTheDisksFault() throws {
        try TinyRun.inFolder { folder in
            let url = folder.appendingPathComponent("wood_diff.png")
            let files = try MaterialFiles(name: "wood", files: [given("albedo", url), given("roughness", url)])
            let missing = TinyRun.error { _ = try files.read() }
            #expect(missing?.code == .fileSystem && missing?.isRetryable == true)
            #expect(missing?.message.contains("wood_diff.png cannot be read") == true)
            try Data("no picture".utf8).write(to: url)
            let wrong = TinyRun.error { _ = try files.read() }
            #expect(wrong?.code == .badExemplar && wrong?.isRetryable == false)
        }
    }

    @Test func mapsOfDifferentSizesAreNamedWithTheirSizes() throws {
        try TinyRun.inFolder { folder in
            try file(folder, "a_Color.png", rgb([10, 20, 30]))
            try file(folder, "a_Roughness.png", grey(77, width: 8, height: 6))
            let error = TinyRun.error { _ = try MaterialFiles(folder: folder, name: "stone").read() }
            for part in ["stone/a_Color.png", "4x3", "stone/a_Roughness.png", "8x6"] {
                #expect(error?.message.contains(part) == true, "\(part)")
            }
        }
    }

    @Test func mapsGivenTwiceAndMissingAlbedosAreRefused() throws {
        try TinyRun.inFolder { folder in
            try file(folder, "a_rough.png", grey(1))
            #expect(
                TinyRun.error { _ = try MaterialFiles(folder: folder, name: "a") }?.message.contains("albedo") == true)
            try file(folder, "a_diff.png", rgb([1, 2, 3]))
            try file(folder, "a_rough_1k.jpg", rgb([1, 2, 3]))
            let error = TinyRun.error { _ = try MaterialFiles(folder: folder, name: "a") }
            for name in ["a/a_rough.png", "a/a_rough_1k.jpg"] { #expect(error?.message.contains(name) == true) }
            let albedo = folder.appendingPathComponent("a_diff.png")
            #expect(TinyRun.error { _ = try MaterialFiles(name: "x", files: [given("albedo", albedo)]) } != nil)
            #expect(
                TinyRun.error {
                    _ = try MaterialFiles(name: "x", files: [given("albedo", albedo), given("shine", albedo)])
                }?
                .message.contains("metallic-roughness") == true)
        }
    }

    @Test func anAlbedosAlphaIsTheOpacity() throws {
        try TinyRun.inFolder { folder in
            let rows = [[9, 8, 7, 0, 9, 8, 7, 255] as [UInt8]]
            let leaf = PNG(width: 2, height: 1, rows: rows)
            try leaf.data.write(to: folder.appendingPathComponent("albedo.png"))
            try file(folder, "roughness.png", grey(5, width: 2, height: 1))
            let (material, notes) = try MaterialFiles(folder: folder, name: "leaf").read()
            #expect(material.layout.description == "albedo,roughness,opacity")
            #expect(material.pixels.pixels == [9, 8, 7, 5, 0, 9, 8, 7, 5, 255].map { 257 * $0 })
            #expect(notes.contains { $0.contains("alpha") })
        }
    }

    @Test(
        arguments: [
            ("Rock.01", "Rock.01"), ("materials/Rock.02/", "Rock.02"), ("Rock", "Rock"), ("wall.v2.PNG", "wall.v2"),
            ("walls/wall_diff.jpg", "wall_diff"), ("photo.jfif", "photo"), ("photo.JPE", "photo"),
        ])
    func onlyAnAlbedosFileHasAnExtension(_ name: String, _ expected: String) {
        #expect(MaterialFiles.resultName(of: name) == expected)
    }

    @Test func aFrameIsCutFromAllMaps() throws {
        try TinyRun.inFolder { folder in
            let (width, height) = (12, 8)
            let ramp = (0..<width * height).map { UInt8($0) }
            try file(folder, "Color.png", Image(width: width, height: height, pixels: ramp.flatMap { [$0, $0, $0] }))
            try file(folder, "Roughness.png", Image(width: width, height: height, channels: 1, pixels: ramp))
            try file(folder, "Normal.png", rgb([200, 128, 200], width: width, height: height))
            let files = try MaterialFiles(folder: folder, name: "ramp")
            #expect(files.notes.count == 1 && files.notes[0].contains("Normal.png does not say where green points"))
            let (part, _) = try files.read(Framing(crop: Framing.Window("6x4+2+1"), longestSide: 3))
            #expect(part.pixels.width == 3 && part.pixels.height == 2)
            let albedo: DeepImage? = part.map(.albedo)
            let roughness: DeepImage? = part.map(.roughness)
            #expect(albedo?.pixels[0] == roughness?.pixels[0])
            // The mean of 14, 15, 26 and 27.
            let mean: UInt16 = 5269  // 257 * 20.5, rounded
            #expect(roughness?.pixels[0] == mean)
            let start = part.layout.normals!.lowerBound
            let normal = (part.pixels.pixels[start], part.pixels.pixels[start + 1], part.pixels.pixels[start + 2])
            #expect(abs(UnitNormal.length(UnitNormal.components(of: normal)) - 1) < 1e-4)
            #expect(TinyRun.error { _ = try files.read(Framing(crop: Framing.Window("60x4"))) } != nil)
        }
    }
}

/// An RGBA PNG of 8 bits.
private struct PNG {
    let data: Data

    init(width: Int, height: Int, rows: [[UInt8]]) {
        data = PNGFixture(width: width, height: height, bitDepth: 8, colorType: .rgba, rows: rows).encoded()
    }
}
