import Base
import CZeroMQ
import Foundation
import Logging
import Protocol
import Synchronization

/// A connection to a worker, named by libzmq's routing id. Says nothing about who the worker is: HELLO does.
public struct Peer: Hashable, Sendable, CustomStringConvertible {
    public let routingID: [UInt8]
    public init(routingID: [UInt8]) { self.routingID = routingID }
    public var description: String { hexadecimal(routingID) }
}

/// The coordinator's socket: a ROUTER with a thread of its own.
///
/// Open until ``close()``. Peers that cannot be routed to are reported, never waited for.
public final class RouterSocket: Sendable {
    public struct Configuration: Sendable {
        /// For example `tcp://127.0.0.1:7741`; `tcp://127.0.0.1:*` takes a free port.
        public var endpoint: String
        /// Whether addresses other than loopback may be bound: the connection is neither encrypted nor authenticated.
        public var exposesToNetwork = false
        /// Peers heard of lately. One more is refused while all of them are within `peerIdleTime`.
        public var maxPeers = 2048
        /// After this long without a word a peer's place may be given to another: 24 default heartbeats.
        public var peerIdleTime = Duration.seconds(120)
        /// Bytes that wait for one peer beyond what libzmq holds (16 messages): two windows of chunks.
        public var outboxBytesPerPeer = 2 * Int(Limits.windowChunks) * (Limits.chunkBytes + 1024)
        /// The same of all peers together, for chunks; a chunk that is dropped is asked for again.
        public var chunkBytes = 256 << 20
        /// Bytes read but not yet taken by the consumer; beyond, the socket is not read.
        public var inboxBytes = 64 << 20

        public init(endpoint: String) { self.endpoint = endpoint }
    }

    public enum Incoming: Sendable {
        case message(WireMessage, from: Peer)
        /// A message could not be routed: the connection is gone, and so is what waited for it.
        case gone(Peer)
        /// The peer's outbox was full and the message was dropped: the peer does not read.
        case slow(Peer)
    }

    private struct State {
        /// Goes first: an answer behind a window of chunks would come too late on a slow line.
        var urgent: [Peer: Outbox] = [:]
        var chunks: [Peer: Outbox] = [:]
        var waitingChunkBytes = 0
        var counters = SocketCounters()
        var isClosing = false
        var isClosed = false
        var closers: [CheckedContinuation<Void, Never>] = []

        /// - Parameter frames: with the routing id; a chunk has a payload behind its envelope.
        mutating func append(_ frames: [[UInt8]], for peer: Peer, _ configuration: Configuration) -> Bool {
            let limit = configuration.outboxBytesPerPeer
            guard frames.count > 2 else { return urgent[peer, default: Outbox()].append(frames, limit: limit) }
            let bytes = Outbox.bytes(of: frames)
            guard waitingChunkBytes + bytes <= configuration.chunkBytes,
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

    /// The endpoint really bound, wildcards resolved.
    public let endpoint: String
    private let configuration: Configuration
    private let logger: Logger
    private let state = Mutex(State())
    private let waker: Waker
    private let inbox: Inbox<Incoming>

    /// Binds and starts the socket's thread.
    /// - Throws: ``TransportError`` if the endpoint is malformed, in use, or not a loopback address without `exposesToNetwork`.
    public init(_ configuration: Configuration, logger: Logger) throws(TransportError) {
        try Endpoint.requireLoopback(configuration.endpoint, unless: configuration.exposesToNetwork)
        let waker = try Waker()
        let socket = try ZeroMQSocket(type: ZMQ_ROUTER)
        socket.set(ZMQ_ROUTER_MANDATORY, Int32(1))
        // What libzmq holds for a peer cannot be overtaken any more.
        socket.set(ZMQ_SNDHWM, Int32(2))
        do {
            // A name may have several addresses; workers try them in the same order.
            try socket.bind(try Endpoint.resolve(configuration.endpoint)[0])
        } catch {
            socket.close(lingerMilliseconds: 0)
            throw error
        }
        self.configuration = configuration
        self.logger = logger
        self.waker = waker
        endpoint = socket.lastEndpoint
        inbox = Inbox(capacityBytes: configuration.inboxBytes, onRoom: { waker.wake() })
        // The only reference to the socket moves to the thread; starting a thread is the fence libzmq asks for.
        nonisolated(unsafe) let moved = socket
        let thread = Thread { [self] in run(moved) }
        thread.name = "texloom-router"
        thread.start()
    }

    /// Messages and reports, for one consumer. Ends after ``close()``.
    public var incoming: AsyncStream<Incoming> { inbox.stream }

    public var counters: SocketCounters { state.withLock { $0.counters } }

    /// Queues a message; never waits. What cannot be delivered is reported as `.gone` or `.slow`.
    public func send(_ message: WireMessage, to peer: Peer) {
        let frames: [[UInt8]]
        do {
            frames = [peer.routingID] + (try message.frames())
        } catch {
            logger.error("not sent, would be refused by the peer", metadata: ["peer": "\(peer)", "error": "\(error)"])
            state.withLock { $0.counters.dropped += 1 }
            return
        }
        let isQueued = state.withLock { state in
            guard !state.isClosing else { return true }
            if state.append(frames, for: peer, configuration) { return true }
            state.counters.dropped += 1
            return false
        }
        if isQueued { waker.wake() } else { inbox.push(.slow(peer), bytes: 0) }
    }

    /// Sends what waits as far as peers take it within a second, closes the socket and ends ``incoming``.
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

    private func run(_ socket: ZeroMQSocket) {
        var peers = PeerTable(limit: configuration.maxPeers, idleTime: configuration.peerIdleTime)
        var held: [Peer: [[UInt8]]] = [:]
        while true {
            // A ROUTER's POLLOUT says that some peer can be written to, not which: a blocked one is tried again soon.
            let isBlocked = flush(socket, &held, &peers)
            if state.withLock({ $0.isClosing }) { break }
            let reads = !inbox.isFull
            var items = [
                zmq_pollitem_t(socket: socket.handle, fd: 0, events: reads ? Int16(ZMQ_POLLIN) : 0, revents: 0),
                zmq_pollitem_t(socket: nil, fd: waker.descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
            ]
            _ = zmq_poll(&items, 2, isBlocked ? 10 : -1)
            waker.drain()
            // A share of the turn, so that a flood of input does not keep answers waiting.
            for _ in 0..<64 where !inbox.isFull {
                guard let frames = socket.receive(maxFrames: 3) else { break }
                receive(frames, &peers)
            }
        }
        socket.close(lingerMilliseconds: 1_000)
        inbox.finish()
        let closers = state.withLock { state in
            state.isClosed = true
            state.urgent = [:]
            state.chunks = [:]
            defer { state.closers = [] }
            return state.closers
        }
        for closer in closers { closer.resume() }
    }

    private func receive(_ frames: [[UInt8]], _ peers: inout PeerTable) {
        let peer = Peer(routingID: frames[0])
        do {
            let message = try WireMessage(frames: Array(frames.dropFirst()))
            guard peers.admit(peer, at: ContinuousClock.now) else {
                let count = state.withLock { state in
                    state.counters.refusedPeers += 1
                    return state.counters.refusedPeers
                }
                if SocketCounters.isWorthLogging(count) {
                    logger.warning(
                        "refused a peer: as many as configured are connected",
                        metadata: [
                            "peer": "\(peer)", "maxPeers": .stringConvertible(configuration.maxPeers),
                            "refused": .stringConvertible(count),
                        ])
                }
                return
            }
            state.withLock { $0.counters.received += 1 }
            inbox.push(.message(message, from: peer), bytes: Outbox.bytes(of: frames))
        } catch {
            let count = state.withLock { state in
                state.counters.malformed += 1
                return state.counters.malformed
            }
            if SocketCounters.isWorthLogging(count) {
                logger.warning(
                    "dropped a malformed message",
                    metadata: ["peer": "\(peer)", "error": "\(error)", "malformed": .stringConvertible(count)])
            }
            if error.code == .versionUnsupported { refuse(peer, frames[1]) }
        }
    }

    /// The one thing worth an answer to a peer of another version: that it has to greet anew, and whom to upgrade if
    /// that does not help. In the oldest version there is, which every peer reads.
    private func refuse(_ peer: Peer, _ frame: [UInt8]) {
        let head = WireMessage.head(ofFrame: frame)
        var refusal = WireRefusal()
        refusal.code = .versionUnsupported
        refusal.message = ProtocolVersion.mismatch(
            head?.version ?? 0, sender: "the worker", receiver: "the coordinator")
        let session = max(1, head?.session ?? 1)
        send(WireMessage(.refusal(refusal), session: session, version: ProtocolVersion.oldest), to: peer)
    }

    /// Sends what peers take; true if somebody's outbox is blocked.
    /// - Parameter held: what is taken from an outbox and not sent yet.
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
