import ClusterCore
import Foundation
import Protocol

/// What `texloom watch` knows of a cluster: at most as many jobs as a screen may show.
struct ClusterPicture: Sendable {
    /// Jobs kept of each state except running, of which all are kept.
    static let maxPerState = 200

    /// Whether it shows some jobs of the cluster only. Then it counts those alone.
    var isPart = false
    var summary: ClusterSummary?
    var workers: [WorkerSummary] = []
    private(set) var histories: [String: LossHistory] = [:]
    private var known: [String: JobSummary] = [:]

    /// - Returns: whether the job is new or has changed.
    @discardableResult
    mutating func put(_ job: JobSummary) -> Bool {
        let before = known.updateValue(job, forKey: job.id)
        if before?.lossLatest != job.lossLatest {
            histories[job.id, default: LossHistory()].add(iteration: job.iteration, job.lossLatest)
        }
        return before != job
    }

    /// Adds the measurements from before the watch began.
    mutating func put(_ history: LossHistory, of job: String) { histories[job] = history }

    /// Forgets the jobs that a screen would not show.
    mutating func prune() {
        guard !isPart else { return }
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

    /// The known jobs of a state, the most interesting first.
    func jobs(in state: JobState) -> [JobSummary] {
        let jobs = known.values.filter { $0.state == state }
        switch state {
        case .running: return jobs.sorted { $0.id < $1.id }
        case .queued, .waiting: return jobs.sorted { ($1.priority, $0.id) < ($0.priority, $1.id) }
        case .finished, .failed, .held, .cancelled, .blocked:
            return jobs.sorted {
                ($0.finishedAt ?? .distantPast, $0.id) > ($1.finishedAt ?? .distantPast, $1.id)
            }
        }
    }

    /// The number of jobs of a state, known or not.
    func count(_ state: JobState) -> Int {
        let known = known.values.count { $0.state == state }
        return isPart ? known : max(summary?.count(state) ?? 0, known)
    }
}
