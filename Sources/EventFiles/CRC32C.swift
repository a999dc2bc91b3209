import Foundation

/// CRC-32C (Castagnoli; reflected polynomial 0x82F63B78), the checksum of both parts of a record.
///
/// By hand: zlib has the CRC-32 of the wire, and no package that texloom depends on has this polynomial in public.
/// - Source: RFC 3720, appendix B.4; Sarwate's tables, eight bytes at a time (Kounavis and Berry, 2005).
enum CRC32C {
    /// Table k: what a byte k places before the newest has become.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var value = UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? 0x82F6_3B78 ^ (value >> 1) : value >> 1 }
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

    static func checksum(_ data: Data) -> UInt32 {
        data.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
            tables.withUnsafeBufferPointer { table in
                var value: UInt32 = ~0
                var index = 0
                while index + 8 <= bytes.count {
                    let word =
                        UInt64(value)
                        ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                    value = 0
                    for place in 0..<8 { value ^= table[(7 - place) * 256 + Int((word >> (8 * UInt64(place))) & 0xFF)] }
                    index += 8
                }
                while index < bytes.count {
                    value = table[Int((value ^ UInt32(bytes[index])) & 0xFF)] ^ (value >> 8)
                    index += 1
                }
                return ~value
            }
        }
    }

    /// The sum as records hold it: rotated and offset, so that the sum of bytes that contain sums stays a good one.
    static func masked(_ data: Data) -> UInt32 {
        let sum = checksum(data)
        return (sum >> 15 | sum << 17) &+ 0xA282_EAD8
    }
}
