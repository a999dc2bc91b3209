import Base
import Crypto
import Foundation
import OperatingSystem

/// The SHA-256 of a file, lower-case hexadecimal, read a MiB at a time.
/// - Throws: `CommandFailure` naming the file and the system's reason.
func sha256(of url: URL) throws -> String {
    do {
        let handle = try FileHandle(forReadingFrom: url)
        defer { try? handle.close() }
        var hash = SHA256()
        while let block = try handle.read(upToCount: 1 << 20), !block.isEmpty { hash.update(data: block) }
        return hexadecimal(hash.finalize())
    } catch {
        throw CommandFailure("\(url.path) cannot be read: \(error.systemReason)")
    }
}
