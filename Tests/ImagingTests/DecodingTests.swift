import Foundation
import ImageFixtures
import Testing

@testable import Imaging

@Suite struct DecodingTests {
    @Test func pngsOfOurOwnComeBackAsTheyWere() throws {
        var pixels: [UInt8] = []
        for index in 0..<7 * 5 * 3 { pixels.append(UInt8(truncatingIfNeeded: index * 37)) }
        let image = Image(width: 7, height: 5, pixels: pixels)
        let file = try image.png()
        let decoded = try DecodedImage(file, name: "x")
        #expect(decoded.image == image && decoded.notes.isEmpty)
        #expect(file.withUnsafeBytes { PNGChunks.first("sRGB", in: $0) } != nil)
    }

    @Test func jpegsOfOurOwnKeepTheColourOfEveryPixel() throws {
        // Red and blue columns of almost equal brightness: with colour at half resolution, both would be violet.
        let pixels = (0..<32 * 16).flatMap { $0 % 2 == 0 ? [200, 60, 60] : [90, 90, 220] as [UInt8] }
        let image = Image(width: 32, height: 16, pixels: pixels)
        let decoded = try Image(decoding: image.jpeg(), name: "x")
        #expect(decoded.width == 32 && decoded.height == 16)
        let worst = zip(image.pixels, decoded.pixels).map { abs(Int($0) - Int($1)) }.max()!
        #expect(worst < 24)
        #expect {
            try Image(width: Image.maxJPEGSide + 1, height: 1, pixels: .init(repeating: 0, count: 196_503)).jpeg()
        } throws: { ($0 as? ImagingError)?.code == .encoding }
    }

    @Test func everyPNGColourTypeIsRead() throws {
        func decode(_ fixture: PNGFixture) throws -> [UInt8] {
            try Image(decoding: fixture.encoded(), name: "x").pixels
        }
        #expect(
            try decode(PNGFixture(width: 2, height: 1, bitDepth: 8, colorType: .grey, rows: [[0, 200]]))
                == [0, 0, 0, 200, 200, 200])
        #expect(
            try decode(PNGFixture(width: 4, height: 1, bitDepth: 2, colorType: .grey, rows: [[0b00_01_10_11]]))
                == [0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255])
        #expect(
            try decode(PNGFixture(width: 1, height: 2, bitDepth: 8, colorType: .rgb, rows: [[1, 2, 3], [4, 5, 6]]))
                == [1, 2, 3, 4, 5, 6])
        #expect(
            try decode(
                PNGFixture(
                    width: 2, height: 1, bitDepth: 8, colorType: .palette, rows: [[1, 0]],
                    palette: [10, 20, 30, 40, 50, 60])) == [40, 50, 60, 10, 20, 30])
        // Half-transparent grey over white.
        #expect(
            try decode(PNGFixture(width: 2, height: 1, bitDepth: 8, colorType: .greyAlpha, rows: [[100, 255, 100, 0]]))
                == [100, 100, 100, 255, 255, 255])
        #expect(
            try decode(PNGFixture(width: 1, height: 1, bitDepth: 8, colorType: .rgba, rows: [[0, 100, 200, 51]]))
                == [204, 224, 244])
        #expect(
            try decode(
                PNGFixture(
                    width: 2, height: 1, bitDepth: 8, colorType: .palette, rows: [[0, 1]],
                    palette: [10, 20, 30, 40, 50, 60], transparency: [0])) == [255, 255, 255, 40, 50, 60])
    }

    @Test func sixteenBitSamplesAreRoundedToTheNearest() throws {
        // 128 = 0.5 * 257 - 0.5: values up to it round to 0, 129 and above to 1; truncation would give 0 up to 255.
        for (value, expected) in [(0, 0), (128, 0), (129, 1), (255, 1), (256, 1), (385, 1), (386, 2), (65535, 255)] {
            let row = [UInt8(value >> 8), UInt8(value & 255)]
            let fixture = PNGFixture(width: 1, height: 1, bitDepth: 16, colorType: .grey, rows: [row])
            let pixel = try Image(decoding: fixture.encoded(), name: "x").pixels[0]
            #expect(Int(pixel) == expected, "of \(value)")
        }
    }

    @Test func jpegsAreRead() throws {
        let grey = try Image(decoding: JPEGFixture.grey, name: "g")
        #expect(grey.width == 16 && grey.height == 8)
        for x in 0..<16 { #expect(abs(Int(grey.pixels[x * 3]) - 16 * x) < 12) }
        for data in [JPEGFixture.colour, JPEGFixture.cmyk] {
            let image = try Image(decoding: data, name: "c")
            let (left, right) = (3 * 2, 3 * 13)
            for (offset, expected) in [(left, [220, 30, 40]), (right, [20, 60, 200])] {
                for channel in 0..<3 { #expect(abs(Int(image.pixels[offset + channel]) - expected[channel]) < 14) }
            }
        }
    }

    @Test func contentDecidesAndNotTheName() throws {
        let image = Image(width: 2, height: 2, pixels: Array(repeating: 9, count: 12))
        #expect(try Image(decoding: image.png(), name: "photo.JPG") == image)
        #expect(throws: ImagingError.self) { try Image(decoding: Data("GIF89a......".utf8), name: "photo.png") }
    }

    @Test(arguments: 1...8, [true, false])
    func exifOrientationTurnsThePictureUpright(value: Int, littleEndian: Bool) throws {
        let data = JPEGFixture.oriented(UInt8(value), littleEndian: littleEndian)
        let plain = try Image(decoding: JPEGFixture.colour, name: "plain")
        let image = try Image(decoding: data, name: "turned")
        let header = try Image.header(of: data, name: "turned")
        #expect(header.width == image.width && header.height == image.height)
        #expect(image.width == (value >= 5 ? 8 : 16) && image.height == (value >= 5 ? 16 : 8))
        // The place of the stored top-left corner (red), by the EXIF standard.
        let corners = [1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)]
        let (right, bottom) = corners[value]!
        let x = right == 1 ? image.width - 1 : 0
        let y = bottom == 1 ? image.height - 1 : 0
        let found = Array(image.pixels[(y * image.width + x) * 3..<(y * image.width + x) * 3 + 3])
        #expect(found == Array(plain.pixels[0..<3]))
    }

    @Test func messagesNameTheFileAndTheProblem() {
        func message(_ data: Data, _ limits: ImageLimits = .standard) -> ImagingError? {
            do {
                _ = try Image(decoding: data, name: "album/wall.png", limits: limits)
                return nil
            } catch {
                return error
            }
        }
        let png = PNGFixture(
            width: 4, height: 4, bitDepth: 8, colorType: .grey, rows: Array(repeating: [1, 2, 3, 4], count: 4))
        #expect(message(Data())?.code == .empty)
        #expect(message(Data("hello".utf8))?.code == .unknownFormat)
        #expect(message(png.encoded().dropLast(20))?.code == .corrupt)
        #expect(message(png.encoded(), ImageLimits(maxPixels: 15, maxFileBytes: 1 << 20))?.code == .tooLarge)
        #expect(message(png.encoded(), ImageLimits(maxPixels: 16, maxFileBytes: 10))?.code == .tooLarge)
        #expect(message(Data("hello".utf8))?.message.contains("album/wall.png") == true)
    }

    @Test func aDeclaredSizeOverTheLimitIsRefusedBeforeDecoding() {
        var bomb = PNGFixture(width: 60000, height: 60000, bitDepth: 16, colorType: .rgba, rows: [[0]])
        bomb.rows = [[]]
        #expect {
            try Image(decoding: bomb.encoded(), name: "bomb")
        } throws: { ($0 as? ImagingError)?.code == .tooLarge }
    }

    /// libjpeg reads at most 65,500 pixels a side.
    @Test func aJPEGWithAGreatSideIsTooLargeAndNotDamaged() {
        let wide = JPEGFixture.patched(JPEGFixture.colour, marker: 0xC0) { bytes, at in
            bytes.replaceSubrange(at + 7..<at + 9, with: [0xFF, 0xFF])
        }
        for (limits, words) in [
            (ImageLimits.standard, "a JPEG of 65535x8 pixels; a JPEG may have at most 65500 a side"),
            (ImageLimits(maxPixels: 1 << 20, maxFileBytes: 1 << 20, maxSide: 1000), "sides of 1000: scale it down"),
        ] {
            let error = #expect(throws: ImagingError.self) {
                try Image(decoding: wide, name: "wide.jpg", limits: limits)
            }
            #expect(error?.code == .tooLarge && error?.message.contains(words) == true, "\(error?.message ?? "")")
        }
    }

    @Test func truncationAnywhereIsAnError() throws {
        let png = Image(width: 9, height: 6, pixels: (0..<162).map { UInt8(truncatingIfNeeded: $0 * 73) })
        let file = try png.png()
        for length in 0..<file.count - 12 {
            #expect(throws: ImagingError.self, "PNG of \(length) bytes") {
                try Image(decoding: file.prefix(length), name: "x")
            }
        }
        let jpeg = JPEGFixture.colour
        for length in 0..<jpeg.count - 2 {
            #expect(throws: ImagingError.self, "JPEG of \(length) bytes") {
                try Image(decoding: jpeg.prefix(length), name: "x")
            }
        }
    }
}
