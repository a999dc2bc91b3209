import Foundation
import Testing

@testable import Imaging

/// Size limits, and the crops and resizes that fit a photograph into them.
@Suite struct FramingTests {
    private let image = Image(
        width: 20, height: 10, pixels: (0..<10).flatMap { y in (0..<20).flatMap { x in [UInt8(x), UInt8(y), 0] } })

    private func corner(_ image: Image) -> [UInt8] { Array(image.pixels.prefix(2)) }

    @Test func aWindowIsWrittenAsImageMagickDoes() {
        #expect(Framing.Window("20x10+3+4")?.corner == Framing.Window.Corner(x: 3, y: 4))
        #expect(Framing.Window("20x10")?.corner == nil && Framing.Window("20x10")?.width == 20)
        for text in [
            "", "20", "20x", "x10", "0x5", "20x10+3", "20x10+3+4+5", "20x10-3+4", "+3+4", "20x10+ 3+4", "2e1x10",
            "99999999999999999999x1", "²x1",
        ] {
            #expect(Framing.Window(text) == nil, "\(text)")
        }
    }

    @Test func thePartIsCutOutAndMadeSmaller() throws {
        let part = try Framing(crop: Framing.Window("8x6+12+4")).frame(image, name: "x")
        #expect(part.width == 8 && part.height == 6 && corner(part) == [12, 4])
        let middle = try Framing(crop: Framing.Window("8x6")).frame(image, name: "x")
        #expect(middle.width == 8 && corner(middle) == [6, 2])
        let both = try Framing(crop: Framing.Window("8x6+0+0"), longestSide: 4).frame(image, name: "x")
        #expect(both.width == 4 && both.height == 3)
        #expect(try Framing(longestSide: 100).frame(image, name: "x") == image, "nothing is enlarged")
        for text in ["21x1+0+0", "8x6+13+0", "8x6+0+5", "21x3"] {
            let error = #expect(throws: ImagingError.self) {
                try Framing(crop: Framing.Window(text)).frame(image, name: "wall.png")
            }
            #expect(error?.code == .outside && error?.message.contains("20x10") == true, "\(text)")
        }
    }

    @Test func whatIsWrittenFromTheLargestExemplarCanBeRead() {
        let (exemplar, reader) = (ImageLimits.exemplar, ImageLimits.standard)
        for (width, height) in [(4096, 4096), (exemplar.maxSide, 33), (33, exemplar.maxSide), (5016, 3344)] {
            #expect(exemplar.allow(width: width, height: height))
            #expect(reader.allow(width: 2 * width, height: 2 * height))
        }
        for (width, height) in [(4097, 4096), (exemplar.maxSide + 1, 16), (6000, 4000), (0, 5), (Int.max, 2)] {
            #expect(!exemplar.allow(width: width, height: height))
        }
    }

    @Test func aRefusalSaysWhatWouldDo() {
        for (width, height) in [(6000, 4000), (4000, 6000), (4097, 4096), (900_000, 20), (12_000, 9_001)] {
            let limits = ImageLimits.exemplar
            let side = limits.longestSide(ofWidth: width, height: height)
            let scale = Double(side) / Double(max(width, height))
            let (small, large) = (
                Int((Double(min(width, height)) * scale).rounded()), Int((Double(max(width, height)) * scale).rounded())
            )
            #expect(limits.allow(width: large, height: max(1, small)), "\(width)x\(height): \(side)")
            #expect(!limits.allow(width: large + large / 100, height: small + small / 100 + 1))
            let message = limits.tooLarge("wall.jpg", width, height).message
            #expect(message.contains("--resize \(side)") && message.contains("--crop"), "\(message)")
        }
        let near = ImageLimits.exemplar.tooLarge("wall.jpg", 4097, 4096).message
        #expect(near.contains("16.8 megapixels)") && near.contains("at most 16.7 megapixels"), "\(near)")
        #expect(!ImageLimits.standard.tooLarge("wall.jpg", 90_000, 9_000).message.contains("--crop"))
    }
}
