import ClusterCore

extension JobSummary {
    /// A coordinator that names no kinds knows only this one.
    public var isTraining: Bool { kind ?? .train == .train }

    /// Whether the worker has done the last iteration; it then makes the last snapshot and its figures and uploads the
    /// result.
    public var isFinishing: Bool { state == .running && totalIterations > 0 && iteration >= totalIterations }
}
