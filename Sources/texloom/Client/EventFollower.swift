import AsyncHTTPClient
import Foundation
import NIOCore
import Protocol

/// What following a coordinator's event stream brings.
enum Followed: Sendable {
    case event(StreamEvent)
    /// The stream broke; the follower reconnects and continues after the last event.
    case away(CommandFailure)
}

extension APIClient {
    /// The time between two tries; the server sets it.
    static let retryInterval = Duration.seconds(2)

    /// The events of a stream, across restarts of the coordinator, until the caller stops reading.
    /// - Throws: `CommandFailure` if a later try cannot succeed.
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

    /// The events of one connection. Always ends with an error, because the coordinator never ends a stream itself.
    private func read(
        _ path: String, query: [String: String], after lastID: String?, take: (StreamEvent) -> Void
    ) async throws {
        var request = request(path, query)
        request.headers.add(name: "Accept", value: "text/event-stream")
        if let lastID { request.headers.add(name: "Last-Event-ID", value: lastID) }
        let response = try await open(request)
        let type = response.headers.first(name: "Content-Type") ?? ""
        guard response.status == .ok, type.hasPrefix("text/event-stream") else { throw strange(path) }
        try await reaching {
            var parser = StreamEventParser()
            for try await buffer in response.body {
                for event in parser.feed(buffer.readableBytesView) { take(event) }
            }
        }
        throw unreachable("it ended the event stream")
    }
}
