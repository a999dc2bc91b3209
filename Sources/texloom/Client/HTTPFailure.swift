import AsyncHTTPClient
import NIOCore
import NIOPosix
import OperatingSystem

/// Describes in words why a coordinator could not be reached.
enum HTTPFailure {
    /// Time limit for connecting.
    static let connectSeconds = 10
    /// Time limit for silence within an answer.
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
            // Recognised by name: the package of this type is not a dependency of ours.
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
            "the proxy needs a user name and a password: http://USER:PASSWORD@HOST:PORT"
        default: error.shortDescription.lowercased()
        }
    }
}
