import Foundation
import Glibc
import Testing

@testable import Transport

/// A listener. Nothing is read from its connections, so the kernel holds what arrives.
private final class SilentServer {
    let port: UInt16
    private let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    private var descriptors: [Int32] = []

    init() throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        port = try SilentServer.call(&address) { [listener] address, size in
            try #require(bind(listener, address, size.pointee) == 0 && listen(listener, 8) == 0)
            try #require(getsockname(listener, address, size) == 0)
        }
    }

    deinit { for descriptor in descriptors + [listener] { close(descriptor) } }

    private static func call(
        _ address: inout sockaddr_in,
        _ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) throws -> Void
    ) throws -> UInt16 {
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { try body($0, &size) }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// - Parameter bytes: that the client sends, fewer than a window.
    /// - Returns: The descriptors of both ends.
    func connection(_ bytes: Int) throws -> (server: Int32, client: Int32) {
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        descriptors.append(client)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = port.bigEndian
        _ = try Self.call(&address) { try #require(connect(client, $0, $1.pointee) == 0) }
        let server = accept(listener, nil, nil)
        try #require(server >= 0)
        descriptors.append(server)
        let content = [UInt8](repeating: 0, count: bytes)
        try #require(send(client, content, bytes, 0) == bytes)
        // Returns when the last byte has arrived.
        var found = content
        try #require(recv(server, &found, bytes, Int32(MSG_PEEK | MSG_WAITALL)) == bytes)
        return (server, client)
    }

    static func isEnded(_ client: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(client, &byte, 1, Int32(MSG_DONTWAIT)) == 0
    }
}

struct UnfinishedMessagesTests {
    private let server: SilentServer
    private var unfinished: UnfinishedMessages

    init() throws {
        server = try SilentServer()
        unfinished = UnfinishedMessages(port: server.port, budget: 10_000)
    }

    /// - Parameters:
    ///   - taken: the bytes of a message that was taken; nil if none was.
    ///   - isDrained: whether no other message was there.
    @Test(
        arguments: [
            (nil, false, true), (100, false, true), (20_000, false, false), (50_000, false, false), (100, true, false),
        ] as [(Int?, Bool, Bool)])
    mutating func aConnectionEndsIfMuchThatItSentIsNotTaken(taken: Int?, isDrained: Bool, ends: Bool) throws {
        let connection = try server.connection(50_000)
        unfinished.opened(connection.server, at: .now - .seconds(1))
        if let taken { unfinished.finished(connection.server, bytes: taken) }
        if isDrained { unfinished.drained() }
        #expect(unfinished.enforce(at: .now + .milliseconds(150)) == (ends ? 1 : 0))
        #expect(SilentServer.isEnded(connection.client) == ends)
        #expect(unfinished.isEmpty == ends)
    }

    @Test mutating func theLargestConnectionEndsWhileMessagesWait() throws {
        let (small, large) = (try server.connection(15_000), try server.connection(40_000))
        for connection in [small, large] { unfinished.finished(connection.server, bytes: 100) }
        #expect(unfinished.enforce(at: .now + .milliseconds(150)) == 1)
        #expect(SilentServer.isEnded(large.client) && !SilentServer.isEnded(small.client))
    }

    @Test mutating func theMostSilentConnectionEndsWhileNoMessageWaits() throws {
        let start = ContinuousClock.now - .seconds(2)
        let (older, newer) = (try server.connection(6_000), try server.connection(8_000))
        unfinished.opened(newer.server, at: start + .seconds(1))
        unfinished.opened(older.server, at: start)
        #expect(unfinished.enforce(at: .now + .milliseconds(150)) == 1)
        #expect(SilentServer.isEnded(older.client) && !SilentServer.isEnded(newer.client))
    }
}
