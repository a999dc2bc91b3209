import Foundation

/// Bounds the memory that clients fill with messages that they never finish, or send faster than they are taken.
///
/// libzmq bounds a frame, but not the number of a message's frames, and a server's socket holds any number of messages
/// (``ZeroMQSocket/init(type:)``). The kernel counts the bytes that a connection has received. Those beyond the messages
/// that were taken from it are held.
struct UnfinishedMessages {
    /// Bytes of all connections together. A whole message has at most a fourth of that.
    static let budget = 64 << 20
    /// A client that goes beyond the budget has this long to fill memory before it is noticed.
    static let intervalMilliseconds = 100

    private struct Connection {
        /// Bytes that have arrived and belong to messages that were taken; at least so many.
        var takenBytes: UInt64 = 0
        var lastMessage: ContinuousClock.Instant
    }

    private let port: UInt16
    private let budget: Int
    /// By descriptor.
    private var connections: [Int32: Connection] = [:]
    /// Connections of which messages were taken since ``drained()``.
    private var active: Set<Int32> = []
    private var checked = ContinuousClock.now

    /// - Parameter port: The server's. A descriptor may get another meaning before we learn that its connection is closed.
    init(port: UInt16, budget: Int = Self.budget) {
        self.port = port
        self.budget = budget
    }

    var isEmpty: Bool { connections.isEmpty }

    mutating func opened(_ descriptor: Int32, at now: ContinuousClock.Instant = .now) {
        connections[descriptor] = Connection(lastMessage: now)
    }

    mutating func closed(_ descriptor: Int32) { connections[descriptor] = nil }

    /// A whole message of the connection was taken.
    /// - Parameter bytes: of the frames that the client sent.
    mutating func finished(_ descriptor: Int32, bytes: Int, at now: ContinuousClock.Instant = .now) {
        connections[descriptor, default: Connection(lastMessage: now)].takenBytes += UInt64(bytes)
        connections[descriptor]?.lastMessage = now
        active.insert(descriptor)
    }

    /// All whole messages have been taken, so all that has arrived with them was theirs: also what surrounds their frames.
    /// - Parameter isAll: Whether messages of any connection were taken without ``finished(_:bytes:at:)``.
    mutating func drained(isAll: Bool = false) {
        for descriptor in isAll ? Set(connections.keys) : active {
            guard let received = receivedBytes(descriptor) else { continue }
            connections[descriptor]?.takenBytes = received
        }
        active = []
    }

    /// Ends connections until the others are within the budget: those that hold the most, or, if all whole messages have
    /// been taken, those whose last one is the oldest.
    /// - Returns: The number of ended connections.
    mutating func enforce(at now: ContinuousClock.Instant = .now) -> Int {
        guard now - checked >= .milliseconds(Self.intervalMilliseconds) else { return 0 }
        checked = now
        // Connections at work hold whole messages, too, if not all have been taken: windows of chunks.
        let isDrained = active.isEmpty
        let budget = isDrained ? budget : 4 * budget
        var held: [(descriptor: Int32, bytes: Int, since: ContinuousClock.Instant)] = []
        for (descriptor, connection) in connections {
            guard let received = receivedBytes(descriptor) else {
                connections[descriptor] = nil
                continue
            }
            let bytes = Int(received - min(received, connection.takenBytes))
            held.append((descriptor, bytes, connection.lastMessage))
        }
        var total = held.reduce(0) { $0 + $1.bytes }
        guard total > budget else { return 0 }
        held.sort { isDrained ? $0.since < $1.since : $0.bytes > $1.bytes }
        // One that has just brought a whole message is at work.
        let recent = now - .milliseconds(3 * Self.intervalMilliseconds)
        var ended = 0
        // A connection with little to give would end in vain.
        for (descriptor, bytes, since) in held where bytes > budget / 1024 && (!isDrained || since < recent) {
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
