import ArgumentParser
import Base
import ClusterCore
import Foundation
import Protocol

/// Watches a whole cluster, or some of its jobs.
struct WatchedCluster {
    /// Jobs of each state except running: more than a screen shows.
    private static let jobsPerState = 50
    /// The time between two queries for what events do not carry.
    private static let lookInterval = Duration.seconds(5)
    /// Running jobs whose earlier losses are fetched.
    private static let maxHistories = 40

    let api: APIClient
    private let watchesAll: Bool
    /// The watched jobs, unless it watches all.
    private var chosen: [String]
    let features: TerminalFeatures
    let writesJSON: Bool

    private var picture = ClusterPicture()
    private var away: String?
    /// Whether events may be missing: at the start, and after the coordinator was away.
    private var needsLook = true
    private var lastLook = ContinuousClock.now - Self.lookInterval
    private var said: [String: String] = [:]
    /// The names of watched jobs that were deleted before they finished.
    private var deleted: [String] = []
    private var lookedUp: Set<String> = []

    init(api: APIClient, chosen: [String], features: TerminalFeatures, writesJSON: Bool) {
        self.api = api
        watchesAll = chosen.isEmpty
        self.chosen = chosen
        self.features = features
        self.writesJSON = writesJSON
        picture.isPart = !watchesAll
    }

    consuming func watch(draws: Bool, every interval: Double, forever: Bool) async throws {
        let (pictures, resized) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let screen = draws ? Screen(features) { resized.yield() } : nil
        defer { screen?.close() }
        var told = 0
        for try await signal in api.watch("/api/v1/events", pictures: pictures, every: interval) {
            switch signal {
            case .picture:
                picture.prune()
                if let screen { screen.draw(lines(screen.size)) }
            case .followed(.away(let failure)): lose(failure, isDrawn: draws)
            case .followed(.event(let event)):
                if away != nil, !draws { complain("the coordinator is back") }
                away = nil
                let changed = try take(event)
                if !draws, let changed { report(changed) }
            }
            if needsLook, away == nil, ContinuousClock.now - lastLook >= Self.lookInterval {
                do {
                    try await look(draws: draws)
                } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
                    lose(failure, isDrawn: draws)
                }
            }
            if !draws {
                for name in deleted[told...] { complain("\(name) was deleted") }
                told = deleted.count
            }
            if !forever, !needsLook, let unfinished {
                if let screen {
                    screen.close(leaving: lines(screen.size))
                    for name in deleted { complain("\(name) was deleted") }
                }
                guard unfinished > 0 else {
                    if !deleted.isEmpty { throw ExitCode(CommandExit.failed.rawValue) }
                    if total == 0, !writesJSON { say("no jobs; --forever waits for some") }
                    return
                }
                throw CommandFailure(
                    "\(unfinished) of \(counted(total, "job")) did not finish; 'texloom show JOB' says why")
            }
        }
    }

    // MARK: Knowledge

    /// - Returns: the job that the event is about, if it is watched.
    private mutating func take(_ event: StreamEvent) throws -> JobSummary? {
        switch event.name {
        // The coordinator does not know which events this stream has missed.
        case .reset:
            needsLook = true
            lastLook = ContinuousClock.now - Self.lookInterval
        case .summary:
            let summary: ClusterSummary = try event.decoded()
            picture.summary = summary
            if watchesAll, JobState.allCases.contains(where: { disagrees(summary, on: $0) }) { needsLook = true }
        case .workers: picture.workers = try event.decoded(as: WorkerList.self).workers
        case .job:
            let job: JobSummary = try event.decoded()
            guard watchesAll || chosen.contains(job.id) else { return nil }
            picture.put(job)
            return job
        case .deleted:
            forget(Set(try event.decoded(as: DeletedJobs.self).jobs))
            needsLook = true
        case .metrics, .log, nil: break
        }
        return nil
    }

    /// Watches deleted jobs no longer.
    private mutating func forget(_ gone: Set<String>) {
        let known = Dictionary(picture.jobs.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for id in chosen where gone.contains(id) && known[id]?.state != .finished {
            deleted.append(known[id]?.resultName ?? id)
        }
        chosen.removeAll(where: gone.contains)
    }

    /// Whether jobs that belong on the screen are unknown, for example because the queue has advanced, or jobs that have
    /// ended still count as open.
    private func disagrees(_ summary: ClusterSummary, on state: JobState) -> Bool {
        let (known, told) = (picture.jobs(in: state).count, summary.count(state))
        return known < min(Self.jobsPerState / 2, told) || !state.isSettled && known > told
    }

    /// Fetches the interesting jobs, not all of perhaps ten thousand.
    private mutating func look(draws: Bool) async throws {
        lastLook = .now
        var found: [JobSummary] = []
        if watchesAll {
            for state in JobState.allCases {
                let order: JobOrder = state == .queued ? .priority : state.isSettled ? .ended : .newest
                let limit = state == .running ? nil : Self.jobsPerState
                found += try await api.jobs(JobFilter(state: state, sort: order, limit: limit))
            }
        } else {
            for id in chosen {
                if let job = try await api.job(id: id) { found.append(job) }
            }
            // The event of a deletion is lost if the coordinator was away.
            forget(Set(chosen).subtracting(found.map(\.id)))
        }
        if picture.summary == nil { picture.summary = try await api.get("/api/v1/summary") }
        picture.forgetJobs()
        for job in found { picture.put(job) }
        needsLook = false
        guard draws else {
            for job in picture.jobs { report(job) }
            return
        }
        for job in found.filter({ $0.state == .running }).prefix(Self.maxHistories)
        where lookedUp.insert(job.id).inserted {
            guard let history = try await api.unlessGone({ try await api.history(of: job.id) }) else { continue }
            picture.put(history, of: job.id)
        }
    }

    private mutating func lose(_ failure: CommandFailure, isDrawn: Bool) {
        if away == nil, !isDrawn { complain("\(failure.message); looking again") }
        away = "\(failure.message); looking again"
    }

    // MARK: The end

    /// How many jobs ended without finishing; nil until all have ended.
    private var unfinished: Int? {
        // A job whose end is unknown is still to be reported.
        let open = JobState.allCases.filter { !$0.isSettled }
            .map { watchesAll ? picture.count($0) : count($0) }.reduce(0, +)
        return open > 0 ? nil : total - count(.finished)
    }

    private var total: Int { JobState.allCases.map(count).reduce(0, +) }

    private func count(_ state: JobState) -> Int {
        watchesAll ? picture.summary?.count(state) ?? 0 : picture.jobs(in: state).count
    }

    // MARK: Output

    private func lines(_ size: (columns: Int, rows: Int)) -> [StyledText] {
        ClusterView(columns: size.columns, rows: size.rows, isUnicode: features.isUnicode, away: away).lines(picture)
    }

    /// A line for each job whose state changed or that advanced by a twentieth.
    private mutating func report(_ job: JobSummary) {
        let twentieth = job.shareDone.map { Int(min(max($0, 0), 1) * 20) } ?? 0
        let mark = "\(job.state.rawValue) \(twentieth) \(job.attempt)"
        guard said.updateValue(mark, forKey: job.id) != mark else { return }
        if writesJSON {
            say((try? APIFormat.encoder.encode(job)).map(terminalSafe) ?? "")
        } else {
            let parts = [
                job.shareDone.map { job.iterationsDone ?? percent($0) } ?? "", JobTable.speed(job),
                JobTable.losses(job), job.timeLeft.map { job.isFinishing ? $0 : "\($0) left" } ?? "",
            ].filter { !$0.isEmpty }
            let reason = job.reason.map { " (\($0.printable))" } ?? ""
            say(
                "\(job.resultName.printable): \(job.state.rawValue)\(reason)"
                    + (parts.isEmpty ? "" : " " + parts.joined(separator: ", ")))
        }
    }
}
