import Base
import ClusterCore
import Foundation
import Protocol

/// A cluster as lines for a terminal.
struct ClusterView {
    var columns: Int
    var rows: Int
    var isUnicode: Bool
    /// Why no news arrives; nil while it does.
    var away: String?

    /// The most interesting jobs first: running, failed, waiting, finished.
    private static let sections: [[JobState]] = [
        [.running], [.held, .failed, .blocked], [.queued, .waiting], [.finished, .cancelled],
    ]

    func lines(_ picture: ClusterPicture) -> [StyledText] {
        var lines = header(picture)
        let workers = self.workers(picture.workers)
        // However many workers there are, the jobs keep most of the screen.
        let room = max(1, rows - lines.count)
        let shownWorkers = min(workers.count, max(0, room / 4))
        if shownWorkers > 1 {
            lines += workers.prefix(shownWorkers)
            if shownWorkers < workers.count {
                lines[lines.count - 1] = StyledText("... and \(workers.count - shownWorkers + 1) more workers", .faint)
            }
            lines.append(StyledText())
        }
        return lines + jobs(picture, room: max(1, rows - lines.count))
    }

    private func header(_ picture: ClusterPicture) -> [StyledText] {
        guard let summary = picture.summary else { return [StyledText(away ?? "asking the coordinator", .yellow)] }
        let numbers = JobState.allCases.map { (state: $0, count: picture.count($0)) }
        let counts = numbers.filter { $0.count > 0 }
            .map { StyledText("\($0.count) \($0.state.rawValue)", $0.state.colour) }
        let total = numbers.reduce(0) { $0 + $1.count }
        let ended = numbers.filter(\.state.isSettled).reduce(0) { $0 + $1.count }
        var lines = [
            StyledText("\(counted(summary.workersConnected, "worker")), \(counted(summary.slots, "slot"))", .bold)
                // No training has this speed, so it stays in it/s, as on the dashboard's overview.
                + StyledText(String(format: ", %.2f it/s   ", summary.iterationsPerSecond))
                + (counts.isEmpty ? StyledText("no jobs") : counts.joined(separator: ", "))
        ]
        if total > 0 {
            let time = summary.queueSeconds.map { $0 < 1 ? "finishing" : "\(Readable.duration($0)) left" }
            // The estimate is for the whole queue.
            let left = ended == total || picture.isPart ? "" : ", " + (time ?? "time left not known")
            let text = " \(ended) of \(total) ended\(left)"
            let bar = progressBar(
                Double(ended) / Double(total), width: max(4, min(40, columns - text.columns)), unicode: isUnicode)
            lines.append(StyledText(bar) + StyledText(text))
        }
        if let away { lines.append(StyledText(away, .yellow)) }
        return lines + [StyledText()]
    }

    private func workers(_ workers: [WorkerSummary]) -> [StyledText] {
        let now = Date()
        return TextTable(
            columns: [
                TextTable.Column(title: "WORKER"), TextTable.Column(title: "JOBS", importance: 9, alignsRight: true),
                TextTable.Column(title: "SPEED", importance: 8, alignsRight: true),
                TextTable.Column(title: "", importance: 7), TextTable.Column(title: "CPU", importance: 1),
            ],
            rows: workers.map { worker in
                [
                    StyledText(worker.name.printable.fitted(to: 32)),
                    StyledText("\(worker.jobs.count)/\(worker.slots)"),
                    StyledText(
                        worker.iterationsPerSecond > 0 ? Readable.speed(worker.iterationsPerSecond) : ""),
                    worker.isConnected
                        ? StyledText(worker.isDraining ? "draining" : "", .yellow)
                        : StyledText("gone since \(Readable.duration(now.timeIntervalSince(worker.lastSeenAt)))", .red),
                    StyledText(worker.cpu.printable, .faint),
                ]
            }
        ).lines(width: columns)
    }

    private func jobs(_ picture: ClusterPicture, room: Int) -> [StyledText] {
        let sections = Self.sections.map { states in states.flatMap { picture.jobs(in: $0) } }
        let totals = Self.sections.map { states in states.map(picture.count).reduce(0, +) }
        guard totals.contains(where: { $0 > 0 }) else { return [] }
        // One line of titles, and one with the number of jobs that are not shown.
        let quotas = Self.share(room - 2, among: sections.map(\.count))
        let shown = zip(sections, quotas).map { Array($0.prefix($1)) }
        let table = JobTable(isUnicode: isUnicode, histories: picture.histories).table(
            shown.flatMap { $0 }, showsIDs: false)
        let hidden = zip(
            zip(totals, shown), ["running", "held, failed or blocked", "queued or waiting", "finished or cancelled"]
        )
        .filter { $0.0.0 > $0.0.1.count }.map { "\($0.0.0 - $0.0.1.count) \($0.1)" }
        return table.lines(width: columns)
            + (hidden.isEmpty ? [] : [StyledText("... and \(hidden.joined(separator: ", "))", .faint)])
    }

    /// Lines for each section: first three for each, so that none hides another, then the rest in order.
    static func share(_ room: Int, among counts: [Int]) -> [Int] {
        var left = max(0, room)
        var shares = counts.map { _ in 0 }
        for least in [1, 3, Int.max] {
            for (index, count) in counts.enumerated() {
                let more = min(left, max(0, min(count, least) - shares[index]))
                shares[index] += more
                left -= more
            }
        }
        return shares
    }
}
