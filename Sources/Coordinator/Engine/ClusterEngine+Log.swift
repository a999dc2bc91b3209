import ClusterCore
import Logging
import Transport

extension ClusterEngine {
    /// The metadata of an attempt, the same in every line of the coordinator's log.
    func metadata(_ attempt: AttemptReference, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
        committed.metadata(attempt.job, attempt: attempt.number).merging(more) { $1 }
    }

    /// The name of a session's worker, or the session's number if the session is over.
    func workerName(_ session: UInt64) -> String { committed.sessions[session]?.worker.name ?? "session \(session)" }
}

extension Change {
    /// Logs what the store has recorded about jobs and workers. `cluster` is the state with the change applied.
    func log(to logger: Logger, _ cluster: ClusterState) {
        switch self {
        case .note(let job, let attempt, let level, let message):
            logger.log(
                level: Logger.Level(level), "\(message)", metadata: cluster.metadata(job, attempt: attempt))
        case .worker(let worker, _, let isDraining, let isConnected):
            logger.info(
                isConnected ? isDraining ? "a worker gets no more work" : "a worker is connected" : "a worker is gone",
                metadata: ["worker": "\(worker.name)"])
        case .jobDeleted(let job): logger.info("a job is deleted", metadata: ["job": "\(job)"])
        case .job, .attempt, .artifact, .metricsCopied, .artifactDropped, .report, .metrics, .log: break
        }
    }
}

extension ClusterState {
    /// - Parameter attempt: 0 for a line about the whole job.
    fileprivate func metadata(_ id: JobID, attempt number: Int) -> Logger.Metadata {
        var metadata: Logger.Metadata = ["job": "\(id)"]
        guard let job = job(id) else { return metadata }
        metadata["iteration"] = .stringConvertible(leases[id]?.iteration ?? job.iteration)
        guard number > 0 else { return metadata }
        metadata["attempt"] = .stringConvertible(number)
        if let attempt = job.attempt, attempt.number == number { metadata["worker"] = "\(attempt.workerName)" }
        return metadata
    }
}
