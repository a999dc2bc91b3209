import Foundation
import HTTPTypes
import Hummingbird

/// How the HTTP address may be reached, from the configuration.
struct HTTPAccess: Sendable {
    /// Whether the address is on loopback.
    var isLoopback: Bool
    /// Whether connections are encrypted by this process.
    var hasTLS: Bool
    /// Whether callers must prove who they are.
    var asksForTokens: Bool
    /// Names besides loopback's that a request may address, in lower case.
    var allowedHosts: Set<String>
    var cookie: SessionCookie

    init(_ configuration: CoordinatorConfiguration, coordinatorID: String) {
        isLoopback = CoordinatorConfiguration.isLoopback(configuration.httpHost)
        hasTLS = configuration.tls != nil
        asksForTokens = configuration.asksForTokens
        var hosts = Set(configuration.allowedHosts.map { $0.lowercased() })
        if !isLoopback {
            hosts.insert(configuration.httpHost.lowercased())
            hosts.insert(ProcessInfo.processInfo.hostName.lowercased())
        }
        allowedHosts = hosts
        cookie = SessionCookie(name: "texloom-\(coordinatorID.prefix(8))", isAlwaysSecure: hasTLS)
    }

    /// Whether a request may name this host. DNS rebinding needs a name, so that addresses are safe where other machines
    /// may connect.
    func allows(host: String) -> Bool {
        let bare = host.lowercased().trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        if CoordinatorConfiguration.isLoopback(bare) || allowedHosts.contains(bare) { return true }
        return !isLoopback && Self.isAddress(bare)
    }

    private static func isAddress(_ host: String) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16)
        return inet_pton(AF_INET, host, &bytes) == 1 || inet_pton(AF_INET6, host, &bytes) == 1
    }

    /// Whether a secret in this request crossed a network in plain text.
    func isInTheClear(_ request: Request) -> Bool {
        if hasTLS { return false }
        return !isLoopback || request.headers[.forwardedProto]?.lowercased() == "http"
    }

    /// - Throws: `Problem` (400) if the request's secret crossed a network in plain text.
    func requirePrivacy(of request: Request) throws {
        guard isInTheClear(request) else { return }
        throw Problem(
            .badRequest,
            "the token came over plain HTTP, where others can read it; revoke it, and use https:// (--tls-certificate, "
                + "or a reverse proxy with TLS)")
    }
}

/// The cookie of a browser's session. Cookies ignore the port, so its name tells coordinators on one machine apart.
struct SessionCookie: Sendable {
    var name: String
    var isAlwaysSecure: Bool

    func value(in request: Request) -> String? {
        for header in request.headers[values: .cookie] {
            for pair in header.split(separator: ";") {
                let parts = pair.trimmingCharacters(in: .whitespaces).split(separator: "=", maxSplits: 1)
                if parts.count == 2, parts[0] == name { return String(parts[1]) }
            }
        }
        return nil
    }

    /// Set-Cookie for a session, or for its end (nil).
    func header(_ session: Secret?, for request: Request) -> String {
        // A proxy's TLS ends before this process.
        let isSecure = isAlwaysSecure || request.headers[.forwardedProto]?.lowercased() == "https"
        let age = session == nil ? 0 : Int(TokenStore.sessionLifetime)
        return "\(name)=\(session?.text ?? ""); Path=/; Max-Age=\(age); HttpOnly; SameSite=Strict"
            + (isSecure ? "; Secure" : "")
    }
}

extension HTTPField.Name {
    static let forwardedProto = HTTPField.Name("X-Forwarded-Proto")!
    static let secFetchSite = HTTPField.Name("Sec-Fetch-Site")!
    static let secFetchMode = HTTPField.Name("Sec-Fetch-Mode")!
}
