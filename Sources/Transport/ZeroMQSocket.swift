import ClusterCore
import CZeroMQ
import Foundation

/// A libzmq socket in its own context, with its calls as Swift functions. For one thread at a time.
struct ZeroMQSocket {
    enum Sent { case done, wouldBlock, unroutable, failed(String) }

    /// A whole message, and the key of its sender if the connection is encrypted.
    struct Received {
        var frames: [[UInt8]]
        /// Of all frames that arrived.
        var byteCount = 0
        /// 64 hexadecimal digits; see ``ClientGate``.
        var key: String?
        /// Of the TCP connection; nil for other transports.
        var descriptor: Int32?
    }

    private let context: UnsafeMutableRawPointer
    let handle: UnsafeMutableRawPointer
    /// Where libzmq reports on connections; nil unless asked for.
    private(set) var monitor: UnsafeMutableRawPointer?

    /// ROUTER numbers its connections from a number that libzmq takes from rand(), which nothing seeds. A peer that claims
    /// the next number makes libzmq abort at the next connection (4.3.4 and 4.3.5).
    private static let seed: Void = {
        var generator = SystemRandomNumberGenerator()
        srand(UInt32.random(in: 0...UInt32.max, using: &generator))
    }()

    init(type: Int32) throws(TransportError) {
        Self.seed
        guard let context = zmq_ctx_new() else { throw TransportError(.system, "zmq_ctx_new: \(Self.lastError())") }
        guard let handle = zmq_socket(context, type) else {
            let reason = Self.lastError()
            zmq_ctx_term(context)
            throw TransportError(.system, "zmq_socket: \(reason)")
        }
        self.context = context
        self.handle = handle
        set(ZMQ_MAXMSGSIZE, Int64(Limits.maxFrameBytes + Limits.curveFrameBytes))
        set(ZMQ_HANDSHAKE_IVL, Int32(5_000))
        // Messages per peer. Few, because an urgent message cannot overtake what libzmq holds. The others wait in our outbox,
        // which counts bytes.
        set(ZMQ_SNDHWM, Int32(2))
        // A message may be a chunk of 1 MiB.
        set(ZMQ_RCVHWM, Int32(type == ZMQ_ROUTER ? 0 : 16))
        if type == ZMQ_ROUTER { serve() }
    }

    /// What a socket needs that strangers connect to (docs/decisions/0022).
    ///
    /// A connection that is full and then reset makes libzmq abort the process if a PING is among what libzmq has not
    /// delivered yet, or when the time for its own PING comes. So a server's connections are never full; ``RouterSocket``
    /// bounds what they hold. No side sends PINGs.
    private func serve() {
        set(ZMQ_ROUTER_MANDATORY, Int32(1))
        // Of two connections with one routing id, the newer one counts. Otherwise libzmq never frees what arrives over it.
        set(ZMQ_ROUTER_HANDOVER, Int32(1))
        // The kernel then notices a host that vanished without closing its connection, and libzmq frees its pipe.
        set(ZMQ_TCP_KEEPALIVE, Int32(1))
        set(ZMQ_TCP_KEEPALIVE_IDLE, Int32(30))
        set(ZMQ_TCP_KEEPALIVE_INTVL, Int32(10))
        set(ZMQ_TCP_KEEPALIVE_CNT, Int32(3))
        set(ZMQ_TCP_MAXRT, Int32(60_000))
    }

    func set<Value: FixedWidthInteger>(_ option: Int32, _ value: Value) {
        var value = value
        let result = zmq_setsockopt(handle, option, &value, MemoryLayout<Value>.size)
        precondition(result == 0, "libzmq refused option \(option): \(Self.lastError())")
    }

    private func set(_ option: Int32, text: String) {
        let result = zmq_setsockopt(handle, option, text, text.utf8.count)
        precondition(result == 0, "libzmq refused option \(option): \(Self.lastError())")
    }

    /// Encrypts, as the server, and lets in only whom it admits. Call before ``bind(_:)``.
    func secure(_ server: Curve.Server) throws(TransportError) {
        try Curve.require()
        try ClientGate.open(context, admit: server.admit)
        set(ZMQ_ZAP_DOMAIN, text: "texloom")
        set(ZMQ_CURVE_SERVER, Int32(1))
        set(ZMQ_CURVE_SECRETKEY, text: server.keys.secretKey)
    }

    /// Changes the server's key pair for later calls of ``bind(_:)``.
    func use(_ keys: CurveKeyPair) { set(ZMQ_CURVE_SECRETKEY, text: keys.secretKey) }

    func unbind(_ endpoint: String) { zmq_unbind(handle, endpoint) }

    /// Encrypts, as a client. Call before ``connect(_:)``.
    func secure(_ client: Curve.Client) throws(TransportError) {
        try Curve.require()
        set(ZMQ_CURVE_SERVERKEY, text: client.serverKey)
        set(ZMQ_CURVE_PUBLICKEY, text: client.keys.publicKey)
        set(ZMQ_CURVE_SECRETKEY, text: client.keys.secretKey)
    }

    /// Asks libzmq for events about connections.
    mutating func watch(_ events: Int32) throws(TransportError) {
        let place = "inproc://monitor"
        guard zmq_socket_monitor(handle, place, events) == 0,
            let monitor = zmq_socket(context, ZMQ_PAIR)
        else { throw TransportError(.system, "zmq_socket_monitor: \(Self.lastError())") }
        self.monitor = monitor
        guard zmq_connect(monitor, place) == 0 else {
            throw TransportError(.system, "zmq_connect: \(Self.lastError())")
        }
    }

    /// The next event about a connection, a number of libzmq, and its value; nil if there is none.
    func nextEvent() -> (event: Int32, value: Int32)? {
        guard let frame = monitor.flatMap({ Self.receive(from: $0, maxFrames: 2, waits: false)?.frames.first }),
            frame.count >= 6
        else { return nil }
        return frame.withUnsafeBytes { bytes in
            (
                Int32(bytes.loadUnaligned(as: UInt16.self)),
                bytes.loadUnaligned(fromByteOffset: 2, as: Int32.self)
            )
        }
    }

    /// - Parameter endpoint: with an address, an interface or `*`; ``Endpoint/resolve(_:)`` looks names up.
    func bind(_ endpoint: String) throws(TransportError) {
        set(ZMQ_IPV6, Int32(Endpoint.isIPv6(endpoint) ? 1 : 0))
        guard zmq_bind(handle, endpoint) == 0 else {
            let code: TransportError.Code = zmq_errno() == EADDRINUSE ? .addressInUse : .badEndpoint
            throw TransportError(
                code,
                "cannot listen on \(endpoint): \(Self.lastError()); expected an address of this machine "
                    + "that no other process uses, such as tcp://127.0.0.1:7741")
        }
    }

    func connect(_ endpoint: String) throws(TransportError) {
        set(ZMQ_IPV6, Int32(Endpoint.isIPv6(endpoint) ? 1 : 0))
        guard zmq_connect(handle, endpoint) == 0 else {
            throw TransportError(
                .badEndpoint,
                "cannot connect to \(endpoint): \(Self.lastError()); expected an address such as "
                    + "tcp://127.0.0.1:7741, tcp://[::1]:7741 or tcp://name:7741")
        }
    }

    /// The endpoint as bound, with wildcards resolved.
    var lastEndpoint: String {
        var bytes = [CChar](repeating: 0, count: 512)
        var count = bytes.count
        guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &bytes, &count) == 0, count > 0 else { return "" }
        return String(decoding: bytes[..<(count - 1)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Receives one whole message without waiting; nil if none has arrived. Reads and drops frames beyond `maxFrames`, and
    /// puts one empty frame in their place, so that the caller sees that there were too many.
    func receive(maxFrames: Int) -> Received? { Self.receive(from: handle, maxFrames: maxFrames, waits: false) }

    /// Drops whole messages that have arrived, much faster than ``receive(maxFrames:)``.
    /// - Returns: How many, and whether none is left.
    func discard(atMost limit: Int) -> (count: Int, isDrained: Bool) {
        var message = zmq_msg_t()
        zmq_msg_init(&message)
        defer { zmq_msg_close(&message) }
        var count = 0
        while count < limit {
            // Frees the frame before.
            guard Self.retrying({ zmq_msg_recv(&message, handle, ZMQ_DONTWAIT) }) >= 0 else { return (count, true) }
            if zmq_msg_more(&message) == 0 { count += 1 }
        }
        return (count, false)
    }

    /// - Parameter waits: Whether to wait for a message. Nil then means that the context ends.
    static func receive(from handle: UnsafeMutableRawPointer, maxFrames: Int, waits: Bool) -> Received? {
        var received = Received(frames: [])
        while true {
            var message = zmq_msg_t()
            zmq_msg_init(&message)
            defer { zmq_msg_close(&message) }
            guard retrying({ zmq_msg_recv(&message, handle, waits ? 0 : ZMQ_DONTWAIT) }) >= 0 else {
                // Messages arrive whole: after the first frame none is missing.
                return nil
            }
            received.byteCount += zmq_msg_size(&message)
            if received.frames.count < maxFrames {
                received.frames.append(
                    [UInt8](UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message))))
            } else if received.frames.count == maxFrames {
                received.frames.append([])
            }
            if received.key == nil, let key = zmq_msg_gets(&message, "User-Id") {
                received.key = String(cString: key)
            }
            if received.descriptor == nil {
                let descriptor = zmq_msg_get(&message, ZMQ_SRCFD)
                received.descriptor = descriptor >= 0 ? descriptor : nil
            }
            if zmq_msg_more(&message) == 0 { return received }
        }
    }

    /// Sends all frames or none, without waiting. Only the first frame can meet a full or missing pipe.
    func send(_ frames: [[UInt8]]) -> Sent {
        for (index, frame) in frames.enumerated() {
            let more = index + 1 < frames.count ? ZMQ_SNDMORE : 0
            let result = frame.withUnsafeBytes { bytes in
                Self.retrying { zmq_send(handle, bytes.baseAddress, bytes.count, ZMQ_DONTWAIT | more) }
            }
            guard result >= 0 else {
                switch zmq_errno() {
                case EAGAIN: return .wouldBlock
                case EHOSTUNREACH: return .unroutable
                default: return .failed(Self.lastError())
                }
            }
        }
        return .done
    }

    /// Closes socket and context; waits at most that long until the sent messages have left. libzmq looks at LINGER nowhere
    /// else.
    func close(linger: Duration) {
        set(ZMQ_LINGER, Int32(linger / .milliseconds(1)))
        if let monitor {
            // libzmq's own thread may hold the lock that the next call needs, while it waits for room for an event.
            while nextEvent() != nil {}
            zmq_socket_monitor(handle, nil, 0)
            zmq_close(monitor)
        }
        zmq_close(handle)
        _ = Self.retrying { zmq_ctx_term(context) }
    }

    static func retrying(_ call: () -> Int32) -> Int32 {
        while true {
            let result = call()
            if result < 0, zmq_errno() == EINTR { continue }
            return result
        }
    }

    static func lastError() -> String { String(cString: zmq_strerror(zmq_errno())) }
}
