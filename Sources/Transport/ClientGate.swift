import Base
import CZeroMQ
import Foundation

/// Answers libzmq's question, at each handshake, whether a client may connect (ZAP, RFC 27). libzmq then attaches the
/// client's key to every message as its User-Id.
///
/// Without it libzmq admits every client key. It answers on a thread of its own, from memory: a slow answer would hold up
/// all handshakes. The thread ends with the socket's context.
enum ClientGate {
    /// - Throws: ``TransportError`` if the gate cannot open. The caller must not bind then.
    static func open(
        _ context: UnsafeMutableRawPointer, admit: @escaping @Sendable (String) -> Curve.Admission
    ) throws(TransportError) {
        guard let handle = zmq_socket(context, ZMQ_REP) else {
            throw TransportError(.system, "zmq_socket: \(ZeroMQSocket.lastError())")
        }
        guard zmq_bind(handle, "inproc://zeromq.zap.01") == 0 else {
            let reason = ZeroMQSocket.lastError()
            zmq_close(handle)
            throw TransportError(.system, "cannot decide who may connect: \(reason)")
        }
        nonisolated(unsafe) let moved = handle
        let thread = Thread { run(moved, admit) }
        thread.name = "texloom-gate"
        thread.start()
    }

    private static func run(_ handle: UnsafeMutableRawPointer, _ admit: (String) -> Curve.Admission) {
        // Ends when the context does.
        while let request = ZeroMQSocket.receive(from: handle, maxFrames: 16, waits: true) {
            for (index, frame) in answer(to: request.frames, admit).enumerated() {
                _ = zmq_send(handle, frame, frame.count, index < 5 ? ZMQ_SNDMORE : 0)
            }
        }
        zmq_close(handle)
    }

    /// - Parameter request: version, request id, domain, address, routing id, mechanism, the client's public key.
    /// - Returns: version, request id, status code, status text, user id, metadata.
    static func answer(to request: [[UInt8]], _ admit: (String) -> Curve.Admission) -> [[UInt8]] {
        let id = request.count > 1 ? request[1] : []
        func answer(_ status: String, _ text: String, user: String = "") -> [[UInt8]] {
            [Array("1.0".utf8), id, Array(status.utf8), Array(text.utf8), Array(user.utf8), []]
        }
        guard request.count == 7, request[0] == Array("1.0".utf8), request[5] == Array("CURVE".utf8),
            request[6].count == 32
        else { return answer("400", "not a CURVE client") }
        let key = hexadecimal(request[6])
        return switch admit(key) {
        case .admitted: answer("200", "OK", user: key)
        case .unknown: answer("400", "unknown key")
        case .ended: answer("500", "the key's time is over")
        }
    }
}
