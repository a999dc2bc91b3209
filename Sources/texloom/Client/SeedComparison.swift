import Base
import Foundation
import Protocol
import TextureGAN

/// Jobs that differ only in the seed, side by side, and which of them is kept.
struct SeedComparison {
    let group: SeedGroup

    /// The columns that a narrow terminal drops first.
    private static let leastImportant = ["copying", "gram", "border", "scale", "checkerboard"]

    private var best: SeedJob? { group.jobs.first { $0.job.id == group.best } }

    /// The table, the faults, what to try, the kept job and why, and the jobs that are still to finish.
    /// - Parameter width: columns of the terminal, for the table; nil: as wide as it needs. Sentences are never cut.
    func lines(width: Int? = nil) -> [StyledText] {
        var lines = [
            StyledText(
                "\(group.resultName.printable): \(counted(group.jobs.count, "job")) that differ only in the seed",
                .bold)
        ]
        lines += table.lines(width: width)
        var advice: [String] = []
        for member in group.jobs {
            guard let verdict = member.verdict.map(QualityVerdict.parts) else { continue }
            lines.append(
                StyledText("  seed \(seed(member)): \(verdict.faults.joined(separator: "; "))".printable))
            advice += verdict.advice
        }
        advice = QualityVerdict.distinct(advice)
        if !advice.isEmpty { lines.append(StyledText("  to try: \(advice.joined(separator: "; "))".printable)) }
        lines += pending.map { StyledText("  \($0)") }
        if let choice { lines.append(StyledText("  \(choice)")) }
        return lines
    }

    private var table: TextTable {
        let columns = Set(group.jobs.flatMap(\.quality.keys)).sorted()
        let names = columns.map(QualityColumn.shortName)
        return TextTable(
            columns: [
                TextTable.Column(title: " "), TextTable.Column(title: "SEED", alignsRight: true),
                TextTable.Column(title: "JOB"), TextTable.Column(title: "STATE"),
                TextTable.Column(title: "SCORE", alignsRight: true),
            ]
                + names.map { name in
                    TextTable.Column(
                        title: name.printable.uppercased(), importance: Self.leastImportant.firstIndex(of: name) ?? 9,
                        alignsRight: true)
                },
            rows: group.jobs.map { member in
                let job = member.job
                return [
                    StyledText(job.id == group.best ? "*" : " "), StyledText(seed(member)),
                    StyledText(job.resultName.printable.fitted(to: 32)),
                    StyledText(job.state.rawValue, job.state.colour), StyledText(figure(member.score)),
                ] + columns.map { StyledText(figure(member.quality[$0])) }
            })
    }

    /// The kept job and why; nil while none has finished.
    var choice: String? {
        guard let best else { return nil }
        let others = group.jobs.filter { $0.job.state == .finished && $0.job.id != best.job.id }
        let reason: String
        if others.isEmpty {
            reason = "the only one that has finished"
        } else if let score = best.score {
            // The second by score.
            let next = others.min { ($0.score ?? .infinity) < ($1.score ?? .infinity) }!
            reason =
                switch next.score {
                case nil: "the only one that has figures"
                case score: "its score \(figure(score)) is as low as that of seed \(seed(next)), and it comes first"
                case .some(let second):
                    "its score \(figure(score)) is the lowest, before seed \(seed(next)) with \(figure(second))"
                }
        } else {
            reason = "none has figures, and it is the first"
        }
        return "kept: seed \(seed(best)) (\(best.job.resultName.printable)): \(reason)"
    }

    /// The unfinished jobs: which of them may still change the choice.
    var pending: [String] {
        var lines = group.jobs.compactMap { member -> String? in
            let (job, reason) = (member.job, member.job.reason.map { ": \($0.printable)" } ?? "")
            let share = job.shareDone.map { " (\(percent($0).trimmingCharacters(in: .whitespaces)))" } ?? ""
            switch job.state {
            case .finished: return nil
            case .running: return "seed \(seed(member)) is running\(share)"
            case .queued, .held, .waiting, .blocked: return "seed \(seed(member)) is \(job.state.rawValue)\(reason)"
            case .failed: return "seed \(seed(member)) failed\(reason)"
            case .cancelled: return "seed \(seed(member)) was cancelled\(reason)"
            }
        }
        if group.jobs.contains(where: { $0.job.state == .running || $0.job.state == .queued }) {
            lines.append("not all have ended: gather again when they have")
        }
        return lines
    }

    private func seed(_ member: SeedJob) -> String { member.seed.map(String.init) ?? "unknown" }

    private func figure(_ value: Float?) -> String { value.map { String(format: "%.3f", $0) } ?? "" }
}
