import Foundation
import Transport

/// The files of a TLS certificate, as PEM.
public struct TLSFiles: Sendable, Equatable {
    /// The certificate, followed by those of intermediate authorities.
    public var certificate: URL
    public var key: URL

    public init(certificate: URL, key: URL) {
        self.certificate = certificate
        self.key = key
    }
}

extension CoordinatorConfiguration {
    /// Raises the limit of open files as far as the system lets this process: limits on connections depend on it.
    public static func useOpenFiles() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = min(limit.rlim_max, 1 << 16)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    /// Whether callers of the HTTP API must prove who they are.
    var asksForTokens: Bool { requiresAuthentication || (tls != nil && !Self.isLoopback(httpHost)) }

    /// Where people reach the pages, as far as the HTTP address says; nil if it is every address of the machine, or a port
    /// that the system chooses.
    var pageURL: String? {
        guard !["0.0.0.0", "::"].contains(httpHost), httpPort != 0 else { return nil }
        return httpURL(port: httpPort)
    }

    /// The HTTP address with a port that the system may have chosen.
    func httpURL(port: Int) -> String {
        let host = httpHost.contains(":") ? "[\(httpHost)]" : httpHost
        return "\(tls == nil ? "http" : "https")://\(host):\(port)"
    }

    /// Whether the workers' address speaks CURVE.
    var encryptsWorkers: Bool {
        requiresAuthentication || !isInsecure && !Endpoint.isLoopback(workerEndpoint)
    }

    /// Whether other machines can reach the workers' address, and it is plain.
    var leavesWorkersOpen: Bool { !encryptsWorkers && !Endpoint.isLoopback(workerEndpoint) }

    /// A sentence for people if other machines can do everything here; nil if they cannot.
    public var insecurity: String? {
        var open: [String] = []
        if !Self.isLoopback(httpHost), tls == nil { open.append("\(httpHost):\(httpPort)") }
        if leavesWorkersOpen { open.append(workerEndpoint) }
        guard !open.isEmpty else { return nil }
        return "--insecure: anyone who can reach \(open.joined(separator: " or ")) can read and change everything, and "
            + "nothing there is encrypted"
    }

    /// An address that is not loopback declares by itself that other machines may connect. It must then be secured.
    func validateAccess() throws {
        let isLoopback = Self.isLoopback(httpHost)
        try requireSetting(
            isLoopback || tls != nil || isInsecure,
            "the HTTP address '\(httpHost)' can be reached from other machines: add --tls-certificate FILE --tls-key FILE "
                + "(it then asks for tokens), or bind to 127.0.0.1 and put a reverse proxy with TLS in front "
                + "(docs/security.md), or add --insecure to let anyone there read and change everything")
        try requireSetting(
            isLoopback || tls != nil || !requiresAuthentication,
            "--require-auth asks for tokens, and over plain HTTP on '\(httpHost)' others could read them: add "
                + "--tls-certificate FILE --tls-key FILE, or bind to 127.0.0.1 and put a reverse proxy with TLS in front"
        )
        let foreign = allowedHosts.first { !Self.isLoopback($0) }
        try requireSetting(
            foreign == nil || asksForTokens || isInsecure,
            "--allowed-host \(foreign ?? "") lets people elsewhere reach this coordinator, and anyone there could read "
                + "and change everything: add --require-auth")
    }
}
