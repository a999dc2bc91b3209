/// The names of the events that `GET /api/v1/events` and `GET /api/v1/jobs/{id}/events` send. Clients ignore events of
/// other names.
public enum StreamEventName: String, Sendable {
    /// The client may have missed events, and reloads what it shows. The data is an empty object.
    case reset
    /// A ``ClusterSummary``.
    case summary
    /// A ``WorkerList``.
    case workers
    /// A ``JobSummary``.
    case job
    /// ``DeletedJobs``.
    case deleted
    /// A ``MetricsPage``.
    case metrics
    /// A ``LogPage``.
    case log
}
