import ClusterFixtures
import Foundation
import GRDB
import Logging
import Protocol
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable import ClusterCore
@testable import Coordinator

@Suite("Event streams", .timeLimit(.minutes(10)))
struct EventStreamTests {
    @Test func aJobsStreamTellsAllThereIsAndGoesOnWhereTheLastOneEnded() async throws {
        let coordinator = try await RunningCoordinator()
        let id = try await coordinator.submit("wood")[0].id
        let path = "/api/v1/jobs/\(id)/events"
        let first = try EventReader(coordinator.addresses.httpURL + path)
        let accepted = try await first.next("log")
        #expect(try accepted.decoded(LogPage.self).entries.map(\.message) == ["accepted"])
        #expect(try await first.next("job").decoded(JobSummary.self).state == .queued)
        #expect(first.header("Content-Type") == "text/event-stream" && first.header("Cache-Control") == "no-store")
        _ = try await coordinator.send("POST", "/api/v1/jobs/\(id)/cancel")
        // The event arrives live, without another request.
        let cancelled = try await first.next("log")
        #expect(try cancelled.decoded(LogPage.self).entries.map(\.message) == ["cancelled: asked by a person"])
        first.close()

        let worse = try EventReader(coordinator.addresses.httpURL + path, lastEventID: "nonsense")
        #expect(try await worse.next("log").decoded(LogPage.self).entries.count == 2, "starts from the beginning")
        worse.close()
        // A browser reconnects with the header; a page opens a stream with the query.
        for (query, header) in [("", accepted.id), ("?after=\(accepted.id)", nil), ("?after=0.-1", accepted.id)] {
            let again = try EventReader(coordinator.addresses.httpURL + path + query, lastEventID: header)
            let missed = try await again.next("log").decoded(LogPage.self).entries
            #expect(missed.map(\.message) == ["cancelled: asked by a person"])
            #expect(try await again.next("job").decoded(JobSummary.self).state == .cancelled)
            again.close()
        }
        await coordinator.stop()
    }

    @Test func ofTheWorkersThatHaveLeftStreamsAndPagesShowTheNewest() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        for number in 0..<200 {
            let change = Change.worker(
                .named("left-\(number)"), session: UInt64(1000 + number), isDraining: false, isConnected: false)
            try await store.apply([change], at: Date(timeIntervalSinceNow: Double(number - 1000)))
        }
        try store.close()
        let coordinator = try await RunningCoordinator(folder: folder)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 95)
        worker.hello()
        _ = try await worker.welcome()
        let all = try await coordinator.get("/api/v1/workers").decoded(WorkerList.self).workers
        #expect(all.count == 201)
        let stream = try EventReader(coordinator.addresses.httpURL + "/api/v1/events")
        let shown = try await stream.next("workers").decoded(WorkerList.self).workers
        stream.close()
        let expected = Set((150..<200).map { "left-\($0)" } + all.filter(\.isConnected).map(\.id))
        #expect(shown.count == 51 && Set(shown.map(\.id)) == expected && shown[0].isConnected)
        let page = try await coordinator.get("/workers").text
        #expect(page.contains("host of left-150") && !page.contains("host of left-149"))
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func theClustersStreamSaysHowThingsAreAndWhatHasChangedSince() async throws {
        let coordinator = try await RunningCoordinator()
        let address = coordinator.addresses.httpURL + "/api/v1/events"
        let first = try EventReader(address)
        _ = try await first.next("reset")
        #expect(try await first.next("summary").decoded(ClusterSummary.self).jobs["queued"] == 0)
        #expect(try await first.next("workers").decoded(WorkerList.self).workers.isEmpty)
        let id = try await coordinator.submit("wood")[0].id
        // The job and the summary that counts it come in either order. An older summary may come first.
        var seen = try await first.next { $0.name == "job" || $0.name == "summary" }
        var job = seen.name == "job" ? seen : nil
        var queued = seen.name == "summary" ? try seen.decoded(ClusterSummary.self).jobs["queued"] : nil
        while job == nil || queued != 1 {
            seen = try await first.next { $0.name == "job" || $0.name == "summary" }
            if seen.name == "job" { job = seen } else { queued = try seen.decoded(ClusterSummary.self).jobs["queued"] }
        }
        seen = try #require(job)
        #expect(try seen.decoded(JobSummary.self).id == id)
        first.close()

        let other = try await coordinator.submit("missed")[0].id
        let again = try EventReader(address, lastEventID: seen.id)
        let missed = try await again.next { $0.name == "reset" || $0.name == "job" }
        #expect(missed.name == "job", "what is missed is known, so nothing need be asked again")
        #expect(try missed.decoded(JobSummary.self).id == other)
        again.close()
        // The id of another process has no meaning here.
        let foreign = try EventReader(address, lastEventID: "elsewhere-1")
        #expect(try await foreign.next { _ in true }.name == "reset")
        foreign.close()
        await coordinator.stop()
    }

    /// A feed without a clock, over an engine with jobs.
    private final class Bench: Sendable {
        let folder = TemporaryFolder()
        let store: JobStore
        let engine: ClusterEngine
        let feed: EventFeed
        private let exemplar: Artifact
        private let loop: Task<Void, Never>
        let caller = StreamCaller(key: "test", tokenID: nil)

        init(logger: Logger = Complaints().logger) throws {
            store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
            let artifacts = try ArtifactStore(dataFolder: folder.url)
            exemplar = try artifacts.store(Data("exemplar".utf8))
            let engine = ClusterEngine(
                state: ClusterState(at: .origin), store: store, artifacts: artifacts, disk: BlockingWork(),
                clock: { .origin }, logger: logger)
            self.engine = engine
            feed = EventFeed(
                reader: ClusterReader(store: store, engine: engine, startedAt: Date(), workerEndpoint: ""),
                logger: logger)
            loop = Task { await engine.run() }
        }

        deinit { loop.cancel() }

        @discardableResult
        func submit(_ count: Int) async -> [JobID] {
            let submission = Submission(
                name: "a", fileName: "a.png", exemplar: exemplar, recipeYAML: "r", priority: 0, key: nil)
            let salts = (0..<count).map { UInt32($0) }
            let reply = await engine.request {
                .submit($0, Array(repeating: submission, count: count), salts: salts)
            }
            guard case .accepted(let jobs) = reply else { return [] }
            return jobs.map(\.id)
        }
    }

    /// The feed remembers a bounded number of changes for clients that come back.
    @Test func aClientThatMissedMoreThanIsRememberedAsksForItsPageAgain() async throws {
        let bench = try Bench()
        func submit(_ count: Int) async throws {
            await bench.submit(count)
            try await bench.feed.tick()
        }
        func greeting(after id: String?) async throws -> String {
            var stream = try await bench.feed.cluster(after: id, for: bench.caller).makeAsyncIterator()
            return String(buffer: try #require(await stream.next()))
        }
        try await submit(1)
        let first = try await greeting(after: nil)
        let seen = String(try #require(first.firstMatch(of: /id: ?([^\n]+)/)).output.1)
        try await submit(1)
        #expect(try await greeting(after: seen).contains("event: job"), "the one that was missed")
        for _ in 0..<5 { try await submit(EventFeed.maxRemembered / 2) }
        #expect(await bench.feed.lastChanged.count <= 2 * EventFeed.maxRemembered)
        #expect(try await greeting(after: seen).contains("event: reset"))
    }

    @Test func aJobThatCannotBeReadDoesNotStopTheEventsOfOthers() async throws {
        let complaints = Complaints()
        let bench = try Bench(logger: complaints.logger)
        var stream = try await bench.feed.cluster(after: nil, for: bench.caller).makeAsyncIterator()
        _ = await stream.next()
        let jobs = await bench.submit(2)
        let broken = try #require(jobs.first)
        try await bench.store.pool.write { db in
            try db.execute(sql: "INSERT INTO metric_columns (names) VALUES ('no JSON')")
            try db.execute(
                sql: """
                    INSERT INTO metrics (job, iteration, unix_seconds, columns, "values")
                    SELECT ?, 1, 0, id, x'00000000' FROM metric_columns WHERE names = 'no JSON'
                    """, arguments: [broken.sequence])
        }
        try await bench.feed.tick()
        let first = String(buffer: try #require(await stream.next()))
        #expect(first.contains("event: job") && first.contains(jobs[1].description), "\(first)")
        #expect(!first.contains(broken.description), "it is neither shown nor said to be gone")
        _ = await bench.engine.request { .cancel($0, broken, reason: "no") }
        try await bench.feed.tick()
        #expect(String(buffer: try #require(await stream.next())).contains("event: summary"))
        #expect(complaints.all.count { $0.contains("a job that cannot be read") } == 1, "\(complaints.all)")
    }

    @Test func aStoppingCoordinatorEndsItsStreams() async throws {
        let coordinator = try await RunningCoordinator()
        let reader = try EventReader(coordinator.addresses.httpURL + "/api/v1/events")
        _ = try await reader.next("workers")
        await coordinator.stop()
        await #expect(throws: EventReader.Ended.self) { try await reader.next("never") }
    }
}

/// Reads server-sent events as they arrive.
final class EventReader: NSObject, URLSessionDataDelegate, @unchecked Sendable {
    struct Ended: Error {}

    struct Event {
        var id: String
        var name: String
        var data: Data

        func decoded<Value: Decodable>(_ type: Value.Type) throws -> Value {
            try APIFormat.decoder.decode(type, from: data)
        }
    }

    private let bytes: AsyncStream<Data>
    private let outlet: AsyncStream<Data>.Continuation
    private var incoming: AsyncStream<Data>.AsyncIterator
    private var buffer = ""
    private var task: URLSessionDataTask?

    init(_ address: String, lastEventID: String? = nil) throws {
        (bytes, outlet) = AsyncStream.makeStream()
        incoming = bytes.makeAsyncIterator()
        super.init()
        var request = URLRequest(to: address)
        request.setValue(lastEventID, forHTTPHeaderField: "Last-Event-ID")
        let session = URLSession(configuration: .ephemeral, delegate: self, delegateQueue: nil)
        task = session.dataTask(with: request)
        task?.resume()
        session.finishTasksAndInvalidate()
    }

    /// - Throws: ``Ended`` if the stream ends first.
    func next(where isWanted: (Event) -> Bool) async throws -> Event {
        while true {
            while let end = buffer.range(of: "\n\n") {
                let event = Self.event(buffer[..<end.lowerBound])
                buffer.removeSubrange(..<end.upperBound)
                if let event, isWanted(event) { return event }
            }
            guard let data = await incoming.next() else { throw Ended() }
            buffer += String(decoding: data, as: UTF8.self)
        }
    }

    func next(_ name: String) async throws -> Event { try await next { $0.name == name } }

    func header(_ name: String) -> String? { (task?.response as? HTTPURLResponse)?.value(forHTTPHeaderField: name) }

    func close() { task?.cancel() }

    /// nil for comments and the reconnection time.
    private static func event(_ text: Substring) -> Event? {
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { fields[String(parts[0])] = String(parts[1].dropFirst()) }
        }
        guard let id = fields["id"], let name = fields["event"], let data = fields["data"] else { return nil }
        return Event(id: id, name: name, data: Data(data.utf8))
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) { outlet.yield(data) }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        outlet.finish()
    }
}
