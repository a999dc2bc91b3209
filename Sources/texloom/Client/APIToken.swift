import Foundation
import OperatingSystem
import Protocol
import Synchronization

/// The secret that proves to a coordinator who sends a request.
struct APIToken {
    let text: String

    /// From the setting `token-file`, or else the setting `token`; nil if neither is set.
    /// - Throws: `CommandFailure` if the file is unreadable, readable for others, or holds no token.
    static func chosen(_ settings: Settings) throws -> APIToken? {
        if let path = settings[.tokenFile] {
            let url = URL(fileURLWithPath: path)
            return try APIToken(SecretFile.text(of: url, "token"), source: "token file \(path)")
        }
        return try settings[.token].map { try APIToken($0, source: "the setting token") }
    }

    private init(_ text: String, source: String) throws {
        self.text = text.trimmingCharacters(in: .whitespacesAndNewlines)
        // The token itself stays out of the message.
        guard self.text.hasPrefix(CreatedToken.prefix), self.text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw CommandFailure(
                "\(source) holds no token; expected one line that starts with \(CreatedToken.prefix), from 'texloom tokens create'",
                exit: .usage)
        }
    }

    /// - Throws: `CommandFailure` if others could read the token on its way.
    func requirePrivacy(_ url: URL, isProxied: Bool) throws {
        let host = (url.host ?? "").trimmingCharacters(in: CharacterSet(charactersIn: "[]")).lowercased()
        guard url.scheme != "https", isProxied || !Proxy.isLoopback(host) else { return }
        throw CommandFailure(
            "a token is set, and on the way to http://\(host) others could read it; use https://, an SSH tunnel to this "
                + "machine, or no token", exit: .usage)
    }
}

/// Files that hold a secret.
enum SecretFile {
    /// - Parameter secret: What it holds, for messages.
    /// - Throws: `CommandFailure` if the file is missing, or others may read or write it.
    static func requirePrivate(_ url: URL, _ secret: String = "token") throws {
        do {
            try PrivateFile.requirePrivate(url, mayBeIssued: true)
        } catch {
            throw CommandFailure("the \(secret) cannot be used: \(error)", exit: .usage)
        }
    }

    /// - Throws: `CommandFailure` also if the file cannot be read as text.
    static func text(of url: URL, _ secret: String) throws -> String {
        try requirePrivate(url, secret)
        guard let text = try? String(contentsOf: url, encoding: .utf8) else {
            throw CommandFailure("\(secret) file \(url.path) cannot be read as text", exit: .usage)
        }
        return text
    }
}

/// Tells a person once.
final class Warned: Sendable {
    private let hasTold = Mutex(false)

    func tell(_ message: String) {
        let isFirst = hasTold.withLock { told in
            defer { told = true }
            return !told
        }
        if isFirst { complain(message) }
    }
}
