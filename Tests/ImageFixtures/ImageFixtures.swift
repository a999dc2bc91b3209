import Foundation

/// A PNG of any colour type in a simple encoding (stored deflate blocks, no filters), so that tests control every byte.
package struct PNGFixture {
    package enum ColorType: UInt8, Sendable { case grey = 0, rgb = 2, palette = 3, greyAlpha = 4, rgba = 6 }

    package var width: Int
    package var height: Int
    package var bitDepth: Int
    package var colorType: ColorType
    /// Rows of packed samples, without filter bytes.
    package var rows: [[UInt8]]
    package var palette: [UInt8] = []
    package var transparency: [UInt8] = []
    /// Chunks before and after the pixels.
    package var chunks: [(type: String, content: [UInt8])] = []
    package var trailingChunks: [(type: String, content: [UInt8])] = []

    package init(
        width: Int, height: Int, bitDepth: Int, colorType: ColorType, rows: [[UInt8]], palette: [UInt8] = [],
        transparency: [UInt8] = []
    ) {
        self.width = width
        self.height = height
        self.bitDepth = bitDepth
        self.colorType = colorType
        self.rows = rows
        self.palette = palette
        self.transparency = transparency
    }

    package func encoded() -> Data {
        var data = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        data += Self.chunk(
            "IHDR", Self.big32(width) + Self.big32(height) + [UInt8(bitDepth), colorType.rawValue, 0, 0, 0])
        for (type, content) in chunks { data += Self.chunk(type, content) }
        if !palette.isEmpty { data += Self.chunk("PLTE", palette) }
        if !transparency.isEmpty { data += Self.chunk("tRNS", transparency) }
        data += Self.chunk("IDAT", Self.zlibStored(rows.flatMap { [0] + $0 }))
        for (type, content) in trailingChunks { data += Self.chunk(type, content) }
        data += Self.chunk("IEND", [])
        return data
    }

    /// The content of an iCCP chunk.
    package static func embedded(_ profile: [UInt8]) -> [UInt8] {
        Array("profile".utf8) + [0, 0] + zlibStored(profile)
    }

    package static func big32(_ value: Int) -> [UInt8] {
        (0..<4).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    package static func chunk(_ type: String, _ content: [UInt8]) -> Data {
        let body = Array(type.utf8) + content
        return Data(big32(content.count) + body + big32(Int(crc32(body))))
    }

    private static func zlibStored(_ bytes: [UInt8]) -> [UInt8] {
        precondition(bytes.count < 65536)
        let (length, inverse) = (UInt16(bytes.count), ~UInt16(bytes.count))
        var a: UInt32 = 1
        var b: UInt32 = 0
        for byte in bytes {
            a = (a + UInt32(byte)) % 65521
            b = (b + a) % 65521
        }
        return [0x78, 0x01, 0x01, UInt8(length & 255), UInt8(length >> 8), UInt8(inverse & 255), UInt8(inverse >> 8)]
            + bytes + big32(Int(b << 16 | a))
    }

    private static func crc32(_ bytes: [UInt8]) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return ~crc
    }
}

/// A 16x8 JPEG with a gradient, made by libjpeg at quality 90, grey, 4:4:4.
package enum JPEGFixture {
    static let greyBase64 =
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAAIABABAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/APj/APZt/wCXX8K/VX9m3/l1/Cv/2Q=="
    /// 16x8: the left half red, the right half blue, quality 95.
    static let colourBase64 =
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAIABADAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD5fr8TP9eDx+v9oD/As//Z"
    package static var grey: Data { Data(base64Encoded: greyBase64)! }
    package static var colour: Data { Data(base64Encoded: colourBase64)! }
    /// The same as CMYK with Adobe's inverted inks.
    package static var cmyk: Data { Data(base64Encoded: cmykBase64)! }
    static let cmykBase64 =
        "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4EQwBNAFkASwAAPwD9cK/Hevyfr9/K/jfr3iv6gKK//9k="

    /// `colour`, progressive.
    package static var progressive: Data { Data(base64Encoded: progressiveBase64)! }
    static let progressiveBase64 =
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wgARCAAIABADAREAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABgf/xAAVAQEBAAAAAAAAAAAAAAAAAAAIBv/aAAwDAQACEAMQAAABl8SvB7QAv//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAQUCP//EABQRAQAAAAAAAAAAAAAAAAAAABD/2gAIAQMBAT8BP//EABQRAQAAAAAAAAAAAAAAAAAAABD/2gAIAQIBAT8BP//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEABj8CP//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAT8hP//aAAwDAQACAAMAAAAQA//EABQRAQAAAAAAAAAAAAAAAAAAABD/2gAIAQMBAT8QP//EABQRAQAAAAAAAAAAAAAAAAAAABD/2gAIAQIBAT8QP//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAT8QP//Z"

    /// `colour` with an EXIF orientation.
    package static func oriented(_ value: UInt8, littleEndian: Bool, isLong: Bool = false) -> Data {
        let exif = EXIFFixture.orientation(value, littleEndian: littleEndian, isLong: isLong)
        return inserting([(0xE1, Array("Exif\0\0".utf8) + exif)], into: colour)
    }

    /// Inserts segments after the first marker.
    package static func inserting(_ segments: [(marker: UInt8, content: [UInt8])], into file: Data) -> Data {
        var result = Data(file.prefix(2))
        for (marker, content) in segments {
            let length = content.count + 2
            result += Data([0xFF, marker, UInt8(length >> 8), UInt8(length & 255)] + content)
        }
        return result + file.dropFirst(2)
    }

    /// The APP2 segments of a profile, each with at most `partBytes` bytes.
    package static func embedded(_ profile: [UInt8], partBytes: Int = 60_000) -> [(marker: UInt8, content: [UInt8])] {
        let starts = Array(stride(from: 0, to: profile.count, by: partBytes))
        return starts.enumerated().map { index, start in
            let part = profile[start..<min(start + partBytes, profile.count)]
            return (0xE2, Array("ICC_PROFILE\0".utf8) + [UInt8(index + 1), UInt8(starts.count)] + part)
        }
    }

    /// `file` with changed bytes at a marker.
    package static func patched(_ file: Data, marker: UInt8, _ change: (inout [UInt8], Int) -> Void) -> Data {
        var bytes = [UInt8](file)
        let at = bytes.indices.first { bytes[$0] == 0xFF && $0 + 1 < bytes.count && bytes[$0 + 1] == marker }!
        change(&bytes, at)
        return Data(bytes)
    }
}

/// A TIFF structure with nothing but an orientation.
package enum EXIFFixture {
    package static func orientation(_ value: UInt8, littleEndian: Bool, isLong: Bool = false) -> [UInt8] {
        let type: UInt8 = isLong ? 4 : 3
        if littleEndian {
            return [0x49, 0x49, 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 0x01, type, 0, 1, 0, 0, 0, value, 0, 0, 0, 0, 0, 0, 0]
        }
        let stored: [UInt8] = isLong ? [0, 0, 0, value] : [0, value, 0, 0]
        return [0x4D, 0x4D, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, type, 0, 0, 0, 1] + stored + [0, 0, 0, 0]
    }
}
