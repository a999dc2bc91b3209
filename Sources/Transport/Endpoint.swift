import Glibc

/// Addresses of the worker port: `tcp://HOST:PORT`. HOST is an IPv4 address, an IPv6 address in brackets, a host name,
/// or, for listening only, `*` or the name of a network interface.
public enum Endpoint {
    /// Whether only processes of this machine can reach the endpoint: every address of its host is a loopback one.
    /// Blocks while a name is looked up.
    public static func isLoopback(_ endpoint: String) -> Bool {
        if endpoint.hasPrefix("ipc://") || endpoint.hasPrefix("inproc://") { return true }
        guard let (host, _) = try? split(endpoint) else { return false }
        let addresses = addresses(of: host)
        return !addresses.isEmpty && addresses.allSatisfy(\.isLoopback)
    }

    /// Checks the form of an endpoint. Does not look its host up.
    /// - Throws: ``TransportError`` (badEndpoint).
    public static func validate(_ endpoint: String) throws(TransportError) {
        if endpoint.hasPrefix("ipc://") || endpoint.hasPrefix("inproc://") { return }
        _ = try split(endpoint)
    }

    static func requireLoopback(_ endpoint: String, unless exposesToNetwork: Bool) throws(TransportError) {
        guard exposesToNetwork || isLoopback(endpoint) else {
            throw TransportError(
                .unencryptedEndpoint,
                "refusing to listen on \(endpoint): anyone who reaches it could take jobs and read artifacts, because "
                    + "the connection is neither encrypted nor authenticated; listen on 127.0.0.1 and use a tunnel, or "
                    + "expose the coordinator explicitly on a network you trust")
        }
    }

    /// The endpoint with each address of its host in place of the name, IPv4 first: libzmq looks names up in one address
    /// family only, and not at all to listen. An interface, or a name without an address so far, stays as it is. Blocks
    /// while a name is looked up.
    /// - Throws: ``TransportError`` (badEndpoint).
    static func resolve(_ endpoint: String) throws(TransportError) -> [String] {
        guard endpoint.hasPrefix("tcp://") else { return [endpoint] }
        let (host, port) = try split(endpoint)
        let found = addresses(of: host).map { "tcp://\($0.isIPv6 ? "[\($0.text)]" : $0.text):\(port)" }
        return found.isEmpty ? [endpoint] : found
    }

    /// Whether libzmq needs its IPv6 option for this address.
    static func isIPv6(_ endpoint: String) -> Bool { endpoint.hasPrefix("tcp://[") }

    private struct Address {
        var text: String
        var isIPv6: Bool
        var isLoopback: Bool
    }

    private static func split(_ endpoint: String) throws(TransportError) -> (host: String, port: String) {
        let example = "expected tcp://HOST:PORT, such as tcp://127.0.0.1:7741, tcp://[::1]:7741 or tcp://name:7741"
        let address = endpoint.dropFirst("tcp://".count)
        guard endpoint.hasPrefix("tcp://"), let colon = address.lastIndex(of: ":") else {
            throw TransportError(.badEndpoint, "the address of the worker port is '\(endpoint)'; \(example)")
        }
        let (host, port) = (address[..<colon], address[address.index(after: colon)...])
        guard port == "*" || UInt16(port) != nil else {
            throw TransportError(.badEndpoint, "'\(endpoint)' ends in the port '\(port)'; \(example)")
        }
        if host.hasPrefix("["), host.hasSuffix("]") { return (String(host.dropFirst().dropLast()), String(port)) }
        guard !host.isEmpty, !host.contains(":") else {
            throw TransportError(
                .badEndpoint, "'\(endpoint)' has the host '\(host)'; an IPv6 address goes into brackets: \(example)")
        }
        return (String(host), String(port))
    }

    private static func addresses(of host: String) -> [Address] {
        guard host != "*" else { return [] }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else {
            // A container may have no /etc/hosts.
            return host == "localhost" ? [Address(text: "127.0.0.1", isIPv6: false, isLoopback: true)] : []
        }
        defer { freeaddrinfo(list) }
        var found: [Address] = []
        var next = list
        while let info = next {
            next = info.pointee.ai_next
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            guard let address = info.pointee.ai_addr,
                getnameinfo(
                    address, info.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
            else { continue }
            let isIPv6 = info.pointee.ai_family == AF_INET6
            let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard !found.contains(where: { $0.text == name }) else { continue }
            found.append(Address(text: name, isIPv6: isIPv6, isLoopback: isLoopback(address, isIPv6)))
        }
        return found.filter { !$0.isIPv6 } + found.filter(\.isIPv6)
    }

    private static func isLoopback(_ address: UnsafeMutablePointer<sockaddr>, _ isIPv6: Bool) -> Bool {
        guard isIPv6 else {
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                withUnsafeBytes(of: $0.pointee.sin_addr) { $0[0] == 127 }
            }
        }
        return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
            withUnsafeBytes(of: $0.pointee.sin6_addr) { bytes in
                let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
                return isMapped ? bytes[12] == 127 : bytes[..<15].allSatisfy { $0 == 0 } && bytes[15] == 1
            }
        }
    }
}
