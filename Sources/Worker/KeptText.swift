import Base
import Foundation
import OperatingSystem

/// A random text that identifies a worker for as long as its data folder exists: drawn on first use, then kept.
struct KeptText: Sendable {
    let file: URL
    /// Of a new text, which has two hexadecimal digits for each.
    let randomBytes: Int
    let isValid: @Sendable (String) -> Bool

    /// The text in the file, or a new one if there is no file or nothing valid in it.
    /// - Throws: ``WorkerError`` if the file cannot be read or written. A worker that took a new text then would be a
    ///   stranger to its coordinator.
    func text() throws(WorkerError) -> String {
        do {
            let kept = try String(decoding: Data(contentsOf: file), as: UTF8.self)
                .trimmingCharacters(in: .whitespacesAndNewlines)
            if isValid(kept) { return kept }
        } catch {
            guard (error as? CocoaError)?.code == .fileReadNoSuchFile else {
                throw WorkerError("cannot read \(file.path): \(error.systemReason)")
            }
        }
        // From the kernel's random source: UUID() has given zeros when file descriptors ran out.
        var generator = SystemRandomNumberGenerator()
        let drawn = hexadecimal((0..<randomBytes).map { _ in UInt8.random(in: 0...255, using: &generator) })
        do {
            try PrivateFile.write(Data((drawn + "\n").utf8), to: file)
        } catch {
            throw WorkerError("cannot write \(file.path): \(error.reason)")
        }
        return drawn
    }
}
