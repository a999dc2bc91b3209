import AsyncHTTPClient
import Base
import ClusterCore
import Crypto
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import OperatingSystem

/// A receiver that gets messages as signed POST requests.
struct Webhook: NotificationReceiver {
    /// Time limit for connecting, and for the head of the answer, as Standard Webhooks recommends.
    static let timeout = Duration.seconds(15)
    /// What is read of an answer's body, so that the connection can be used again.
    static let maxAnswerBytes = 16 << 10
    static let answerTimeout = Duration.seconds(2)

    let url: URL
    let signature: WebhookSignature
    let client: HTTPClient
    var timeout = Self.timeout

    var kind: NotificationReceiverKind { .webhook }

    /// A digest: the address may hold a secret in its path.
    static func id(of url: URL) -> String {
        "webhook-" + hexadecimal(SHA256.hash(data: Data(url.absoluteString.utf8))).prefix(16)
    }

    static func title(of url: URL) -> String {
        "\(url.scheme ?? "")://\(url.host ?? "")\(url.port.map { ":\($0)" } ?? "")"
    }

    var id: String { Self.id(of: url) }
    var title: String { Self.title(of: url) }

    func deliver(_ notification: PendingNotification) async throws(DeliveryFailure) {
        let body = Data(notification.body.utf8)
        let timestamp = Int(Date().timeIntervalSince1970)
        var request = HTTPClientRequest(url: url.absoluteString)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "User-Agent", value: "texloom/\(texloomVersion)")
        request.headers.add(name: "webhook-id", value: notification.message)
        request.headers.add(name: "webhook-timestamp", value: "\(timestamp)")
        request.headers.add(
            name: "webhook-signature",
            value: signature.header(id: notification.message, timestamp: timestamp, body: body))
        request.body = .bytes(ByteBuffer(bytes: body))
        let response: HTTPClientResponse
        do {
            response = try await client.execute(
                request, timeout: .milliseconds(Int64(timeout.inSeconds * 1000)))
        } catch {
            throw DeliveryFailure(reason: reason(error))
        }
        await Self.finish(response.body)
        guard (200..<300).contains(response.status.code) else {
            let isRedirect = (300..<400).contains(response.status.code)
            throw DeliveryFailure(
                reason: "it answered \(response.status.code)"
                    + (isRedirect ? "; redirects are not followed, name the new address" : ""),
                retryAfter: response.headers.first(name: "Retry-After").flatMap(Double.init))
        }
    }

    /// Reads a short answer to its end. A longer or slower one costs the connection.
    private static func finish(_ body: HTTPClientResponse.Body) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = try? await body.collect(upTo: maxAnswerBytes) }
            group.addTask { try? await Task.sleep(for: answerTimeout) }
            await group.next()
            group.cancelAll()
        }
    }

    private func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            error.connectionErrors.first.map { reason($0.error) } ?? "the name '\(error.host)' is not known"
        case let error as IOError: reasonOfSystem(error.errnoCode)
        case ChannelError.connectTimeout: "no connection"
        case let error as HTTPClientError: reason(error)
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
            "it speaks no TLS, or has a certificate that is not trusted: \(error)"
        default: error.systemReason
        }
    }

    private func reason(_ error: HTTPClientError) -> String {
        switch error {
        case .deadlineExceeded: "no answer within \(Readable.duration(timeout.inSeconds))"
        case .connectTimeout: "no connection"
        case .remoteConnectionClosed: "it closed the connection"
        default: error.shortDescription.lowercased()
        }
    }
}

extension HTTPClient {
    static var tlsForWebhooks: TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        return tls
    }

    /// For webhooks: trusts the system's authorities, follows no redirect and repeats nothing by itself.
    static func forWebhooks() -> HTTPClient {
        var configuration = HTTPClient.Configuration(tlsConfiguration: tlsForWebhooks)
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(10)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.httpVersion = .http1Only
        return HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }
}
