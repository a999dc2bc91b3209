import Base
import Crypto
import Foundation

/// The SHA-256 of a file, lower-case hexadecimal, read a MiB at a time.
/// - Throws: `CommandFailure` naming the file.
func sha256(of url: URL) throws -> String {
    guard let handle = FileHandle(forReadingAtPath: url.path) else {
        throw CommandFailure("\(url.path) cannot be read")
    }
    defer { try? handle.close() }
    var hash = SHA256()
    while let block = try handle.read(upToCount: 1 << 20), !block.isEmpty { hash.update(data: block) }
    return hexadecimal(hash.finalize())
}
