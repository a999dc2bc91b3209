import Foundation
import ImageFixtures
import Testing

@testable import Imaging

/// Maps of materials keep the numbers of their files.
@Suite struct DecodedMapTests {
    private func png(_ depth: Int, _ type: PNGFixture.ColorType, _ row: [UInt8], width: Int, gamma: Int? = nil) -> Data
    {
        var fixture = PNGFixture(width: width, height: 1, bitDepth: depth, colorType: type, rows: [row])
        if let gamma { fixture.chunks = [("gAMA", PNGFixture.big32(gamma))] }
        return fixture.encoded()
    }

    @Test func onlyColoursAreConverted() throws {
        // Linear light.
        let file = png(8, .rgb, [10, 60, 200, 128, 128, 255], width: 2, gamma: 100_000)
        let data = try DecodedMap(file, isColour: false, name: "x")
        #expect(data.image.pixels == [10, 60, 200, 128, 128, 255].map { 257 * $0 })
        #expect(data.notes.isEmpty && data.bitDepth == 8 && data.alpha == nil)
        let colours = try DecodedMap(file, isColour: true, name: "x")
        #expect(colours.image.pixels[1] > 257 * 110 && colours.notes.count == 1)
        // As training sees the colours of a photograph.
        let photograph = try DecodedRaster<UInt16>(file, name: "x").image
        #expect(colours.image == photograph)
    }

    @Test func sixteenBitsOfGreyStaySixteen() throws {
        let decoded = try DecodedMap(
            png(16, .grey, [0x12, 0x34, 0xFF, 0xFE], width: 2), isColour: false, name: "x")
        #expect(decoded.image.pixels == [0x1234, 0x1234, 0x1234, 0xFFFE, 0xFFFE, 0xFFFE])
        #expect(decoded.bitDepth == 16)
    }

    @Test func alphaIsAMapOfItsOwn() throws {
        let decoded = try DecodedMap(
            png(8, .rgba, [200, 100, 50, 0, 1, 2, 3, 255], width: 2), isColour: true, name: "x")
        // Nothing is laid over white.
        #expect(decoded.image.pixels == [200, 100, 50, 1, 2, 3].map { 257 * $0 })
        #expect(decoded.alpha?.pixels == [0, 65535] && decoded.alpha?.channels == 1)
    }

    @Test func aTurnedFileIsTurnedAndSaysSo() throws {
        let decoded = try DecodedMap(JPEGFixture.oriented(6, littleEndian: true), isColour: false, name: "x")
        let upright = try DecodedMap(JPEGFixture.colour, isColour: false, name: "x")
        #expect(decoded.wasTurned && !upright.wasTurned)
        #expect(decoded.image.width == upright.image.height && decoded.image.height == upright.image.width)
    }

    @Test func inksAreNoNumbers() {
        let error = #expect(throws: ImagingError.self) {
            _ = try DecodedMap(JPEGFixture.cmyk, isColour: false, name: "x")
        }
        #expect(error?.code == .unsupported)
    }

    @Test func greyPNGsOfSixteenBitsSayNothingOfColours() throws {
        let map = DeepImage(width: 3, height: 1, channels: 1, pixels: [0, 513, 65535])
        let file = try map.png(isSRGB: false)
        #expect(file.range(of: Data("sRGB".utf8)) == nil)
        #expect(try map.png().range(of: Data("sRGB".utf8)) != nil)
        // Bits of a sample, and grey without alpha.
        #expect(file[24] == 16 && file[25] == 0)
        let decoded = try DecodedMap(file, isColour: false, name: "x")
        #expect(decoded.image.pixels == [0, 0, 0, 513, 513, 513, 65535, 65535, 65535])
    }

    @Test func rastersOfAnyNumberOfChannelsAreCutTurnedAndResized() {
        let wide = DeepImage(width: 6, height: 4, channels: 5, pixels: (0..<120).map { UInt16($0 * 500) })
        let cut = wide.cropped(x: 2, y: 1, width: 2, height: 2)
        #expect(cut.channels == 5 && Array(cut.pixels.prefix(5)) == Array(wide.pixels[40..<45]))
        let turned = wide.oriented(by: EXIFOrientation(value: 6))
        #expect(turned.width == 4 && Array(turned.pixels.prefix(5)) == Array(wide.pixels[90..<95]))
        let small = wide.resized(width: 3, height: 2)
        #expect(small.channels == 5)
        #expect(small.pixels[0] == (wide.pixels[0] + wide.pixels[5] + wide.pixels[30] + wide.pixels[35]) / 4)
    }
}
