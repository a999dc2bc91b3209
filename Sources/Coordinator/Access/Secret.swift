import Base
import Crypto
import Foundation

/// A secret of 256 random bits, as text. The coordinator stores only its SHA-256: 256 random bits need no slow hash.
struct Secret: Sendable, Equatable {
    private static let bytes = 32

    let text: String

    /// A secret from the kernel's random source (`getrandom`), which blocks or fails but never repeats itself.
    static func random(prefix: String = "") -> Secret {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<bytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
        return Secret(text: prefix + Data(bytes).base64URL)
    }

    /// What is stored: 64 hexadecimal digits.
    var digest: String { hexadecimal(SHA256.hash(data: Data(text.utf8))) }
}

extension UUID {
    /// A random UUID from the kernel's random source. `UUID()` has given zeros when file descriptors ran out.
    static func random() -> UUID {
        var generator = SystemRandomNumberGenerator()
        var bytes = withUnsafeBytes(of: (generator.next(), generator.next())) { [UInt8]($0) }
        // Version 4, variant 1.
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        return NSUUID(uuidBytes: bytes) as UUID
    }
}
