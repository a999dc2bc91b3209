import Base
import ClusterCore
import Foundation
import Protocol

/// What templates show of a job, of a worker, and of a page of jobs.
enum Item {
    static func job(_ job: JobSummary) -> [String: Any] {
        var item: [String: Any] = [
            "id": job.id, "name": Readable.plain(job.resultName), "fileName": Readable.plain(job.fileName),
            "resultName": Readable.plain(job.resultName), "recipe": Readable.plain(job.recipe),
            "state": job.state.rawValue,
            "snapshot": job.latestSnapshot ?? "", "picture": job.latestSnapshot ?? job.exemplarSHA256,
            "exemplar": job.exemplarSHA256, "priority": job.priority, "attempt": job.attempt,
            "submitted": Readable.minute(job.submittedAt), "losses": losses(job),
            "ended": job.finishedAt.map(Readable.minute) ?? "",
            "canCancel": job.state.canBeCancelled,
            "canRetry": job.state.canBeRetried,
            "canDelete": job.state.isSettled,
            "canPrioritise": !job.state.isSettled,
            "left": left(job),
        ]
        let labels = JobTags.texts(ofLabels: job.labels ?? [:])
        item["hasBatch"] = job.batch != nil
        item["jobBatch"] = job.batch.map(Readable.plain) ?? ""
        item["hasTags"] = job.batch != nil || !labels.isEmpty
        item["tags"] = Readable.plain(labels.joined(separator: " · "))
        item["endedAt"] = job.finishedAt?.formatted(.iso8601)
        item["reason"] = job.reason.map(Readable.plain)
        item["worker"] = job.worker.map(Readable.plain)
        // The steps of other work say nothing to people.
        let trains = job.isTraining
        // Options without blanks would not wrap.
        if !trains { item["recipe"] = Readable.plain("\(job.kind!.rawValue) \(job.recipe.replacing(",", with: ", "))") }
        item["hasProgress"] = job.totalIterations > 0
        if job.totalIterations > 0 {
            item["total"] = job.totalIterations
            item["iteration"] = min(job.iteration, job.totalIterations)
            let done = Readable.wholePercent(Double(job.iteration) / Double(job.totalIterations))
            let share = Readable.unbroken("\(min(done, job.state == .finished ? 100 : 99)) %")
            item["progress"] = trains ? "\(job.iteration) of \(job.totalIterations) (\(share))" : share
        }
        if job.state == .running, trains {
            item["speed"] = job.secondsPerIteration.map { Readable.unbroken(Readable.speed(1 / $0)) }
        }
        return item
    }

    private static func left(_ job: JobSummary) -> String {
        if job.isFinishing { return "finishing" }
        return job.etaSeconds.map { "\(Readable.duration($0)) left" } ?? ""
    }

    private static func losses(_ job: JobSummary) -> [[String: Any]] {
        ["l1", "style", "adversarial"].compactMap { term in
            job.lossLatest[term].map { ["term": term, "value": Readable.figure($0)] }
        }
    }

    /// - Parameter names: The names of the jobs, by id.
    static func worker(_ worker: WorkerSummary, names: [String: String]) -> [String: Any] {
        var item: [String: Any] = [
            "id": worker.id, "name": Readable.plain(worker.name), "slots": max(worker.slots, 1),
            "busy": worker.jobs.count,
            "threads": counted(worker.threadsPerSlot, "thread"),
            "speed": worker.isConnected ? Readable.unbroken(Readable.speed(worker.iterationsPerSecond)) : "",
            "cpu": Readable.plain(worker.cpu), "version": Readable.plain(worker.softwareVersion),
            "standing": worker.standing.rawValue,
            "canDrain": worker.standing == .connected,
            "beat": "\(Readable.duration(-worker.lastSeenAt.timeIntervalSinceNow)) ago",
            "jobs": worker.jobs.map { ["id": $0, "name": Readable.plain(names[$0] ?? $0)] },
        ]
        item["problem"] = worker.problem.map(Readable.plain)
        guard worker.isConnected else { return item }
        item["cores"] = worker.coresBusy.map { String(format: "%.1f cores busy", $0) }
        item["memory"] = worker.residentBytes.map { "\(Readable.bytes($0)) of memory" }
        item["spool"] = worker.spoolBytes.map { "\(Readable.bytes($0)) to deliver" }
        return item
    }

    /// The foot of a list: the total, and links to the first and the next page.
    static func pager(_ page: JobPage, path: String, _ parameters: [URLQueryItem], isFirst: Bool) -> [String: Any?] {
        func address(_ cursor: String?) -> String {
            var components = URLComponents()
            components.path = path
            components.setQuery(parameters + [URLQueryItem(name: "cursor", value: cursor)])
            return components.string ?? path
        }
        return [
            "total": counted(page.total, "job"), "isEmpty": page.jobs.isEmpty,
            "first": isFirst ? nil : address(nil), "next": page.next.map { address($0) },
        ]
    }
}
