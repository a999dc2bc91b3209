import AsyncHTTPClient
import Foundation
import NIOCore
import Protocol

/// What comes of following a coordinator's event stream.
enum Followed: Sendable {
    case event(ServerSentEvent)
    /// The stream broke; it is asked for again, from behind the last event.
    case away(CommandFailure)
}

extension APIClient {
    /// Between two tries, as the server asks for.
    static let retryInterval = Duration.seconds(2)

    /// The events of a stream, for as long as they are taken, whatever becomes of the coordinator meanwhile.
    /// - Throws: `CommandFailure` for what a later try does not mend.
    func follow(_ path: String, query: [String: String] = [:]) -> AsyncThrowingStream<Followed, any Error> {
        let (stream, outlet) = AsyncThrowingStream.makeStream(of: Followed.self)
        let task = Task {
            var lastID: String?
            do {
                while !Task.isCancelled {
                    do {
                        try await read(path, query: query, after: lastID) { event in
                            lastID = event.id
                            outlet.yield(.event(event))
                        }
                    } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
                        outlet.yield(.away(failure))
                    }
                    try await Task.sleep(for: Self.retryInterval)
                }
                outlet.finish()
            } catch {
                outlet.finish(throwing: error)
            }
        }
        outlet.onTermination = { _ in task.cancel() }
        return stream
    }

    /// One connection's events. It ends by an error, because the coordinator never ends a stream of its own accord.
    private func read(
        _ path: String, query: [String: String], after lastID: String?, take: (ServerSentEvent) -> Void
    ) async throws {
        var request = request(path, query)
        request.headers.add(name: "Accept", value: "text/event-stream")
        if let lastID { request.headers.add(name: "Last-Event-ID", value: lastID) }
        let response = try await open(request)
        let type = response.headers.first(name: "Content-Type") ?? ""
        guard response.status == .ok, type.hasPrefix("text/event-stream") else { throw strange(path) }
        try await reaching {
            var parser = ServerSentEventParser()
            for try await buffer in response.body {
                for event in parser.feed(buffer.readableBytesView) { take(event) }
            }
        }
        throw unreachable("it ended the event stream")
    }
}
