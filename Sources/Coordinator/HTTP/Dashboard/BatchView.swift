import Base
import ClusterCore
import Foundation
import Protocol

/// What the pages show of a batch.
enum BatchView {
    static func progress(of batch: BatchSummary) -> [String: Any] {
        let isOpen = batch.endedAt == nil
        let share = batch.shareDone
        return [
            "batch": Readable.plain(batch.name), "all": counted(batch.total, "job"),
            "share": Int(share * 1000), "percent": Readable.unbroken("\(Readable.wholePercent(share)) %"),
            "left": isOpen ? batch.secondsLeft.map { "about \(Readable.duration($0)) left" } ?? "" : "",
            "counts": JobState.allCases.filter { batch.count($0) > 0 }.map {
                ["state": $0.rawValue, "count": batch.count($0)] as [String: Any]
            },
        ]
    }

    /// Every card needs every key: otherwise a template would find the key of the page.
    /// - Parameter keys: Of the labels that the card shows.
    static func card(_ job: JobSummary, labels keys: Set<String>) -> [String: Any] {
        let labels = JobTags.texts(ofLabels: (job.labels ?? [:]).filter { keys.contains($0.key) })
        return Item.job(job).merging([
            "isExemplar": job.latestSnapshot == nil,
            "moves": job.totalIterations > 0 && !job.state.isSettled,
            "total": max(job.totalIterations, 1), "iteration": min(job.iteration, job.totalIterations),
            "hasLabels": !labels.isEmpty, "labels": Readable.plain(labels.joined(separator: " · ")),
            "hasReason": job.reason != nil, "reason": Readable.plain(job.reason ?? ""),
        ]) { $1 }
    }

    static func menu(_ key: String, _ values: [String], chosen: String?) -> [String: Any] {
        [
            "key": key,
            "values": values.map { value in
                [
                    "value": Readable.plain(value), "label": "\(key)=\(value)", "isChosen": value == chosen,
                ] as [String: Any]
            },
        ]
    }

    /// The query of an action on the jobs that are shown, with its question mark; empty for the whole batch.
    static func filter(_ query: JobQuery) -> String {
        var components = URLComponents()
        components.setQuery(query.parametersWithinBatch)
        return components.string ?? ""
    }

    /// What an action says that it changes, and sends along: "12 jobs" and 12; nil for none.
    static func some(_ count: Int) -> [String: Any]? {
        guard count > 0 else { return nil }
        return ["jobs": counted(count, "job"), "atMost": count]
    }
}
