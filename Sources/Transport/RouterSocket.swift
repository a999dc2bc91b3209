import Base
import ClusterCore
import CZeroMQ
import Foundation
import Logging
import Protocol
import Synchronization

/// A connection to a worker, named by libzmq's routing id. The worker itself says in its HELLO who it is.
public struct Peer: Hashable, Sendable, CustomStringConvertible {
    public let routingID: [UInt8]
    /// The public key that it proved when it connected, as 64 hexadecimal digits; nil on a plain connection.
    public let key: String?

    public init(routingID: [UInt8], key: String? = nil) {
        self.routingID = routingID
        self.key = key
    }

    public var description: String { hexadecimal(routingID) }
}

/// The coordinator's socket: a ROUTER on its own thread.
///
/// Open until ``close()``. The socket reports unreachable peers and never waits for one.
public final class RouterSocket: Sendable {
    public struct Configuration: Sendable {
        /// For example `tcp://127.0.0.1:7741`; `tcp://127.0.0.1:*` takes a free port.
        public var endpoint: String
        /// How to encrypt, and whom to let in; nil: plain and open.
        public var curve: Curve.Server?
        /// Whether addresses other than loopback may be plain and open.
        public var isInsecure = false
        /// Bytes that wait for one peer beyond what libzmq holds (2 messages). Tests change it.
        var outboxBytesPerPeer = Limits.outboxBytes
        /// Bytes of chunks that wait for all peers together. A peer asks again for a dropped chunk. Tests change it.
        var maxWaitingChunkBytes = 256 << 20
        /// Bytes that wait for the consumer. Beyond them, the thread stops reading the socket. Tests change it.
        var inboxBytes = 64 << 20
        /// Bytes that have arrived and belong to no message that was taken, of all connections together. Tests change it.
        var unfinishedBytes = UnfinishedMessages.budget
        /// How long ``close()`` goes on sending. Tests change it.
        var closingPatience = Closing.usualPatience

        public init(endpoint: String) { self.endpoint = endpoint }
    }

    /// Peers in the table. While all of them have spoken within ``peerIdleTime``, one more is refused.
    static let maxPeers = 2048
    /// After this long without a message a peer's place may go to another: 24 default heartbeats.
    static let peerIdleTime = Duration.seconds(120)
    /// After so many messages without a moment in which none waited, all that wait are discarded.
    static let maxBacklog = 16_384

    public enum Incoming: Sendable {
        case message(WireMessage, from: Peer)
        /// A message could not be routed: the connection is closed, and the messages queued for it are lost.
        case gone(Peer)
        /// The peer does not read: its outbox is full and the message was dropped.
        case slow(Peer)
    }

    private struct State {
        /// Sent before chunks: on a slow line an answer behind a window of chunks would be late.
        var urgent: [Peer: Outbox] = [:]
        var chunks: [Peer: Outbox] = [:]
        var waitingChunkBytes = 0
        var counters = SocketCounters()
        /// See ``use(_:)``.
        var newKeys: CurveKeyPair?
        var closing: Closing

        /// - Parameter frames: the routing id, the envelope, and for a chunk its payload.
        mutating func append(_ frames: [[UInt8]], for peer: Peer, _ configuration: Configuration) -> Bool {
            let limit = configuration.outboxBytesPerPeer
            guard frames.count > 2 else { return urgent[peer, default: Outbox()].append(frames, limit: limit) }
            let bytes = Outbox.bytes(of: frames)
            guard waitingChunkBytes + bytes <= configuration.maxWaitingChunkBytes,
                chunks[peer, default: Outbox()].append(frames, limit: limit)
            else { return false }
            waitingChunkBytes += bytes
            return true
        }

        mutating func popFirst(for peer: Peer) -> [[UInt8]]? {
            if let frames = urgent[peer]?.popFirst() {
                if urgent[peer]?.isEmpty == true { urgent[peer] = nil }
                return frames
            }
            guard let frames = chunks[peer]?.popFirst() else { return nil }
            waitingChunkBytes -= Outbox.bytes(of: frames)
            if chunks[peer]?.isEmpty == true { chunks[peer] = nil }
            return frames
        }

        mutating func removeAll(for peer: Peer) {
            urgent[peer] = nil
            waitingChunkBytes -= chunks.removeValue(forKey: peer)?.bytes ?? 0
        }

        var peers: Set<Peer> { Set(urgent.keys).union(chunks.keys) }
    }

    /// The bound endpoint, with wildcards resolved.
    public let endpoint: String
    private let configuration: Configuration
    private let logger: Logger
    private let state: Mutex<State>
    private let waker: Waker
    private let inbox: Inbox<Incoming>

    /// Binds and starts the socket's thread.
    /// - Throws: ``TransportError`` if the endpoint is malformed or in use, or if it is plain, not a loopback address, and
    ///   not said to be insecure.
    public init(_ configuration: Configuration, logger: Logger) throws(TransportError) {
        if configuration.curve == nil, !configuration.isInsecure {
            try Endpoint.requireLoopback(configuration.endpoint)
        }
        let waker = try Waker()
        var socket = try ZeroMQSocket(type: ZMQ_ROUTER)
        do {
            if let curve = configuration.curve { try socket.secure(curve) }
            try socket.watch(ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)
            // A name may have several addresses; workers try them in the same order.
            try socket.bind(try Endpoint.resolve(configuration.endpoint)[0])
        } catch {
            socket.close(linger: .zero)
            throw error
        }
        self.configuration = configuration
        self.logger = logger
        self.waker = waker
        state = Mutex(State(closing: Closing(patience: configuration.closingPatience)))
        endpoint = socket.lastEndpoint
        inbox = Inbox(capacityBytes: configuration.inboxBytes, onRoom: { waker.wake() })
        // The only reference to the socket moves to the thread. Starting the thread is the fence that libzmq wants.
        nonisolated(unsafe) let moved = socket
        let thread = Thread { [self] in run(moved) }
        thread.name = "texloom-router"
        thread.start()
    }

    /// Messages and reports, for one consumer. Ends after ``close()``.
    public var incoming: AsyncStream<Incoming> { inbox.stream }

    public var counters: SocketCounters { state.withLock { $0.counters } }

    /// Queues a message without waiting. ``incoming`` reports an undeliverable one as `.gone` or `.slow`.
    public func send(_ message: WireMessage, to peer: Peer) {
        let frames: [[UInt8]]
        do {
            frames = [peer.routingID] + (try message.frames())
        } catch {
            logger.error(
                "a message is not sent: the peer would refuse it", metadata: ["peer": "\(peer)", "error": "\(error)"])
            state.withLock { $0.counters.dropped += 1 }
            return
        }
        let isQueued = state.withLock { state in
            guard !state.closing.hasBegun else { return true }
            if state.append(frames, for: peer, configuration) { return true }
            state.counters.dropped += 1
            return false
        }
        if isQueued { waker.wake() } else { inbox.push(.slow(peer), bytes: 0) }
    }

    /// Uses another key pair from now on, on an encrypted address. Every client connects again.
    public func use(_ keys: CurveKeyPair) {
        state.withLock { $0.newKeys = keys }
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

    private func run(_ socket: ZeroMQSocket) {
        var peers = PeerTable(limit: Self.maxPeers, idleTime: Self.peerIdleTime)
        var held: [Peer: [[UInt8]]] = [:]
        let port = endpoint.split(separator: ":").last.flatMap { UInt16($0) } ?? 0
        var unfinished = UnfinishedMessages(port: port, budget: configuration.unfinishedBytes)
        var isBound = true
        /// Messages taken since the last moment in which none waited.
        var backlog = 0
        var bindFailures = 0
        var lateBinding = RareNotice()
        while true {
            let (newKeys, closing) = state.withLock { state in (state.newKeys.take(), state.closing) }
            if let newKeys {
                socket.unbind(endpoint)
                socket.use(newKeys)
                isBound = false
            }
            if !isBound {
                do {
                    try socket.bind(endpoint)
                    (isBound, bindFailures, lateBinding) = (true, 0, RareNotice())
                } catch {
                    // The port becomes free some time after 'unbind'. This is repeated every 10 ms.
                    bindFailures += 1
                    if bindFailures % 200 == 0, lateBinding.occurred() != nil {
                        logger.error(
                            "the workers' address cannot be used with the new key yet", metadata: ["error": "\(error)"])
                    }
                }
            }
            // A ROUTER's POLLOUT says that some peer is writable, not which one, so a blocked peer is tried again soon.
            let sent = state.withLock { $0.counters.sent }
            let isBlocked = flush(socket, &held, &peers)
            if closing.endsThread(isBlocked: isBlocked) { break }
            // So many clients' messages wait that libzmq would fill the memory with them. They send them again.
            let discards = backlog >= Self.maxBacklog
            let reads = discards || !inbox.isFull
            var items = [
                zmq_pollitem_t(socket: socket.handle, fd: 0, events: reads ? Int16(ZMQ_POLLIN) : 0, revents: 0),
                zmq_pollitem_t(socket: nil, fd: waker.descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
                // If this thread does not read libzmq's events, libzmq stops all input and output.
                zmq_pollitem_t(socket: socket.monitor, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
            ]
            let patience = unfinished.isEmpty ? -1 : UnfinishedMessages.intervalMilliseconds
            let moves = state.withLock { $0.counters.sent } > sent
            _ = zmq_poll(&items, 3, isBlocked && moves ? 1 : isBlocked || !isBound ? 10 : patience)
            waker.drain()
            while let (event, descriptor) = socket.nextEvent() {
                if event == ZMQ_EVENT_ACCEPTED { unfinished.opened(descriptor) } else { unfinished.closed(descriptor) }
            }
            if discards, discard(socket) {
                unfinished.drained(isAll: true)
                backlog = 0
            }
            // At most 64 a turn, so that a flood of input does not delay answers.
            for _ in 0..<64 where !discards && !inbox.isFull {
                guard let message = socket.receive(maxFrames: 3) else {
                    unfinished.drained()
                    backlog = 0
                    break
                }
                backlog += 1
                if let descriptor = message.descriptor {
                    // The first frame, the routing id, comes from libzmq.
                    unfinished.finished(descriptor, bytes: message.byteCount - message.frames[0].count)
                }
                receive(message, &peers)
            }
            noteEnded(unfinished.enforce())
        }
        socket.close(linger: configuration.closingPatience)
        inbox.finish()
        state.withLock { state in
            state.urgent = [:]
            state.chunks = [:]
            state.closing.finish()
        }
    }

    /// - Returns: Whether no message is left.
    private func discard(_ socket: ZeroMQSocket) -> Bool {
        let (count, isDrained) = socket.discard(atMost: 1 << 20)
        let (isNotable, all) = state.withLock { state in
            state.counters.discarded += count
            return (state.counters.discards.occurred() != nil, state.counters.discarded)
        }
        if isNotable {
            logger.warning(
                "discarded messages: more arrive than the coordinator takes",
                metadata: ["discarded": .stringConvertible(all)])
        }
        return isDrained
    }

    private func noteEnded(_ count: Int) {
        guard count > 0 else { return }
        state.withLock { $0.counters.endedUnfinished += count }
        logger.warning(
            "ended connections that hold too much memory",
            metadata: [
                "connections": .stringConvertible(count),
                "allowed_mib": .stringConvertible(configuration.unfinishedBytes >> 20),
            ])
    }

    private func receive(_ received: ZeroMQSocket.Received, _ peers: inout PeerTable) {
        let frames = received.frames
        let peer = Peer(routingID: frames[0], key: received.key)
        do {
            let message = try WireMessage(frames: Array(frames.dropFirst()))
            guard peers.admit(peer, at: ContinuousClock.now) else {
                if let count = state.withLock({ $0.counters.refusedPeers.occurred() }) {
                    logger.warning(
                        "refused a peer: the table of peers is full",
                        metadata: [
                            "peer": "\(peer)", "maxPeers": .stringConvertible(Self.maxPeers),
                            "refused": .stringConvertible(count),
                        ])
                }
                return
            }
            state.withLock { $0.counters.received += 1 }
            inbox.push(.message(message, from: peer), bytes: Outbox.bytes(of: frames))
        } catch {
            if let count = state.withLock({ $0.counters.malformed.occurred() }) {
                logger.warning(
                    "dropped a malformed message",
                    metadata: ["peer": "\(peer)", "error": "\(error)", "malformed": .stringConvertible(count)])
            }
            if error.code == .versionUnsupported { refuse(peer, frames[1]) }
        }
    }

    /// Answers a peer of another version: it has to greet again, and if that fails, one side needs an upgrade. The
    /// refusal is in the oldest version, which every peer reads.
    private func refuse(_ peer: Peer, _ frame: [UInt8]) {
        let head = WireMessage.head(ofFrame: frame)
        var refusal = WireRefusal()
        refusal.code = .versionUnsupported
        refusal.message = ProtocolVersion.mismatch(
            head?.version ?? 0, sender: "the worker", receiver: "the coordinator")
        let session = max(1, head?.session ?? 1)
        send(WireMessage(.refusal(refusal), session: session, version: ProtocolVersion.oldest), to: peer)
    }

    /// Sends what the peers accept. Returns true if a peer is blocked.
    /// - Parameter held: messages taken from an outbox and still unsent.
    private func flush(
        _ socket: ZeroMQSocket, _ held: inout [Peer: [[UInt8]]], _ peers: inout PeerTable
    ) -> Bool {
        for peer in state.withLock({ $0.peers }).union(held.keys) {
            sending: while let frames = held[peer] ?? state.withLock({ $0.popFirst(for: peer) }) {
                held[peer] = nil
                switch socket.send(frames) {
                case .done: state.withLock { $0.counters.sent += 1 }
                case .wouldBlock:
                    held[peer] = frames
                    break sending
                case .unroutable:
                    drop(peer, &peers)
                    break sending
                case .failed(let reason):
                    logger.error("cannot send", metadata: ["peer": "\(peer)", "error": "\(reason)"])
                    drop(peer, &peers)
                    break sending
                }
            }
        }
        return !held.isEmpty
    }

    private func drop(_ peer: Peer, _ peers: inout PeerTable) {
        state.withLock { state in
            state.removeAll(for: peer)
            state.counters.dropped += 1
        }
        peers.remove(peer)
        inbox.push(.gone(peer), bytes: 0)
    }
}
