import ArgumentParser
import Base
import ClusterCore
import Foundation
import Protocol

struct ListCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists jobs, newest first.")

    @Option(help: "Only jobs in this state: \(JobState.allCases.map(\.rawValue).joined(separator: ", ")).")
    var state: JobState?

    @Option(help: "Only jobs with this in their name or their result's name.")
    var name: String?

    @Option(help: "Only jobs of this recipe.")
    var recipe: String?

    @OptionGroup var filter: FilterOptions

    @Option(help: "The order: \(JobOrder.allCases.map(\.rawValue).joined(separator: ", ")). Default: newest.")
    var sort: JobOrder?

    @Option(name: .shortAndLong, help: "At most so many jobs. Default: all.")
    var limit: Int?

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit \(limit): expected 1 or more") }
    }

    func run() async throws {
        let query = JobFilter(
            state: state, name: name, recipe: recipe, sort: sort, limit: limit, tags: try filter.tags())
        let jobs = try await client.client().jobs(query)
        if client.json {
            say(terminalSafe(json: try APIFormat.encoder.encode(jobs)))
            return
        }
        if jobs.isEmpty {
            let isPart = state != nil || name != nil || recipe != nil || !filter.isEmpty
            return say(isPart ? "no job matches" : "no jobs")
        }
        let features = TerminalFeatures(descriptor: STDOUT_FILENO)
        let table = JobTable(isUnicode: features.isUnicode || !features.isTerminal).table(jobs, showsIDs: true)
        for line in table.lines(width: terminalSize(STDOUT_FILENO)?.columns) {
            say(line.text(paints: features.hasColours))
        }
    }
}

extension JobState: ExpressibleByArgument {}
extension JobOrder: ExpressibleByArgument {}

/// Jobs as a table.
struct JobTable {
    var isUnicode: Bool
    /// Earlier losses by job; without them the table shows the newest values.
    var histories: [String: LossHistory]?

    /// - Parameter showsIDs: whether the ids stay in a narrow terminal.
    func table(_ jobs: [JobSummary], showsIDs: Bool) -> TextTable {
        TextTable(
            columns: [
                TextTable.Column(title: "ID", importance: showsIDs ? nil : 1), TextTable.Column(title: "NAME"),
                TextTable.Column(title: "STATE", importance: 9), TextTable.Column(title: "PROGRESS"),
                TextTable.Column(title: "ITERATION", importance: 4, alignsRight: true),
                TextTable.Column(title: "SPEED", importance: 6, alignsRight: true),
                TextTable.Column(title: "LEFT", importance: 8), TextTable.Column(title: "LOSS", importance: 5),
                TextTable.Column(title: "NOW", importance: 3), TextTable.Column(title: "WORKER", importance: 7),
            ],
            rows: jobs.map { job in
                [
                    StyledText(job.id, .faint), StyledText(job.resultName.printable.fitted(to: 28)),
                    StyledText(job.state.rawValue, job.state.colour), StyledText(progress(job)),
                    StyledText(job.shareDone.flatMap { _ in job.iterationsDone } ?? ""),
                    StyledText(Self.speed(job)), StyledText(job.timeLeft ?? ""),
                    StyledText(
                        histories?[job.id].map {
                            Sparkline.text($0.values("l1"), width: 16, unicode: isUnicode)
                        } ?? "", .cyan),
                    StyledText(Self.losses(job)), StyledText(job.worker?.printable.fitted(to: 24) ?? "", .faint),
                ]
            })
    }

    func progress(_ job: JobSummary) -> String {
        guard let share = job.shareDone else { return "" }
        return "\(progressBar(share, width: 10, unicode: isUnicode)) \(percent(share))"
    }

    static func speed(_ job: JobSummary) -> String {
        guard job.state == .running, job.isTraining, let seconds = job.secondsPerIteration, seconds > 0 else {
            return ""
        }
        return Readable.speed(1 / seconds)
    }

    static func losses(_ job: JobSummary) -> String {
        [("l1", "l1"), ("style", "style"), ("adversarial", "adv")].compactMap { key, label in
            job.lossLatest[key].map { "\(label) \(String(format: "%.3g", $0))" }
        }.joined(separator: " ")
    }
}

extension JobSummary {
    /// The share of iterations done; nil while their number is unknown. Below 1 until the job has finished: the last
    /// snapshot and the upload come after the last iteration.
    var shareDone: Double? {
        guard totalIterations > 0 else { return nil }
        let share = Double(iteration) / Double(totalIterations)
        return state == .finished ? share : min(share, 0.999)
    }

    /// The remaining time; nil while it is unknown.
    var timeLeft: String? {
        isFinishing ? "finishing" : etaSeconds.map(Readable.duration)
    }
}

extension JobState {
    var colour: TextColour? {
        switch self {
        case .running: .green
        case .failed, .held, .blocked: .red
        case .cancelled: .yellow
        case .queued, .waiting: .faint
        case .finished: nil
        }
    }
}

/// Whole per cent, rounded down: only a finished job has 100 %.
func percent(_ share: Double) -> String {
    share.isNaN ? "" : String(format: "%3d%%", Readable.wholePercent(share))
}
