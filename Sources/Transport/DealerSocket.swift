import ClusterCore
import CZeroMQ
import Foundation
import Logging
import Protocol
import Synchronization

/// The worker's socket: a DEALER with a thread of its own, connected to one coordinator.
///
/// Whether the coordinator is there is the application's to judge, by what arrives; if nothing does for too long,
/// ``recreate()`` starts over with a fresh connection. Open until ``close()``.
public final class DealerSocket: Sendable {
    private struct State {
        /// Goes first: a heartbeat behind a window of chunks would come too late on a slow line.
        var urgent = Outbox()
        var chunks = Outbox()
        var counters = SocketCounters()
        var shouldRecreate = false
        var isClosing = false
        var isClosed = false
        var closers: [CheckedContinuation<Void, Never>] = []

        mutating func append(_ frames: [[UInt8]], limit: Int) -> Bool {
            frames.count > 1 ? chunks.append(frames, limit: limit) : urgent.append(frames, limit: limit)
        }

        /// Nil also when what comes next belongs to a socket that is not there yet.
        mutating func popFirst() -> [[UInt8]]? {
            shouldRecreate ? nil : urgent.popFirst() ?? chunks.popFirst()
        }
    }

    public let endpoint: String
    private let outboxBytes: Int
    private let logger: Logger
    private let state = Mutex(State())
    private let waker: Waker
    private let inbox: Inbox<WireMessage>

    /// Starts connecting; the coordinator need not be there.
    /// - Parameters:
    ///   - outboxBytes: what may wait while there is no connection or the coordinator is slow, of chunks and of other
    ///     messages each: two windows of chunks.
    ///   - inboxBytes: what may be read and not yet taken by the consumer.
    /// - Throws: ``TransportError`` if the endpoint is malformed.
    public init(
        endpoint: String, outboxBytes: Int = 2 * Int(Limits.windowChunks) * (Limits.chunkBytes + 1024),
        inboxBytes: Int = 32 << 20, logger: Logger
    ) throws(TransportError) {
        let waker = try Waker()
        let socket = try Self.open(endpoint, attempt: 0)
        self.endpoint = endpoint
        self.outboxBytes = outboxBytes
        self.logger = logger
        self.waker = waker
        inbox = Inbox(capacityBytes: inboxBytes, onRoom: { waker.wake() })
        nonisolated(unsafe) let moved = socket
        let thread = Thread { [self] in run(moved) }
        thread.name = "texloom-dealer"
        thread.start()
    }

    /// What the coordinator says, for one consumer. Ends after ``close()``.
    public var incoming: AsyncStream<WireMessage> { inbox.stream }

    public var counters: SocketCounters { state.withLock { $0.counters } }

    /// Queues a message; never waits. False if it was dropped, because the outbox is full or the message is invalid:
    /// whoever needs an answer asks again anyway.
    @discardableResult
    public func send(_ message: WireMessage) -> Bool {
        let frames: [[UInt8]]
        do {
            frames = try message.frames()
        } catch {
            logger.error("not sent, would be refused by the coordinator", metadata: ["error": "\(error)"])
            state.withLock { $0.counters.dropped += 1 }
            return false
        }
        let isQueued = state.withLock { state in
            if !state.isClosing, state.append(frames, limit: outboxBytes) { return true }
            state.counters.dropped += 1
            return false
        }
        if isQueued { waker.wake() }
        return isQueued
    }

    /// Drops the connection and everything that waits to be sent, and connects afresh.
    public func recreate() {
        state.withLock { state in
            state.shouldRecreate = true
            state.urgent = Outbox()
            state.chunks = Outbox()
        }
        waker.wake()
    }

    /// Sends what waits within a second, closes the socket and ends ``incoming``.
    public func close() async {
        await withCheckedContinuation { continuation in
            let isClosed = state.withLock { state in
                if !state.isClosed { state.closers.append(continuation) }
                state.isClosing = true
                return state.isClosed
            }
            if isClosed { continuation.resume() } else { waker.wake() }
        }
    }

    // MARK: The socket's thread

    /// - Parameter attempt: Of the addresses of a name another one is tried each time; the name is looked up again.
    private static func open(_ endpoint: String, attempt: Int) throws(TransportError) -> ZeroMQSocket {
        let addresses = try Endpoint.resolve(endpoint)
        let socket = try ZeroMQSocket(type: ZMQ_DEALER)
        // Only to connections that stand: otherwise libzmq queues for a coordinator that may never come.
        socket.set(ZMQ_IMMEDIATE, Int32(1))
        // What libzmq holds cannot be overtaken any more.
        socket.set(ZMQ_SNDHWM, Int32(2))
        socket.set(ZMQ_RECONNECT_IVL, Int32(500))
        socket.set(ZMQ_RECONNECT_IVL_MAX, Int32(8_000))
        do {
            try socket.connect(addresses[attempt % addresses.count])
        } catch {
            socket.close(lingerMilliseconds: 0)
            throw error
        }
        return socket
    }

    private func run(_ first: ZeroMQSocket) {
        var socket = first
        var held: [[UInt8]]?
        var attempt = 0
        /// Whether the present address has answered.
        var hasHeard = false
        var closingSince: ContinuousClock.Instant?
        while true {
            let (shouldRecreate, isClosing) = state.withLock { state in
                defer { state.shouldRecreate = false }
                return (state.shouldRecreate, state.isClosing)
            }
            if shouldRecreate {
                held = nil
                if !hasHeard { attempt += 1 }
                hasHeard = false
                do {
                    let fresh = try Self.open(endpoint, attempt: attempt)
                    socket.close(lingerMilliseconds: 0)
                    socket = fresh
                } catch {
                    // Out of descriptors, say. The old socket still reconnects by itself.
                    logger.error("cannot recreate the socket", metadata: ["error": "\(error)"])
                }
            }
            let isBlocked = flush(socket, &held)
            if isClosing {
                closingSince = closingSince ?? .now
                if !isBlocked || closingSince!.duration(to: .now) > .seconds(1) { break }
            }
            var events = inbox.isFull ? 0 : ZMQ_POLLIN
            if isBlocked { events |= ZMQ_POLLOUT }
            var items = [
                zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(events), revents: 0),
                zmq_pollitem_t(socket: nil, fd: waker.descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
            ]
            _ = zmq_poll(&items, 2, isClosing ? 100 : -1)
            waker.drain()
            for _ in 0..<64 where !inbox.isFull {
                guard let frames = socket.receive(maxFrames: 2) else { break }
                hasHeard = true
                receive(frames)
            }
        }
        socket.close(lingerMilliseconds: 1_000)
        inbox.finish()
        let closers = state.withLock { state in
            state.isClosed = true
            defer { state.closers = [] }
            return state.closers
        }
        for closer in closers { closer.resume() }
    }

    private func receive(_ frames: [[UInt8]]) {
        do {
            let message = try WireMessage(frames: frames)
            state.withLock { $0.counters.received += 1 }
            inbox.push(message, bytes: Outbox.bytes(of: frames))
        } catch {
            let count = state.withLock { state in
                state.counters.malformed += 1
                return state.counters.malformed
            }
            if SocketCounters.isWorthLogging(count) {
                logger.warning(
                    "dropped a malformed message",
                    metadata: ["error": "\(error)", "malformed": .stringConvertible(count)])
            }
        }
    }

    /// Sends what the connection takes; true if messages are left, the first of them in `held`.
    private func flush(_ socket: ZeroMQSocket, _ held: inout [[UInt8]]?) -> Bool {
        while let frames = held ?? state.withLock({ $0.popFirst() }) {
            held = frames
            switch socket.send(frames) {
            case .done:
                held = nil
                state.withLock { $0.counters.sent += 1 }
            case .wouldBlock, .unroutable:
                return true
            case .failed(let reason):
                logger.error("cannot send", metadata: ["error": "\(reason)"])
                return true
            }
        }
        return false
    }
}
