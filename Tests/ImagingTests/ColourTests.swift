import Foundation
import ImageFixtures
import Testing

@testable import Imaging

/// Other colours are converted to sRGB, and sRGB colours keep their bytes.
@Suite struct ColourTests {
    private static let colours: [[UInt8]] = [[180, 110, 70], [60, 120, 200], [128, 128, 128], [20, 20, 20]]
    /// Computed independently of Little CMS: matrices adapted to D50, and the two curves.
    private static let fromP3 = [[193, 106, 58], [22, 123, 208], [129, 129, 129], [12, 12, 12]]
    private static let fromAdobe = [[201, 110, 66], [0, 121, 204], [129, 129, 129], [12, 12, 12]]

    private func png(
        rows: [[UInt8]] = [ColourTests.colours.flatMap(\.self)], _ chunks: [(String, [UInt8])]
    ) -> Data {
        var fixture = PNGFixture(width: rows[0].count / 3, height: rows.count, bitDepth: 8, colorType: .rgb, rows: rows)
        fixture.chunks = chunks
        return fixture.encoded()
    }

    private func expect(
        _ image: Image, _ expected: [[Int]], within tolerance: Int = 1, _ location: SourceLocation = #_sourceLocation
    ) {
        for (index, value) in expected.joined().enumerated() {
            #expect(abs(Int(image.pixels[index]) - value) <= tolerance, "value \(index)", sourceLocation: location)
        }
    }

    private func iCCP(_ profile: [UInt8]) -> (String, [UInt8]) { ("iCCP", PNGFixture.embedded(profile)) }

    @Test func aPNGsProfileIsConvertedToSRGB() throws {
        for (profile, name, expected) in [
            (ICCFixture.displayP3, "Display P3", Self.fromP3),
            (ICCFixture.adobeRGB, "Adobe RGB (1998)", Self.fromAdobe),
        ] {
            let decoded = try DecodedImage(png([iCCP(profile)]), name: "x")
            expect(decoded.image, expected)
            #expect(decoded.notes == [.convertedToSRGB(from: name)])
        }
    }

    @Test func colours16BitsDeepAreRoundedAfterTheConversion() throws {
        // Linear values that all round to 0 in 8 bits: with early rounding, the darkest greys would be equal.
        var fixture = PNGFixture(
            width: 3, height: 1, bitDepth: 16, colorType: .rgb,
            rows: [[0, 10, 0, 10, 0, 10, 0, 40, 0, 40, 0, 40, 0, 120, 0, 120, 0, 120]])
        fixture.chunks = [("gAMA", PNGFixture.big32(100_000))]
        let decoded = try DecodedImage(fixture.encoded(), name: "x")
        expect(decoded.image, [1, 2, 6].map { [$0, $0, $0] }, within: 0)
    }

    /// A gamma means a pure power, and sRGB has a straight piece in the darks.
    @Test(arguments: [1, 1 / 1.8, 1 / 2.6, 0.2, 2])
    func aGammaIsConvertedByItsFormula(_ gamma: Double) throws {
        let ramp = (0..<4096).map { 16 * $0 }
        var fixture = PNGFixture(
            width: ramp.count, height: 1, bitDepth: 16, colorType: .rgb,
            rows: [ramp.flatMap { value in (0..<3).flatMap { _ in [UInt8(value >> 8), UInt8(value & 255)] } }])
        fixture.chunks = [("gAMA", PNGFixture.big32(Int((gamma * 100_000).rounded())))]
        let image = try DecodedRaster<UInt16>(fixture.encoded(), name: "x").image
        let stored = (gamma * 100_000).rounded() / 100_000
        let errors = ramp.indices.map { index -> Double in
            let linear = pow(Double(ramp[index]) / 65535, 1 / stored)
            let encoded = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055
            return abs(Double(image.pixels[3 * index]) - 65535 * encoded)
        }
        // A hundredth of a level of 8 bits.
        #expect(errors.max()! < 2.57)
    }

    @Test func profilesOfSRGBLeaveTheBytesAlone() throws {
        let rows = (0..<16).map { row in (0..<48).map { UInt8(truncatingIfNeeded: row * 48 * 7 + $0 * 5) } }
        let plain = try DecodedImage(png(rows: rows, []), name: "x")
        for chunks in [
            [iCCP(ICCFixture.sRGB)], [("sRGB", [0])], [("gAMA", PNGFixture.big32(45_455))],
            [("gAMA", PNGFixture.big32(45_000))],
            [("gAMA", PNGFixture.big32(45_455)), ("cHRM", Self.chromaticities(green: (30_000, 60_000)))],
            [("sRGB", [0]), ("gAMA", PNGFixture.big32(45_455))],
        ] {
            #expect(try DecodedImage(png(rows: rows, chunks), name: "x") == plain, "\(chunks.map(\.0))")
        }
        let jpeg = JPEGFixture.inserting(JPEGFixture.embedded(ICCFixture.sRGB), into: JPEGFixture.colour)
        #expect(try DecodedImage(jpeg, name: "x") == DecodedImage(JPEGFixture.colour, name: "x"))
    }

    /// sRGB's chromaticities with another green. Adobe RGB's green is (21000, 71000).
    private static func chromaticities(green: (Int, Int)) -> [UInt8] {
        [31_270, 32_900, 64_000, 33_000, green.0, green.1, 15_000, 6_000].flatMap(PNGFixture.big32)
    }

    @Test func gammaAndChromaticitiesAreConverted() throws {
        let linear = try DecodedImage(
            png(rows: [[0, 10, 60, 128, 255, 0]], [("gAMA", PNGFixture.big32(100_000))]), name: "x")
        expect(linear.image, [[0, 56, 133], [188, 255, 0]])
        #expect(linear.notes == [.convertedToSRGB(from: "a gamma of 1")])
        let adobe = Self.chromaticities(green: (21_000, 71_000))
        for chunks in [[("cHRM", adobe)], [("gAMA", PNGFixture.big32(45_455)), ("cHRM", adobe)]] {
            let wide = try DecodedImage(png(rows: [[180, 110, 70, 128, 128, 128]], chunks), name: "x")
            expect(wide.image, [[200, 110, 68], [128, 128, 128]])
        }
        // The profile overrides gAMA.
        let both = try DecodedImage(png([iCCP(ICCFixture.displayP3), ("gAMA", PNGFixture.big32(45_455))]), name: "x")
        expect(both.image, Self.fromP3)
    }

    @Test func transparencyIsLaidOverWhiteAfterTheConversion() throws {
        var fixture = PNGFixture(
            width: 2, height: 1, bitDepth: 8, colorType: .rgba, rows: [[180, 110, 70, 255, 180, 110, 70, 51]])
        fixture.chunks = [iCCP(ICCFixture.displayP3)]
        let decoded = try DecodedImage(fixture.encoded(), name: "x")
        expect(decoded.image, [[193, 106, 58], [243, 225, 216]])
        #expect(decoded.notes == [.convertedToSRGB(from: "Display P3"), .transparencyOverWhite])
    }

    @Test func anAlphaChannelIsSpokenOfOnlyWhereItMatters() throws {
        func notes(_ alpha: UInt8) throws -> [DecodedImage.Note] {
            let fixture = PNGFixture(
                width: 2, height: 1, bitDepth: 8, colorType: .rgba, rows: [[1, 2, 3, 255, 4, 5, 6, alpha]])
            return try DecodedImage(fixture.encoded(), name: "x").notes
        }
        #expect(try notes(255) == [])
        #expect(try notes(254) == [.transparencyOverWhite])
    }

    @Test func aGreyPicturesProfileIsConverted() throws {
        var fixture = PNGFixture(width: 3, height: 1, bitDepth: 8, colorType: .grey, rows: [[0, 60, 255]])
        fixture.chunks = [iCCP(ICCFixture.grey(gamma: 1))]
        // sRGB's own curve for a linear 60 / 255.
        expect(try DecodedImage(fixture.encoded(), name: "x").image, [[0, 0, 0], [133, 133, 133], [255, 255, 255]])
        let jpeg = JPEGFixture.inserting(JPEGFixture.embedded(ICCFixture.grey(gamma: 1)), into: JPEGFixture.grey)
        let (linear, plain) = (try Image(decoding: jpeg, name: "x"), try Image(decoding: JPEGFixture.grey, name: "x"))
        #expect(linear.pixels[3 * 8] > plain.pixels[3 * 8] + 40)
        #expect(linear.pixels[3 * 8] == linear.pixels[3 * 8 + 1] && linear.pixels[3 * 8] == linear.pixels[3 * 8 + 2])
    }

    @Test func aJPEGsProfileIsPutTogetherFromItsSegments() throws {
        let plain = try Image(decoding: JPEGFixture.colour, name: "x")
        let whole = JPEGFixture.embedded(ICCFixture.displayP3)
        let parts = JPEGFixture.embedded(ICCFixture.displayP3, partBytes: 100)
        #expect(parts.count > 3)
        let expected = try DecodedImage(JPEGFixture.inserting(whole, into: JPEGFixture.colour), name: "x")
        #expect(expected.image != plain && expected.notes == [.convertedToSRGB(from: "Display P3")])
        for segments in [parts, parts.reversed()] {
            let decoded = try DecodedImage(JPEGFixture.inserting(segments, into: JPEGFixture.colour), name: "x")
            #expect(decoded == expected)
        }
        let lacking = JPEGFixture.inserting(Array(parts.dropFirst()), into: JPEGFixture.colour)
        let ignored = try DecodedImage(lacking, name: "x")
        #expect(ignored.image == plain && ignored.notes == [.profileIgnored(reason: "a part of it is missing")])
    }

    @Test func aProfileThatCannotBeUsedIsSpokenOf() throws {
        let plain = try Image(decoding: JPEGFixture.colour, name: "x")
        for profile in [Array("not a profile".utf8), ICCFixture.greyInks, ICCFixture.grey(gamma: 2)] {
            let file = JPEGFixture.inserting(JPEGFixture.embedded(profile), into: JPEGFixture.colour)
            let decoded = try DecodedImage(file, name: "x")
            #expect(decoded.image == plain && decoded.notes.count == 1)
            #expect(decoded.notes[0].description.contains("profile is ignored"))
        }
        let decoded = try DecodedImage(png([iCCP(Array("not a profile".utf8))]), name: "x")
        #expect(decoded.notes == [.profileIgnored(reason: "it is damaged")])
        #expect(decoded.image.pixels == Self.colours.flatMap(\.self))
    }

    @Test func inksAreMixedByTheirProfile() throws {
        let plain = try DecodedImage(JPEGFixture.cmyk, name: "x")
        #expect(plain.notes == [.inksWithoutProfile])
        let file = JPEGFixture.inserting(JPEGFixture.embedded(ICCFixture.greyInks), into: JPEGFixture.cmyk)
        let mixed = try DecodedImage(file, name: "x")
        #expect(mixed.notes == [.convertedToSRGB(from: "grey inks")])
        let pixel = mixed.image.pixels.prefix(3).map(Int.init)
        #expect(pixel.max()! - pixel.min()! <= 2 && (60...170).contains(pixel[0]), "\(pixel)")
        #expect(plain.image.pixels[0] > 200 && plain.image.pixels[1] < 60)
    }

    @Test func inksOfWhichNobodySaysHowTheyRunAreRefused() throws {
        // The Adobe marker is the first segment of the fixture.
        let segmentBytes = 2 + 14
        let file = Data(JPEGFixture.cmyk.prefix(2) + JPEGFixture.cmyk.dropFirst(2 + segmentBytes))
        let error = #expect(throws: ImagingError.self) { try Image(decoding: file, name: "x.jpg") }
        #expect(error?.code == .unsupported && error?.message.contains("Adobe") == true)
    }
}
