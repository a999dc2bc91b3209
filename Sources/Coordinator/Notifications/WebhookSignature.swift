import Crypto
import Foundation
import OperatingSystem

/// Signs messages as Standard Webhooks 1.0 does: HMAC-SHA256 of `ID.TIMESTAMP.BODY`.
///
/// The timestamp is that of the try, so a receiver can refuse what is older than some minutes, and the id is the same in
/// every try, so it can refuse what it has seen.
/// - Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
struct WebhookSignature: Sendable {
    static let prefix = "whsec_"
    /// Bytes of a secret, as the specification limits them.
    static let secretBytes = 24...64
    /// One, and another one while receivers change from one to the other.
    static let maxSecrets = 4

    private let keys: [SymmetricKey]

    /// - Parameter text: A secret on each line: `whsec_` and base64.
    /// - Throws: `CoordinatorError.badConfiguration`, without a part of the secret.
    init(_ text: String, source: String) throws {
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingCharacters(in: .whitespaces) }
            .filter { !$0.isEmpty }
        keys = lines.compactMap { line in
            guard line.hasPrefix(Self.prefix),
                let bytes = Data(base64Encoded: String(line.dropFirst(Self.prefix.count))),
                Self.secretBytes.contains(bytes.count)
            else { return nil }
            return SymmetricKey(data: bytes)
        }
        guard (1...Self.maxSecrets).contains(lines.count), keys.count == lines.count else {
            throw CoordinatorError(
                .badConfiguration,
                "\(source) holds no secret for webhooks; expected \(Self.prefix) and 24 to 64 random bytes as base64, on one "
                    + "line: echo \(Self.prefix)$(head -c 32 /dev/urandom | base64) >\(source)")
        }
    }

    /// - Throws: `CoordinatorError.badConfiguration` if the file is unreadable, open to others, or holds no secret.
    init(file: URL) throws {
        do {
            try PrivateFile.requirePrivate(file, mayBeIssued: true)
            try self.init(String(contentsOf: file, encoding: .utf8), source: file.path)
        } catch let error as CoordinatorError {
            throw error
        } catch {
            let reason = error.systemMessage ?? "\(error)"
            throw CoordinatorError(.badConfiguration, "the secret for webhooks cannot be used: \(reason)")
        }
    }

    /// The header `webhook-signature`: a signature with each secret.
    func header(id: String, timestamp: Int, body: Data) -> String {
        let signed = Data("\(id).\(timestamp).".utf8) + body
        return keys.map { key in
            "v1," + Data(HMAC<SHA256>.authenticationCode(for: signed, using: key)).base64EncodedString()
        }.joined(separator: " ")
    }
}
