import ClusterCore

/// A summary that counts jobs by their state.
public protocol CountsJobs {
    /// By `JobState` name.
    var jobs: [String: Int] { get }
}

extension CountsJobs {
    /// 0 for a state that the coordinator does not know.
    public func count(_ state: JobState) -> Int { jobs[state.rawValue] ?? 0 }
}
