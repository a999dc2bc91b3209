import Foundation
import Protocol
import Synchronization

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

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
                        for try await event in events(path, query: query, after: lastID) {
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

    /// One connection's events; it ends by an error, because the coordinator never ends a stream of its own accord.
    private func events(
        _ path: String, query: [String: String], after lastID: String?
    ) -> AsyncThrowingStream<ServerSentEvent, any Error> {
        let (stream, outlet) = AsyncThrowingStream.makeStream(of: ServerSentEvent.self)
        var request = URLRequest(url: url(path, query))
        request.setValue("text/event-stream", forHTTPHeaderField: "Accept")
        request.setValue(lastID, forHTTPHeaderField: "Last-Event-ID")
        // The coordinator sends something every quarter of a minute; a minute of silence is a dead connection.
        request.timeoutInterval = 60
        let session = URLSession(
            configuration: .ephemeral, delegate: EventReader(self, path, outlet), delegateQueue: nil)
        let task = session.dataTask(with: request)
        outlet.onTermination = { _ in session.invalidateAndCancel() }
        task.resume()
        return stream
    }
}

/// Turns what a connection delivers into events. URLSession on Linux has no sequence of bytes.
private final class EventReader: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    private struct State {
        var response: URLResponse?
        var parser = ServerSentEventParser()
        /// Of an answer that is no event stream.
        var body = Data()
    }

    private let client: APIClient
    private let path: String
    private let outlet: AsyncThrowingStream<ServerSentEvent, any Error>.Continuation
    private let state = Mutex(State())

    init(_ client: APIClient, _ path: String, _ outlet: AsyncThrowingStream<ServerSentEvent, any Error>.Continuation) {
        self.client = client
        self.path = path
        self.outlet = outlet
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
        state.withLock { $0.response = response }
        completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let events = state.withLock { state in
            guard Self.isStream(state.response) else {
                if state.body.count < 1 << 16 { state.body += data }
                return [ServerSentEvent]()
            }
            return state.parser.feed(data)
        }
        for event in events { outlet.yield(event) }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let (response, body) = state.withLock { ($0.response, $0.body) }
        do {
            if let response {
                try client.check(response, body)
                if !Self.isStream(response) { throw client.strange(path) }
            }
            throw client.unreachable(error?.localizedDescription ?? "it ended the event stream")
        } catch {
            outlet.finish(throwing: error)
        }
    }

    private static func isStream(_ response: URLResponse?) -> Bool {
        (response as? HTTPURLResponse)?.statusCode == 200 && response?.mimeType == "text/event-stream"
    }
}
