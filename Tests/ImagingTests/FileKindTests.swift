import Foundation
import ImageFixtures
import Testing

@testable import Imaging

/// Odd files that the decoder reads, and kinds of files that it refuses by name.
@Suite struct FileKindTests {
    private func error(_ data: Data) -> ImagingError? {
        do {
            _ = try Image(decoding: data, name: "a.jpg")
            return nil
        } catch { return error }
    }

    @Test func aJPEGWhosePixelsAreAllThereIsRead() throws {
        let colour = JPEGFixture.colour
        let plain = try Image(decoding: colour, name: "x")
        // Samsung's cameras write scans from coefficient 0 to 0 and mean all coefficients.
        let samsung = JPEGFixture.patched(colour, marker: 0xDA) { bytes, at in
            let end = at + 2 + (Int(bytes[at + 2]) << 8 | Int(bytes[at + 3]))
            bytes.replaceSubrange(end - 3..<end, with: [0, 0, 0])
        }
        let body = colour.dropLast(2)
        for (what, file) in [
            ("Se = 0", samsung), ("no end marker", body), ("zeros for it", body + Data(repeating: 0, count: 999)),
            ("stray bytes", body + [0, 0, 0, 0xFF, 0xD9]), ("bytes behind it", colour + Data(repeating: 7, count: 99)),
        ] {
            #expect(try Image(decoding: file, name: what) == plain, "\(what)")
        }
        let progressive = JPEGFixture.progressive
        let expected = try Image(decoding: progressive, name: "x")
        #expect(try Image(decoding: progressive.dropLast(2), name: "x") == expected)
        #expect(abs(Int(expected.pixels[0]) - 220) < 14)
    }

    @Test func aJPEGThatLacksPixelsIsDamaged() throws {
        let progressive = JPEGFixture.progressive
        for length in 4..<progressive.count - 2 {
            #expect(error(progressive.prefix(length))?.code == .corrupt, "\(length) bytes")
        }
        // A broken copy ends in zeros: entropy decoding would turn them into pixels.
        let colour = JPEGFixture.colour
        for length in colour.count - 20..<colour.count - 3 {
            let padded = colour.prefix(length) + Data(repeating: 0, count: 4096)
            #expect(error(padded)?.code == .corrupt, "\(length) bytes and zeros")
        }
    }

    @Test func kindsThatAreNotReadAreNotCalledDamaged() throws {
        func framed(_ change: @escaping (inout [UInt8], Int) -> Void) -> Data {
            JPEGFixture.patched(JPEGFixture.colour, marker: 0xC0, change)
        }
        let png = PNGFixture(width: 1, height: 1, bitDepth: 8, colorType: .grey, rows: [[1]]).encoded()
        let apples = png.prefix(8) + PNGFixture.chunk("CgBI", [0x50, 0, 0x20, 6]) + png.dropFirst(8)
        for (file, phrase) in [
            (framed { bytes, at in bytes[at + 4] = 12 }, "12 bits"),
            (framed { bytes, at in bytes[at + 1] = 0xC3 }, "lossless"),
            (framed { bytes, at in bytes[at + 1] = 0xC5 }, "hierarchical"), (apples, "CgBI"),
        ] {
            let found = error(file)
            #expect(
                found?.code == .unsupported && found?.message.contains(phrase) == true, "\(phrase): \(found as Any)")
            #expect(found?.message.contains("damaged") == false)
        }
    }

    @Test func foreignFilesAreNamedWithAdvice() {
        func box(_ brands: String) -> Data {
            let content = "ftyp" + brands
            return Data([0, 0, 0, UInt8(4 + content.utf8.count)]) + Data(content.utf8) + Data(repeating: 0, count: 40)
        }
        let files: [(Data, String)] = [
            (box("heic\0\0\0\0mif1heic"), "HEIC"), (box("mif1\0\0\0\0mif1heic"), "HEIC"),
            (box("avif\0\0\0\0mif1miaf"), "AVIF"), (box("mif1\0\0\0\0avifmif1"), "AVIF"),
            (box("isom\0\0\0\0"), "video"),
            (Data("RIFF....WEBPVP8 ".utf8), "WebP"), (Data([0x49, 0x49, 0x2A, 0, 8]), "TIFF"),
            (Data([0x4D, 0x4D, 0, 0x2A, 0]), "TIFF"), (Data("GIF89a".utf8), "GIF"),
            (Data("BM".utf8) + Data([9, 9, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0]), "BMP"),
            (Data([0xFF, 0x0A, 1]), "JPEG XL"), (Data([0, 0, 0, 0x0C]) + Data("JXL \r\n".utf8), "JPEG XL"),
            (Data([0, 0, 0, 0x0C]) + Data("jP  \r\n".utf8), "JPEG 2000"), (Data("8BPS\0\u{1}".utf8), "Photoshop"),
            (Data([0x76, 0x2F, 0x31, 0x01]), "OpenEXR"), (Data("<!DOCTYPE html><html>404".utf8), "HTML"),
            (Data("\n  <html lang=en>".utf8), "HTML"), (Data("<?xml version='1.0'?>\n<Error/>".utf8), "XML"),
            (Data("<?xml version='1.0'?>\n<!-- x --><svg xmlns=''>".utf8), "SVG"), (Data("<svg>".utf8), "SVG"),
            (Data("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n".utf8), "git lfs pull"),
            (Data("PK\u{3}\u{4}".utf8), "ZIP"), (Data("hello".utf8), "68 65 6c 6c"), (Data("BMX-track".utf8), "42 4d"),
        ]
        for (file, phrase) in files {
            let found = error(file)
            #expect(found?.code == .unknownFormat, "\(phrase)")
            #expect(found?.message.contains(phrase) == true, "\(phrase): \(found?.message ?? "")")
            #expect(found?.message.contains("PNG") == true)
        }
        #expect(error(Data())?.message.contains("is empty") == true)
    }

    @Test(arguments: 1...8, [true, false])
    func orientationIsFoundWhereverItStands(value: Int, isLong: Bool) throws {
        let expected = try Image(decoding: JPEGFixture.oriented(UInt8(value), littleEndian: false), name: "x")
        for littleEndian in [true, false] {
            let plain = JPEGFixture.oriented(UInt8(value), littleEndian: littleEndian, isLong: isLong)
            let behind = JPEGFixture.inserting(
                Array(repeating: (0xE4, [UInt8](repeating: 0, count: 65533)), count: 5), into: plain)
            let stray = plain.prefix(2) + [0xFF, 0xE4, 0, 2, 1, 2, 3] + plain.dropFirst(2)
            for file in [plain, behind, stray] {
                #expect(try Image(decoding: file, name: "x") == expected)
                #expect(try Image.header(of: file, name: "x").width == expected.width)
            }
        }
    }

    @Test(arguments: 1...8) func pngsAreTurnedAsJPEGsAre(value: Int) throws {
        var png = PNGFixture(
            width: 3, height: 2, bitDepth: 8, colorType: .grey, rows: [[10, 20, 30], [40, 50, 60]])
        let upright = try Image(decoding: png.encoded(), name: "x").oriented(by: EXIFOrientation(value: value))
        let exif = EXIFFixture.orientation(UInt8(value), littleEndian: value % 2 == 0, isLong: value > 4)
        png.chunks = [("eXIf", exif)]
        #expect(try Image(decoding: png.encoded(), name: "x") == upright)
        #expect(try Image.header(of: png.encoded(), name: "x").width == upright.width)
        (png.chunks, png.trailingChunks) = ([], [("eXIf", Array("Exif\0\0".utf8) + exif)])
        #expect(try Image(decoding: png.encoded(), name: "x") == upright)
    }
}
