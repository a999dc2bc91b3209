import Glibc

/// Asks a server for the greeting with which every ZeroMQ connection begins (RFC 23): it names the security mechanism.
/// libzmq cannot tell a plain server from one with another key, because both just close the connection.
enum GreetingProbe {
    private static let seconds = 3
    /// The signature, and version 3: the server then sends the rest of its greeting.
    private static let opening: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 3]
    private static let mechanism = 12..<32

    /// "NULL" or "CURVE"; nil if the server cannot be reached or is too slow, and another text if it speaks no ZeroMQ. Blocks
    /// for some seconds at most.
    /// - Parameter endpoint: with the address that the client's socket connects to. A name stays only if it had no address
    ///   then; it is looked up again.
    static func mechanism(of endpoint: String) -> String? {
        guard let address = try? Endpoint.resolve(endpoint).first, let (host, port) = try? Endpoint.split(address)
        else { return nil }
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, port, &hints, &list) == 0, let first = list else { return nil }
        defer { freeaddrinfo(list) }
        let descriptor = socket(
            first.pointee.ai_family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_SNDTIMEO, SO_RCVTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        guard connect(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0,
            send(descriptor, opening, opening.count, Int32(MSG_NOSIGNAL)) == opening.count
        else { return nil }
        var greeting = [UInt8](repeating: 0, count: mechanism.upperBound)
        var count = 0
        while count < greeting.count {
            let received = greeting.withUnsafeMutableBytes { bytes in
                recv(descriptor, bytes.baseAddress! + count, bytes.count - count, 0)
            }
            if received < 0, errno == EINTR { continue }
            guard received > 0 else {
                return mechanism(in: greeting.prefix(count), isTimeout: received < 0 && errno == EAGAIN)
            }
            count += received
        }
        return mechanism(in: greeting[...], isTimeout: false)
    }

    /// The same of what a server has sent.
    /// - Parameters:
    ///   - greeting: All of it, or its beginning.
    ///   - isTimeout: Whether the server may still send more.
    static func mechanism(in greeting: ArraySlice<UInt8>, isTimeout: Bool) -> String? {
        guard let first = greeting.first else { return nil }
        guard greeting.count < mechanism.upperBound else {
            return String(decoding: greeting[mechanism].prefix { $0 != 0 }, as: UTF8.self)
        }
        // A busy coordinator may take long for the rest of its greeting. Other protocols begin with something else.
        return isTimeout && first == opening[0] ? nil : ""
    }
}
