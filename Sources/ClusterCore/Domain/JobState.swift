/// Where a job stands.
public enum JobState: String, Codable, Sendable, CaseIterable {
    /// Waits for a worker with a free slot.
    case queued
    /// A worker holds its lease.
    case running
    /// Its products are stored. The job stays in this state for ever.
    case finished
    /// It would fail on any worker (a bad image, an impossible recipe). Only an explicit retry ends this state.
    case failed
    /// It waits for a person: its retries are used up, an input is damaged, or too many workers were lost with it. Only
    /// an explicit retry ends this state.
    case held
    /// A person stopped it. Only an explicit retry ends this state.
    case cancelled
    /// It waits for other jobs, whose products are its inputs.
    case waiting
    /// A job that it waits for has failed, is held or was cancelled. A retry of that job ends this state.
    case blocked

    /// Whether no worker will touch the job unless a person asks for it.
    public var isSettled: Bool { self != .queued && self != .running && self != .waiting }
    /// Whether a person may cancel the job.
    public var canBeCancelled: Bool { !isSettled || self == .held || self == .blocked }
    /// Whether a person may put the job back into the queue.
    public var canBeRetried: Bool { self == .failed || self == .held || self == .cancelled }
}
