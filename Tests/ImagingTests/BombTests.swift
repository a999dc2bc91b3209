import Foundation
import ImageFixtures
import Testing

@testable import Imaging

/// Small files that would take much time or memory.
@Suite(.timeLimit(.minutes(10)))
struct BombTests {
    /// A MiB of zeros, deflated to a thousandth.
    private static let zeros: [UInt8] = {
        let start: [UInt8] = [0x78, 0xDA, 0xED, 0xC1, 0x31, 1, 0, 0, 0, 0xC2, 0xA0, 0xF5, 0x4F, 0x6D, 0x08, 0x5F]
        return start + [0xA0] + [UInt8](repeating: 0, count: 1033 - 17) + [0x3E, 0x03, 0x00, 0xF0, 0x00, 0x01]
    }()

    /// A file with chunks between its header and the rest.
    private func inserting(_ chunks: Data, into file: Data) -> Data { file.prefix(33) + chunks + file.dropFirst(33) }

    @Test(arguments: ["zTXt", "iTXt"])
    func compressedTextsAreNotInflated(type: String) throws {
        let file = try Image(width: 2, height: 2, pixels: .init(repeating: 7, count: 12)).png()
        let head: [UInt8] = Array("Comment".utf8) + (type == "zTXt" ? [0, 0] : [0, 1, 0, 0, 0])
        let chunk = PNGFixture.chunk(type, head + Self.zeros)
        var chunks = Data()
        // 31 MB, 31 GB inflated: minutes.
        for _ in 0..<30_000 { chunks += chunk }
        let bomb = inserting(chunks, into: file)
        #expect(try Image(decoding: bomb, name: "bomb").pixels == .init(repeating: 7, count: 12))
    }

    /// A PNG of 16 bits without pixels, of which only the header is read.
    private func header(side: Int, isInterlaced: Bool) -> Data {
        let header: [UInt8] = PNGFixture.big32(side) + PNGFixture.big32(side) + [16, 2, 0, 0, isInterlaced ? 1 : 0]
        let signature = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        return signature + PNGFixture.chunk("IHDR", header) + PNGFixture.chunk("IDAT", [0])
    }

    /// Some decoders hold the whole picture in their own form, too.
    @Test func aHeaderSaysWhatDecodingTakes() throws {
        func bytes(_ file: Data, sampleBytes: Int = 1) throws -> Int {
            try Image.header(of: file, name: "x").decodingBytes(sampleBytes: sampleBytes) - file.count
        }
        for (isInterlaced, shallow, deep) in [(false, 6, 12), (true, 8 + 3, 8 + 6)] {
            let file = header(side: 4000, isInterlaced: isInterlaced)
            #expect(try bytes(file) == 4000 * 4000 * shallow)
            #expect(try bytes(file, sampleBytes: 2) == 4000 * 4000 * deep)
        }
        let pixels = 16 * 8
        #expect(try bytes(JPEGFixture.colour) == 6 * pixels && bytes(JPEGFixture.colour, sampleBytes: 2) == 12 * pixels)
        // The pixels, and their coefficients of two bytes.
        #expect(try bytes(JPEGFixture.progressive) == (3 + 6) * pixels)
        // The inks, and the colours that are mixed of them.
        #expect(try bytes(JPEGFixture.cmyk) == (4 + 3) * pixels)
        let turned = try Image.header(of: JPEGFixture.oriented(6, littleEndian: true), name: "x")
        #expect(turned.width == 8 && turned.decodingBytes() > 6 * pixels)
    }

    /// libpng has a limit of its own, and calls what exceeds it invalid.
    @Test(arguments: [1_000_001, 0x7FFF_FFFF])
    func aPNGWithAGreatSideIsTooLargeAndNotDamaged(side: Int) {
        let file = header(side: side, isInterlaced: false)
        let error = #expect(throws: ImagingError.self) { try Image.header(of: file, name: "bomb") }
        #expect(error?.code == .tooLarge, "\(error?.message ?? "")")
    }

    @Test func anInterlacedPictureOfManyPixelsIsRefusedBeforeItsRowsAreHeld() throws {
        let file = header(side: 8192, isInterlaced: true)
        let error = #expect(throws: ImagingError.self) { try Image(decoding: file, name: "bomb") }
        #expect(error?.code == .tooLarge && error?.message.contains("without interlacing") == true)
    }
}
