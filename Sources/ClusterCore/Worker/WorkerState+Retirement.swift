/// When a worker ends by itself. A batch system or an autoscaler that started it starts the next.
public struct WorkerLimits: Equatable, Sendable {
    /// How long the worker runs before it checkpoints and hands its jobs back; nil: until something stops it.
    public var lifetime: Duration?
    /// How long the worker waits without a job; nil: for ever.
    public var idle: Duration?

    public init(lifetime: Duration? = nil, idle: Duration? = nil) {
        self.lifetime = lifetime
        self.idle = idle
    }
}

extension WorkerState {
    /// Starts the drain once a limit is reached.
    mutating func retire(at now: Instant) {
        guard !isDraining else { return }
        // An attempt that waits for delivery is work too: its results would be lost with the folder.
        if !attempts.isEmpty { idleSince = now }
        if let lifetime = limits.lifetime, now.since(startedAt) >= lifetime {
            retirement = "its lifetime is over"
        } else if let idle = limits.idle, now.since(idleSince) >= idle {
            retirement = "it had no job for as long as it may idle"
        }
        guard let retirement else { return }
        drain(because: retirement, at: now)
    }

    /// How a drain ends. The system that started the worker may delete its folder after ``WorkerExit/retired(_:)``, but not
    /// while results wait there.
    var exitOfDrained: WorkerExit {
        guard let retirement, attempts.values.allSatisfy(\.isDisowned) else { return .stopped }
        return .retired(retirement)
    }
}
