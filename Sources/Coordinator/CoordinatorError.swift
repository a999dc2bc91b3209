import OperatingSystem

/// Why the coordinator cannot start, or cannot do what it was asked.
public struct CoordinatorError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// An option has an impossible or unsafe value.
        case badConfiguration
        /// Another coordinator holds the data folder.
        case dataFolderInUse
        /// The data folder was written by a newer texloom.
        case newerStore
        /// The job store cannot be read or written.
        case storeUnavailable
        /// A file cannot be read or written.
        case fileSystem
        /// The disk is full.
        case noSpace
        /// An address cannot be listened on.
        case addressUnavailable
        /// An artifact is not in the store.
        case notStored
        /// Stored bytes are no longer what they were.
        case damaged
        /// Bytes do not have the digest or size that was announced.
        case digestMismatch
        /// An upload is larger than allowed.
        case tooLarge
        /// An exemplar does not decode.
        case badExemplar
    }

    public var code: Code
    /// What was found, what was expected and what to do.
    public var message: String
    public var description: String { message }

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}

extension CoordinatorError {
    init(_ failure: FileFailure) {
        self.init(
            failure.isFull ? .noSpace : .fileSystem,
            failure.isFull ? "\(failure); free some space: work then continues by itself" : "\(failure)")
    }
}
