import ClusterCore
import CZeroMQ
import Foundation
import Logging
import Protocol
import Synchronization

/// The worker's socket: a DEALER on its own thread, connected to one coordinator.
///
/// The caller judges from the arriving messages whether the coordinator is alive. After too long a silence it calls
/// ``recreate()`` for a fresh connection. The socket is open until ``close()``.
public final class DealerSocket: Sendable {
    public struct Configuration: Sendable {
        /// For example `tcp://127.0.0.1:7741`.
        public var endpoint: String
        /// How to encrypt; nil: plain.
        public var curve: Curve.Client?
        /// Bytes that may wait for the consumer. Beyond them, the thread stops reading the socket. Tests change it.
        var inboxBytes = 32 << 20
        /// Called on the socket's thread when the server has taken its announced key into use.
        public var onNextServerKey: (@Sendable () -> Void)?

        public init(endpoint: String) { self.endpoint = endpoint }
    }

    private struct State {
        /// Sent before chunks: on a slow line a heartbeat behind a window of chunks would be late.
        var urgent = Outbox()
        var chunks = Outbox()
        var counters = SocketCounters()
        var shouldRecreate = false
        /// See ``learn(nextServerKey:)``.
        var nextServerKey: String?
        /// What a probe has found, until the next handshake has ended or succeeded.
        var suspicion: LinkFailure?
        var closing = Closing()

        mutating func append(_ frames: [[UInt8]], limit: Int) -> Bool {
            frames.count > 1 ? chunks.append(frames, limit: limit) : urgent.append(frames, limit: limit)
        }

        /// Nil also while the next message is meant for a socket that is still to be made.
        mutating func popFirst() -> [[UInt8]]? {
            shouldRecreate ? nil : urgent.popFirst() ?? chunks.popFirst()
        }
    }

    /// Bytes that may wait while the coordinator is away or slow, of chunks and of other messages each: two windows of
    /// chunks.
    static let outboxBytes = 2 * Int(Limits.windowChunks) * (Limits.chunkBytes + 1024)

    public let endpoint: String
    /// Why the coordinator at the endpoint and this worker cannot speak with each other, whenever that is found.
    public let failures: AsyncStream<LinkFailure>
    private let failed: AsyncStream<LinkFailure>.Continuation
    private let configuration: Configuration
    private let logger: Logger
    private let state = Mutex(State())
    private let waker: Waker
    private let inbox: Inbox<WireMessage>

    /// Starts connecting; the coordinator need not be running.
    /// - Throws: ``TransportError`` if the endpoint is malformed.
    public init(_ configuration: Configuration, logger: Logger) throws(TransportError) {
        let endpoint = configuration.endpoint
        let waker = try Waker()
        let socket = try Self.open(configuration, attempt: 0)
        (failures, failed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(8))
        self.configuration = configuration
        self.endpoint = endpoint
        self.logger = logger
        self.waker = waker
        inbox = Inbox(capacityBytes: configuration.inboxBytes, onRoom: { waker.wake() })
        nonisolated(unsafe) let moved = socket
        let thread = Thread { [self] in run(moved) }
        thread.name = "texloom-dealer"
        thread.start()
    }

    /// The coordinator's messages, for one consumer. Ends after ``close()``.
    public var incoming: AsyncStream<WireMessage> { inbox.stream }

    public var counters: SocketCounters { state.withLock { $0.counters } }

    /// Queues a message without waiting. Returns false if the message was dropped because the outbox is full or the
    /// message is invalid: the worker repeats every request that gets no answer.
    @discardableResult
    public func send(_ message: WireMessage) -> Bool {
        let frames: [[UInt8]]
        do {
            frames = try message.frames()
        } catch {
            logger.error("a message is not sent: the coordinator would refuse it", metadata: ["error": "\(error)"])
            state.withLock { $0.counters.dropped += 1 }
            return false
        }
        let isQueued = state.withLock { state in
            if !state.closing.hasBegun, state.append(frames, limit: Self.outboxBytes) { return true }
            state.counters.dropped += 1
            return false
        }
        if isQueued { waker.wake() }
        return isQueued
    }

    /// The server has announced another key, in Z85. The socket uses it as soon as the server does.
    public func learn(nextServerKey: String) { state.withLock { $0.nextServerKey = nextServerKey } }

    /// Drops the connection and all unsent messages, and connects again.
    public func recreate() {
        state.withLock { state in
            state.shouldRecreate = true
            state.urgent = Outbox()
            state.chunks = Outbox()
        }
        waker.wake()
    }

    /// Sends for up to a second what is still queued, closes the socket and ends ``incoming``.
    public func close() async {
        await withCheckedContinuation { closer in
            state.withLock { $0.closing.begin(closer) }
            waker.wake()
        }
    }

    // MARK: The socket's thread

    /// - Parameter attempt: each attempt looks the name up again and tries the next of its addresses.
    private static func open(_ configuration: Configuration, attempt: Int) throws(TransportError) -> ZeroMQSocket {
        let addresses = try Endpoint.resolve(configuration.endpoint)
        var socket = try ZeroMQSocket(type: ZMQ_DEALER)
        // Send only over established connections: otherwise libzmq queues for a coordinator that may never come.
        socket.set(ZMQ_IMMEDIATE, Int32(1))
        socket.set(ZMQ_RECONNECT_IVL, Int32(500))
        socket.set(ZMQ_RECONNECT_IVL_MAX, Int32(8_000))
        do {
            if let curve = configuration.curve { try socket.secure(curve) }
            try socket.watch(HandshakeMonitor.events)
            try socket.connect(addresses[attempt % addresses.count])
        } catch {
            socket.close(lingerMilliseconds: 0)
            throw error
        }
        return socket
    }

    private func run(_ first: ZeroMQSocket) {
        var socket = first
        var configuration = configuration
        /// Whether the socket now tries the announced key.
        var triesNextKey = false
        var changedKeys = ContinuousClock.now
        /// How often in a row a server that greeted as ours could has then ended the handshake.
        var confirmations = 0
        var handshakes = HandshakeMonitor(isEncrypted: configuration.curve != nil)
        var held: [[UInt8]]?
        var attempt = 0
        /// Whether the current address has answered.
        var hasHeard = false
        while true {
            let (shouldRecreate, closing) = state.withLock { state in
                defer { state.shouldRecreate = false }
                if let key = state.nextServerKey, !triesNextKey { configuration.curve?.nextServerKey = key }
                return (state.shouldRecreate, state.closing)
            }
            if shouldRecreate {
                held = nil
                if !hasHeard { attempt += 1 }
                hasHeard = false
                do {
                    let fresh = try Self.open(configuration, attempt: attempt)
                    socket.close(lingerMilliseconds: 0)
                    socket = fresh
                } catch {
                    // For example, no file descriptors are left. The old socket still reconnects.
                    logger.error("cannot recreate the socket", metadata: ["error": "\(error)"])
                }
            }
            let isBlocked = flush(socket, &held)
            if closing.endsThread(isBlocked: isBlocked) { break }
            var events = inbox.isFull ? 0 : ZMQ_POLLIN
            if isBlocked { events |= ZMQ_POLLOUT }
            var items = [
                zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(events), revents: 0),
                zmq_pollitem_t(socket: nil, fd: waker.descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
                zmq_pollitem_t(socket: socket.monitor, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
            ]
            _ = zmq_poll(&items, 3, closing.hasBegun ? 100 : -1)
            waker.drain()
            while let (event, value) = socket.nextEvent() {
                switch handshakes.finding(event, value) {
                case .failure(let failure)?: failed.yield(failure)
                case .endings(let count)?:
                    let suspicion = state.withLock { $0.suspicion.take() }
                    let keys = configuration.curve?.nextServerKey == nil ? 1 : 2
                    // Not in a hurry: a server that is being started also ends handshakes.
                    if var curve = configuration.curve, let next = curve.nextServerKey,
                        suspicion != nil || changedKeys.duration(to: .now) > .milliseconds(400)
                    {
                        (curve.serverKey, curve.nextServerKey) = (next, curve.serverKey)
                        configuration.curve = curve
                        triesNextKey.toggle()
                        changedKeys = .now
                        if suspicion == nil { recreate() }
                    }
                    if let suspicion {
                        // Networks and machines that stall end handshakes too, so each key has to fail twice.
                        confirmations += 1
                        if confirmations >= 2 * keys {
                            failed.yield(suspicion)
                            confirmations = 0
                        } else {
                            probe()
                        }
                    } else if count % HandshakeMonitor.endingsOfSuspicion == 0 {
                        confirmations = 0
                        probe()
                    }
                case .success?:
                    confirmations = 0
                    state.withLock { $0.suspicion = nil }
                    guard triesNextKey else { break }
                    configuration.curve?.nextServerKey = nil
                    triesNextKey = false
                    state.withLock { $0.nextServerKey = nil }
                    configuration.onNextServerKey?()
                case nil: break
                }
            }
            for _ in 0..<64 where !inbox.isFull {
                guard let message = socket.receive(maxFrames: 2) else { break }
                hasHeard = true
                receive(message.frames)
            }
        }
        socket.close(lingerMilliseconds: 1_000)
        inbox.finish()
        failed.finish()
        state.withLock { $0.closing.finish() }
    }

    /// Asks the server for its greeting, on a thread of its own, and tries a handshake right after it.
    private func probe() {
        let thread = Thread { [self] in
            guard let mechanism = GreetingProbe.mechanism(of: endpoint),
                let failure = LinkFailure(mechanism: mechanism, isEncrypted: configuration.curve != nil)
            else { return }
            state.withLock { $0.suspicion = failure }
            recreate()
        }
        thread.name = "texloom-probe"
        thread.start()
    }

    private func receive(_ frames: [[UInt8]]) {
        do {
            let message = try WireMessage(frames: frames)
            state.withLock { $0.counters.received += 1 }
            inbox.push(message, bytes: Outbox.bytes(of: frames))
        } catch {
            if let count = state.withLock({ $0.counters.malformed.occurred() }) {
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
