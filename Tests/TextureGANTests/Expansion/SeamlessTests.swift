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
        recipe.norm = .none
        recipe.upsample = .nearest
    }

    private static func expand(
        _ image: Image, _ axes: TorusAxes, _ generator: Generator, memoryLimit: Int = 1 << 30
    ) throws -> Image {
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
        let image = TinyRun.image(width: width, height: height)
        for axes in [TorusAxes.both, .x, .y] {
            let part = PeriodicImage.made(from: image, along: axes)
            for (side, whole, isPeriodic) in [
                (part.width, width, axes.contains(.x)), (part.height, height, axes.contains(.y)),
            ] {
                #expect(isPeriodic ? side % 4 == 0 && 2 * side >= whole && side < whole : side == whole)
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
        let seam = Seam(PeriodicImage.made(from: image, along: .both))
        let (x, y) = try (#require(seam.x), #require(seam.y))
        #expect(max(x, y) < max(bad.x ?? 0, bad.y ?? 0) * 0.7)
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
