import ClusterCore
import Foundation
import Hummingbird
import Logging
import Protocol

/// What changed in the cluster, once a second, to everyone who listens.
///
/// A stream carries states, not steps: an event says how a job is now, and a change that another one overtook is never
/// sent. So a client that was away needs no backlog: whatever changed since the beat it saw last is sent to it as it is.
/// The work of a beat is done once, however many streams are open, and not at all while none is.
actor EventFeed {
    /// Time between two beats: fast enough to look alive, slow enough to cost nothing.
    static let interval = Duration.seconds(1)
    /// A stream that falls this many beats behind is ended; its client comes back and goes on from where it was.
    static let maxBeatsBehind = 30
    /// Jobs in one beat; the others follow in the next.
    static let maxJobsPerBeat = 500
    /// A comment is sent after so many silent beats: proxies keep the connection, and a client that is gone is noticed.
    static let maxSilentBeats = 15
    /// Jobs of which it is remembered when they last changed. A client that missed more than a beat's asks for its page
    /// again anyway.
    static let maxRemembered = 2 * maxJobsPerBeat
    /// Streams open at once, each a socket.
    static let maxStreams = 2_000

    private let reader: ClusterReader
    private let logger: Logger
    /// Tells the beats of this process from those of an earlier one, whose count began at 0 as well.
    private let epoch = String(UInt32.random(in: 0...UInt32.max), radix: 36)
    private var beat = 0
    private var waiting: Set<JobID> = []
    /// In which beat a job was last sent; jobs not in it have not changed since `forgotten`.
    private(set) var lastChanged: [JobID: Int] = [:]
    /// The last beat of which changes were forgotten.
    private var forgotten = 0
    private var silentBeats = 0
    private var lastSummary = Data()
    private var lastWorkers = Data()
    private var clusterStreams: [Int: AsyncStream<ByteBuffer>.Continuation] = [:]
    private var jobStreams: [Int: (job: JobID, outlet: AsyncStream<Void>.Continuation)] = [:]
    private var nextStream = 0
    private var isStopped = false

    init(reader: ClusterReader, logger: Logger) {
        self.reader = reader
        self.logger = logger
    }

    var openStreams: Int { clusterStreams.count + jobStreams.count }

    /// Beats until the task is cancelled; then every stream ends.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.interval)
            do {
                try await tick()
            } catch {
                logger.warning("a beat of the event streams was lost", metadata: ["error": "\(error)"])
            }
        }
        isStopped = true
        for outlet in clusterStreams.values { outlet.finish() }
        for stream in jobStreams.values { stream.outlet.finish() }
    }

    // MARK: Listening

    /// Events of the whole cluster.
    /// - Parameter lastEventID: of the client's last event: what changed since comes first. Nil, or of another process:
    ///   a `reset`, after which the client asks for what it shows, comes first.
    func cluster(after lastEventID: String?) async throws -> AsyncStream<ByteBuffer> {
        let (stream, outlet) = AsyncStream.makeStream(
            of: ByteBuffer.self, bufferingPolicy: .bufferingOldest(Self.maxBeatsBehind))
        let number = try register()
        outlet.onTermination = { [weak self] _ in Task { await self?.close(number) } }
        clusterStreams[number] = outlet
        // Registered first: what changes while the greeting is looked up is sent after it.
        let seen = beat
        var greeting: [ServerSentEvent] = []
        let missed = lastEventID.flatMap(parse).flatMap { last in
            last < forgotten ? nil : lastChanged.filter { $0.value > last }.map(\.key)
        }
        if let missed, missed.count <= Self.maxJobsPerBeat {
            greeting = try await reader.jobs(missed).map { try ServerSentEvent(id: id(seen), name: "job", $0) }
        } else {
            greeting.append(try ServerSentEvent(id: id(seen), name: "reset", [String: String]()))
        }
        greeting.append(try ServerSentEvent(id: id(seen), name: "summary", try await reader.summary()))
        greeting.append(
            try ServerSentEvent(id: id(seen), name: "workers", WorkerList(workers: try await reader.workers())))
        outlet.yield(ServerSentEvent.buffer(greeting))
        if isStopped { outlet.finish() }
        return stream
    }

    /// A signal whenever something of the job changed; the first at once.
    func changes(of job: JobID) throws -> AsyncStream<Void> {
        let (stream, outlet) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = try register()
        outlet.onTermination = { [weak self] _ in Task { await self?.close(number) } }
        jobStreams[number] = (job, outlet)
        outlet.yield()
        if isStopped { outlet.finish() }
        return stream
    }

    private func register() throws -> Int {
        guard openStreams < Self.maxStreams else {
            throw Problem(
                .serviceUnavailable, "\(Self.maxStreams) event streams are open; close some, or ask for pages instead",
                headers: [.retryAfter: "10"])
        }
        nextStream += 1
        return nextStream
    }

    private func close(_ number: Int) {
        clusterStreams[number] = nil
        jobStreams[number] = nil
    }

    // MARK: Beats

    func tick() async throws {
        let touched = await reader.engine.takeTouchedJobs()
        waiting.formUnion(touched)
        beat += 1
        let now = beat
        for stream in jobStreams.values where touched.contains(stream.job) || now % Self.maxSilentBeats == 0 {
            stream.outlet.yield()
        }
        guard !clusterStreams.isEmpty else {
            remember(waiting, changedIn: now)
            waiting = []
            return
        }
        let jobs = waiting.count > Self.maxJobsPerBeat ? Set(waiting.prefix(Self.maxJobsPerBeat)) : waiting
        waiting.subtract(jobs)
        remember(jobs, changedIn: now)
        var events: [ServerSentEvent] = []
        if !jobs.isEmpty {
            events = try await reader.jobs(jobs).map { try ServerSentEvent(id: id(now), name: "job", $0) }
        }
        let summary = try ServerSentEvent(id: id(now), name: "summary", try await reader.summary())
        if summary.data != lastSummary { events.append(summary) }
        let workers = try ServerSentEvent(
            id: id(now), name: "workers", WorkerList(workers: try await reader.workers()))
        if workers.data != lastWorkers { events.append(workers) }
        (lastSummary, lastWorkers) = (summary.data, workers.data)
        silentBeats = events.isEmpty ? silentBeats + 1 : 0
        guard !events.isEmpty || silentBeats % Self.maxSilentBeats == 0 else { return }
        let buffer = events.isEmpty ? ByteBuffer(string: ": alive\n\n") : ServerSentEvent.buffer(events)
        for outlet in clusterStreams.values {
            if case .dropped = outlet.yield(buffer) { outlet.finish() }
        }
    }

    private func remember(_ jobs: Set<JobID>, changedIn beat: Int) {
        for job in jobs { lastChanged[job] = beat }
        guard lastChanged.count > 2 * Self.maxRemembered else { return }
        forgotten = lastChanged.values.sorted(by: >)[Self.maxRemembered]
        lastChanged = lastChanged.filter { $0.value > forgotten }
    }

    private func id(_ beat: Int) -> String { "\(epoch)-\(beat)" }

    private func parse(_ id: String) -> Int? {
        guard id.hasPrefix(epoch + "-") else { return nil }
        return Int(id.dropFirst(epoch.count + 1))
    }
}
