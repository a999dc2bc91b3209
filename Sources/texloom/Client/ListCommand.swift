import ArgumentParser
import Foundation
import Protocol

struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists jobs, newest first.")

    @Option(help: "Only jobs in this state: \(JobState.allCases.map(\.rawValue).joined(separator: ", ")).")
    var state: JobState?

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let jobs = try await client.client().jobs(state: state)
        if client.json {
            say(String(decoding: try APIFormat.encoder.encode(jobs), as: UTF8.self))
            return
        }
        if jobs.isEmpty { return say("no jobs") }
        for line in JobTable.lines(jobs) { say(line) }
    }
}

extension JobState: ExpressibleByArgument {}

/// Jobs as aligned text.
enum JobTable {
    static func lines(_ jobs: [JobSummary]) -> [String] {
        columns(
            [["ID", "NAME", "STATE", "PROGRESS", "SPEED", "LEFT", "LOSSES", "WORKER"]]
                + jobs.map { job in
                    [
                        job.id, String(job.resultName.prefix(28)), job.state.rawValue, progress(job), speed(job),
                        job.etaSeconds.map(duration) ?? "", losses(job), job.worker ?? "",
                    ]
                })
    }

    static func progress(_ job: JobSummary) -> String {
        guard job.totalIterations > 0 else { return "" }
        let share = Double(job.iteration) / Double(job.totalIterations)
        return "\(progressBar(share, width: 10)) \(job.iteration)/\(job.totalIterations)"
    }

    static func speed(_ job: JobSummary) -> String {
        guard job.state == .running, let seconds = job.secondsPerIteration, seconds > 0 else { return "" }
        return seconds < 1 ? String(format: "%.1f it/s", 1 / seconds) : String(format: "%.2f s/it", seconds)
    }

    static func losses(_ job: JobSummary) -> String {
        [("l1", "l1"), ("style", "style"), ("adversarial", "adv")].compactMap { key, label in
            job.lossLatest[key].map { "\(label) \(String(format: "%.3g", $0))" }
        }.joined(separator: " ")
    }

    /// Pads every column to its widest cell; empty columns are left out.
    static func columns(_ rows: [[String]]) -> [String] {
        let count = rows.map(\.count).max() ?? 0
        let used = (0..<count).filter { column in rows.dropFirst().contains { $0[column] != "" } }
        let widths = used.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(used, widths).map { column, width in
                row[column] + String(repeating: " ", count: width - row[column].count)
            }.joined(separator: "  ").replacing(/\s+$/, with: "")
        }
    }
}
