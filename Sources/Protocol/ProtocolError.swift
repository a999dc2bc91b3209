/// Why bytes are not a message of this protocol.
public struct ProtocolError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The code that an acknowledgement or refusal carries over the wire.
    public var code: WireCode
    /// Names the field, what was found and what was expected.
    public var message: String
    public var description: String { message }

    public init(_ code: WireCode, _ message: String) {
        self.code = code
        self.message = message
    }

    static func malformed(_ message: String) -> ProtocolError { ProtocolError(.malformed, message) }
}
