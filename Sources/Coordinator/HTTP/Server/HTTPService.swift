import Dispatch
import Foundation
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import Logging
import NIOCore
import OperatingSystem
import ServiceLifecycle

/// The HTTP server.
struct HTTPService: Service {
    let responder: RouterResponder<CallerContext>
    let host: String
    let port: Int
    let certificate: ServerCertificate?
    let connections: HTTPConnections
    let deadline: ShutdownDeadline
    let logger: Logger
    let onRunning: @Sendable (Int) async -> Void

    func run() async throws {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        var server = HTTPServerBuilder.http1(
            configuration: .init(additionalChannelHandlers: [ConnectionWatch(connections)]))
        if let certificate { server = try .tls(server, tlsConfiguration: certificate.configuration) }
        let application = Application(
            responder: responder, server: server,
            configuration: ApplicationConfiguration(
                address: .hostname(host, port: port), serverName: "texloom"),
            onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? port) }, logger: quiet)
        let reload = certificate.map(reloadOnHangUp)
        defer { reload?.cancel() }
        do {
            try await withGracefulShutdownHandler {
                try await application.run()
            } onGracefulShutdown: { [connections, deadline] in
                deadline.begin()
                // A request may last for as long as its client likes.
                Task {
                    try? await Task.sleep(for: .seconds(connections.limits.shutdownSeconds))
                    connections.closeAll()
                }
            }
        } catch let error as IOError {
            throw CoordinatorError(
                .addressUnavailable,
                "cannot listen on \(certificate == nil ? "http" : "https")://\(host):\(port): "
                    + "\(reasonOfSystem(error.errnoCode)); "
                    + "another coordinator may be running: stop it, or choose another port")
        }
    }

    private func reloadOnHangUp(_ certificate: ServerCertificate) -> any DispatchSourceSignal {
        signal(SIGHUP, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: SIGHUP, queue: .global())
        source.setEventHandler { [logger] in
            do {
                try certificate.reload()
                logger.notice("read the TLS certificate again")
            } catch {
                logger.error("the new TLS certificate is not used", metadata: ["error": "\(error)"])
            }
        }
        source.resume()
        return source
    }
}
