import Foundation
import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct SeamlessTests {
    private static func generator(_ change: (inout Recipe) -> Void = { _ in }) -> Generator {
        var recipe = TinyRun.recipe
        // Wide enough for the fast kernels, whose rounding depends on a pixel's place in a tile.
        recipe.generatorWidth = 8
        change(&recipe)
        return Generator(recipe, initialisedFrom: RandomStream(seed: 2, purpose: 1))
    }

    private static func withoutNorms(_ recipe: inout Recipe) {
        recipe.norm = .without
        recipe.upsample = .nearest
    }

    private static func expand<Sample>(
        _ image: Raster<Sample>, _ axes: TorusAxes, _ generator: Generator, memoryLimit: Int = 1 << 30
    ) throws -> Raster<Sample> {
        let workspace = Workspace(threads: 2)
        return try Expansion.seamless(
            image, along: axes, with: generator, statistics: .image, memoryLimit: memoryLimit, in: workspace)
    }

    /// Sides that are no multiples of the kernels' tiles, so that a roll changes every tile.
    @Test(arguments: [(TorusAxes.both, true), (.x, true), (.y, true), (.both, false), (.x, false)])
    func rollingTheInputByFourPixelsRollsTheOutputByEight(_ axes: TorusAxes, _ isWithoutNorms: Bool) throws {
        let generator = isWithoutNorms ? Self.generator(Self.withoutNorms) : Self.generator()
        let image = TinyRun.image(width: 92, height: 68)
        let result = try Self.expand(image, axes, generator)
        #expect(result.width == 184 && result.height == 136)
        for (x, y) in [(4, 0), (0, 4), (20, 8), (-36, 64)] {
            let roll = (x: axes.contains(.x) ? x : 0, y: axes.contains(.y) ? y : 0)
            let rolled = try Self.expand(image.rolled(x: roll.x, y: roll.y), axes, generator)
            #expect(rolled.pixels.elementsEqual(result.rolled(x: 2 * roll.x, y: 2 * roll.y).pixels), "\(roll)")
        }
    }

    /// The torus convolution itself: the middle of the image repeated three times reads the same.
    @Test func theMiddleOfTheImageRepeatedThreeTimesReadsTheSame() throws {
        let generator = Self.generator(Self.withoutNorms)
        let image = TinyRun.image(width: 64, height: 48)
        let workspace = Workspace(threads: 2)
        let repeated = Expansion.whole(
            image.window(x: 0, y: 0, width: 192, height: 144), with: generator, statistics: .image, in: workspace
        ).cropped(x: 128, y: 96, width: 128, height: 96)
        let result = try Self.expand(image, .both, generator)
        let differences = zip(result.pixels, repeated.pixels).map { abs(Int($0) - Int($1)) }
        #expect((differences.max() ?? 0) <= 1)
    }

    /// Levels between those of 8 bits.
    private static func deep(_ width: Int, _ height: Int) -> DeepImage {
        let image = TinyRun.image(width: width, height: height)
        return DeepImage(
            width: width, height: height,
            pixels: image.pixels.enumerated().map { UInt16($1) * 257 - UInt16($0 * 37 % 200) })
    }

    /// Without any pattern.
    private static func noise(_ width: Int, _ height: Int) -> DeepImage {
        var stream = RandomStream(seed: 3, purpose: 0)
        return DeepImage(
            width: width, height: height,
            pixels: (0..<width * height * 3).map { _ in UInt16(stream.integer(through: 65535)) })
    }

    @Test(arguments: [TorusAxes.both, .x, .y], [true, false])
    func rollingSixteenBitsRollsTheOutput(_ axes: TorusAxes, _ isWithoutNorms: Bool) throws {
        let generator = isWithoutNorms ? Self.generator(Self.withoutNorms) : Self.generator()
        let image = Self.deep(68, 52)
        let result = try Self.expand(image, axes, generator)
        #expect(result.pixels.contains { $0 % 257 != 0 })
        for (x, y) in [(4, 0), (0, 4), (-24, 20)] {
            let roll = (x: axes.contains(.x) ? x : 0, y: axes.contains(.y) ? y : 0)
            let rolled = try Self.expand(image.rolled(x: roll.x, y: roll.y), axes, generator)
            #expect(rolled.pixels.elementsEqual(result.rolled(x: 2 * roll.x, y: 2 * roll.y).pixels), "\(roll)")
        }
    }

    /// The middle of the image repeated three times, as the generator's own numbers: the samples lie within half a level
    /// of 16 bits, and what a tile's place changes.
    @Test func aTileOfSixteenBitsIsRoundedOnce() throws {
        let generator = Self.generator(Self.withoutNorms)
        let image = Self.deep(64, 48)
        let workspace = Workspace(threads: 2)
        let repeated = image.window(x: 0, y: 0, width: 192, height: 144)
        let output = generator.infer(repeated.padded(in: workspace.arena), statistics: .image, in: workspace)
        let result = try Self.expand(image, .both, generator)
        var most: Float = 0
        for y in 0..<96 {
            for index in 0..<128 * 3 {
                let exact = (output.data[((y + 96) * 384 + 128) * 3 + index] + 1) * 32767.5
                most = max(most, abs(Float(result.pixels[y * 384 + index]) - exact))
            }
        }
        // 8 bits on the way would be up to 128 levels away.
        #expect((0.4...0.6).contains(most))
    }

    /// Each doubling of a tile starts from the samples of the previous one, with all their bits.
    @Test(arguments: [8, 16])
    func aTileIsDoubledTwiceWithAllItsBits(_ depth: Int) throws {
        let generator = Self.generator(Self.withoutNorms)
        var options = ExpansionOptions()
        options.times = 2
        options.axes = .both
        options.isPeriodic = true
        options.depth = depth
        func check<Sample>(_ image: Raster<Sample>) throws {
            let sink = Rows<Sample>()
            let expansion = PictureExpansion(
                options, of: "a.png", with: generator, availableBytes: 1 << 30, workspace: Workspace(threads: 2))
            try expansion.run(image, to: { _, _ in sink }, progress: { _ in }, finished: { _, _, _ in })
            let expected = try Self.expand(Self.expand(image, .both, generator), .both, generator)
            #expect(sink.samples.elementsEqual(expected.pixels))
        }
        try depth == 16 ? check(Self.deep(36, 32)) : check(TinyRun.image(width: 36, height: 32))
    }

    private final class Rows<Sample: PictureSample>: PictureSink {
        private(set) var samples: [Sample] = []
        func open() {}
        func write<Other: PictureSample>(_ rows: UnsafeBufferPointer<Other>) { samples += rows.map { Sample($0) } }
        func finish() {}
    }

    @Test func theCanonicalPlaceFollowsTheImage() {
        let image = TinyRun.image(width: 52, height: 36)
        let place = CanonicalPlace.of(image, along: .both)
        for (x, y) in [(4, 0), (12, 32), (48, 4)] {
            let moved = CanonicalPlace.of(image.rolled(x: x, y: y), along: .both)
            #expect(moved.x == (place.x + x) % 52 && moved.y == (place.y + y) % 36)
        }
        #expect(CanonicalPlace.of(image, along: .x).y == 0)
    }

    /// Flat but for one pixel: many equal blocks, told apart by their distance from it.
    @Test func theCanonicalPlaceOfANearlyFlatImageIsUnique() {
        var image = Image(width: 400, height: 300, pixels: [UInt8](repeating: 90, count: 400 * 300 * 3))
        image.pixels[(123 * 400 + 77) * 3] = 200
        let place = CanonicalPlace.of(image, along: .both)
        let moved = CanonicalPlace.of(image.rolled(x: 244, y: 16), along: .both)
        #expect(moved.x == (place.x + 244) % 400 && moved.y == (place.y + 16) % 300)
    }

    @Test(arguments: [(16, 16), (17, 23), (130, 61), (320, 240)])
    func aPeriodicPartHasSidesThatAreMultiplesOfFour(_ width: Int, _ height: Int) {
        let image = Self.noise(width, height)
        for axes in [TorusAxes.both, .x, .y] {
            let part = PeriodicImage.made(from: image, along: axes)
            for (side, whole, isPeriodic) in [
                (part.width, width, axes.contains(.x)), (part.height, height, axes.contains(.y)),
            ] {
                #expect(side == (isPeriodic ? whole / 4 * 4 : whole))
            }
        }
    }

    @Test(arguments: ["drying-mud", "flowing-hair", "lamp-bricks", "pebbles", "scales", "tree-rings"])
    func theSeamOfAPhotographIsSeenAndThatOfItsPeriodicPartIsNot(_ name: String) throws {
        let image = try DecodedImage(
            contentsOf: projectFolder.appendingPathComponent("Examples/\(name).png")
        ).image
        let bad = Seam(image)
        #expect(max(bad.x ?? 0, bad.y ?? 0) > 1.5)
        let part = PeriodicImage.made(from: image, along: .both)
        let seam = Seam(part)
        #expect(try #require(seam.x) <= 1)
        #expect(try #require(seam.y) <= 1)
        // Nor at the ends of the bands.
        for shift in [-40, -32, -24, 24, 32, 40] {
            let moved = Seam(part.rolled(x: shift, y: shift))
            #expect(try #require(moved.x) < 1.6)
            #expect(try #require(moved.y) < 1.6)
        }
    }

    /// Beyond the bands where borders meet, the image stays as it is.
    @Test(arguments: [TorusAxes.both, .x, .y], [nil, 96])
    func thePeriodicPartIsTheMiddleButForABand(_ axes: TorusAxes, _ side: Int?) {
        let image = Self.noise(163, 131)
        let part = PeriodicImage.made(
            from: image, along: axes, width: axes.contains(.x) ? side : nil, height: axes.contains(.y) ? side : nil)
        #expect(part.width == (axes.contains(.x) ? side ?? 160 : 163))
        #expect(part.height == (axes.contains(.y) ? side ?? 128 : 131))
        let middle = image.middle(width: part.width, height: part.height)
        // Half of a band of two blocks.
        let inset = (x: axes.contains(.x) ? 40 : 0, y: axes.contains(.y) ? 40 : 0)
        func core(_ image: DeepImage) -> [UInt16] {
            image.cropped(
                x: inset.x, y: inset.y, width: part.width - 2 * inset.x, height: part.height - 2 * inset.y
            ).pixels
        }
        #expect(core(part) == core(middle))
        #expect(part != middle)
    }

    /// Bricks of 44x17 pixels in rows that are moved by half a brick in turn; joints are bright, bricks darker to the right.
    private static func wall(_ width: Int, _ height: Int, joint: UInt8 = 200) -> Image {
        let pixels = (0..<height).flatMap { y in
            (0..<width).flatMap { x -> [UInt8] in
                let row = y / 17
                let (brick, across) = ((x + row % 2 * 22).quotientAndRemainder(dividingBy: 44))
                let isJoint = y % 17 < 3 || across < 3
                let colour = UInt8(70 + (brick * 7 + row * 13) % 5 * 10 + 30 * (width - x) / width)
                return [UInt8](repeating: isJoint ? joint : colour, count: 3)
            }
        }
        return Image(width: width, height: height, pixels: pixels)
    }

    /// 44 pixels are one brick, 34 are two rows: after an odd number of rows, joints would meet bricks.
    @Test func aRegularPatternIsCutToWholePeriods() {
        let part = PeriodicImage.made(from: Self.wall(320, 240), along: .both)
        #expect(part.width == 7 * 44)
        #expect(part.height == 6 * 34)
        // The bands continue the rows: joints lie where an endless wall has them.
        let endless = Self.wall(320, 240, joint: 255).middle(width: part.width, height: part.height)
        let wrong = stride(from: 0, to: part.pixels.count, by: 3).count { sample in
            (part.pixels[sample] > 150) != (endless.pixels[sample] == 255)
        }
        #expect(wrong < part.width * part.height / 20)
    }

    /// The Fourier transforms give the very sums, of which the choice of a width depends.
    @Test(arguments: [(8, 5), (37, 3), (163, 131), (320, 240), (1500, 20)])
    func correlationsAreThoseOfSums(_ width: Int, _ height: Int) {
        for image in [Self.wall(width, height), Self.noise(width, height).eightBits] {
            let parts = 3 * width / 4..<width
            let light = image.localMeans(radius: 8)
            let detail = zip(image.pixels, light).map { Int($0) - Int($1) }
            let expected = parts.map { part -> Double in
                var (product, left, right) = (0, 0, 0)
                for y in 0..<height {
                    for sample in 3 * y * width..<3 * (y * width + width - part) {
                        let (a, b) = (detail[sample], detail[sample + 3 * part])
                        (product, left, right) = (product + a * b, left + a * a, right + b * b)
                    }
                }
                return left > 0 && right > 0 ? Double(product) / (Double(left) * Double(right)).squareRoot() : 0
            }
            #expect(WholePeriods.correlations(of: image, movedBy: parts) == expected)
        }
    }

    /// As wide as a frieze: sums for each part would take minutes.
    @Test func aWidePatternIsCutToo() throws {
        let width = try #require(WholePeriods.width(of: Self.wall(40_000, 36)))
        #expect(width % 44 == 0 && width > 39_900)
    }

    /// A size that was asked for decides, and light alone is no pattern.
    @Test func onlyARegularPatternIsCut() {
        let part = PeriodicImage.made(from: Self.wall(320, 240), along: .both, width: 320, height: 240)
        #expect(part.width == 320 && part.height == 240)
        let lamps = Image(
            width: 256, height: 64,
            pixels: Self.noise(256, 64).pixels.enumerated().map { index, noise in
                UInt8(128 + 60 * sin(Double(index / 3 % 256) * .pi / 50) + Double(noise) / 2048)
            })
        #expect(PeriodicImage.made(from: lamps, along: .x).width == 256)
    }

    @Test(arguments: [
        ("drying-mud", 320, 240), ("flowing-hair", 320, 240), ("lamp-bricks", 280, 204), ("pebbles", 320, 240),
        ("scales", 320, 240), ("tree-rings", 320, 240),
    ])
    func ofTheExamplesOnlyBricksAreRegular(_ name: String, _ width: Int, _ height: Int) throws {
        let image = try DecodedImage(
            contentsOf: projectFolder.appendingPathComponent("Examples/\(name).png")
        ).image
        let part = PeriodicImage.made(from: image, along: .both)
        #expect(part.width == width)
        #expect(part.height == height)
    }

    /// A wall whose left is dark and whose right is bright: the band leads from one to the other without a step.
    @Test func lightPassesGraduallyAcrossTheJoin() {
        var pixels: [UInt8] = []
        for y in 0..<120 {
            for x in 0..<160 { pixels += [UInt8](repeating: UInt8(40 + x + (x + y) % 2 * 10), count: 3) }
        }
        let image = Image(width: 160, height: 120, pixels: pixels)
        let part: Image = PeriodicImage.made(from: image, along: .x, width: 160)
        func brightness(_ x: Int) -> Int {
            var sum = 0
            for y in 0..<120 { sum += Int(part.pixels[3 * (y * 160 + x)]) }
            return sum / 120
        }
        var most = 0
        for x in 0..<160 { most = max(most, abs(brightness((x + 4) % 160) - brightness(x))) }
        // The photograph's own step is 160 levels. Over the band of 80 columns it takes about 2 a column.
        #expect(most < 40)
    }

    /// A window of the torus joins as well as the torus; with columns missing it does not.
    @Test func aBadJoinIsSeenWhereverTheImageBegins() throws {
        let image = Image(
            width: 256, height: 128,
            pixels: (0..<128).flatMap { y in
                (0..<256).flatMap { x -> [UInt8] in
                    let wave = sin(Double(x) * .pi / 32) + sin(Double(x + 2 * y) * .pi / 16)
                    return [UInt8](repeating: UInt8(128 + 50 * wave), count: 3)
                }
            })
        #expect(try #require(Seam(image).x) < 1.1)
        #expect(try #require(Seam(image.rolled(x: 90, y: 31)).x) < 1.1)
        #expect(try #require(Seam(image.cropped(x: 0, y: 0, width: 236, height: 128)).x) > 2)
        #expect(Seam(image.cropped(x: 0, y: 0, width: 95, height: 128)).x == nil)
    }
}
