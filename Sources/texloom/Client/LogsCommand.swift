import ArgumentParser
import Foundation
import Protocol

struct LogsCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Prints a job's log.",
        discussion: """
            With --follow it survives a restart of the coordinator without losing or repeating a line, and exits with 1 \
            if the job is deleted. The fields of --json are those of the processes' own logs.
            """)

    @Argument(help: "The job's id or name.")
    var job: String

    @Flag(name: .shortAndLong, help: "Keep printing new lines until the job ends.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "Begin with the last so many lines. Default: all.")
    var lines: Int?

    @Option(
        help: ArgumentHelp(
            "Only what is not older: 90s, 15m, 6h, 2d, or a time like 2026-05-01T12:00:00Z.", valueName: "age"))
    var since: String?

    @Option(
        help: ArgumentHelp("Only this level and more severe ones: debug, info, warning or error.", valueName: "level"))
    var level: String?

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if let lines, lines < 0 { throw ValidationError("--lines \(lines): expected 0 or more") }
        _ = try filter(now: Date())
    }

    func run() async throws {
        let filter = try filter(now: Date())
        let api = try client.client()
        let found = try await api.job(job)
        let id = found.id
        let workers = try await api.get("/api/v1/jobs/\(id)", as: JobDetail.self).workersOfAttempts
        let (stored, position) = try await stored(id, api)
        let entries = stored.filter(filter.admits)
        for entry in entries.suffix(lines ?? entries.count) { say(line(entry, id, workers)) }
        guard follow else { return }
        let isThere = try await api.unlessGone {
            try await followLog(of: id, after: position, workers, filter, api)
        }
        guard isThere == true else { throw CommandFailure("\(found.resultName) was deleted") }
    }

    /// Prints new lines until the job ends.
    /// - Returns: Whether the job still exists.
    private func followLog(
        of id: String, after start: Int64, _ known: [Int: String], _ filter: LogFilter, _ api: APIClient
    ) async throws -> Bool {
        var (position, workers) = (start, known)
        var isAway = false
        // No measurement has a later iteration, so the stream carries the log alone.
        let stream = api.follow("/api/v1/jobs/\(id)/events", query: ["after": "\(position).\(Int.max)"])
        for try await followed in stream {
            guard case .event(let event) = followed else {
                if case .away(let failure) = followed, !isAway { complain("\(failure.message); looking again") }
                isAway = true
                continue
            }
            if isAway { complain("the coordinator is back") }
            isAway = false
            switch event.name {
            case .log:
                let page: LogPage = try event.decoded()
                if page.entries.contains(where: { $0.attempt > 0 && workers[$0.attempt] == nil }),
                    let detail = try? await api.get("/api/v1/jobs/\(id)", as: JobDetail.self)
                {
                    workers = detail.workersOfAttempts
                }
                for entry in page.entries where entry.id > position {
                    position = entry.id
                    if filter.admits(entry) { say(line(entry, id, workers)) }
                }
            // The event of a state comes after every line that was logged before the change.
            case .job: if try event.decoded(as: JobSummary.self).state.isSettled { return true }
            case .deleted: return false
            case .reset, .summary, .workers, .metrics, nil: break
            }
        }
        return true
    }

    /// All stored lines, and the position after them.
    private func stored(_ id: String, _ api: APIClient) async throws -> ([LogEntry], Int64) {
        var entries: [LogEntry] = []
        var page: LogPage
        repeat {
            page = try await api.get(
                "/api/v1/jobs/\(id)/logs", query: ["after": "\(entries.last?.id ?? 0)", "limit": "10000"])
            entries += page.entries
        } while page.next != nil
        return (entries, entries.last?.id ?? 0)
    }

    private func line(_ entry: LogEntry, _ id: String, _ workers: [Int: String]) -> String {
        var record = LogRecord(entry, job: id, workers: workers)
        if client.json { return record.json }
        // The log is of one job: its id would only repeat.
        record.fields["job"] = nil
        return record.human(paints: TerminalFeatures(descriptor: STDOUT_FILENO).hasColours)
    }

    func filter(now: Date) throws -> LogFilter {
        do {
            return try LogFilter(level: level, since: since, now: now)
        } catch let failure as CommandFailure {
            throw ValidationError(failure.message)
        }
    }
}

/// Which lines of a log to print.
struct LogFilter: Equatable {
    /// The least severe first.
    private static let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]

    private var least = 0
    private var earliest = Date.distantPast

    /// - Throws: `CommandFailure` naming the option, what was found and what is expected.
    init(level: String?, since: String?, now: Date) throws {
        if let level {
            guard let index = Self.levels.firstIndex(of: level) else {
                throw CommandFailure("--level '\(level)': expected one of \(Self.levels.joined(separator: ", "))")
            }
            least = index
        }
        if let since {
            if let seconds = ShortTime.seconds(in: since) {
                earliest = now.addingTimeInterval(-seconds)
            } else if let date = try? Date(since, strategy: .iso8601) {
                earliest = date
            } else {
                throw CommandFailure(
                    "--since '\(since)': expected 90s, 15m, 6h, 2d, or a time like 2026-05-01T12:00:00Z")
            }
        }
    }

    /// An unknown level is not hidden.
    func admits(_ entry: LogEntry) -> Bool {
        entry.at >= earliest && Self.levels.firstIndex(of: entry.level) ?? Self.levels.count >= least
    }
}

extension StreamEvent {
    /// - Throws: `CommandFailure` if the data does not fit the event's name.
    func decoded<Value: Decodable>(as type: Value.Type = Value.self) throws -> Value {
        do {
            return try APIFormat.decoder.decode(type, from: Data(data.utf8))
        } catch {
            let name = name?.rawValue ?? ""
            throw CommandFailure("an event '\(name)' of the coordinator is not as expected; is it of this version?")
        }
    }
}

/// A time as people write it: 90s, 15m, 6h, 2d.
enum ShortTime {
    private static let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86400]

    static func seconds(in text: String) -> Double? {
        guard let unit = text.last.flatMap({ units[$0] }), let count = Double(text.dropLast()), count.isFinite,
            count >= 0
        else { return nil }
        return count * unit
    }
}
