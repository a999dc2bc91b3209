import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct OtherInputsTests {
    private static func drawn(_ width: Int, _ height: Int, _ pixel: (_ x: Int, _ y: Int) -> [UInt8]) -> Image {
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width { pixels += pixel(x, y) }
        }
        return Image(width: width, height: height, pixels: pixels)
    }

    /// Every pixel is different.
    private static let image = drawn(42, 33) { x, y in [UInt8(x), UInt8(y), UInt8(3 * x + 2 * y)] }

    private static func stream(_ seed: UInt64, _ purpose: UInt32 = 1) -> RandomStream {
        RandomStream(seed: seed, purpose: purpose)
    }

    @Test func shuffledTilesAreThoseOfTheImageEachOnce() {
        var stream = Self.stream(3)
        let result = Self.image.shuffledTiles(4, from: &stream)
        #expect(result.width == 40 && result.height == 32)
        func tiles(_ image: Image) -> [[UInt8]] {
            (0..<16).map { image.cropped(x: $0 % 4 * 10, y: $0 / 4 * 8, width: 10, height: 8).pixels }
        }
        #expect(Set(tiles(result)) == Set(tiles(Self.image)))
        #expect(tiles(result) != tiles(Self.image))
    }

    @Test func equalSeedsGiveEqualInputs() {
        func made(_ seed: UInt64, _ purpose: UInt32 = 1) -> [Image] {
            var streams = [Self.stream(seed, purpose), Self.stream(seed, purpose), Self.stream(seed, purpose)]
            return [
                Self.image.shuffledTiles(3, from: &streams[0]), Self.image.noise(from: &streams[1]),
                Self.image.randomCrop(width: 9, height: 9, from: &streams[2]),
            ]
        }
        #expect(made(1) == made(1))
        for (one, other) in zip(made(1), made(2)) { #expect(one != other) }
        for (one, other) in zip(made(1), made(1, 2)) { #expect(one != other) }
    }

    @Test func randomCropsReachEveryPlace() {
        var places: Set<[UInt8]> = []
        for seed in 1...400 {
            var stream = Self.stream(UInt64(seed))
            let crop = Self.image.randomCrop(width: 40, height: 31, from: &stream)
            places.insert(Array(crop.pixels[..<2]))
        }
        #expect(places.count == 9 && places.contains([0, 0]) && places.contains([2, 2]))
    }

    /// As bright as the image: the same share of dark and bright pixels. And smooth: neighbours differ little.
    @Test func noiseHasTheImagesColoursAndIsSmooth() {
        let photograph = Self.drawn(128, 96) { x, y in
            x < 32 ? [10, 20, 200] : [UInt8](repeating: UInt8(130 + y), count: 3)
        }
        var stream = Self.stream(5)
        let noise = photograph.noise(from: &stream)
        let blue = (0..<96 * 128).count { noise.pixels[3 * $0] == 10 && noise.pixels[3 * $0 + 2] == 200 }
        #expect(blue == 96 * 32)
        let values = GradientNoise(from: &stream).values(width: 128, height: 96)
        // Neighbours of white noise differ by a third of the range.
        var sum = 0.0
        for index in 1..<values.count where index % 128 > 0 { sum += abs(values[index] - values[index - 1]) }
        let range = (values.max() ?? 0) - (values.min() ?? 0)
        #expect(range > 0.5 && sum / Double(96 * 127) < range / 8)
        // It varies down as well as across.
        let columns = (0..<96).map { values[$0 * 128 + 60] }
        #expect((columns.max() ?? 0) - (columns.min() ?? 0) > 0.2)
    }

    @Test func sixteenBitsStaySixteen() {
        let deep = DeepImage(width: 16, height: 8, pixels: (0..<16 * 8 * 3).map { UInt16($0 * 170) })
        var stream = Self.stream(1)
        #expect(Set(deep.shuffledTiles(4, from: &stream).pixels) == Set(deep.pixels))
        #expect(Set(deep.noise(from: &stream).pixels).contains { $0 % 257 != 0 })
    }
}
