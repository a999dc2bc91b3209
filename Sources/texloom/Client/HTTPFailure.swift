import AsyncHTTPClient
import NIOCore
import NIOPosix
import OperatingSystem

/// What went wrong on the way to a coordinator, in words.
enum HTTPFailure {
    /// How long a connection may take to come about.
    static let connectSeconds = 10
    /// How long an answer may keep silent.
    static let silenceSeconds = 60

    static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let failure = error.connectionErrors.first { return reason(failure.error) }
            return "the name '\(error.host)' is not known"
        case let error as IOError: return reasonOfSystem(error.errnoCode)
        case let error as HTTPClientError: return reason(error)
        case ChannelError.connectTimeout: return "no connection within \(connectSeconds) s"
        default:
            // A type of a package that is no dependency of ours.
            let isOfTLS = String(reflecting: type(of: error)).hasPrefix("NIOSSL.")
            return isOfTLS
                ? "it speaks no TLS, or has a certificate that is not trusted: \(error)" : error.systemReason
        }
    }

    private static func reason(_ error: HTTPClientError) -> String {
        switch error {
        case .connectTimeout: "no connection within \(connectSeconds) s"
        case .readTimeout: "no answer for \(silenceSeconds) s"
        case .remoteConnectionClosed: "it closed the connection"
        case .invalidProxyResponse: "the proxy refuses, or is none"
        case .proxyAuthenticationRequired:
            "the proxy asks for a user and a password: http://USER:PASSWORD@HOST:PORT"
        default: error.shortDescription.lowercased()
        }
    }
}
