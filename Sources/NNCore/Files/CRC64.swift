import Foundation

/// CRC-64 of ECMA-182, reflected, as in xz. It detects damage to a file, not forgery.
/// - Source: ECMA-182, annex B; Sarwate's tables, eight bytes at a time (Kounavis and Berry, 2005).
struct CRC64 {
    /// As long as `text`.
    static let blank = String(repeating: "0", count: 16)

    /// Table k: the remainder of a byte after k more bytes.
    private static let tables: [UInt64] = {
        var tables = [UInt64](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt64(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? 0xC96C_5795_D787_0F42 ^ (value >> 1) : value >> 1 }
            tables[byte] = value
        }
        for table in 1..<8 {
            for byte in 0..<256 {
                let before = tables[(table - 1) * 256 + byte]
                tables[table * 256 + byte] = tables[Int(before & 0xFF)] ^ (before >> 8)
            }
        }
        return tables
    }()

    private var value: UInt64 = ~0

    mutating func update(_ data: Data) {
        var value = value
        data.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
            Self.tables.withUnsafeBufferPointer { table in
                var index = 0
                while index + 8 <= bytes.count {
                    let word = value ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                    value = 0
                    for place in 0..<8 { value ^= table[(7 - place) * 256 + Int((word >> (8 * UInt64(place))) & 0xFF)] }
                    index += 8
                }
                while index < bytes.count {
                    value = table[Int((value ^ UInt64(bytes[index])) & 0xFF)] ^ (value >> 8)
                    index += 1
                }
            }
        }
        self.value = value
    }

    /// The checksum so far: sixteen lower-case hexadecimal digits.
    var text: String {
        let digits = String(~value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
