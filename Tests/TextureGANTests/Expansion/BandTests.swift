import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct BandTests {
    private static let image: Image = {
        var stream = RandomStream(seed: 3, purpose: 9)
        return Image(
            width: 150, height: 430, pixels: (0..<150 * 430 * 3).map { _ in UInt8(stream.integer(through: 255)) })
    }()

    private static func generator(_ upsample: Recipe.Upsample = .nearest, width: Int = 8) -> Generator {
        var recipe = TinyRun.recipe
        recipe.norm = .without
        recipe.upsample = upsample
        // Width 8 uses the real kernels, whose tiles must begin at the same pixels.
        recipe.generatorWidth = width
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        // Louder than at the start, so that the picture has contrast.
        for parameter in generator.parameters where parameter.name == "tail.weight" {
            for index in 0..<parameter.count { parameter.value[index] *= 4 }
        }
        return generator
    }

    /// Floats for bands of some rows of the image.
    private static func limit(_ rows: Int, _ generator: Generator) -> Int {
        let margin = Pieces.tileMargin(for: generator)
        return PiecewiseInference.count(generator, height: rows + 2 * margin, width: 152) + 6 * rows * 152
    }

    @Test(
        "Bands across the image have the bytes of the whole",
        arguments: Recipe.Upsample.allCases, [3, 8])
    func bandsAreTheWhole(_ upsample: Recipe.Upsample, width: Int) throws {
        let generator = Self.generator(upsample, width: width)
        let whole = Expansion.whole(Self.image, with: generator, statistics: .image, in: Workspace(threads: 2))
        #expect(Set(whole.pixels).count > 100)
        let margin = Pieces.tileMargin(for: generator)
        let bands = try #require(
            Pieces.bands(across: 152, height: 432, for: generator, limit: Self.limit(margin, generator)))
        #expect(bands == Pieces(height: 96, width: 152, marginY: margin, marginX: 0))
        var shares: [Double] = []
        let result = Expansion.inPieces(
            Self.image, with: generator, statistics: .image, pieces: bands, in: Workspace(threads: 2)
        ) { shares.append($0) }
        let isWhole = result == whole
        #expect(isWhole)
        #expect(shares == shares.sorted() && shares.last == 1 && shares.count > 5)
        // Their margin is necessary.
        let thin = Expansion.inPieces(
            Self.image, with: generator, statistics: .image,
            pieces: Pieces(height: 96, width: 152, marginY: 16, marginX: 0), in: Workspace(threads: 2))
        #expect(thin.pixels != whole.pixels)
    }

    @Test func bandsAreEvenAndTakeTheMemoryThatTheyMayHave() throws {
        let generator = Self.generator()
        let margin = Pieces.tileMargin(for: generator)
        func height(_ rows: Int) -> Int? {
            Pieces.bands(across: 152, height: 432, for: generator, limit: Self.limit(rows, generator))?.height
        }
        #expect(height(margin - 1) == nil)
        #expect(height(200) == 144)
        #expect(height(216) == 144)
        #expect(height(224) == 224)
        #expect(height(1000) == 432)
    }

    @Test func theLessMemoryTheSmallerThePieces() throws {
        let generator = Self.generator()
        let large = Image(width: 1500, height: 4000, pixels: [UInt8](repeating: 0, count: 1500 * 4000 * 3))
        func division(_ floats: Int, _ generator: Generator = generator) throws -> Division {
            try Division(of: large, for: generator, .image, memoryLimit: 4 * floats)
        }
        guard case .whole = try division(1 << 30) else { throw Unexpected() }
        let one = PiecewiseInference.count(generator, height: 4000, width: 1500)
        guard case .pieces(let single) = try division(one) else { throw Unexpected() }
        #expect(single == .one(of: large))
        guard case .pieces(let bands) = try division(one - 1) else { throw Unexpected() }
        #expect(bands.width == 1500 && bands.marginX == 0 && (1000..<4000).contains(bands.height))
        let least = PiecewiseInference.count(generator, height: 96 + 192, width: 1500) + 6 * 96 * 1500
        guard case .pieces(let thin) = try division(least) else { throw Unexpected() }
        #expect(thin == Pieces(height: 96, width: 1500, marginY: 96, marginX: 0))
        guard case .pieces(let squares) = try division(least - 1) else { throw Unexpected() }
        #expect(squares.width == squares.height && squares.marginX == Expansion.margin(for: generator))
        // A generator that measures the image needs one piece.
        let measuring = Generator(TinyRun.recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        let tooLittle = PiecewiseInference.count(measuring, height: 4000, width: 1500) - 1
        #expect(throws: ExpansionError.self) { try division(tooLittle, measuring) }
    }

    /// The rows that a row of squares gives are as wide as the image, whatever the squares' size.
    @Test func squaresLeaveRoomForTheirRows() throws {
        let material = try #require(MapLayout([.albedo, .normalGL, .roughness]))
        for layout in [MapLayout.picture, material] {
            var recipe = TinyRun.recipe
            recipe.norm = .without
            let generator = Generator(recipe, layout)
            let margin = Expansion.margin(for: generator)
            func need(_ side: Int, _ width: Int) -> Int {
                let outer = side + 2 * margin
                let square = PiecewiseInference.count(generator, height: outer, width: outer)
                // Twice the sides, 2 bytes a sample.
                let samples = 2 * side * 2 * width * generator.channels
                return square + samples * 2 / MemoryLayout<Float>.size
            }
            for width in [1000, 16_000] {
                func side(_ floats: Int) -> Int? {
                    Pieces.squares(across: width, for: generator, limit: floats, rowBytes: 8 * generator.channels)?
                        .width
                }
                let (least, next) = (need(256, width), need(512, width))
                #expect(side(least) == 256)
                #expect(side(next - 1) == 256)
                #expect(side(next) == 512)
                #expect(side(least - 1) == nil)
            }
            #expect(need(256, 16_000) > 2 * need(256, 1000))
        }
    }

    /// Too high for its expansion to fit whole into `tallLimit`, with its frame.
    private static let tall: Image = {
        var stream = RandomStream(seed: 4, purpose: 9)
        return Image(
            width: 150, height: 1100, pixels: (0..<150 * 1100 * 3).map { _ in UInt8(stream.integer(through: 255)) })
    }()

    private static func tallLimit(_ generator: Generator) -> Int {
        4 * (PiecewiseInference.count(generator, height: 240 + 192, width: 184) + 6 * 240 * 184)
    }

    /// What the sink gets, row by row, is what `expand` returns.
    @Test(arguments: [(300, 2200), (299, 2197), (8, 700), (300, 1)])
    func rowsComeFromTheTop(_ width: Int, _ height: Int) throws {
        let generator = Self.generator()
        let whole = Expansion.expand(Self.tall, with: generator, in: Workspace(threads: 2))
        var pixels: [UInt8] = []
        var calls = 0
        try Expansion.rows(
            of: Self.tall, width: width, height: height, with: generator, statistics: .image,
            memoryLimit: Self.tallLimit(generator), in: Workspace(threads: 2)
        ) { (rows: UnsafeBufferPointer<UInt8>) in
            #expect(rows.count % (3 * width) == 0 && !rows.isEmpty)
            calls += 1
            pixels += rows
        }
        #expect(calls > 1 || height == 1)
        let isSame =
            Image(width: width, height: height, pixels: pixels)
            == whole.cropped(
                x: 0, y: 0, width: width, height: height)
        #expect(isSame)
    }

    @Test func aSinkThatFailsEndsTheExpansion() {
        let generator = Self.generator()
        var calls = 0
        #expect(throws: Unexpected.self) {
            try Expansion.rows(
                of: Self.tall, width: 300, height: 2200, with: generator, statistics: .image,
                memoryLimit: Self.tallLimit(generator), in: Workspace(threads: 1)
            ) { (_: UnsafeBufferPointer<UInt8>) in
                calls += 1
                throw Unexpected()
            }
        }
        #expect(calls == 1)
    }

    /// The generator's output is rounded once, to 16 bits: eight bits would have 256 levels.
    @Test func sixteenBitsAreRoundedFromTheGeneratorsOutput() throws {
        let generator = Self.generator()
        let deep = DeepImage(
            width: 64, height: 48,
            pixels: Self.image.cropped(x: 0, y: 0, width: 64, height: 48).pixels.map { UInt16($0) * 257 })
        let workspace = Workspace(threads: 2)
        let result = Expansion.whole(deep, with: generator, statistics: .image, in: workspace)
        let output = generator.infer(deep.padded(in: workspace.arena), statistics: .image, in: workspace)
        let errors = (0..<output.count).map { abs(Float(result.pixels[$0]) - (output.data[$0] + 1) * 32767.5) }
        #expect((errors.max() ?? 1) <= 0.51)
        #expect(Set(result.pixels).count > 1000)
        #expect(UInt16.nearest(to: 1) == 65535 && UInt16.nearest(to: .nan) == 0 && UInt16.nearest(to: 3) == 65535)
        // With the frame, and from an input of 8 bits, the same picture.
        let shallow = Expansion.expand(deep.upper, with: generator, in: workspace)
        let framed = Expansion.expand(deep, with: generator, in: workspace)
        let differences = zip(framed.pixels, shallow.pixels).map { abs(Int($0) - 257 * Int($1)) }
        #expect((differences.max() ?? 0) <= 129)
    }

    private struct Unexpected: Error {}
}

extension DeepImage {
    fileprivate var upper: Image { Image(width: width, height: height, pixels: pixels.map { UInt8($0 >> 8) }) }
}
