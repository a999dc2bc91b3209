/// What an attempt keeps while the coordinator is away, besides two checkpoints and the files of a finished run.
/// docs/operations.md adds up the sizes.
enum SpoolLimits {
    /// Older snapshots are dropped: they are pictures to look at, not part of the result.
    static let snapshots = 64
    /// Batches of metrics and log lines in memory. The oldest are dropped. A batch of metrics has about ten rows, so a
    /// day of training fits.
    static let batches = 4096
    static let reportBytes = 8 << 20
}
