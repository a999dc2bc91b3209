import ClusterCore
import Foundation
import Hummingbird
import Logging
import Protocol

/// Sends what changed in the cluster, once a second, to every listener.
///
/// A stream carries states, not steps. An event says how a job is now, and the feed never sends an outdated state. So a
/// client that was away needs no backlog: it gets the present state of everything that changed since its last beat. The
/// feed does the work of a beat once for all open streams, and not at all without one.
actor EventFeed {
    /// Time between two beats: short enough to look alive, long enough to cost nothing.
    static let interval = Duration.seconds(1)
    /// The feed ends a stream that falls this many beats behind. Its client reconnects and continues from its last
    /// event.
    static let maxBeatsBehind = 30
    /// Upper limit on the jobs in one beat. The others follow in the next.
    static let maxJobsPerBeat = 500
    /// After this many silent beats the feed sends a comment. It keeps proxies from closing the connection, and shows
    /// which clients are gone.
    static let maxSilentBeats = 15
    /// Number of jobs whose last change the feed remembers. A client that missed more than one beat's jobs asks for its
    /// page again anyway.
    static let maxRemembered = 2 * maxJobsPerBeat
    /// The feed asks after so many beats whether the token of a stream still counts.
    static let beatsBetweenChecks = 5

    private let reader: ClusterReader
    private let logger: Logger
    private let limits: HTTPLimits
    /// Whether a token still counts.
    private let isValid: @Sendable (Int64) async -> Bool
    private var callers: [Int: StreamCaller] = [:]
    /// Distinguishes this process's beats from an earlier one's, which also started at 0.
    private let epoch = String(UInt32.random(in: 0...UInt32.max), radix: 36)
    private var beat = 0
    private var waiting: Set<JobID> = []
    /// The log mentions each job that cannot be read once.
    private var unreadable: Set<JobID> = []
    /// The beat of each job's last change. A job without an entry has not changed since `forgotten`.
    private(set) var lastChanged: [JobID: Int] = [:]
    /// The last beat whose changes the feed forgot.
    private var forgotten = 0
    private var silentBeats = 0
    private var lastSummary = Data()
    private var lastWorkers = Data()
    private var clusterStreams: [Int: AsyncStream<ByteBuffer>.Continuation] = [:]
    private var jobStreams: [Int: (job: JobID, outlet: AsyncStream<Void>.Continuation)] = [:]
    private var nextStream = 0
    private var isStopped = false

    init(
        reader: ClusterReader, logger: Logger, limits: HTTPLimits = .standard(),
        isValid: @escaping @Sendable (Int64) async -> Bool = { _ in true }
    ) {
        self.reader = reader
        self.logger = logger
        self.limits = limits
        self.isValid = isValid
    }

    var openStreams: Int { clusterStreams.count + jobStreams.count }

    /// Beats until the task is cancelled. It then ends every stream.
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
    /// - Parameter lastEventID: The id of the client's last event. The stream starts with everything that changed
    ///   since. If it is nil or comes from another process, the stream starts with a `reset`, and the client reloads
    ///   what it shows.
    func cluster(after lastEventID: String?, for caller: StreamCaller) async throws -> AsyncStream<ByteBuffer> {
        let (stream, outlet) = AsyncStream.makeStream(
            of: ByteBuffer.self, bufferingPolicy: .bufferingOldest(Self.maxBeatsBehind))
        let number = try register(caller)
        outlet.onTermination = { [weak self] _ in Task { await self?.close(number) } }
        clusterStreams[number] = outlet
        // Register first: changes during the lookup of the greeting then follow the greeting.
        let seen = beat
        var greeting: [ServerSentEvent] = []
        let missed = lastEventID.flatMap(parse).flatMap { last in
            last < forgotten ? nil : lastChanged.filter { $0.value > last }.map(\.key)
        }
        if let missed, missed.count <= Self.maxJobsPerBeat {
            greeting = try await events(of: Set(missed), in: seen)
        } else {
            greeting.append(try ServerSentEvent(id: id(seen), name: .reset, [String: String]()))
        }
        greeting.append(try ServerSentEvent(id: id(seen), name: .summary, try await reader.summary()))
        greeting.append(try ServerSentEvent(id: id(seen), name: .workers, try await shownWorkers()))
        outlet.yield(ServerSentEvent.buffer(greeting))
        if isStopped { outlet.finish() }
        return stream
    }

    /// Signals whenever something about the job changed. The first signal comes at once.
    func changes(of job: JobID, for caller: StreamCaller) throws -> AsyncStream<Void> {
        let (stream, outlet) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = try register(caller)
        outlet.onTermination = { [weak self] _ in Task { await self?.close(number) } }
        jobStreams[number] = (job, outlet)
        outlet.yield()
        if isStopped { outlet.finish() }
        return stream
    }

    private func register(_ caller: StreamCaller) throws -> Int {
        guard openStreams < limits.streams else {
            throw Problem(
                .serviceUnavailable, "\(limits.streams) event streams are open; close some, or ask for pages instead",
                headers: [.retryAfter: "10"])
        }
        guard callers.values.count(where: { $0.key == caller.key }) < limits.streamsPerCaller else {
            throw Problem(
                .tooManyRequests,
                "you have \(limits.streamsPerCaller) event streams open; close some, or ask for pages instead",
                headers: [.retryAfter: "10"])
        }
        nextStream += 1
        callers[nextStream] = caller
        return nextStream
    }

    /// Ends the streams of tokens that were revoked or have expired.
    private func endRevoked() async {
        for token in Set(callers.values.compactMap(\.tokenID)) where await !isValid(token) {
            for (number, caller) in callers where caller.tokenID == token {
                clusterStreams[number]?.finish()
                jobStreams[number]?.outlet.finish()
            }
        }
    }

    private func close(_ number: Int) {
        callers[number] = nil
        clusterStreams[number] = nil
        jobStreams[number] = nil
    }

    // MARK: Beats

    func tick() async throws {
        let touched = await reader.engine.takeTouchedJobs()
        waiting.formUnion(touched)
        beat += 1
        let now = beat
        if now % Self.beatsBetweenChecks == 0 { await endRevoked() }
        for stream in jobStreams.values where touched.contains(stream.job) || now % Self.maxSilentBeats == 0 {
            stream.outlet.yield()
        }
        guard !clusterStreams.isEmpty else {
            remember(waiting, changedIn: now)
            waiting = []
            return
        }
        let jobs = waiting.count > Self.maxJobsPerBeat ? Set(waiting.prefix(Self.maxJobsPerBeat)) : waiting
        var events: [ServerSentEvent] = []
        if !jobs.isEmpty {
            events = try await self.events(of: jobs, in: now)
        }
        let summary = try ServerSentEvent(id: id(now), name: .summary, try await reader.summary())
        if summary.data != lastSummary { events.append(summary) }
        let workers = try ServerSentEvent(id: id(now), name: .workers, try await shownWorkers())
        if workers.data != lastWorkers { events.append(workers) }
        // After everything that may fail: the next beat then tells what this one could not.
        waiting.subtract(jobs)
        remember(jobs, changedIn: now)
        (lastSummary, lastWorkers) = (summary.data, workers.data)
        silentBeats = events.isEmpty ? silentBeats + 1 : 0
        guard !events.isEmpty || silentBeats % Self.maxSilentBeats == 0 else { return }
        let buffer = events.isEmpty ? ByteBuffer(string: ": alive\n\n") : ServerSentEvent.buffer(events)
        for outlet in clusterStreams.values {
            if case .dropped = outlet.yield(buffer) { outlet.finish() }
        }
    }

    private func shownWorkers() async throws -> WorkerList {
        WorkerList(workers: try await reader.workers(others: ClusterReader.departedShown))
    }

    /// How jobs are now, and which of them are gone.
    private func events(of jobs: Set<JobID>, in beat: Int) async throws -> [ServerSentEvent] {
        let (found, failed) = try await read(jobs)
        var events = try found.map { try ServerSentEvent(id: id(beat), name: .job, $0) }
        let gone = Set(jobs.subtracting(failed).map(\.description)).subtracting(found.map(\.id))
        if !gone.isEmpty {
            events.append(try ServerSentEvent(id: id(beat), name: .deleted, DeletedJobs(jobs: gone.sorted())))
        }
        return events
    }

    /// The existing ones of these jobs, and those that cannot be read: a damaged record must not stop the events of all
    /// others.
    /// - Throws: If the store does not answer for the moment.
    private func read(_ jobs: Set<JobID>) async throws -> (found: [JobSummary], failed: Set<JobID>) {
        func mayPass(_ error: any Error) -> Bool { error is CancellationError || JobStore.outage(error) != nil }
        do {
            return (try await reader.jobs(jobs), [])
        } catch  where !mayPass(error) {
            // One by one: some of them can be read.
        }
        var found: [JobSummary] = []
        var failed: Set<JobID> = []
        for job in jobs.sorted() {
            do {
                found += try await reader.jobs([job])
            } catch  where !mayPass(error) {
                failed.insert(job)
                guard unreadable.insert(job).inserted else { continue }
                logger.error(
                    "event streams leave out a job that cannot be read",
                    metadata: ["job": "\(job)", "error": "\(error)"])
            }
        }
        return (found, failed)
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

/// Who listens to an event stream.
struct StreamCaller: Sendable {
    /// The caller in limits.
    var key: String
    var tokenID: Int64?
}

extension CallerContext {
    var streamCaller: StreamCaller { StreamCaller(key: callerKey, tokenID: principal?.tokenID) }
}
