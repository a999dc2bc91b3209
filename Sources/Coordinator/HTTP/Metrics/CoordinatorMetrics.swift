import ClusterCore
import Synchronization

/// The counts of a running coordinator. Code updates a count where its event happens, and a Prometheus scrape reads it.
/// All counts start at 0 with the process, as Prometheus expects of counters.
final class CoordinatorMetrics: Sendable {
    struct Counts: Sendable {
        var cluster = ClusterTally()
        /// How long an event waited for the engine.
        var eventWait = Histogram.delays
        /// Time of a batch from its decisions to the disk.
        var commit = Histogram.delays
        var commitFailures = 0
        /// Delay of the HTTP server's event loops.
        var loopDelay = Histogram.delays
        /// Artifact bytes received, whatever became of them.
        var receivedBytes: [ArtifactRole: Int] = [:]
        var sentBytes: [Recipient: Int] = [:]
        var notifications: [NotificationReceiverKind: NotificationCounts] = [:]
        var requests: [RequestClass: Int] = [:]
        /// Time from a request to the head of its answer, by route.
        var requestSeconds: [String: Histogram] = [:]
    }

    /// Messages about ends, of one kind of receivers.
    struct NotificationCounts: Sendable {
        var delivered = 0
        /// Tries.
        var failed = 0
        var givenUp = 0
    }

    /// Who receives artifacts.
    enum Recipient: String, CaseIterable, Sendable {
        case worker, http
    }

    /// Requests that count as one. There are at most as many classes as routes, methods and statuses allow.
    struct RequestClass: Hashable, Sendable {
        var route: String
        var method: String
        var status: Int
    }

    private let counts = Mutex(Counts())

    func update(_ change: (inout Counts) -> Void) { counts.withLock { change(&$0) } }

    var current: Counts { counts.withLock { $0 } }
}
