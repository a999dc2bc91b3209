import ClusterCore
import Protocol
import Synchronization

/// What is counted while the coordinator runs, fed where it happens and read when Prometheus asks. Everything begins at
/// 0 with the process, as counters do there.
final class CoordinatorMetrics: Sendable {
    struct Counts: Sendable {
        var cluster = ClusterTally()
        /// How long an event waited until the engine took it.
        var eventWait = Histogram.delays
        /// How long a batch took from its decisions to the disk.
        var commit = Histogram.delays
        var commitFailures = 0
        /// How late the HTTP server's event loops are.
        var loopDelay = Histogram.delays
        /// Artifact bytes taken, whatever became of them.
        var receivedBytes: [ArtifactRole: Int] = [:]
        var sentBytes: [Recipient: Int] = [:]
        var requests: [RequestClass: Int] = [:]
        /// From a request to the head of its answer, by route.
        var requestSeconds: [String: Histogram] = [:]
    }

    /// To whom artifacts go.
    enum Recipient: String, CaseIterable, Sendable {
        case worker, http
    }

    /// Requests that count as one: no more of them than there are routes, methods and statuses.
    struct RequestClass: Hashable, Sendable {
        var route: String
        var method: String
        var status: Int
    }

    private let counts = Mutex(Counts())

    func update(_ change: (inout Counts) -> Void) { counts.withLock { change(&$0) } }

    var current: Counts { counts.withLock { $0 } }
}
