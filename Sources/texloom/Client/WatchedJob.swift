import Foundation
import Protocol

/// Watches one job on a terminal.
struct WatchedJob {
    /// More lines than a screen has.
    private static let maxLogLines = 200

    let api: APIClient
    let id: String
    let features: TerminalFeatures

    private var detail: JobDetail?
    private var history = LossHistory()
    private var log: [LogRecord] = []
    private var away: String?
    /// Whether the attempts may have changed since they were last fetched.
    private var needsDetail = true

    init(api: APIClient, id: String, features: TerminalFeatures) {
        self.api = api
        self.id = id
        self.features = features
    }

    consuming func watch(every interval: Double, forever: Bool) async throws {
        let (pictures, resized) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let screen = Screen(features) { resized.yield() }
        defer { screen.close() }
        // A job that was deleted while the coordinator was away has no stream that says so.
        let ended = try await api.unlessGone { try await follow(screen, pictures, every: interval, forever: forever) }
        screen.close(leaving: lines(screen.size))
        guard let job = ended ?? nil else { throw CommandFailure("\(detail?.job.resultName ?? id) was deleted") }
        guard job.state != .finished else { return }
        throw CommandFailure("\(job.resultName) did not finish; 'texloom logs \(job.id)' says why")
    }

    /// Follows the job to its end.
    /// - Returns: The job that has ended; nil if it was deleted.
    private mutating func follow(
        _ screen: Screen, _ pictures: AsyncStream<Void>, every interval: Double, forever: Bool
    ) async throws -> JobSummary? {
        for try await signal in api.watch("/api/v1/jobs/\(id)/events", pictures: pictures, every: interval) {
            switch signal {
            case .picture: screen.draw(lines(screen.size))
            case .followed(.away(let failure)): away = "\(failure.message); looking again"
            case .followed(.event(let event)):
                away = nil
                try take(event)
                if event.name == .deleted { return nil }
            }
            if needsDetail, away == nil {
                do {
                    detail = try await api.get("/api/v1/jobs/\(id)", as: JobDetail.self)
                    needsDetail = false
                } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
                    away = "\(failure.message); looking again"
                }
            }
            if !forever, !needsDetail, case .followed(.event(let event)) = signal, event.name == .job,
                let job = detail?.job, job.state.isSettled
            {
                return job
            }
        }
        return nil
    }

    private mutating func take(_ event: StreamEvent) throws {
        switch event.name {
        case .metrics:
            for row in try event.decoded(as: MetricsPage.self).rows {
                history.add(iteration: row.iteration, row.values)
            }
        case .log:
            let workers = detail?.workersOfAttempts ?? [:]
            log += try event.decoded(as: LogPage.self).entries.map { entry in
                var record = LogRecord(entry, job: id, workers: workers)
                // The screen shows one job.
                record.fields["job"] = nil
                return record
            }
            log.removeFirst(max(0, log.count - Self.maxLogLines))
        case .job:
            let job: JobSummary = try event.decoded()
            if job.attempt != detail?.job.attempt || job.state != detail?.job.state { needsDetail = true }
            detail?.job = job
            if job.state == .running, let last = detail?.attempts.indices.last {
                detail?.attempts[last].iteration = job.iteration
            }
        case .reset, .summary, .workers, .deleted, nil: break
        }
    }

    private func lines(_ size: (columns: Int, rows: Int)) -> [StyledText] {
        guard let detail else { return [StyledText(away ?? "asking the coordinator", .yellow)] }
        return JobScreen(columns: size.columns, isUnicode: features.isUnicode)
            .screen(detail, history, log: log, rows: size.rows, away: away)
    }
}
