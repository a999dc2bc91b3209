import Base
import Crypto
import Foundation

/// What a machine needs to become a worker, as one string: where the coordinator is, its public key, and a key pair that
/// lets one worker in, once.
public struct Invitation: Sendable, Equatable {
    static let prefix = "txl-join-1-"

    /// Where the coordinator may be reached; the worker takes the first that answers.
    public var endpoints: [String]
    /// In Z85.
    public var serverKey: String
    public var keys: CurveKeyPair

    public init(endpoints: [String], serverKey: String, keys: CurveKeyPair) {
        self.endpoints = endpoints
        self.serverKey = serverKey
        self.keys = keys
    }

    /// Letters, digits, - and _ only, so that shells leave it alone.
    public var text: String {
        var bytes = (Z85.bytes(of: serverKey) ?? []) + (Z85.bytes(of: keys.secretKey) ?? [])
        bytes += Array(endpoints.joined(separator: " ").utf8)
        bytes += Self.checksum(bytes)
        return Self.prefix + Data(bytes).base64URL
    }

    /// - Throws: ``TransportError`` (badInvitation) if characters are missing or wrong.
    public init(_ text: String) throws(TransportError) {
        let bytes = [UInt8](Data(base64URL: text.dropFirst(Self.prefix.count)) ?? Data())
        guard text.hasPrefix(Self.prefix), bytes.count > 68,
            Array(bytes.suffix(4)) == Self.checksum(Array(bytes.dropLast(4))),
            let keys = CurveKeyPair(secretKey: Z85.text(of: Array(bytes[32..<64])))
        else {
            throw TransportError(
                .badInvitation,
                "the invitation is damaged: expected the whole string that 'texloom invite' printed, from \(Self.prefix) on"
            )
        }
        let places = String(decoding: bytes[64...].dropLast(4), as: UTF8.self)
        self.init(
            endpoints: places.split(separator: " ").map(String.init), serverKey: Z85.text(of: Array(bytes[..<32])),
            keys: keys)
        for endpoint in endpoints { try Endpoint.validate(endpoint) }
    }

    /// Four bytes that show a string that was not copied whole.
    private static func checksum(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes).prefix(4)) }
}
