import Foundation

/// The segments of a JPEG before its first scan.
enum JPEGSegments {
    static let app1: UInt8 = 0xE1
    static let app2: UInt8 = 0xE2

    /// Calls `body` with the content of each segment of a marker, until it gives a value.
    ///
    /// Skips bytes between segments, as libjpeg does.
    static func first<Value>(
        _ wanted: UInt8, in bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Value?
    ) -> Value? {
        var offset = 2
        while true {
            while offset < bytes.count, bytes[offset] != 0xFF { offset += 1 }
            while offset < bytes.count, bytes[offset] == 0xFF { offset += 1 }
            guard offset < bytes.count else { return nil }
            let marker = bytes[offset]
            offset += 1
            switch marker {
            // Markers without content: stuffing, restarts.
            case 0x00, 0x01, 0xD0...0xD7: continue
            // The end, or a scan.
            case 0xD8, 0xD9, 0xDA: return nil
            default: break
            }
            // A length, which counts itself.
            guard offset + 2 <= bytes.count else { return nil }
            let length = Int(bytes[offset]) << 8 | Int(bytes[offset + 1])
            guard length >= 2 else { return nil }
            if marker == wanted {
                let content = offset + 2..<min(max(offset + 2, offset + length), bytes.count)
                if let value = body(UnsafeRawBufferPointer(rebasing: bytes[content])) { return value }
            }
            offset += length
        }
    }

    /// The ICC profile, assembled from its segments. Nil if the file has none.
    /// - Returns: nil inside where a segment is missing.
    static func profile(in bytes: Data) -> [UInt8]?? {
        var parts: [Int: [UInt8]] = [:]
        var count = 0
        var isBroken = false
        let tag = Array("ICC_PROFILE\0".utf8)
        bytes.withUnsafeBytes { bytes in
            _ = first(app2, in: bytes) { content -> Bool? in
                guard content.count >= tag.count + 2, content.prefix(tag.count).elementsEqual(tag) else { return nil }
                let (number, total) = (Int(content[tag.count]), Int(content[tag.count + 1]))
                isBroken = isBroken || total == 0 || (count != 0 && total != count) || parts[number] != nil
                count = total
                parts[number] = Array(content.dropFirst(tag.count + 2))
                return nil
            }
        }
        guard !parts.isEmpty else { return .none }
        guard !isBroken, parts.keys.allSatisfy((1...count).contains), parts.count == count else { return .some(nil) }
        return .some((1...count).flatMap { parts[$0]! })
    }
}

/// The chunks of a PNG.
enum PNGChunks {
    /// Whether it is Apple's variant, whose pixels are stored in another way.
    static func isApples(_ bytes: Data) -> Bool { bytes.dropFirst(12).starts(with: Array("CgBI".utf8)) }

    /// The content of the first chunk of a type, wherever it stands.
    static func first(_ type: String, in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var offset = 8
        // Length, type, content, checksum.
        while offset + 12 <= bytes.count {
            let length = (0..<4).reduce(0) { $0 << 8 | Int(bytes[offset + $1]) }
            guard length <= bytes.count - offset - 12 else { return nil }
            if bytes[offset + 4..<offset + 8].elementsEqual(type.utf8) {
                return UnsafeRawBufferPointer(rebasing: bytes[offset + 8..<offset + 8 + length])
            }
            offset += 12 + length
        }
        return nil
    }
}
