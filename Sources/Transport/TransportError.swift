/// Why a socket cannot be opened, or a file of a transfer not be read or written.
public struct TransportError: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case badEndpoint, unencryptedEndpoint, addressInUse, system
        case noCurve, badInvitation
        case chunkOutOfRange, fileSystem
    }
    public var code: Code
    /// Names the endpoint or file, what was found, what was expected and what to do.
    public var message: String
    public var description: String { message }

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
