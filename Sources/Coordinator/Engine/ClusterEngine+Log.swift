import ClusterCore
import Logging

extension ClusterEngine {
    /// Every line of the coordinator's log about an attempt says the same of it.
    func metadata(_ attempt: AttemptReference, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
        committed.metadata(attempt.job, attempt: attempt.number).merging(more) { $1 }
    }

    /// What people call the worker behind a session; the session's number if it is over.
    func workerName(_ session: UInt64) -> String { committed.sessions[session]?.worker.name ?? "session \(session)" }
}

extension Change {
    /// Says in the process's log what is recorded of jobs and workers; `cluster` is the state with the change in it.
    func log(to logger: Logger, _ cluster: ClusterState) {
        switch self {
        case .note(let job, let attempt, let level, let message):
            logger.log(
                level: Logger.Level(rawValue: level) ?? .info, "\(message)",
                metadata: cluster.metadata(job, attempt: attempt))
        case .worker(let worker, _, let isDraining, let isConnected):
            logger.info(
                isConnected ? isDraining ? "a worker gets no more work" : "a worker is connected" : "a worker is gone",
                metadata: ["worker": "\(worker.name)"])
        case .job, .attempt, .artifact, .artifactDropped, .report, .metrics, .log: break
        }
    }
}

extension ClusterState {
    /// - Parameter attempt: 0: the line is about the job as a whole.
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
