import ClusterCore

/// What the coordinator tells others. The raw values are types of messages: append only.
public enum NotificationKind: String, Codable, Sendable, CaseIterable {
    case jobFinished = "job.finished"
    case jobFailed = "job.failed"
    case jobHeld = "job.held"
    case jobCancelled = "job.cancelled"
    /// A job that it waits for has failed, is held or was cancelled.
    case jobBlocked = "job.blocked"
    /// No job of the batch is queued, running or waiting any more.
    case batchEnded = "batch.ended"
    /// Nothing happened: a person wants to see a message arrive.
    case test

    /// Those that an operator can choose, by the word that chooses them.
    public static let choices: [(word: String, kind: NotificationKind)] = [
        ("finished", .jobFinished), ("failed", .jobFailed), ("held", .jobHeld), ("cancelled", .jobCancelled),
        ("blocked", .jobBlocked), ("batch", .batchEnded),
    ]

    /// The message about a job that has come to this state; nil if the state is no end.
    init?(ofJobIn state: JobState) {
        switch state {
        case .finished: self = .jobFinished
        case .failed: self = .jobFailed
        case .held: self = .jobHeld
        case .cancelled: self = .jobCancelled
        case .blocked: self = .jobBlocked
        case .queued, .running, .waiting: return nil
        }
    }
}
