import Foundation

/// A system call on a file or folder that failed.
public struct FileFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was tried: "open", "sync".
    public let operation: String
    public let path: String
    /// The system's error number.
    public let number: Int32

    /// - Parameter number: by default that of the last system call.
    public init(_ operation: String, _ file: URL, number: Int32 = errno) {
        self.operation = operation
        path = file.path
        self.number = number
    }

    /// The reason in the system's words.
    public var reason: String { reasonOfSystem(number) }

    /// Whether room is what lacks. EFBIG is a limit on file sizes, as `ulimit -f` sets it.
    public var isFull: Bool { number == ENOSPC || number == EDQUOT || number == EFBIG }

    /// "cannot open /data/jobs.sqlite: Permission denied".
    public var description: String { "cannot \(operation) \(path): \(reason)" }
}
