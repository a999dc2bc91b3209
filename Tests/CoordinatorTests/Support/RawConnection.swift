import Foundation
import Glibc

/// A TCP connection that sends what a test likes, and no more.
///
/// Each call waits on a thread of its own: the threads of tests are few, and the coordinator under test needs them.
final class RawConnection: Sendable {
    private let descriptor: Int32
    private let openssl: Process?

    /// - Parameter source: The address to connect from, 127.0.0.x.
    init(_ url: String, from source: String = "127.0.0.1") throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        openssl = nil
        guard let port = UInt16(url.split(separator: ":").last ?? "") else { throw Unconnected() }
        func connects(_ host: String, _ port: UInt16, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32)
            -> Bool
        {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            return withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
        var limit = timeval(tv_sec: hangGuardSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        // Small, and of a fixed size: what the client does not take stays with the server.
        var buffer: Int32 = 1 << 16
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, socklen_t(MemoryLayout<Int32>.size))
        guard connects(source, 0, bind), connects("127.0.0.1", port, connect) else { throw Unconnected() }
    }

    /// Over TLS, with the program `openssl` between the test and the coordinator. It takes no more than the test does.
    init(secure url: String) throws {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else { throw Unconnected() }
        descriptor = ends[0]
        var limit = timeval(tv_sec: hangGuardSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let other = FileHandle(fileDescriptor: ends[1], closeOnDealloc: true)
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let port = url.split(separator: ":").last ?? ""
        openssl.arguments = ["openssl", "s_client", "-quiet", "-connect", "127.0.0.1:\(port)"]
        openssl.standardInput = other
        openssl.standardOutput = other
        openssl.standardError = FileHandle.nullDevice
        try openssl.run()
        // Otherwise the end of the program would not end the connection.
        try other.close()
        self.openssl = openssl
    }

    struct Unconnected: Error {}

    @discardableResult
    func send(_ text: String) async -> Bool {
        await waiting { [descriptor] in
            text.utf8.withContiguousStorageIfAvailable {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
                == text.utf8.count
        }
    }

    private func waiting<Value: Sendable>(_ call: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: call()) }
        }
    }

    /// What arrives until the server closes the connection; nil if it does not before the hang guard.
    func untilClosed() async -> String? {
        await waiting { [descriptor] in
            var all: [UInt8] = []
            var block = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = recv(descriptor, &block, block.count, 0)
                if count == 0 || count < 0 && errno == ECONNRESET { return String(decoding: all, as: UTF8.self) }
                guard count > 0 else { return nil }
                all += block.prefix(count)
            }
        }
    }

    /// What arrives next; "" if the server has closed the connection, nil if nothing comes before the hang guard.
    func next() async -> String? {
        await waiting { [descriptor] in
            var block = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &block, block.count, 0)
            if count < 0 { return errno == ECONNRESET ? "" : nil }
            return String(decoding: block.prefix(count), as: UTF8.self)
        }
    }

    deinit {
        close(descriptor)
        openssl?.terminate()
    }
}
