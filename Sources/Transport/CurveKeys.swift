import Base
import CZeroMQ
import Foundation
import OperatingSystem

/// A key pair of CURVE, ZeroMQ's encryption (RFC 26). libzmq draws it from the kernel's random source.
public struct CurveKeyPair: Sendable, Equatable {
    /// Both in Z85: 40 characters for 32 bytes.
    public let publicKey: String
    public let secretKey: String

    /// - Throws: ``TransportError`` (noCurve) if this machine's libzmq cannot encrypt.
    public static func generate() throws(TransportError) -> CurveKeyPair {
        try Curve.require()
        var publicKey = [CChar](repeating: 0, count: 41)
        var secretKey = publicKey
        guard zmq_curve_keypair(&publicKey, &secretKey) == 0 else {
            throw TransportError(.system, "zmq_curve_keypair: \(ZeroMQSocket.lastError())")
        }
        return CurveKeyPair(publicKey: Z85.text(publicKey), secretKey: Z85.text(secretKey))
    }

    private init(publicKey: String, secretKey: String) {
        self.publicKey = publicKey
        self.secretKey = secretKey
    }

    /// The pair of a secret key; nil if it is no key.
    public init?(secretKey: String) {
        guard Z85.bytes(of: secretKey)?.count == 32 else { return nil }
        var publicKey = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&publicKey, secretKey) == 0 else { return nil }
        self.init(publicKey: Z85.text(publicKey), secretKey: secretKey)
    }

    /// Reads the pair of a file, or makes one and writes it, readable by its owner only.
    /// - Throws: ``TransportError`` if the file holds no key, others may read it, or it cannot be written.
    public static func load(orCreate file: URL) throws(TransportError) -> CurveKeyPair {
        guard FileManager.default.fileExists(atPath: file.path) else {
            let pair = try generate()
            do {
                try PrivateFile.write(Data((pair.secretKey + "\n").utf8), to: file)
            } catch {
                throw TransportError(.fileSystem, "cannot write the key file: \(error)")
            }
            return pair
        }
        let text: String
        do {
            try PrivateFile.requirePrivate(file)
            text = try String(contentsOf: file, encoding: .utf8)
        } catch {
            throw TransportError(.fileSystem, "cannot read the key file \(file.path): \(error.systemReason)")
        }
        guard let pair = CurveKeyPair(secretKey: text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw TransportError(
                .fileSystem,
                "\(file.path) holds no CURVE secret key (40 characters of Z85); restore it, or remove it for a new key")
        }
        return pair
    }
}

/// How a socket encrypts.
public enum Curve {
    /// The server's side: whom to let in.
    public struct Server: Sendable {
        public var keys: CurveKeyPair
        /// Decides on a client's public key (64 hexadecimal digits) at each handshake. Must not block.
        public var admit: @Sendable (String) -> Admission

        public init(keys: CurveKeyPair, admit: @escaping @Sendable (String) -> Admission) {
            self.keys = keys
            self.admit = admit
        }
    }

    /// The client's side.
    public struct Client: Sendable, Equatable {
        public var keys: CurveKeyPair
        /// In Z85.
        public var serverKey: String
        /// The key that the server has announced for later, if any. It is tried whenever the other one fails.
        public var nextServerKey: String?

        public init(keys: CurveKeyPair, serverKey: String) {
            self.keys = keys
            self.serverKey = serverKey
        }
    }

    /// The answer to a client's key. The client learns which refusal it got.
    public enum Admission: Sendable, Equatable {
        case admitted
        /// The key is on no list.
        case unknown
        /// The key was on the list.
        case ended
    }

    /// - Throws: ``TransportError`` (noCurve).
    static func require() throws(TransportError) {
        guard zmq_has("curve") == 1 else {
            throw TransportError(
                .noCurve,
                "this machine's libzmq has no CURVE encryption; install one built with libsodium, such as Debian's libzmq5"
            )
        }
    }
}

/// ZeroMQ's text form of binary data (RFC 32).
public enum Z85 {
    /// Nil unless the text is Z85.
    public static func bytes(of text: String) -> [UInt8]? {
        let count = text.utf8.count
        guard count % 5 == 0, count > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: count / 5 * 4)
        return zmq_z85_decode(&bytes, text) == nil ? nil : bytes
    }

    /// - Parameter bytes: a multiple of four.
    public static func text(of bytes: [UInt8]) -> String {
        precondition(bytes.count % 4 == 0, "Z85 encodes groups of four bytes, not \(bytes.count)")
        var characters = [CChar](repeating: 0, count: bytes.count / 4 * 5 + 1)
        zmq_z85_encode(&characters, bytes, bytes.count)
        return text(characters)
    }

    /// The hexadecimal form of a key in Z85, by which people and the API name it: Z85 has slashes and brackets.
    public static func hexadecimalKey(_ key: String) -> String { bytes(of: key).map { hexadecimal($0) } ?? "" }

    fileprivate static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
