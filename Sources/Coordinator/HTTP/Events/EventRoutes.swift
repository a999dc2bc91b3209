import ClusterCore
import Foundation
import HTTPTypes
import Hummingbird
import Protocol
import ServiceLifecycle

/// Server-sent events: `/api/v1/events` for the whole cluster, `/api/v1/jobs/{id}/events` for one job.
struct EventRoutes: Sendable {
    /// Upper limit on the log lines or metric rows in one event.
    static let rowsPerEvent = 1_000

    let feed: EventFeed
    let reader: ClusterReader

    func add(to router: Router<CallerContext>) {
        router.get("api/v1/events", use: cluster)
        router.get("api/v1/jobs/:id/events", use: job)
    }

    @Sendable private func cluster(_ request: Request, _ context: CallerContext) async throws -> Response {
        respond(
            with: try await feed.cluster(
                after: request.headers[.lastEventID], for: context.streamCaller)
        ) { source, writer in
            for await buffer in source { try await writer.write(buffer) }
        }
    }

    /// Logs and metrics are in the store, so a stream continues exactly where the client's last one ended.
    @Sendable private func job(_ request: Request, _ context: CallerContext) async throws -> Response {
        let text: String = try context.parameters.require("id")
        guard let id = JobID(text), await reader.engine.committed.job(id) != nil else { throw Problem.noJob(text) }
        // A browser cannot set the header on the first request. It only sends the header when it reconnects.
        let after = try QueryParameters(request, known: "after")
            .token("after", from: "the id of an event of this stream", Position.init)
        let start = request.headers[.lastEventID].flatMap(Position.init) ?? after ?? Position()
        return respond(with: try await feed.changes(of: id, for: context.streamCaller)) { source, writer in
            var position = start
            for await _ in source {
                guard try await send(id, from: &position, to: &writer) else {
                    return try await write(.deleted, DeletedJobs(jobs: [id.description]), position, to: &writer)
                }
            }
        }
    }

    /// The last log line and the last measured iteration that a client has.
    private struct Position: CustomStringConvertible {
        var log: Int64 = 0
        var iteration = -1

        init() {}

        init?(_ text: String) {
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, let log = Int64(parts[0]), let iteration = Int(parts[1]) else { return nil }
            self.log = log
            self.iteration = iteration
        }

        var description: String { "\(log).\(iteration)" }
    }

    /// - Returns: Whether the job still exists.
    private func send(
        _ id: JobID, from position: inout Position, to writer: inout any ResponseBodyWriter
    ) async throws -> Bool {
        guard let detail = try await reader.detail(id) else { return false }
        while true {
            let rows = try await reader.store.metrics(of: id, after: position.iteration, limit: Self.rowsPerEvent)
                .entries
            guard let last = rows.last else { break }
            position.iteration = last.iteration
            try await write(.metrics, MetricsPage(rows: rows, next: nil), position, to: &writer)
        }
        while true {
            let lines = try await reader.store.logs(of: id, after: position.log, limit: Self.rowsPerEvent).entries
            guard let last = lines.last else { break }
            position.log = last.id
            try await write(.log, LogPage(entries: lines, next: nil), position, to: &writer)
        }
        // The job comes last, so that a client that sees the job end has seen everything before.
        try await write(.job, detail.job, position, to: &writer)
        return true
    }

    private func write(
        _ name: StreamEventName, _ value: some Encodable, _ position: Position, to writer: inout any ResponseBodyWriter
    ) async throws {
        try await writer.write(
            ServerSentEvent.buffer([try ServerSentEvent(id: position.description, name: name, value)]))
    }

    /// A response that lasts until the client disconnects, the source ends, or the server stops.
    private func respond<Element: Sendable>(
        with source: AsyncStream<Element>,
        _ body:
            @escaping @Sendable (
                AsyncCancelOnGracefulShutdownSequence<AsyncStream<Element>>, inout any ResponseBodyWriter
            ) async throws -> Void
    ) -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream", .cacheControl: "no-store", .xContentTypeOptions: "nosniff",
                // Otherwise nginx would hold events until a buffer is full.
                HTTPField.Name("X-Accel-Buffering")!: "no",
            ],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
                try await body(source.cancelOnGracefulShutdown(), &writer)
                try await writer.finish(nil)
            })
    }
}

extension HTTPField.Name {
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
}
