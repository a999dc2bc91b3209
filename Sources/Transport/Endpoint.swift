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

    static func requireLoopback(_ endpoint: String) throws(TransportError) {
        guard isLoopback(endpoint) else {
            throw TransportError(
                .unencryptedEndpoint,
                "refusing to listen on \(endpoint) without encryption: anyone who reaches it could take jobs and read "
                    + "artifacts")
        }
    }

    /// The addresses of this machine's network interfaces, without loopback and link-local ones, IPv4 first.
    public static func hostAddresses() -> [String] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var found: [Address] = []
        var next = list
        while let interface = next {
            next = interface.pointee.ifa_next
            guard let address = interface.pointee.ifa_addr,
                [AF_INET, AF_INET6].contains(Int32(address.pointee.sa_family)),
                let read = Address(
                    address,
                    length: address.pointee.sa_family == sa_family_t(AF_INET)
                        ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size),
                !read.isLoopback, !read.text.contains("%"), !read.text.hasPrefix("169.254."),
                !found.contains(where: { $0.text == read.text })
            else { continue }
            found.append(read)
        }
        return found.filter { !$0.isIPv6 }.map(\.text) + found.filter(\.isIPv6).map { "[\($0.text)]" }
    }

    /// Where other machines reach a bound endpoint: itself, or each of this machine's addresses if it listens on all.
    public static func reachable(_ endpoint: String) -> [String] {
        guard let (host, port) = try? split(endpoint) else { return [endpoint] }
        switch host {
        case "0.0.0.0": return hostAddresses().filter { !$0.hasPrefix("[") }.map { "tcp://\($0):\(port)" }
        case "::", "*": return hostAddresses().map { "tcp://\($0):\(port)" }
        default: return [endpoint]
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

        init(text: String, isIPv6: Bool, isLoopback: Bool) {
            self.text = text
            self.isIPv6 = isIPv6
            self.isLoopback = isLoopback
        }

        init?(_ address: UnsafeMutablePointer<sockaddr>, length: Int) {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            guard
                getnameinfo(address, socklen_t(length), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
            else { return nil }
            let isIPv6 = Int32(address.pointee.sa_family) == AF_INET6
            self.init(
                text: String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
                isIPv6: isIPv6, isLoopback: Endpoint.isLoopback(address, isIPv6))
        }
    }

    static func split(_ endpoint: String) throws(TransportError) -> (host: String, port: String) {
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
            guard let pointer = info.pointee.ai_addr,
                let address = Address(pointer, length: Int(info.pointee.ai_addrlen)),
                !found.contains(where: { $0.text == address.text })
            else { continue }
            found.append(address)
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
