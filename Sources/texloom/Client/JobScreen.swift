import Base
import Foundation
import Protocol

/// One job as lines for a terminal or a file.
struct JobScreen {
    var columns: Int
    var isUnicode: Bool

    /// The terms that people look at first; the others follow in the order of their names.
    private static let firstTerms = ["l1", "style", "adversarial", "discriminator_fake", "discriminator_real"]
    private static let labelWidth = 10

    func header(_ detail: JobDetail) -> [StyledText] {
        let job = detail.job
        var lines = [
            StyledText(job.resultName.printable, .bold)
                + StyledText("  \(job.id), \(job.fileName.printable), \(Self.work(job))", .faint)
        ]
        let reason = job.reason.map { ": \($0.printable)" } ?? ""
        let worker = job.state == .running ? job.worker.map { " on \($0.printable), attempt \(job.attempt)" } ?? "" : ""
        lines.append(labelled("state", StyledText(job.state.rawValue, job.state.colour) + StyledText(worker + reason)))
        if let after = detail.after { lines.append(labelled("after", Self.links(after))) }
        if let followers = detail.followers { lines.append(labelled("then", Self.links(followers))) }
        if let share = job.shareDone {
            let text = " \(percent(share))" + (job.iterationsDone.map { "  " + $0 } ?? "")
            let width = max(4, min(50, columns - Self.labelWidth - 4 - text.columns))
            lines.append(labelled("progress", StyledText(progressBar(share, width: width, unicode: isUnicode) + text)))
        }
        let speed = JobTable.speed(job)
        if !speed.isEmpty { lines.append(labelled("speed", StyledText(speed))) }
        if let left = job.timeLeft { lines.append(labelled("left", StyledText(left))) }
        if job.priority != 0 { lines.append(labelled("priority", StyledText("\(job.priority)"))) }
        lines.append(labelled("submitted", StyledText(job.submittedAt.formatted(.iso8601))))
        if let end = job.finishedAt { lines.append(labelled("ended", StyledText(end.formatted(.iso8601)))) }
        if let seconds = detail.trainingSeconds {
            lines.append(labelled(job.isTraining ? "trained" : "took", StyledText(Readable.duration(seconds))))
        }
        if let verdict = detail.reportJSON.flatMap(TrainingReport.init)?.verdict {
            lines.append(labelled("verdict", StyledText(verdict.printable)))
        }
        return lines
    }

    private static func work(_ job: JobSummary) -> String {
        let kind = job.kind ?? .train
        return (kind == .train ? "recipe \(job.recipe)" : "\(kind) \(job.recipe)").printable
    }

    private static func links(_ jobs: [JobLink]) -> StyledText {
        let parts = jobs.enumerated().map { index, job in
            StyledText((index > 0 ? ", " : "") + "\(job.resultName.printable) (\(job.id)) ")
                + StyledText(job.state.rawValue, job.state.colour)
        }
        return parts.reduce(StyledText()) { $0 + $1 }
    }

    private func labelled(_ label: String, _ text: StyledText) -> StyledText {
        StyledText("  " + label.padding(toLength: Self.labelWidth, withPad: " ", startingAt: 0) + " ", .faint) + text
    }

    /// A line for each measured term: its newest value and its course over the run.
    /// - Parameter isQuality: whether to show the quality figures, or all other terms.
    func terms(_ history: LossHistory, latest: [String: Float], isQuality: Bool) -> [StyledText] {
        let all = history.names.union(latest.keys).filter { QualityColumn.isQuality($0) == isQuality }
        let names = Self.firstTerms.filter(all.contains) + all.subtracting(Self.firstTerms).sorted()
        let labels = names.map { (isQuality ? QualityColumn.shortName($0) : $0).printable }
        let labelWidth = labels.map(\.columns).max() ?? 0
        let sparkWidth = max(4, min(60, columns - labelWidth - 2 - 12 - 4))
        return zip(names, labels).map { name, label in
            let values = history.values(name)
            let newest = latest[name].map(Double.init) ?? values.last
            return StyledText("  " + label).padded(to: labelWidth + 2)
                + StyledText(newest.map { String(format: "%.4g", $0) } ?? "").padded(to: 12, left: true)
                + StyledText("  " + Sparkline.text(values, width: sparkWidth, unicode: isUnicode), .cyan)
        }
    }

    func attempts(_ attempts: [AttemptSummary], isTraining: Bool) -> [StyledText] {
        attempts.map { attempt in
            let outcome = attempt.outcome ?? "running"
            let colour: TextColour? =
                switch outcome {
                case "failed", "stalled": .red
                case "lost", "cancelled": .yellow
                case "running": .green
                default: nil
                }
            let span = (attempt.endedAt ?? Date()).timeIntervalSince(attempt.startedAt)
            return StyledText("  \(attempt.number)  ") + StyledText(outcome.printable, colour)
                + StyledText(
                    (isTraining ? ", iterations \(attempt.startIteration) to \(attempt.iteration)" : "")
                        + ", on \(attempt.worker.printable), " + Readable.duration(max(0, span))
                        + (attempt.reason.map { ": \($0.printable)" } ?? ""))
        }
    }

    func files(_ artifacts: [ArtifactSummary], of detail: JobDetail) -> [StyledText] {
        let snapshots = artifacts.filter { $0.role == .snapshot }
        let others = artifacts.filter { $0.role != .snapshot }.map { artifact in
            // The others have an iteration instead.
            let isNumbered = [.picture, .material, .map].contains(artifact.role)
            let map = artifact.role == .map ? artifact.map(in: detail.maps) : nil
            let number = map?.map.printable ?? "\(artifact.number)"
            return [
                StyledText("  " + artifact.role.rawValue + (isNumbered ? " \(number)" : "")),
                StyledText(isNumbered || !detail.job.isTraining ? "" : "iteration \(artifact.iteration)"),
                StyledText(Readable.bytes(artifact.sizeBytes)), StyledText(artifact.sha256, .faint),
            ]
        }
        let columns = [0, 1, 2, 3].map { TextTable.Column(title: "", alignsRight: $0 == 2) }
        // The first line has the titles, which are empty.
        var lines = others.isEmpty ? [] : Array(TextTable(columns: columns, rows: others).lines().dropFirst())
        if let last = snapshots.last {
            let sum = Readable.bytes(snapshots.map(\.sizeBytes).reduce(0, +))
            let number = counted(snapshots.count, detail.job.isTraining ? "snapshot" : "preview")
            let place = detail.job.isTraining ? ", the last at iteration \(last.iteration)" : ""
            lines.append(StyledText("  \(number), \(sum)\(place)"))
        }
        return lines
    }

    /// The whole screen of a watched job.
    /// - Parameter log: oldest first.
    func screen(
        _ detail: JobDetail, _ history: LossHistory, log: [LogRecord], rows: Int, away: String?
    ) -> [StyledText] {
        var lines = header(detail)
        if let away { lines.append(StyledText(away, .yellow)) }
        let losses = terms(history, latest: detail.job.lossLatest, isQuality: false)
        let qualities = terms(history, latest: detail.job.lossLatest, isQuality: true)
        let attempts = Array(self.attempts(detail.attempts, isTraining: detail.job.isTraining).suffix(3))
        // The log gets a third of the screen, and the lines that the other parts leave.
        var left = rows - lines.count - attempts.count - 1 - max(0, rows / 3)
        for (title, part) in [("measured", losses), ("quality", qualities)] where !part.isEmpty && left > 2 {
            let shown = part.prefix(left - 2)
            lines += [StyledText(), StyledText(title, .bold)] + shown
            left -= shown.count + 2
        }
        if !attempts.isEmpty { lines += [StyledText(), StyledText("attempts", .bold)] + attempts }
        let room = rows - lines.count - 2
        if room > 0, !log.isEmpty {
            lines += [StyledText(), StyledText("log", .bold)] + log.suffix(room).map(\.styled)
        }
        return lines
    }
}
