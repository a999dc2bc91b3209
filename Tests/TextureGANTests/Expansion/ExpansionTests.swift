import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct ExpansionTests {
    private func generator() -> Generator {
        Generator(TinyRun.recipe, initialisedFrom: RandomStream(seed: 2, purpose: 1))
    }

    /// A diverged network gives any value, and converting NaN to an integer would end the process.
    @Test func everyValueHasAnEightBitOne() {
        for (value, expected) in [
            (-1, 0), (0, 128), (1, 255), (-0.999, 0), (7, 255), (-7, 0), (.nan, 0), (-.nan, 0), (.infinity, 255),
            (-.infinity, 0),
        ] as [(Float, UInt8)] {
            #expect(UInt8.nearest(to: value) == expected, "\(value)")
        }
    }

    @Test(arguments: [(1, 1), (1, 9), (2, 3), (5, 7), (16, 16), (37, 52), (40, 41)])
    func theResultIsExactlyTwiceTheSize(_ height: Int, _ width: Int) {
        let image = TinyRun.image(width: width, height: height)
        let workspace = Workspace(threads: 2)
        let start = workspace.arena.floats(0)
        for statistics in [BatchNorm.Statistics.image, .running] {
            let result = Expansion.expand(image, with: generator(), statistics: statistics, in: workspace)
            #expect(result.width == 2 * width && result.height == 2 * height)
            #expect(result.pixels.count == 12 * width * height)
        }
        #expect(workspace.arena.floats(0) == start, "what an expansion takes, it gives back")
    }

    @Test func theResultIsTheGeneratorsOutputRoundedToTheNearestLevel() {
        let image = TinyRun.image(width: 20, height: 16)
        let workspace = Workspace(threads: 1)
        let generator = generator()
        let input = Tensor(in: workspace.arena, height: 16, width: 20, channels: 3)
        for index in 0..<input.count { input.data[index] = Float(image.pixels[index]) / 127.5 - 1 }
        let output = generator.infer(input, statistics: .image, in: workspace)
        let result = Expansion.expand(image, with: generator, in: workspace)
        for index in 0..<output.count {
            #expect(abs(Float(result.pixels[index]) - (output.data[index] + 1) * 127.5) <= 0.5001)
        }
    }

    @Test func sidesThatAreNoMultiplesOfFourAreMirroredAndCropped() {
        let workspace = Workspace(threads: 1)
        let generator = generator()
        let image = TinyRun.image(width: 22, height: 17)
        // Padded by hand to 24 x 20, mirrored at the last column and row.
        var padded: [UInt8] = []
        for y in 0..<20 {
            for x in 0..<24 {
                let (row, column) = (y < 17 ? y : 32 - y, x < 22 ? x : 42 - x)
                padded += image.pixels[(row * 22 + column) * 3..<(row * 22 + column) * 3 + 3]
            }
        }
        let whole = Expansion.expand(Image(width: 24, height: 20, pixels: padded), with: generator, in: workspace)
        let result = Expansion.expand(image, with: generator, in: workspace)
        for y in 0..<34 {
            #expect(
                result.pixels[y * 44 * 3..<(y + 1) * 44 * 3].elementsEqual(whole.pixels[y * 48 * 3..<(y * 48 + 44) * 3])
            )
        }
    }

    @Test func extremeOutputsBecomeBlackAndWhite() {
        let workspace = Workspace(threads: 1)
        let tensor = Tensor(in: workspace.arena, height: 1, width: 2, channels: 3)
        _ = tensor.buffer.update(fromContentsOf: [-1, 1, 0, -1.001, 1.001, 0.5])
        var band = Band<UInt8>(of: OutputWindow(x: 0, y: 0, width: 2, height: 1), rows: 0..<1, channels: 3)
        let part = PiecewiseInference.Part(piece: tensor, rows: 0..<1, columns: 0..<2, y: 0, x: 0)
        band.add(part, top: 0, left: 0, columns: 0..<2)
        #expect(band.pixels == [0, 255, 128, 0, 255, 191])
    }

    @Test func expansionIsTheSameForAnyNumberOfThreadsAndEveryTime() {
        let image = TinyRun.image(width: 50, height: 45)
        let generator = generator()
        let results = (1...3).map { Expansion.expand(image, with: generator, in: Workspace(threads: $0)) }
        #expect(results[0] == results[1] && results[0] == results[2])
        #expect(Expansion.expand(image, with: generator, in: Workspace(threads: 1)) == results[0])
    }

    /// Wider than a piece before the halvings (256). At a quarter of the size, wider than a piece after them (48).
    private static let large = noise(width: 301, height: 278)

    private static func noise(width: Int, height: Int) -> Image {
        var stream = RandomStream(seed: 3, purpose: 9)
        return Image(
            width: width, height: height,
            pixels: (0..<width * height * 3).map { _ in UInt8(stream.integer(through: 255)) })
    }

    private static func squares(_ side: Int, _ margin: Int) -> Pieces {
        Pieces(height: side, width: side, marginY: margin, marginX: margin)
    }

    private func inPieces(
        _ image: Image, _ generator: Generator, _ statistics: BatchNorm.Statistics, side: Int, margin: Int
    ) -> Image {
        Expansion.inPieces(
            image, with: generator, statistics: statistics, pieces: Self.squares(side, margin),
            in: Workspace(threads: 2))
    }

    @Test(
        "In pieces with running averages, bytes are those of the whole while its features fit",
        arguments: Recipe.Upsample.allCases, [3, 8])
    func piecesWithRunningAveragesAreTheWhole(_ upsample: Recipe.Upsample, width: Int) throws {
        var recipe = TinyRun.recipe
        recipe.upsample = upsample
        // Width 3 uses the kernels of odd channels. Width 8 uses the real kernels, whose tiles must begin at the same
        // pixels.
        recipe.generatorWidth = width
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        let workspace = Workspace(threads: 2)
        // Running averages that match the weights: with others, the picture would have no contrast.
        let sample = Tensor(in: workspace.arena, height: 64, width: 64, channels: 3)
        Self.noise(width: 64, height: 64).write(to: sample)
        var dropout = RandomStream(seed: 8, purpose: 0)
        for _ in 0..<40 { workspace.arena.scoped { _ = generator.forward(sample, dropout: &dropout, in: workspace) } }

        let whole = Expansion.expand(Self.large, with: generator, statistics: .running, in: workspace)
        #expect(Set(whole.pixels).count > 8)
        let inFeatures = inPieces(Self.large, generator, .running, side: 512, margin: 0) == whole
        #expect(inFeatures)
        let margin = Expansion.margin(for: generator)
        #expect(agree(inPieces(Self.large, generator, .running, side: 128, margin: margin), whole))
        // The margin is necessary: without it, seams are visible.
        #expect(!agree(inPieces(Self.large, generator, .running, side: 128, margin: 0), whole))
    }

    @Test(
        "Without norms, bytes in pieces are those of the whole, whatever statistics are asked for",
        arguments: Recipe.Upsample.allCases, [3, 8])
    func piecesWithoutNormsAreTheWhole(_ upsample: Recipe.Upsample, width: Int) throws {
        var recipe = TinyRun.recipe
        recipe.norm = .without
        recipe.upsample = upsample
        recipe.generatorWidth = width
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        // Louder than at the start, so that the picture has contrast.
        for parameter in generator.parameters where parameter.name == "tail.weight" {
            for index in 0..<parameter.count { parameter.value[index] *= 4 }
        }
        let whole = Expansion.whole(Self.large, with: generator, statistics: .image, in: Workspace(threads: 2))
        #expect(Set(whole.pixels).count > 100)
        for statistics in [BatchNorm.Statistics.image, .running] {
            var shares: [Double] = []
            let pieces = Expansion.inPieces(
                Self.large, with: generator, statistics: statistics, pieces: Self.squares(512, 0),
                in: Workspace(threads: 2)
            ) { shares.append($0) }
            let isWhole = pieces == whole
            #expect(isWhole)
            // One pass: 2 x 2 pieces before the halvings, one block, 2 x 2 pieces after them.
            #expect(shares.count == 9 && shares.last == 1)
        }
        let margin = Expansion.margin(for: generator)
        #expect(agree(inPieces(Self.large, generator, .image, side: 128, margin: margin), whole))

        // The frame is added before the pieces, so the bytes with it are the same as well.
        let framed = Expansion.expand(Self.large, with: generator, in: Workspace(threads: 2))
        let enough = PiecewiseInference.count(
            generator, height: Self.large.height + 2 * Expansion.frame + 2,
            width: Self.large.width + 2 * Expansion.frame + 3)
        let inFeatures = try Expansion.expand(
            Self.large, with: generator, statistics: .image, memoryLimit: 4 * enough, in: Workspace(threads: 2))
        let isFramed = inFeatures == framed
        #expect(isFramed)
        var shares: [Double] = []
        let snapshot = Expansion.snapshot(
            Self.large, with: generator, memoryLimit: 4 * enough, in: Workspace(threads: 2)
        ) { shares.append($0) }
        #expect(snapshot == framed)
        #expect(shares.count > 1, "in pieces")
        // Any size fits a limit: here the pieces go through the whole generator.
        let little = PiecewiseInference.count(generator, height: 256 + 2 * margin, width: 256 + 2 * margin)
        let bounded = try Expansion.expand(
            Self.large, with: generator, statistics: .image, memoryLimit: 4 * little, in: Workspace(threads: 2))
        #expect(agree(bounded, framed))
    }

    private func normless(_ upsample: Recipe.Upsample = .nearest) -> Generator {
        var recipe = TinyRun.recipe
        recipe.norm = .without
        recipe.upsample = upsample
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        // Louder than at the start, so that the picture has contrast.
        for parameter in generator.parameters where parameter.name == "tail.weight" {
            for index in 0..<parameter.count { parameter.value[index] *= 4 }
        }
        return generator
    }

    @Test("A generator without norms sees mirrored pixels beyond each border", arguments: Recipe.Upsample.allCases)
    func whatLiesBeyondABorderIsMirrored(_ upsample: Recipe.Upsample) throws {
        let (generator, workspace) = (normless(upsample), Workspace(threads: 2))
        let image = Self.noise(width: 37, height: 29)
        // Continued by hand, 16 pixels on each side.
        var pixels: [UInt8] = []
        for y in -16..<29 + 16 {
            for x in -16..<37 + 16 {
                let row = y < 0 ? -y : min(y, 56 - y)
                let column = x < 0 ? -x : min(x, 72 - x)
                pixels += image.pixels[(row * 37 + column) * 3..<(row * 37 + column) * 3 + 3]
            }
        }
        let larger = Image(width: 37 + 32, height: 29 + 32, pixels: pixels)
        let expected = Expansion.whole(larger, with: generator, statistics: .image, in: workspace)
            .cropped(x: 32, y: 32, width: 74, height: 58)
        let result = Expansion.expand(image, with: generator, in: workspace)
        #expect(result == expected)
        // The frame makes a difference, even in the outermost row.
        let bare = Expansion.whole(image, with: generator, statistics: .image, in: workspace)
        #expect(result.pixels[..<(74 * 3)] != bare.pixels[..<(74 * 3)])
    }

    @Test(arguments: [(1, 1), (1, 40), (5, 7), (16, 17)])
    func theFrameFitsSmallImages(_ height: Int, _ width: Int) {
        let result = Expansion.expand(
            TinyRun.image(width: width, height: height), with: normless(), in: Workspace(threads: 1))
        #expect(result.width == 2 * width && result.height == 2 * height)
    }

    /// With norms, a frame would change the statistics of the image.
    @Test func aGeneratorWithNormsSeesTheImageAlone() {
        let (generator, workspace) = (generator(), Workspace(threads: 1))
        let image = Self.noise(width: 37, height: 29)
        let bare = Expansion.whole(image, with: generator, statistics: .image, in: workspace)
        #expect(Expansion.expand(image, with: generator, in: workspace) == bare)
    }

    @Test("Instance norm has no averages: asked for them, it measures the whole image, in pieces as well")
    func piecesWithInstanceNormMeasureTheImage() throws {
        var recipe = TinyRun.recipe
        recipe.norm = .instance
        let generator = Generator(recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        let whole = Expansion.expand(Self.large, with: generator, statistics: .running, in: Workspace(threads: 2))
        #expect(agree(inPieces(Self.large, generator, .running, side: 512, margin: 0), whole))
    }

    @Test func piecesWithTheImagesStatisticsAgreeToTheLastRounding() throws {
        let generator = Generator(TinyRun.recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        let whole = Expansion.expand(Self.large, with: generator, in: Workspace(threads: 2))
        let pieces = inPieces(Self.large, generator, .image, side: 512, margin: 0)
        #expect(agree(pieces, whole))
    }

    /// Equal up to rounding: at most one grey level, in fewer than one value in a hundred.
    private func agree(_ a: Image, _ b: Image) -> Bool {
        let differences = zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }
        return differences.max()! <= 1 && differences.count { $0 > 0 } < differences.count / 100
    }

    @Test func aLimitThatCannotBeKeptSaysWhatIsNeeded() throws {
        let generator = Generator(TinyRun.recipe, initialisedFrom: RandomStream(seed: 5, purpose: 0))
        let error = #expect(throws: ExpansionError.self) {
            try Expansion.expand(
                Self.large, with: generator, statistics: .image, memoryLimit: 1 << 20, in: Workspace(threads: 1))
        }
        #expect(error!.description.contains("MiB"))
        let enough = try Expansion.expand(
            Self.large, with: generator, statistics: .image, memoryLimit: error!.neededBytes,
            in: Workspace(threads: 1))
        #expect(enough.width == 602)
    }
}
