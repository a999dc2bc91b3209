import CZeroMQ

/// Why a client cannot speak with the server it has reached.
public enum LinkFailure: Sendable, Equatable {
    /// The server knows no such client key.
    case unknownKey
    /// The server knew the client key and no longer lets it in.
    case endedKey
    /// The server ends every handshake: it has another key than the client expects.
    case wrongServerKey
    /// The server is plain, and this client speaks only CURVE.
    case serverIsPlain
    /// The server speaks CURVE, and this client is plain.
    case serverIsEncrypted
    /// Another protocol, or another version of it.
    case noZeroMQ
}

/// Reads what libzmq's monitor says about handshakes.
struct HandshakeMonitor {
    enum Finding: Equatable {
        case success
        case failure(LinkFailure)
        /// The server has ended so many handshakes in a row. It may have another key, or not encrypt at all.
        case endings(Int)
    }

    /// A server that restarts may end one handshake, but not so many in a row.
    static let endingsOfSuspicion = 3

    private let isEncrypted: Bool
    private var endings = 0

    init(isEncrypted: Bool) { self.isEncrypted = isEncrypted }

    /// The events to ask libzmq for.
    static let events =
        ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
        | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH

    mutating func finding(_ event: Int32, _ value: Int32) -> Finding? {
        switch event {
        case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return .failure(value == 500 ? .endedKey : .unknownKey)
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL where value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return .failure(isEncrypted ? .serverIsPlain : .serverIsEncrypted)
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL where value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC:
            return .failure(.wrongServerKey)
        case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: return .failure(.noZeroMQ)
        case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            endings += 1
            return .endings(endings)
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
            endings = 0
            return .success
        default: return nil
        }
    }
}

extension LinkFailure {
    /// Why a client fails with a server whose greeting names this mechanism; nil if both are plain.
    init?(mechanism: String, isEncrypted: Bool) {
        switch mechanism {
        case "CURVE": self = isEncrypted ? .wrongServerKey : .serverIsEncrypted
        case "NULL" where !isEncrypted: return nil
        case "NULL": self = .serverIsPlain
        default: self = .noZeroMQ
        }
    }
}
