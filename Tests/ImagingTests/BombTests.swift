import Foundation
import ImageFixtures
import Testing

@testable import Imaging

/// Small files that would take much time or memory.
@Suite(.timeLimit(.minutes(1)))
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

    @Test func anInterlacedPictureOfManyPixelsIsRefusedBeforeItsRowsAreHeld() throws {
        // The header says 8192x8192, 16 bits, interlaced; nothing else is read.
        let header: [UInt8] = PNGFixture.big32(8192) + PNGFixture.big32(8192) + [16, 2, 0, 0, 1]
        let signature = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        let file = signature + PNGFixture.chunk("IHDR", header) + PNGFixture.chunk("IDAT", [0])
        let error = #expect(throws: ImagingError.self) { try Image(decoding: file, name: "bomb") }
        #expect(error?.code == .tooLarge && error?.message.contains("without interlacing") == true)
    }
}
