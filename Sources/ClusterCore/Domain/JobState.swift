/// Where a job stands.
public enum JobState: String, Codable, Sendable, CaseIterable {
    /// Waits for a worker with a free slot.
    case queued
    /// A worker holds its lease.
    case running
    /// Its products are stored. Never left again.
    case finished
    /// It would fail on any worker (a bad image, an impossible recipe). Left only by an explicit retry.
    case failed
    /// It failed more often than its retry budget allows and waits for a person. Left only by an explicit retry.
    case held
    /// A person stopped it. Left only by an explicit retry.
    case cancelled

    /// Whether no worker will touch the job unless a person asks for it.
    public var isSettled: Bool { self != .queued && self != .running }
    /// Whether a person may put the job back into the queue.
    public var canBeRetried: Bool { self == .failed || self == .held || self == .cancelled }
}
