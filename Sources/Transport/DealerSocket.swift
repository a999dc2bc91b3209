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
        /// How long ``close()`` goes on sending. Tests change it.
        package var closingPatience = Closing.usualPatience
        /// Called on the socket's thread when the server has taken its announced key into use.
        public var onNextServerKey: (@Sendable () -> Void)?

        public init(endpoint: String) { self.endpoint = endpoint }
    }

    private struct State {
        /// Sent before chunks: on a slow line a heartbeat behind a window of chunks would be late.
        var urgent = Outbox()
        var chunks = Outbox()
        var counters = SocketCounters()
        var plan: ConnectionPlan
        var shouldRecreate = false
        /// Whether the message in hand is dropped with the connection; see ``recreate()``.
        var dropsHeld = false
        var closing: Closing

        init(plan: ConnectionPlan, closing: Closing) {
            self.plan = plan
            self.closing = closing
        }

        mutating func append(_ frames: [[UInt8]], limit: Int) -> Bool {
            frames.count > 1 ? chunks.append(frames, limit: limit) : urgent.append(frames, limit: limit)
        }

        /// How to connect again, and whether the message in hand is dropped; nil if the connection stays.
        mutating func takePlan() -> (plan: ConnectionPlan, dropsHeld: Bool)? {
            guard shouldRecreate else { return nil }
            defer { (shouldRecreate, dropsHeld) = (false, false) }
            plan.beginConnection()
            return (plan, dropsHeld)
        }

        /// Nil also while the next message is meant for a socket that is still to be made.
        mutating func popFirst() -> [[UInt8]]? {
            shouldRecreate ? nil : urgent.popFirst() ?? chunks.popFirst()
        }
    }

    public let endpoint: String
    /// Why the coordinator at the endpoint and this worker cannot speak with each other, whenever that is found.
    public let failures: AsyncStream<LinkFailure>
    private let failed: AsyncStream<LinkFailure>.Continuation
    private let configuration: Configuration
    private let logger: Logger
    private let state: Mutex<State>
    private let waker: Waker
    private let inbox: Inbox<WireMessage>

    /// Starts connecting; the coordinator need not be running.
    /// - Throws: ``TransportError`` if the endpoint is malformed.
    public init(_ configuration: Configuration, logger: Logger) throws(TransportError) {
        let endpoint = configuration.endpoint
        let waker = try Waker()
        let plan = ConnectionPlan(curve: configuration.curve)
        let connection = try Self.open(endpoint, plan)
        (failures, failed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(8))
        self.configuration = configuration
        self.endpoint = endpoint
        self.logger = logger
        self.waker = waker
        state = Mutex(State(plan: plan, closing: Closing(patience: configuration.closingPatience)))
        inbox = Inbox(capacityBytes: configuration.inboxBytes, onRoom: { waker.wake() })
        nonisolated(unsafe) let moved = connection
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
            if !state.closing.hasBegun, state.append(frames, limit: Limits.outboxBytes) { return true }
            state.counters.dropped += 1
            return false
        }
        if isQueued { waker.wake() }
        return isQueued
    }

    /// The server has announced another key, in Z85. The socket uses it as soon as the server does.
    public func learn(nextServerKey: String) { state.withLock { $0.plan.learn(nextServerKey: nextServerKey) } }

    /// Drops the connection and all unsent messages, and connects again: to the next address of the endpoint's host, if
    /// this one has not answered.
    public func recreate() {
        state.withLock { state in
            state.plan.giveUpAddress()
            state.urgent = Outbox()
            state.chunks = Outbox()
            state.dropsHeld = true
            state.shouldRecreate = true
        }
        waker.wake()
    }

    /// Drops the connection, and connects again as the plan says. What waits is sent over the new one.
    private func reconnect() {
        state.withLock { $0.shouldRecreate = true }
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

    private struct Connection {
        var socket: ZeroMQSocket
        /// The endpoint with the address that the socket connects to.
        let address: String
        /// Whether the server has let this client in. Until then messages wait in the outboxes, in their order of
        /// urgency. What is sent before libzmq reports the end of a connection goes over the next one. ZMQ_IMMEDIATE
        /// would keep it from that, but libzmq then drops what has arrived and is still unread when a connection ends
        /// (4.3.4 and 4.3.5).
        var isEstablished = false

        /// - Parameter event: from the monitor.
        mutating func note(_ event: Int32) {
            if event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED { isEstablished = true }
            if event == ZMQ_EVENT_DISCONNECTED { isEstablished = false }
        }
    }

    /// Looks the name up again, and tries the next of its addresses if the plan says so.
    private static func open(_ endpoint: String, _ plan: ConnectionPlan) throws(TransportError) -> Connection {
        let addresses = try Endpoint.resolve(endpoint)
        let address = addresses[plan.addressIndex % addresses.count]
        var socket = try ZeroMQSocket(type: ZMQ_DEALER)
        socket.set(ZMQ_RECONNECT_IVL, Int32(500))
        socket.set(ZMQ_RECONNECT_IVL_MAX, Int32(8_000))
        do {
            if let curve = plan.curve { try socket.secure(curve) }
            try socket.watch(HandshakeMonitor.events | ZMQ_EVENT_DISCONNECTED)
            try socket.connect(address)
        } catch {
            socket.close(linger: .zero)
            throw error
        }
        return Connection(socket: socket, address: address)
    }

    private func run(_ first: Connection) {
        var connection = first
        var handshakes = HandshakeMonitor(isEncrypted: configuration.curve != nil)
        var held: [[UInt8]]?
        while true {
            let (newPlan, closing) = state.withLock { state in (state.takePlan(), state.closing) }
            if let newPlan {
                if newPlan.dropsHeld { held = nil }
                replace(&connection, newPlan.plan)
            }
            let isBlocked = flush(connection, &held)
            if closing.endsThread(isBlocked: isBlocked) { break }
            wait(connection, isBlocked: isBlocked, milliseconds: closing.hasBegun ? 100 : -1)
            let socket = connection.socket
            while let (event, value) = socket.nextEvent() {
                connection.note(event)
                guard let finding = handshakes.finding(event, value) else { continue }
                for action in state.withLock({ $0.plan.handle(finding) }) { perform(action, connection.address) }
            }
            for _ in 0..<64 where !inbox.isFull {
                guard let message = socket.receive(maxFrames: 2) else { break }
                receive(message.frames)
            }
        }
        connection.socket.close(linger: configuration.closingPatience)
        inbox.finish()
        failed.finish()
        state.withLock { $0.closing.finish() }
    }

    private func replace(_ connection: inout Connection, _ plan: ConnectionPlan) {
        do {
            let fresh = try Self.open(endpoint, plan)
            connection.socket.close(linger: .zero)
            connection = fresh
        } catch {
            // For example, no file descriptors are left. The old socket still reconnects, with the key it has.
            state.withLock { $0.plan.keepConnection() }
            logger.error("cannot recreate the socket", metadata: ["error": "\(error)"])
        }
    }

    /// Waits for messages, events, a call from another thread and, if messages are left, room for them.
    private func wait(_ connection: Connection, isBlocked: Bool, milliseconds: Int) {
        let socket = connection.socket
        var events = inbox.isFull ? 0 : ZMQ_POLLIN
        // Without a connection libzmq has room at once, and this would not wait.
        if isBlocked, connection.isEstablished { events |= ZMQ_POLLOUT }
        var items = [
            zmq_pollitem_t(socket: socket.handle, fd: 0, events: Int16(events), revents: 0),
            zmq_pollitem_t(socket: nil, fd: waker.descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
            zmq_pollitem_t(socket: socket.monitor, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
        ]
        _ = zmq_poll(&items, 3, milliseconds)
        waker.drain()
    }

    private func perform(_ action: ConnectionPlan.Action, _ address: String) {
        switch action {
        case .reconnect: reconnect()
        case .probe: probe(address)
        case .report(let failure): failed.yield(failure)
        case .keepNextKey: configuration.onNextServerKey?()
        }
    }

    /// Asks the server for its greeting, on a thread of its own, and tries a handshake right after it.
    private func probe(_ address: String) {
        let thread = Thread { [self] in
            guard let mechanism = GreetingProbe.mechanism(of: address),
                let failure = LinkFailure(mechanism: mechanism, isEncrypted: configuration.curve != nil)
            else { return }
            if state.withLock({ $0.plan.suspect(failure) }) { reconnect() }
        }
        thread.name = "texloom-probe"
        thread.start()
    }

    private func receive(_ frames: [[UInt8]]) {
        state.withLock { $0.plan.heard() }
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
    private func flush(_ connection: Connection, _ held: inout [[UInt8]]?) -> Bool {
        while let frames = held ?? state.withLock({ $0.popFirst() }) {
            held = frames
            guard connection.isEstablished else { return true }
            switch connection.socket.send(frames) {
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
