// What people and the retention policy give up.
extension ClusterState {
    /// Forgets a job that has ended. Its key is free again. Its result name stays taken until the coordinator restarts,
    /// so that no later job writes into a folder that is being removed.
    mutating func delete(_ job: Job) {
        if let key = job.key, keys[key] == job.id { keys[key] = nil }
        forgetFollowers(of: job)
        remove(job)
        effects.append(.record(.jobDeleted(job.id)))
    }

    /// Drops snapshots and checkpoints of jobs that have ended. A job that was put back into the queue meanwhile, or that
    /// is held, keeps its files.
    mutating func drop(_ artifacts: [SpareArtifact]) {
        for artifact in artifacts {
            guard var job = job(artifact.job), job.state.isSettled, job.state != .held else { continue }
            switch artifact.role {
            case .checkpoint:
                guard
                    let index = job.checkpoints.firstIndex(where: {
                        $0.iteration == artifact.iteration && $0.artifact.sha256 == artifact.sha256
                    })
                else { continue }
                job.checkpoints.remove(at: index)
                // A retry begins where the last checkpoint is. What a finished job shows does not change.
                if job.state != .finished { job.iteration = job.resumeIteration }
                putAndRecord(job)
            case .snapshot: break
            default: continue
            }
            effects.append(.record(.artifactDropped(job.id, artifact.role, iteration: artifact.iteration)))
            effects.append(.discard(sha256: artifact.sha256))
        }
    }
}
