import Foundation
import Imaging
import Testing

@Suite struct PNGWriterTests {
    private struct Full: Error {}

    private static let image = Image(
        width: 61, height: 47, pixels: (0..<61 * 47 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 5) })

    @Test(arguments: [1, 5, 47])
    func rowByRowItIsTheSameFile(_ rows: Int) throws {
        var file = Data()
        let writer = try PNGWriter(width: 61, height: 47, bitDepth: 8) { file.append(contentsOf: $0) }
        for start in stride(from: 0, to: 47, by: rows) {
            let samples = Self.image.pixels[start * 183..<min(47, start + rows) * 183]
            try samples.withUnsafeBufferPointer { try writer.write($0) }
        }
        try writer.finish()
        #expect(try file == Self.image.png())
        #expect(try Image(decoding: file, name: "x") == Self.image)
    }

    @Test func sixteenBitsAreWrittenAndReadAsTheyAre() throws {
        let deep = DeepImage(width: 40, height: 30, pixels: (0..<3600).map { UInt16(truncatingIfNeeded: $0 * 911 + 3) })
        let file = try deep.png()
        #expect(file[24] == 16, "the header's bit depth")
        #expect(try DecodedRaster<UInt16>(file, name: "x").image == deep)
        // Read as 8 bits, each value is rounded.
        let shallow = try DecodedImage(file, name: "x").image
        #expect(shallow.pixels == deep.pixels.map { UInt8((Double($0) / 257).rounded()) })
        // Fewer bits are spread over the range.
        #expect(
            try DecodedRaster<UInt16>(Self.image.png(), name: "x").image.pixels
                == Self.image.pixels.map { UInt16($0) * 257 })
        #expect(
            try DecodedRaster<UInt16>(Self.image.jpeg(), name: "x").image.pixels
                == Image(decoding: Self.image.jpeg(), name: "x").pixels.map { UInt16($0) * 257 })
    }

    @Test func whatTheSinkThrowsIsThrown() throws {
        var left = 100
        #expect(throws: Full.self) {
            let writer = try PNGWriter(width: 200, height: 200, bitDepth: 8) {
                left -= $0.count
                if left < 0 { throw Full() }
            }
            // Does not compress, so libpng writes before the end.
            let noise = (0..<200 * 200 * 3).map { UInt8(truncatingIfNeeded: $0 &* $0 &* 2_654_435_761 >> 16) }
            try noise.withUnsafeBufferPointer { try writer.write($0) }
            try writer.finish()
        }
    }

    @Test func aSizeThatNoPNGHasIsRefused() {
        #expect(throws: ImagingError.self) { _ = try PNGWriter(width: 0, height: 4, bitDepth: 8) { _ in } }
        #expect(throws: ImagingError.self) { _ = try PNGWriter(width: 2_000_000, height: 4, bitDepth: 8) { _ in } }
    }
}
