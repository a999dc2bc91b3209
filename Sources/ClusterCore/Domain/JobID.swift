/// A job's permanent id: ten lower-case Crockford base-32 characters, sortable by age, safe in URLs and file names.
///
/// Six characters count submissions. Four are random: a worker may still train a job of a deleted data folder, and the
/// coordinator must not mistake that job for one of its own.
package struct JobID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// 1, 2, ... in order of acceptance; at most `maxSequence`.
    package let sequence: Int64
    /// 20 random bits.
    package let salt: UInt32

    package static let maxSequence: Int64 = 1 << 30 - 1
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    package init(sequence: Int64, salt: UInt32) {
        precondition((1...Self.maxSequence).contains(sequence))
        self.sequence = sequence
        self.salt = salt & 0xF_FFFF
    }

    /// Reads an id as `description` writes it; nil for anything else.
    package init?(_ text: String) {
        let utf8 = Array(text.utf8)
        guard utf8.count == 10 else { return nil }
        var bits: UInt64 = 0
        for character in utf8 {
            guard let value = Self.alphabet.firstIndex(of: character) else { return nil }
            bits = bits << 5 | UInt64(value)
        }
        let sequence = Int64(bits >> 20)
        guard (1...Self.maxSequence).contains(sequence) else { return nil }
        self.init(sequence: sequence, salt: UInt32(bits & 0xF_FFFF))
    }

    package var description: String {
        let bits = UInt64(sequence) << 20 | UInt64(salt)
        let characters = (0..<10).map { Self.alphabet[Int(bits >> (45 - 5 * UInt64($0)) & 31)] }
        return String(decoding: characters, as: UTF8.self)
    }

    package static func < (a: JobID, b: JobID) -> Bool { (a.sequence, a.salt) < (b.sequence, b.salt) }
}
