/// Which files the coordinator gives up by itself. By default none.
///
/// It never gives up an exemplar, a generator, a discriminator or the last snapshot of a job, and nothing of a job that
/// is queued, running or on hold.
public struct RetentionPolicy: Sendable, Equatable {
    /// How long after a job's end its checkpoints stay. Then a retry begins from the start, and the job cannot be
    /// continued. Default: for ever.
    public var checkpointAge: Duration?
    /// How many snapshots of a job stay a day after its end: the last one, and others spread evenly over the run. 1 or
    /// more; default: all.
    public var snapshots: Int?
    /// Upper limit on the bytes of all artifacts. Beyond it the coordinator gives up files of finished jobs, those that
    /// ended first first: checkpoints, then snapshots. If that is not enough, it accepts no more exemplars and jobs.
    /// Default: none.
    public var quotaBytes: Int?

    public init() {}

    /// - Throws: `CoordinatorError.badConfiguration`.
    func validate() throws {
        try requireSetting(checkpointAge.map { $0 >= .zero } ?? true, "the age of checkpoints is negative")
        try requireSetting(snapshots.map { $0 >= 1 } ?? true, "snapshots kept is \(snapshots ?? 0); allowed: 1 or more")
        try requireSetting(
            quotaBytes.map { $0 >= 1 << 20 } ?? true, "the quota is \(quotaBytes ?? 0) bytes; allowed: 1 MiB or more")
    }
}
