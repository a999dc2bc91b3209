import Imaging
import NNCore
import Testing

@testable import TextureGAN

@Suite struct LayoutTransferTests {
    /// From dark blue with fine vertical stripes to light red with wide ones.
    private static func exemplar(channels: Int = 3) -> Image {
        var pixels: [UInt8] = []
        for _ in 0..<120 {
            for x in 0..<160 {
                let stripe = x / (x < 80 ? 2 : 8) % 2 * 40
                let colour = [20 + x + stripe, 40 + x / 2 + stripe, 150 - x / 2 + stripe]
                pixels += (0..<channels).map { UInt8(colour[$0 % 3]) }
            }
        }
        return Image(width: 160, height: 120, channels: channels, pixels: pixels)
    }

    /// Pale, with a lighter disc.
    private static let layout = Image(
        width: 200, height: 150,
        pixels: (0..<150).flatMap { y in
            (0..<200).flatMap { x -> [UInt8] in
                let isInside = (x - 120) * (x - 120) + (y - 75) * (y - 75) < 50 * 50
                return [UInt8](repeating: isInside ? 150 : 120, count: 3)
            }
        })

    private static func laid(_ strength: Double, seed: UInt64 = 1) -> Image {
        var stream = RandomStream(seed: seed, purpose: 1)
        return LayoutTransfer(exemplar()).laid(by: layout, strength: strength, from: &stream)
    }

    /// The mean red less blue of a square.
    private static func warmth(_ image: Image, x: Int, y: Int) -> Double {
        let square = image.cropped(x: x - 15, y: y - 15, width: 30, height: 30)
        let sum = stride(from: 0, to: square.pixels.count, by: 3).reduce(0) {
            $0 + Int(square.pixels[$1]) - Int(square.pixels[$1 + 2])
        }
        return Double(sum) / 900
    }

    /// The pale disc takes the exemplar's lightest colours, and the rest its darkest: -100 to 140.
    @Test func theLayoutIsFollowedAsFarAsTheStrengthSays() {
        let differences = [0.5, 1].map { strength in
            let result = Self.laid(strength)
            #expect(result.width == 200 && result.height == 150)
            return Self.warmth(result, x: 120, y: 75) - Self.warmth(result, x: 30, y: 40)
        }
        #expect(differences[1] > 100)
        #expect(differences[0] > 0.3 * differences[1] && differences[0] < 0.95 * differences[1])
        // Not at all: any layout gives the same.
        var stream = RandomStream(seed: 1, purpose: 1)
        let other = Image(width: 200, height: 150, pixels: [UInt8](repeating: 9, count: 200 * 150 * 3))
        #expect(LayoutTransfer(Self.exemplar()).laid(by: other, strength: 0, from: &stream) == Self.laid(0))
    }

    /// Stripes come with their light: neighbours differ more often where stripes are fine.
    @Test func theDetailIsThatOfTheExemplar() {
        let result = Self.laid(1)
        func edges(_ x: Int, _ y: Int) -> Int {
            (x..<x + 30).count { (column: Int) -> Bool in
                let first = 3 * (y * 200 + column)
                return abs(Int(result.pixels[first]) - Int(result.pixels[first + 3])) > 20
            }
        }
        let fine = (20..<50).reduce(0) { $0 + edges(10, $1) }
        let wide = (60..<90).reduce(0) { $0 + edges(105, $1) }
        #expect(fine > 2 * wide && wide > 0)
    }

    @Test func equalSeedsGiveEqualInputs() {
        #expect(Self.laid(0.5) == Self.laid(0.5))
        #expect(Self.laid(0.5) != Self.laid(0.5, seed: 2))
    }

    @Test func theMapsOfAMaterialStayTogether() {
        var stream = RandomStream(seed: 1, purpose: 1)
        let transfer = LayoutTransfer(Self.exemplar(channels: 5))
        let result = transfer.laid(by: Self.layout, strength: 0, from: &stream)
        #expect(result.channels == 5)
        let firsts = stride(from: 0, to: result.pixels.count, by: 5)
        #expect(firsts.allSatisfy { result.pixels[$0 + 3] == result.pixels[$0] })
        // Light is moved in the albedo alone.
        stream = RandomStream(seed: 1, purpose: 1)
        let moved = transfer.laid(by: Self.layout, strength: 1, from: &stream)
        let others = Set(moved.pixels.indices.filter { $0 % 5 == 3 }.map { moved.pixels[$0] })
        #expect(others.isSubset(of: 20...219))
    }

    @Test func sixteenBitsStaySixteen() {
        let shallow = Self.exemplar()
        let deep = DeepImage(width: 160, height: 120, pixels: shallow.pixels.map { UInt16($0) * 257 })
        var streams = [RandomStream(seed: 3, purpose: 1), RandomStream(seed: 3, purpose: 1)]
        let one = LayoutTransfer(shallow).laid(by: Self.layout, strength: 0.6, from: &streams[0])
        let other = LayoutTransfer(deep).laid(by: Self.layout, strength: 0.6, from: &streams[1])
        let differences = zip(one.pixels, other.pixels).map { abs(257 * Int($0) - Int($1)) }
        // Each laying and the moved light are rounded to 8 bits in one of them.
        #expect((differences.max() ?? 0) <= 3 * 257)
        #expect(other.pixels.contains { $0 % 257 != 0 })
    }

    @Test(arguments: [(16, 16), (40, 17), (200, 64)])
    func smallExemplarsAndLayoutsAreLaid(_ width: Int, _ height: Int) {
        let image = TinyRun.image(width: width, height: height)
        for size in [(1, 1), (9, 300)] {
            let layout = TinyRun.image(width: size.0, height: size.1)
            var stream = RandomStream(seed: 1, purpose: 1)
            let result = LayoutTransfer(image).laid(by: layout, strength: 1, from: &stream)
            #expect(result.width == size.0 && result.height == size.1)
        }
    }
}
