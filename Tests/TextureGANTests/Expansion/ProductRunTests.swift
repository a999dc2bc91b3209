import Foundation
import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct ProductRunTests {
    private struct Made {
        var pictures: [Int: Image] = [:]
        var previews: [Int: Image] = [:]
        var order: [String] = []
        var steps: [Int] = []
        var report = ""
    }

    private static let limits = ProductLimits(fileBytes: 4 << 30, pictures: 256, bytes: 16 << 30)

    /// - Parameters:
    ///   - availableBytes: nil for the least that is enough, with which the last doubling is cut into small pieces.
    ///   - proceeds: Whether to continue, from the number of the question.
    private func expand(
        _ spec: String, width: Int = 90, height: Int = 70, availableBytes: Int? = nil, limits: ProductLimits = limits,
        proceeds: @escaping (Int) -> Bool = { _ in true }
    ) throws -> Made {
        try TinyRun.inFolder { folder in
            var recipe = TinyRun.recipe
            recipe.norm = .without
            let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
            let (network, exemplar) = (folder.appendingPathComponent("g"), folder.appendingPathComponent("e.png"))
            try Checkpoint.network(generator.parameters, kind: "generator", recipe: recipe, origin: [:])
                .write(to: network)
            try TinyRun.image(width: width, height: height).png().write(to: exemplar)
            let input = ProductRun.Input(
                exemplar: .photograph(exemplar), exemplarName: "stripes.png", generator: network, generatorSHA256: "",
                threads: 2,
                availableBytes: try availableBytes
                    ?? PictureExpansion.neededBytes(
                        for: ExpansionOptions(spec), of: "stripes.png", width: width, height: height, with: generator),
                concurrentRuns: 1, limits: limits, folder: folder)
            var made = Made()
            var asked = 0
            made.report = try ProductRun.expand(ExpansionOptions(spec), input) {
                asked += 1
                return proceeds(asked)
            } report: { report in
                switch report {
                case .advanced(let step): made.steps.append(step)
                case .log, .materialX: break
                case .product(let number, let file):
                    made.order.append("picture \(number)")
                    made.pictures[number] = try Image(contentsOf: file)
                case .preview(let number, let file):
                    made.order.append("preview \(number)")
                    made.previews[number] = try Image(contentsOf: file)
                }
            }
            return made
        }
    }

    /// Asked after each piece: neither a tile nor an intermediate picture is completed after a "no".
    @Test(
        arguments: [
            ("times=3,seamless=both", 60), ("times=3,seamless=x", 3), ("times=3", 12), ("size=701x503", 9),
            ("times=2,input=noise", 5),
        ])
    func aStopTakesEffectAfterOnePiece(_ spec: String, _ last: Int) throws {
        var questions = 0
        #expect(throws: ProductRun.Stopped.self) {
            try expand(spec, width: 300, height: 220) { number in
                questions = number
                return number < last
            }
        }
        #expect(questions == last)
        var all = 0
        _ = try expand(spec, width: 300, height: 220) { number in
            all = number
            return true
        }
        #expect(all > last && (all > 100 || !spec.contains("times=3")), "\(all)")
    }

    @Test func everyPictureHasAPreview() throws {
        let made = try expand("size=1100x700,variations=2", width: 700, height: 500)
        #expect(made.order == ["preview 1", "picture 1", "preview 2", "picture 2"])
        for (number, picture) in made.pictures {
            let preview = try #require(made.previews[number])
            // Squares of three pixels.
            #expect(preview.width == 367 && preview.height == 234)
            for (x, y) in [(0, 0), (200, 111), (366, 233)] {
                let (right, below) = (min(1100, 3 * x + 3), min(700, 3 * y + 3))
                for channel in 0..<3 {
                    let values = (3 * y..<below).flatMap { row in
                        (3 * x..<right).map { Int(picture.pixels[(row * 1100 + $0) * 3 + channel]) }
                    }
                    let mean = (values.reduce(0, +) + values.count / 2) / values.count
                    #expect(Int(preview.pixels[(y * 367 + x) * 3 + channel]) == mean)
                }
            }
        }
        #expect(made.pictures[1] != made.pictures[2])
        let deep = try expand("times=1,depth=16")
        let (preview, picture) = (try #require(deep.previews[1]), try #require(deep.pictures[1]))
        #expect(preview.width == 180 && preview.height == 140)
        #expect(zip(preview.pixels, picture.pixels).allSatisfy { abs(Int($0) - Int($1)) <= 1 })
    }

    /// What gathers the files calls them so, whatever it would call them itself.
    @Test func theReportOfAMaterialNamesItsFilesAsTheirDescriptionDoes() throws {
        struct Report: Decodable {
            struct Picture: Decodable { var name: String? }
            var pictures: [Picture]
        }
        try TinyRun.inFolder { folder in
            let layout = try #require(MapLayout([.albedo, .roughness]))
            var recipe = TinyRun.recipe
            recipe.norm = .without
            let generator = Generator(recipe, layout, initialisedFrom: RandomStream(seed: 5, purpose: 0))
            let network = folder.appendingPathComponent("g")
            try Checkpoint.network(
                generator.parameters, kind: "generator", recipe: recipe, origin: ["maps": layout.description]
            ).write(to: network)
            let map = folder.appendingPathComponent("map.png")
            try TinyRun.image(width: 96, height: 96).png().write(to: map)
            let files = try MaterialFiles(
                name: "wall", files: ["albedo", "roughness"].map { .init(content: $0, name: $0, url: map) })
            // A name that has to be cut, too.
            for stem in ["wall.v1", String(repeating: "n", count: 240)] {
                let input = ProductRun.Input(
                    exemplar: .material(files), exemplarName: stem, generator: network, generatorSHA256: "", threads: 1,
                    availableBytes: 1 << 30, concurrentRuns: 1, limits: Self.limits, folder: folder)
                var documents: [String] = []
                let json = try ProductRun.expand(ExpansionOptions("seamless,variations=2"), input) {
                    true
                } report: { report in
                    if case .materialX(_, let file) = report {
                        documents.append(try String(contentsOf: file, encoding: .utf8))
                    }
                }
                let names = try JSONDecoder().decode(Report.self, from: Data(json.utf8)).pictures.map(\.name)
                let start = "\(stem.prefix(175))_2x_tile"
                #expect(
                    names == [1, 2].flatMap { ["\(start)-\($0)_Color.png", "\(start)-\($0)_Roughness.png"] })
                for (index, name) in names.enumerated() {
                    #expect(documents[index / 2].contains("\"\(name ?? "-")\""), "\(documents)")
                }
            }
        }
    }

    @Test func whatIsTooMuchIsRefusedBeforeAnyWork() throws {
        for (spec, limits, wanted) in [
            ("times=1", ProductLimits(fileBytes: 70_000, pictures: 9, bytes: 1 << 30), "has at most 68.4 KiB"),
            ("variations=3", ProductLimits(fileBytes: 1 << 30, pictures: 2, bytes: 1 << 30), "at most 2 pictures"),
            ("variations=9", ProductLimits(fileBytes: 1 << 30, pictures: 9, bytes: 100_000), "which is 4 of them"),
        ] {
            var questions = 0
            let failure = #expect(throws: ExpansionFailure.self) {
                try expand(spec, limits: limits) {
                    questions = $0
                    return true
                }
            }
            #expect(failure!.message.contains(wanted) && questions == 0, "\(failure!)")
        }
        var questions = 0
        let shortage = #expect(throws: MemoryShortage.self) {
            try expand("times=3", availableBytes: 100 << 20) {
                questions = $0
                return true
            }
        }
        #expect(shortage!.need.hasPrefix("720x560 pixels need ") && questions <= 1, "\(shortage!)")
    }

    /// Noise does not compress.
    @Test(arguments: [(1, 1), (300, 2), (2, 300), (257, 181), (1000, 700)], [8, 16])
    func noPNGIsLargerThanItsBound(_ size: (width: Int, height: Int), _ depth: Int) throws {
        var stream = RandomStream(seed: 3, purpose: 1)
        let count = size.width * size.height * 3
        let data: Data
        if depth == 8 {
            let pixels = (0..<count).map { _ in UInt8(stream.integer(through: 255)) }
            data = try Image(width: size.width, height: size.height, pixels: pixels).png()
        } else {
            let pixels = (0..<count).map { _ in UInt16(stream.integer(through: 65535)) }
            data = try DeepImage(width: size.width, height: size.height, pixels: pixels).png()
        }
        let bound = PNGWriter.maxBytes(width: size.width, height: size.height, bitDepth: depth)
        #expect(data.count <= bound && bound < count * depth / 8 * 102 / 100 + 6000)
    }
}
