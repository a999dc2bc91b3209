import Foundation
import OperatingSystem
import TextureGAN

/// Takes the reports of a `texloom train`: files go into the folder, rows to the metrics, lines to the log.
final class TrainingReports {
    private let folder: ResultFolder
    private let progress: TrainingProgress
    private let log: ResultLog
    private let json: Bool
    private let threads: Int
    private let isTimeExpected: Bool
    private var metrics: ResultMetrics
    private var events: ResultEvents
    private var iteration = 0
    /// Failures that were reported: a full disk is reported once and does not stop the training.
    private var reported: Set<String> = []
    /// Why the run has to stop.
    private(set) var failure: (any Error)?

    /// - Parameter expected: how long the whole training will take; nil: unknown, and not printed.
    /// - Throws: `CommandFailure` if the log cannot be opened.
    init(to folder: ResultFolder, recipe: Recipe, expected: TrainingTime?, threads: Int, json: Bool) throws {
        self.folder = folder
        self.json = json
        self.threads = threads
        isTimeExpected = expected != nil
        progress = TrainingProgress(recipe, expected: expected, quiet: json)
        let log = try folder.openLog()
        self.log = log
        metrics = ResultMetrics(of: folder)
        events = ResultEvents(of: folder) { message in
            try? log.write(LogRecord(time: Date(), level: "warning", process: "train", message: message))
            complain(message)
        }
    }

    /// The last iteration whose row is in metrics.jsonl.
    var lastMeasured: Int { metrics.lastIteration }

    func take(_ report: TrainingRun.Report) {
        guard failure == nil else { return }
        switch report {
        case .started(let iteration, _):
            self.iteration = iteration
            attempt { try metrics.resume(from: iteration) }
            events.resume(from: iteration)
            if iteration > 0 { events.catchUp(to: iteration) }
            if isTimeExpected {
                let time = progress.remaining(after: iteration).expected(TrainingTime.place(threads: threads))
                take(.log(level: .info, message: time.text))
            }
        case .iterated(let iteration, let seconds):
            self.iteration = iteration
            progress.iterated(iteration, seconds: seconds)
        case .metrics(let columns, let rows):
            let entries = rows.map {
                ResultFolder.Row(iteration: $0.iteration, unixSeconds: $0.unixSeconds, columns, $0.values)
            }
            attempt { try metrics.add(entries) }
            events.add(entries)
            if json { for entry in entries { say(entry.line) } }
            progress.measured(columns, rows.last?.values ?? [])
        case .artifact(let kind, let iteration, let file):
            do {
                try folder.take(kind, iteration: iteration, file: file)
                if kind == .snapshot { progress.tookSnapshot() }
                if kind == .snapshot { events.addSnapshot(iteration, at: Date()) }
            } catch {
                failure = error
            }
        case .log(let level, let message):
            attempt {
                try log.write(
                    LogRecord(
                        time: Date(), level: level.rawValue, process: "train", message: message,
                        fields: ["iteration": .integer(Int64(iteration))]))
            }
            // The message may quote the exemplar's file.
            if !json { say(message.printable) }
        }
    }

    /// The run has ended, or stopped.
    func end() {
        attempt { try metrics.draw() }
        progress.end()
    }

    private func attempt(_ write: () throws -> Void) {
        do {
            try write()
        } catch {
            let message = (error as? CommandFailure)?.message ?? error.systemReason
            if reported.insert(message).inserted { complain("\(message); training continues without it") }
        }
    }
}
