/// Where a job stands.
public enum JobState: String, Codable, Sendable, CaseIterable {
    /// Waits for a worker with a free slot.
    case queued
    /// A worker holds its lease.
    case running
    /// Its generator is stored. Never left again.
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

/// What an artifact is to its job.
public enum ArtifactKind: String, Codable, Sendable, CaseIterable {
    /// The source photograph as submitted: PNG or JPEG.
    case exemplar
    /// The whole exemplar expanded at an iteration: PNG.
    case snapshot
    /// The trainer's complete state: safetensors.
    case checkpoint
    /// The trained network, the product: safetensors.
    case generator
    /// Its adversary, kept for going on with training: safetensors.
    case discriminator

    /// The file extension of the kind, or nil where the content decides (exemplars).
    public var fileExtension: String? {
        switch self {
        case .exemplar: nil
        case .snapshot: "png"
        case .checkpoint, .generator, .discriminator: "safetensors"
        }
    }
}
