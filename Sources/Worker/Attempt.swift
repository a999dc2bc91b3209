import Protocol
import TextureGAN
import Transport

/// What waits to be acknowledged by the coordinator, strictly in order within an attempt.
struct Undelivered: Equatable, Sendable {
    enum Content: Equatable, Sendable {
        case metrics(WireMetricBatch), log(WireLogBatch)
        case artifact(WireArtifactOffer, file: String)
        case finish(WireFinish), fail(WireFail), handBack(WireHandBack)
    }
    /// The request or transfer id: repeated with every try, so that a repeated one is recognised.
    var id: UInt64
    var content: Content

    var endsAttempt: Bool {
        switch content {
        case .finish, .fail, .handBack: true
        case .metrics, .log, .artifact: false
        }
    }

    func isArtifact(_ kind: WireArtifactKind) -> Bool {
        if case .artifact(let offer, _) = content { offer.kind == kind } else { false }
    }

    var body: WireMessage.Body {
        switch content {
        case .metrics(let batch): .metrics(batch)
        case .log(let batch): .log(batch)
        case .artifact(let offer, _): .artifactOffer(offer)
        case .finish(let finish): .finish(finish)
        case .fail(let fail): .fail(fail)
        case .handBack(let handBack): .handBack(handBack)
        }
    }
}

/// One try at a job on this worker, from its assignment until its last word is acknowledged.
struct Attempt: Equatable, Sendable {
    enum Phase: Equatable, Sendable { case downloading, training, ended }

    let assignment: WireAssign
    var phase = Phase.downloading
    var iteration: UInt64
    var totalIterations: UInt64 = 0
    var secondsPerIteration = 0.0
    /// The lease is gone or the job cancelled: nothing is sent any more, and the trainer is to stop.
    var isDisowned = false
    var downloads: [ArtifactReceiver]
    var downloadActiveAt: Instant
    var undelivered: [Undelivered] = []
    var sender: ArtifactSender?
    /// When the first undelivered one is sent again.
    var retryAt: Instant
    var newest: [TrainingRun.ArtifactKind: String] = [:]

    var ref: WireAttemptRef { assignment.attempt }

    var status: WireAttemptStatus {
        var status = WireAttemptStatus()
        status.attempt = ref
        status.iteration = iteration
        status.totalIterations = totalIterations
        status.secondsPerIteration = secondsPerIteration
        return status
    }

    /// Queues within the spool's bounds; gives the files that are superseded.
    mutating func append(_ item: Undelivered) -> [String] {
        undelivered.append(item)
        var superseded: [String] = []
        // The first one may be under way, and artifacts that a finish names are behind every earlier checkpoint.
        func drop(where matches: (Undelivered) -> Bool, keeping count: Int) {
            while undelivered.dropFirst().filter(matches).count > count,
                let index = undelivered.dropFirst().firstIndex(where: matches)
            {
                if case .artifact(_, let file) = undelivered[index].content { superseded.append(file) }
                undelivered.remove(at: index)
            }
        }
        drop(where: { $0.isArtifact(.checkpoint) }, keeping: 1)
        drop(where: { $0.isArtifact(.snapshot) }, keeping: SpoolLimits.snapshots)
        drop(
            where: {
                switch $0.content {
                case .metrics, .log: true
                default: false
                }
            }, keeping: SpoolLimits.batches)
        return superseded
    }
}

/// What an attempt keeps for a coordinator that is away, besides the files of a finished run.
enum SpoolLimits {
    /// Older ones are dropped: pictures to look at, not part of the result.
    static let snapshots = 64
    static let batches = 4096
}

/// Time since the worker started; monotonic.
public struct Instant: Comparable, Hashable, Sendable {
    public var sinceStart: Duration
    public init(sinceStart: Duration) { self.sinceStart = sinceStart }
    public static func < (left: Instant, right: Instant) -> Bool { left.sinceStart < right.sinceStart }
    public static func + (left: Instant, right: Duration) -> Instant { Instant(sinceStart: left.sinceStart + right) }
    public static func - (left: Instant, right: Instant) -> Duration { left.sinceStart - right.sinceStart }
}
