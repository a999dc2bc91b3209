import Crypto
import Foundation
import Synchronization

/// An HTTP server that does with webhooks what the test says.
final class TestReceiver: Sendable {
    struct Delivery: Sendable {
        let arrivedAt = Date()
        var headers: [String: String]
        var body: Data

        var id: String { headers["webhook-id"] ?? "" }

        /// Whether the signature is that of the body with this secret, as a receiver of Standard Webhooks checks it.
        func isGenuine(secret: String) -> Bool {
            guard let timestamp = headers["webhook-timestamp"], let seconds = Double(timestamp),
                abs(arrivedAt.timeIntervalSince1970 - seconds) < 300,
                let key = Data(base64Encoded: String(secret.dropFirst("whsec_".count)))
            else { return false }
            let code = HMAC<SHA256>.authenticationCode(
                for: Data("\(id).\(timestamp).".utf8) + body, using: SymmetricKey(data: key))
            return headers["webhook-signature"] == "v1," + Data(code).base64EncodedString()
        }
    }

    enum Reaction: Sendable {
        case status(Int, headers: String = "")
        case closing
        /// Never answers.
        case silence
        /// Answers, and sends the body without end.
        case endless
    }

    private let descriptor: Int32
    let port: UInt16
    private let deliveries = Mutex<[Delivery]>([])
    private let react: @Sendable (Delivery, Int) -> Reaction

    /// - Parameter react: gets a delivery and how many there were before it.
    init(port: UInt16 = 0, _ react: @escaping @Sendable (Delivery, Int) -> Reaction = { _, _ in .status(204) }) throws {
        self.react = react
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isOpen = withUnsafeMutablePointer(to: &address) { [descriptor] in
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isOpen else { throw CocoaError(.fileReadUnknown) }
        self.port = UInt16(bigEndian: address.sin_port)
        let descriptor = descriptor
        Thread.detachNewThread { [weak self] in
            // Only this thread closes it: at any other moment the number could be that of another socket by now.
            defer { close(descriptor) }
            while true {
                let connection = accept(descriptor, nil, nil)
                guard connection >= 0 else {
                    // After the shutdown.
                    if errno == EINVAL { return }
                    continue
                }
                Thread.detachNewThread { [weak self] in
                    self?.serve(connection)
                    close(connection)
                }
            }
        }
    }

    var url: URL { URL(string: "http://127.0.0.1:\(port)/hook/secret-path")! }
    var all: [Delivery] { deliveries.withLock { $0 } }

    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }

    private func serve(_ connection: Int32) {
        var buffer = Data()
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            while let (delivery, rest) = Self.parse(buffer) {
                buffer = rest
                let count = deliveries.withLock { list in
                    list.append(delivery)
                    return list.count - 1
                }
                guard answer(react(delivery, count), connection) else { return }
            }
            let count = recv(connection, &block, block.count, 0)
            guard count > 0 else { return }
            buffer += block.prefix(count)
        }
    }

    /// - Returns: Whether the connection stays open.
    private func answer(_ reaction: Reaction, _ connection: Int32) -> Bool {
        func put(_ text: String) -> Bool {
            send(connection, text, text.utf8.count, Int32(MSG_NOSIGNAL)) == text.utf8.count
        }
        switch reaction {
        case .closing: return false
        case .status(let status, let headers):
            let body = status == 204 ? "" : "ok"
            let length = status == 204 ? "" : "Content-Length: 2\r\n"
            return put("HTTP/1.1 \(status) Answer\r\n\(length)\(headers)\r\n\(body)")
        case .silence:
            var byte: UInt8 = 0
            // Until the other side gives up.
            while recv(connection, &byte, 1, 0) > 0 {}
            return false
        case .endless:
            guard put("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n") else { return false }
            let block = String(repeating: "x", count: 8192)
            while put(block) {}
            return false
        }
    }

    private static func parse(_ data: Data) -> (Delivery, rest: Data)? {
        guard let end = data.range(of: Data("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: data[data.startIndex..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        var headers: [String: String] = ["": String(lines.first ?? "")]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts.last?.trimmingCharacters(in: .whitespaces)
        }
        let length = Int(headers["content-length"] ?? "") ?? 0
        guard data.endIndex - end.upperBound >= length else { return nil }
        let body = data[end.upperBound..<end.upperBound + length]
        return (Delivery(headers: headers, body: Data(body)), Data(data[(end.upperBound + length)...]))
    }
}
