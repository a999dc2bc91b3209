/// Whether a worker gets work.
public enum WorkerStanding: String, Sendable {
    case connected
    /// It gets no more work and hands back what it has.
    case draining
    case away
}

extension WorkerSummary {
    public var standing: WorkerStanding {
        guard isConnected else { return .away }
        return isDraining ? .draining : .connected
    }
}
