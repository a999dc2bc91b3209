import AsyncHTTPClient
import Foundation

/// The proxy for requests to a coordinator, and the variable that names it.
///
/// TEXLOOM_PROXY always counts. The variables that other programs share (http_proxy, https_proxy, all_proxy) count for
/// other machines only: a proxy's loopback is not this machine's.
struct Proxy: Equatable, Sendable {
    /// For messages: without user and password.
    let address: String
    /// The variable that names it.
    let source: String
    private let url: URL

    /// The proxy for an address; nil for a direct connection.
    /// - Throws: `CommandFailure` naming a variable whose value is not a proxy's address.
    static func chosen(for target: URL, environment: [String: String]) throws -> Proxy? {
        func named(_ variables: String...) -> (variable: String, text: String)? {
            for variable in variables {
                if let text = environment[variable], !text.isEmpty { return (variable, text) }
            }
            return nil
        }
        let host = bare(target.host ?? "")
        if let (variable, text) = named("TEXLOOM_PROXY") { return try Proxy(text, from: variable) }
        guard !isLoopback(host) else { return nil }
        let port = target.port ?? (target.scheme == "https" ? 443 : 80)
        if let (_, list) = named("no_proxy", "NO_PROXY"), isExcepted(host, port, by: list) { return nil }
        // HTTP_PROXY in capitals is not read: in CGI programs it is a header of the request.
        let found =
            target.scheme == "https"
            ? named("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
            : named("http_proxy", "all_proxy", "ALL_PROXY")
        return try found.map { try Proxy($0.text, from: $0.variable) }
    }

    private init(_ text: String, from variable: String) throws {
        guard let url = URL(string: text.contains("://") ? text : "http://\(text)"), let host = url.host, !host.isEmpty,
            let scheme = url.scheme, ["http", "socks5", "socks5h"].contains(scheme)
        else {
            throw CommandFailure(
                "\(variable) is '\(text)'; expected the address of a proxy, such as http://proxy.example:3128 or "
                    + "socks5://127.0.0.1:1080", exit: .usage)
        }
        self.url = url
        source = variable
        var shown = URLComponents()
        (shown.scheme, shown.host, shown.port) = (scheme, host, url.port)
        address = shown.string ?? host
    }

    var configuration: HTTPClient.Configuration.Proxy {
        let host = Self.bare(url.host ?? "")
        if url.scheme != "http" { return .socksServer(host: host, port: url.port ?? 1080) }
        return .server(host: host, port: url.port ?? 80, authorization: url.basicAuthorization)
    }

    // MARK: Exceptions

    static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host.hasSuffix(".localhost") { return true }
        guard let bytes = addressBytes(host) else { return false }
        // 0.0.0.0 and :: mean this machine as well.
        if bytes.allSatisfy({ $0 == 0 }) || bytes.dropLast().allSatisfy({ $0 == 0 }) && bytes.last == 1 { return true }
        return bytes.count == 4 && bytes[0] == 127
    }

    /// Whether no_proxy names a host: the host itself, a domain above it, a network with its address, or `*`.
    static func isExcepted(_ host: String, _ port: Int, by list: String) -> Bool {
        list.split(whereSeparator: { $0 == "," || $0.isWhitespace }).contains { entry in
            var pattern = entry.lowercased()
            if pattern == "*" { return true }
            if let network = network(pattern) { return addressBytes(host).map(network) ?? false }
            if pattern.count(where: { $0 == ":" }) == 1, let colon = pattern.lastIndex(of: ":") {
                guard Int(pattern[pattern.index(after: colon)...]) == port else { return false }
                pattern = String(pattern[..<colon])
            }
            while pattern.hasPrefix("*") || pattern.hasPrefix(".") { pattern.removeFirst() }
            pattern = bare(pattern)
            return !pattern.isEmpty && (host == pattern || host.hasSuffix("." + pattern))
        }
    }

    /// Whether an address belongs to a network such as 10.0.0.0/8 or fd00::/8; nil if the text names none.
    private static func network(_ text: String) -> (([UInt8]) -> Bool)? {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let bits = Int(parts[1]), let base = addressBytes(bare(String(parts[0]))),
            (0...base.count * 8).contains(bits)
        else { return nil }
        return { address in
            address.count == base.count
                && (0..<bits).allSatisfy { (address[$0 / 8] ^ base[$0 / 8]) & (0x80 >> UInt8($0 % 8)) == 0 }
        }
    }

    private static func addressBytes(_ host: String) -> [UInt8]? {
        for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: count)
            if inet_pton(family, host, &bytes) == 1 { return bytes }
        }
        return nil
    }

    /// Lower case, without the brackets of an IPv6 address.
    private static func bare(_ host: String) -> String {
        host.lowercased().trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
    }
}

extension URL {
    /// The user and password before the host.
    var basicAuthorization: HTTPClient.Authorization? {
        guard let user = user(percentEncoded: false), !user.isEmpty else { return nil }
        return .basic(username: user, password: password(percentEncoded: false) ?? "")
    }
}
