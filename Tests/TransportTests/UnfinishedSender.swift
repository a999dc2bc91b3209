import Foundation
import Glibc

/// A ZMTP 3.1 client that does what libzmq's own sockets do not: it never sends a message's last frame, chooses its routing
/// id, or resets its connection.
struct UnfinishedSender {
    private let descriptor: Int32

    /// - Parameter endpoint: tcp://127.0.0.1:PORT
    init(_ endpoint: String) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(endpoint.split(separator: ":").last!)!.bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw POSIXError(.ECONNREFUSED) }
    }

    /// Returns when the other side has accepted the connection: a server greets first.
    func greeted() async throws {
        var first: UInt8 = 0
        while recv(descriptor, &first, 1, Int32(MSG_DONTWAIT)) < 0, errno == EAGAIN {
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    func hangUp() { close(descriptor) }

    func shakeHands(routingID: String = "") async throws {
        let greeting = [0xFF] + [UInt8](repeating: 0, count: 8) + [0x7F, 3, 1] + Array("NULL".utf8)
        _ = try await write(greeting + [UInt8](repeating: 0, count: 64 - greeting.count))
        func property(_ name: String, _ value: String) -> [UInt8] {
            [UInt8(name.utf8.count)] + Array(name.utf8) + [0, 0, 0, UInt8(value.utf8.count)] + Array(value.utf8)
        }
        let ready = [5] + Array("READY".utf8) + property("Socket-Type", "DEALER") + property("Identity", routingID)
        _ = try await write([4, UInt8(ready.count)] + ready)
        // The server's greeting of 64 bytes, and the head of its READY.
        var received = 0
        var bytes = [UInt8](repeating: 0, count: 256)
        while received <= 64 {
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            if count > 0 { received += count }
            if count == 0 || count < 0 && errno != EAGAIN { throw POSIXError(.ECONNRESET) }
            if count < 0 { try await Task.sleep(for: .milliseconds(1)) }
        }
    }

    /// Ends the connection in a way that drops what is unread on both sides.
    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
        close(descriptor)
    }

    /// Returns when the other side has ended the connection.
    /// - Parameter limit: About how many bytes go out at most. After them the client waits.
    func sendUntilEnded(atMost limit: Int) async throws {
        defer { close(descriptor) }
        try await shakeHands()
        var sent = 0
        // A long frame with more to come: flags 3, the size as eight bytes, a mebibyte.
        let frame = [3, 0, 0, 0, 0, 0, 0x10, 0, 0] + [UInt8](repeating: 7, count: 1 << 20)
        while sent < limit {
            let count = try await write(frame)
            sent += count
            if count < frame.count { return }
        }
        var answer = [UInt8](repeating: 0, count: 1024)
        while true {
            let count = recv(descriptor, &answer, answer.count, Int32(MSG_DONTWAIT))
            if count < 0, errno == EAGAIN { try await Task.sleep(for: .milliseconds(1)) } else if count <= 0 { return }
        }
    }

    /// - Returns: The bytes that went out; fewer than all if the connection has ended.
    func write(_ bytes: [UInt8]) async throws -> Int {
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if count >= 0 {
                done += count
            } else if errno == EAGAIN {
                try await Task.sleep(for: .milliseconds(1))
            } else {
                break
            }
        }
        return done
    }
}
