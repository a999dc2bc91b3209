import Foundation
import Protocol

/// What `texloom watch` knows of a cluster: no more jobs than a screen may show, however many there are.
struct ClusterPicture: Sendable {
    /// Jobs kept of each state, the running ones apart.
    static let maxPerState = 200

    var summary: ClusterSummary?
    var workers: [WorkerSummary] = []
    private(set) var histories: [String: LossHistory] = [:]
    private var known: [String: JobSummary] = [:]

    /// - Returns: whether it was not known, or is not as it was.
    @discardableResult
    mutating func put(_ job: JobSummary) -> Bool {
        let before = known.updateValue(job, forKey: job.id)
        if before?.lossLatest != job.lossLatest {
            histories[job.id, default: LossHistory()].add(iteration: job.iteration, job.lossLatest)
        }
        return before != job
    }

    /// Takes over what was measured before the watching began.
    mutating func put(_ history: LossHistory, of job: String) { histories[job] = history }

    /// Forgets what a screen would not show.
    mutating func prune() {
        for state in JobState.allCases where state != .running {
            for job in jobs(in: state).dropFirst(Self.maxPerState) {
                known[job.id] = nil
                histories[job.id] = nil
            }
        }
    }

    mutating func forgetJobs() {
        known = [:]
    }

    var jobs: [JobSummary] { JobState.allCases.flatMap { jobs(in: $0) } }

    /// Those of a state that are known, in the order in which they are of interest.
    func jobs(in state: JobState) -> [JobSummary] {
        let jobs = known.values.filter { $0.state == state }
        switch state {
        case .running: return jobs.sorted { $0.id < $1.id }
        case .queued: return jobs.sorted { ($1.priority, $0.id) < ($0.priority, $1.id) }
        case .finished, .failed, .held, .cancelled:
            return jobs.sorted {
                ($0.finishedAt ?? .distantPast, $0.id) > ($1.finishedAt ?? .distantPast, $1.id)
            }
        }
    }

    /// How many there are, known or not.
    func count(_ state: JobState) -> Int {
        max(summary?.jobs[state.rawValue] ?? 0, known.values.count { $0.state == state })
    }
}
