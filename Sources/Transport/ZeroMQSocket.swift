import ClusterCore
import CZeroMQ
import Foundation

/// A libzmq socket in its own context, with its calls as Swift functions. For one thread at a time.
struct ZeroMQSocket {
    enum Sent { case done, wouldBlock, unroutable, failed(String) }

    private let context: UnsafeMutableRawPointer
    let handle: UnsafeMutableRawPointer

    init(type: Int32) throws(TransportError) {
        guard let context = zmq_ctx_new() else { throw TransportError(.system, "zmq_ctx_new: \(Self.lastError())") }
        guard let handle = zmq_socket(context, type) else {
            let reason = Self.lastError()
            zmq_ctx_term(context)
            throw TransportError(.system, "zmq_socket: \(reason)")
        }
        self.context = context
        self.handle = handle
        set(ZMQ_MAXMSGSIZE, Int64(Limits.maxFrameBytes))
        set(ZMQ_HANDSHAKE_IVL, Int32(5_000))
        set(ZMQ_LINGER, Int32(1_000))
        // Messages per peer. Few, because a message may be a chunk of 1 MiB; the others wait in our outbox, which counts
        // bytes.
        set(ZMQ_SNDHWM, Int32(16))
        set(ZMQ_RCVHWM, Int32(16))
        // libzmq then notices a host that vanished without closing its connection, and frees its pipe.
        set(ZMQ_HEARTBEAT_IVL, Int32(15_000))
        set(ZMQ_HEARTBEAT_TIMEOUT, Int32(60_000))
    }

    func set<Value: FixedWidthInteger>(_ option: Int32, _ value: Value) {
        var value = value
        let result = zmq_setsockopt(handle, option, &value, MemoryLayout<Value>.size)
        precondition(result == 0, "libzmq refused option \(option): \(Self.lastError())")
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
    func receive(maxFrames: Int) -> [[UInt8]]? {
        var frames: [[UInt8]] = []
        while true {
            var message = zmq_msg_t()
            zmq_msg_init(&message)
            defer { zmq_msg_close(&message) }
            guard Self.retrying({ zmq_msg_recv(&message, handle, ZMQ_DONTWAIT) }) >= 0 else {
                // Messages arrive whole: after the first frame none is missing.
                return nil
            }
            if frames.count < maxFrames {
                frames.append(
                    [UInt8](UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message))))
            } else if frames.count == maxFrames {
                frames.append([])
            }
            if zmq_msg_more(&message) == 0 { return frames }
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

    /// Closes socket and context; waits up to LINGER until the sent messages have left.
    func close(lingerMilliseconds: Int32) {
        set(ZMQ_LINGER, lingerMilliseconds)
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
