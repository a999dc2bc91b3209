import ClusterCore
import Protocol

/// Counts what became of jobs and attempts since the coordinator started, from the cluster's decisions.
///
/// The engine calls it after the commit: a change that was rolled back did not happen.
struct ClusterTally: Sendable {
    private(set) var attemptsStarted = 0
    private(set) var attemptsEnded: [Attempt.Outcome: Int] = [:]
    /// Attempts lost because their workers fell silent. If a worker reports the loss or restarts, its attempts do not
    /// count.
    private(set) var leaseExpiries = 0
    /// Iterations trained while this process listened. An iteration that is trained again after a resume counts again.
    private(set) var iterations = 0
    private(set) var iterationSeconds = Histogram.iterations
    /// Time from submission, or return to the queue, to a worker. It leaves out jobs that waited before this process
    /// started, because the start of their wait is unknown.
    private(set) var queueWait = Histogram.waits

    private var queuedSince: [JobID: Instant] = [:]
    /// The last counted iteration of each unfinished job's newest attempt.
    private var progress: [JobID: Progress] = [:]

    private struct Progress {
        var attempt: Int
        var iteration: Int
        var secondsPerIteration: Double
    }

    /// - Parameters:
    ///   - effects: The event's effects.
    ///   - cluster: The state after the event, or after later events as well.
    mutating func note(
        _ event: ClusterEvent, _ effects: [ClusterEffect], _ cluster: ClusterState, at now: Instant
    ) {
        for report in event.progress {
            // Uses the lease, not the message: the lease has passed the fence.
            guard let lease = cluster.leases[report.attempt.job], lease.attempt == report.attempt,
                cluster.job(report.attempt.job)?.kind == .train
            else { continue }
            advance(report.attempt, to: lease.iteration, secondsPerIteration: lease.secondsPerIteration)
        }
        for case .record(let change) in effects {
            switch change {
            case .job(let job): note(job, at: now)
            case .attempt(let id, let attempt):
                note(attempt, of: id, event, isTraining: cluster.job(id)?.kind == .train)
            default: break
            }
        }
    }

    private mutating func note(_ job: Job, at now: Instant) {
        switch job.state {
        case .queued: if queuedSince[job.id] == nil { queuedSince[job.id] = now }
        case .running:
            if let since = queuedSince.removeValue(forKey: job.id) { queueWait.record(now.since(since).inSeconds) }
        case .finished, .failed, .held, .cancelled, .waiting, .blocked:
            queuedSince[job.id] = nil
            progress[job.id] = nil
        }
    }

    /// - Parameter isTraining: Whether the steps of the work are iterations of a training.
    private mutating func note(_ attempt: Attempt, of job: JobID, _ event: ClusterEvent, isTraining: Bool) {
        guard let outcome = attempt.outcome else {
            guard progress[job]?.attempt != attempt.number else { return }
            attemptsStarted += 1
            progress[job] = Progress(
                attempt: attempt.number, iteration: attempt.iteration, secondsPerIteration: 0)
            return
        }
        attemptsEnded[outcome, default: 0] += 1
        // On a tick, only silence ends an attempt as lost.
        if outcome == .lost, case .tick = event { leaseExpiries += 1 }
        if isTraining { advance(AttemptReference(job: job, number: attempt.number), to: attempt.iteration) }
    }

    /// - Parameter secondsPerIteration: nil: keep the last report's value.
    private mutating func advance(
        _ attempt: AttemptReference, to iteration: Int, secondsPerIteration: Double? = nil
    ) {
        // The attempt started before this process. The count begins at its present iteration.
        guard var known = progress[attempt.job], known.attempt == attempt.number else {
            progress[attempt.job] = Progress(
                attempt: attempt.number, iteration: iteration, secondsPerIteration: secondsPerIteration ?? 0)
            return
        }
        known.secondsPerIteration = secondsPerIteration ?? known.secondsPerIteration
        let trained = iteration - known.iteration
        if trained > 0 {
            known.iteration = iteration
            iterations += trained
            if known.secondsPerIteration > 0 { iterationSeconds.record(known.secondsPerIteration, times: trained) }
        }
        progress[attempt.job] = known
    }
}
