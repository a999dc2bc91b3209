import Foundation
import Imaging
import Testing

@Suite struct JPEGWriterTests {
    private struct Full: Error {}

    private static let image = Image(
        width: 61, height: 47, pixels: (0..<61 * 47 * 3).map { UInt8(truncatingIfNeeded: $0 * $0 / 5) })

    @Test(arguments: [1, 5, 47])
    func rowByRowItIsTheSameFile(_ rows: Int) throws {
        var file = Data()
        let writer = try JPEGWriter(width: 61, height: 47) { file.append(contentsOf: $0) }
        for start in stride(from: 0, to: 47, by: rows) {
            let samples = Self.image.pixels[start * 183..<min(47, start + rows) * 183]
            try samples.withUnsafeBufferPointer { try writer.write($0) }
        }
        try writer.finish()
        #expect(try file == Self.image.jpeg())
        #expect(try Image(decoding: file, name: "x").width == 61)
    }

    /// Bytes leave while rows come: neither the picture nor its coefficients are held.
    @Test func theFileLeavesWhileRowsCome() throws {
        var bytes = 0
        let writer = try JPEGWriter(width: 512, height: 2048) { bytes += $0.count }
        let noise = (0..<512 * 1024 * 3).map { UInt8(truncatingIfNeeded: $0 &* $0 &* 2_654_435_761 >> 16) }
        try noise.withUnsafeBufferPointer { try writer.write($0) }
        let half = bytes
        try noise.withUnsafeBufferPointer { try writer.write($0) }
        try writer.finish()
        #expect(half > bytes / 3 && half > 1 << 18)
    }

    @Test func whatTheSinkThrowsIsThrown() throws {
        var left = 100_000
        #expect(throws: Full.self) {
            let writer = try JPEGWriter(width: 400, height: 400) {
                left -= $0.count
                if left < 0 { throw Full() }
            }
            let noise = (0..<400 * 400 * 3).map { UInt8(truncatingIfNeeded: $0 &* $0 &* 2_654_435_761 >> 16) }
            try noise.withUnsafeBufferPointer { try writer.write($0) }
            try writer.finish()
        }
    }

    @Test func aSizeThatNoJPEGHasIsRefused() {
        #expect(throws: ImagingError.self) { _ = try JPEGWriter(width: 0, height: 4) { _ in } }
        #expect(throws: ImagingError.self) { _ = try JPEGWriter(width: 65_501, height: 4) { _ in } }
    }
}
