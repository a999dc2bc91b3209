// What people ask for many jobs at once.
extension ClusterState {
    /// Changes the jobs that are still in one of the states and that the change applies to. The answer names them; the
    /// others stay as they are.
    mutating func change(
        _ token: RequestToken, _ ids: [JobID], _ states: Set<JobState>, _ change: JobChange, at now: Instant
    ) {
        var changed: [JobID] = []
        for id in ids {
            // The caller looked the jobs up before the request came here.
            guard let job = job(id), states.contains(job.state), apply(change, to: job) else { continue }
            changed.append(id)
        }
        effects.append(.reply(token, .changed(changed)))
        if case .retry = change { dispatch(at: now) }
    }

    /// - Returns: Whether the change applies to the job.
    private mutating func apply(_ change: JobChange, to job: Job) -> Bool {
        guard change.applies(to: job.state) else { return false }
        switch change {
        case .cancel(let reason): cancel(job, reason)
        case .retry: putBack(job)
        case .delete:
            guard !isAwaited(job) else { return false }
            delete(job.state.isSettled ? job : cancel(job, "to be deleted"))
        }
        return true
    }
}
