import OperatingSystem

/// Why the coordinator cannot start, or cannot do what a caller asked.
public struct CoordinatorError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// An option has an impossible or unsafe value.
        case badConfiguration
        /// Another coordinator holds the data folder.
        case dataFolderInUse
        /// A newer texloom wrote the data folder.
        case newerStore
        /// The job store cannot be read or written.
        case storeUnavailable
        /// A file cannot be read or written.
        case fileSystem
        /// The disk is full.
        case noSpace
        /// The coordinator cannot listen on an address.
        case addressUnavailable
        /// An artifact is not in the store.
        case notStored
        /// Stored bytes have changed.
        case damaged
        /// The bytes do not have the announced digest or size.
        case digestMismatch
        /// An upload exceeds the size limit.
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

/// - Throws: `CoordinatorError.badConfiguration` unless a setting is right.
func requireSetting(_ isRight: Bool, _ message: @autoclosure () -> String) throws {
    if !isRight { throw CoordinatorError(.badConfiguration, message()) }
}

extension CoordinatorError {
    init(_ failure: FileFailure) {
        self.init(
            failure.isFull ? .noSpace : .fileSystem,
            failure.isFull ? "\(failure); free some space, and work continues by itself" : "\(failure)")
    }
}
