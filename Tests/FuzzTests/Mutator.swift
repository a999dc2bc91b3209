import ClusterFixtures
import Foundation
import Protocol

@testable import NNCore

/// Damages valid inputs in ways that break decoders: bits and bytes, lengths and numbers at their limits, parts that
/// are missing, doubled or from another file. A seed replays the damage.
struct Mutator {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func below(_ count: Int) -> Int { Int(random.next() % UInt64(max(1, count))) }

    private static let integers: [UInt64] = [
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 40,
        1 << 53, 0x7FF0_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, .max,
    ]
    private static let texts = [
        "0", "-1", "1e308", "1e999", "NaN", "4294967296", "9223372036854775807", "9223372036854775808",
        "18446744073709551615", "99999999999999999999999", "null", "true", "[]", "{}", "\"\"", "0.1", "512", "64",
        "-9223372036854775808", "&a", "*a", "<<", "? ", "- ", "\u{0}", "\u{202E}", "~", "!!binary", "%", "'", "|",
    ]
    private static let openings: [String] = ["[", "{", "- ", "? ", "{\"a\":", "[1,", "!a ", "&a [*a,", "\"", "("]

    mutating func mutate(_ original: [UInt8], with others: [[UInt8]]) -> [UInt8] {
        var bytes = original
        for _ in 0...below(4) { change(&bytes, others) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8], _ others: [[UInt8]]) {
        guard !bytes.isEmpty else { return bytes = others[below(others.count)] }
        let at = below(bytes.count)
        switch below(13) {
        case 0: bytes[at] ^= UInt8(1 << below(8))
        case 1: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 2: bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][below(6)]
        case 3, 4: overwriteInteger(&bytes, at)
        case 5: bytes.removeSubrange(at...)
        case 6: bytes.removeSubrange(at..<min(bytes.count, at + 1 + below(16)))
        case 7:
            let part = Array(bytes[at..<min(bytes.count, at + 1 + below(64))])
            bytes.insert(contentsOf: part, at: below(bytes.count))
        case 8: bytes.insert(contentsOf: (0...below(12)).map { _ in UInt8(truncatingIfNeeded: random.next()) }, at: at)
        case 9:
            let other = others[below(others.count)]
            bytes = Array(bytes[..<at]) + other[min(other.count, below(other.count))...]
        case 10, 11: replaceNumber(&bytes, from: at)
        default:
            // Deep rather than large: recursive readers can exhaust the stack.
            let opening = Array(Self.openings[below(Self.openings.count)].utf8)
            let depth = [3, 40, 600, 30_000][below(4)]
            bytes.insert(contentsOf: (0..<depth).flatMap { _ in opening }, at: at)
        }
    }

    private mutating func overwriteInteger(_ bytes: inout [UInt8], _ at: Int) {
        let value =
            below(2) == 0 ? Self.integers[below(Self.integers.count)] : UInt64(bitPattern: Int64(below(600)) - 300)
        let width = [1, 2, 4, 8][below(4)]
        let isLittle = below(2) == 0
        for index in 0..<width where at + index < bytes.count {
            let shift = 8 * (isLittle ? index : width - 1 - index)
            bytes[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(shift))
        }
    }

    /// Replaces the first number in the text after `at`.
    private mutating func replaceNumber(_ bytes: inout [UInt8], from at: Int) {
        func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
        guard let first = bytes[at...].firstIndex(where: isDigit) else { return }
        let end = bytes[first...].firstIndex { !isDigit($0) } ?? bytes.endIndex
        bytes.replaceSubrange(first..<end, with: Array(Self.texts[below(Self.texts.count)].utf8))
    }

    /// Corrects the checksum of a checkpoint if its header still has one.
    static func withCheckpointSum(_ file: [UInt8]) -> [UInt8] {
        guard file.count >= 8 else { return file }
        let length = file[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(file.count - 8) else { return file }
        var data = Data(file)
        let header = data[..<(8 + Int(length))]
        guard let place = SafetensorsWriter.placeOfChecksum(in: header) else { return file }
        var sum = CRC64()
        sum.update(SafetensorsWriter.withoutChecksum(header, at: place))
        sum.update(data[(8 + Int(length))...])
        data.replaceSubrange(place, with: Data(sum.text.utf8))
        return [UInt8](data)
    }

    /// Corrects the checksums of a PNG's chunks, so that the damage gets past them.
    static func withPNGChecks(_ file: [UInt8]) -> [UInt8] {
        var bytes = file
        var at = 8
        while at + 12 <= bytes.count {
            let length = bytes[at..<at + 4].reduce(0) { $0 << 8 | Int($1) }
            guard length <= bytes.count - at - 12 else { break }
            let check = CRC32.checksum(Array(bytes[at + 4..<at + 8 + length]))
            for index in 0..<4 {
                bytes[at + 8 + length + index] = UInt8(truncatingIfNeeded: check >> (24 - 8 * UInt32(index)))
            }
            at += 12 + length
        }
        return bytes
    }
}
