import Foundation

/// Bounds the memory that clients fill with messages that they never finish.
///
/// libzmq bounds a frame, but not the number of a message's frames, and holds them all until the last one arrives. The
/// kernel counts the bytes that a connection has received. Those after the connection's last whole message belong to an
/// unfinished one.
struct UnfinishedMessages {
    /// Bytes of all connections together. A whole message has at most a fourth of that.
    static let budget = 64 << 20
    /// A client that goes beyond the budget has this long to fill memory before it is noticed.
    static let intervalMilliseconds = 100

    private struct Connection {
        /// Bytes that had arrived when the last whole message was taken.
        var finishedBytes: UInt64
        var lastMessage: ContinuousClock.Instant
    }

    private let port: UInt16
    private let budget: Int
    /// By descriptor.
    private var connections: [Int32: Connection] = [:]
    private var checked = ContinuousClock.now

    /// - Parameter port: The server's. A descriptor may get another meaning before we learn that its connection is closed.
    init(port: UInt16, budget: Int = Self.budget) {
        self.port = port
        self.budget = budget
    }

    var isEmpty: Bool { connections.isEmpty }

    mutating func opened(_ descriptor: Int32) {
        connections[descriptor] = Connection(finishedBytes: 0, lastMessage: .now)
    }

    mutating func closed(_ descriptor: Int32) { connections[descriptor] = nil }

    /// A whole message of the connection was taken.
    mutating func finished(_ descriptor: Int32) {
        guard let bytes = receivedBytes(descriptor) else { return }
        connections[descriptor] = Connection(finishedBytes: bytes, lastMessage: .now)
    }

    /// Ends connections until the others are within the budget: first those whose last whole message is the oldest.
    /// - Parameter isDrained: Whether all whole messages have been taken. Otherwise some of the bytes belong to those, and
    ///   the budget is four times as large.
    /// - Returns: The number of ended connections.
    mutating func enforce(isDrained: Bool, at now: ContinuousClock.Instant = .now) -> Int {
        guard now - checked >= .milliseconds(Self.intervalMilliseconds) else { return 0 }
        checked = now
        let budget = isDrained ? budget : 4 * budget
        var unfinished: [(descriptor: Int32, bytes: Int, since: ContinuousClock.Instant)] = []
        for (descriptor, connection) in connections {
            guard let bytes = receivedBytes(descriptor), bytes >= connection.finishedBytes else {
                connections[descriptor] = nil
                continue
            }
            unfinished.append((descriptor, Int(bytes - connection.finishedBytes), connection.lastMessage))
        }
        var total = unfinished.reduce(0) { $0 + $1.bytes }
        guard total > budget else { return 0 }
        var ended = 0
        let recent = now - .milliseconds(3 * Self.intervalMilliseconds)
        // A connection with little to give would end in vain. One that has just brought a whole message is at work.
        for (descriptor, bytes, since) in unfinished.sorted(by: { $0.since < $1.since })
        where bytes > budget / 1024 && since < recent {
            guard total > budget else { break }
            shutdown(descriptor, Int32(SHUT_RDWR))
            connections[descriptor] = nil
            total -= bytes
            ended += 1
        }
        return ended
    }

    /// The kernel's count; nil if the descriptor is no connection of this server.
    private func receivedBytes(_ descriptor: Int32) -> UInt64? {
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let local = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
        }
        // Both families have the port at the same place, in network order.
        let found = withUnsafeBytes(of: address) { $0.loadUnaligned(fromByteOffset: 2, as: UInt16.self) }
        guard local == 0, UInt16(bigEndian: found) == port else { return nil }
        // struct tcp_info of Linux 4.1 and later, tcpi_bytes_received. glibc's header ends before it.
        let offset = 128
        var info = [UInt8](repeating: 0, count: offset + 8)
        size = socklen_t(info.count)
        guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &size) == 0, size == info.count else {
            return nil
        }
        return info.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }
}
