/// What waits to be acknowledged by the coordinator.
package struct Undelivered: Equatable, Sendable {
    package enum Content: Equatable, Sendable {
        case metrics(MetricsBlock), log([LogLine])
        case artifact(ArtifactOffer, file: String)
        case finish(Completion), fail(Failure), handBack(iteration: Int, reason: String)
    }
    /// The request or transfer id: repeated with every try, so that a repeated one is recognised.
    package var id: UInt64
    package var attempt: AttemptReference
    package var content: Content
    /// How often the coordinator found other bytes than were announced.
    var mismatches = 0

    package init(id: UInt64, attempt: AttemptReference, content: Content) {
        self.id = id
        self.attempt = attempt
        self.content = content
    }

    package var endsAttempt: Bool {
        switch content {
        case .finish, .fail, .handBack: true
        case .metrics, .log, .artifact: false
        }
    }

    /// About how many bytes it holds in memory.
    var weight: Int {
        switch content {
        case .metrics(let block): block.rows.reduce(256) { $0 + 64 + 4 * $1.values.count }
        case .log(let lines): lines.reduce(256) { $0 + 64 + $1.message.utf8.count }
        case .artifact, .finish, .fail, .handBack: 256
        }
    }

    /// Goes beside the artifacts instead of behind them.
    package var isReport: Bool {
        switch content {
        case .metrics, .log: true
        case .artifact, .finish, .fail, .handBack: false
        }
    }

    package func isArtifact(_ role: ArtifactRole) -> Bool {
        if case .artifact(let offer, _) = content { offer.role == role } else { false }
    }

    package var message: MessageToCoordinator {
        switch content {
        case .metrics(let block): .metrics(attempt, requestID: id, block)
        case .log(let lines): .log(attempt, requestID: id, lines)
        case .artifact(let offer, _): .offer(offer)
        case .finish(let completion): .finish(attempt, requestID: id, completion)
        case .fail(let failure): .fail(attempt, requestID: id, failure)
        case .handBack(let iteration, let reason):
            .handBack(attempt, requestID: id, iteration: iteration, reason: reason)
        }
    }
}

/// Undelivered ones, of which the first is under way: strictly in order.
struct Lane: Equatable, Sendable {
    var items: [Undelivered] = []
    /// When the first one is sent again.
    var retryAt: Instant

    var first: Undelivered? { items.first }
}

/// One try at a job on this worker, from its assignment until its last word is acknowledged.
package struct HeldAttempt: Equatable, Sendable {
    package enum Phase: Equatable, Sendable { case downloading, training, ended }

    let assignment: Assignment
    /// Taken up from an earlier process: its checkpoint is this worker's own, and the rows in it may never have been
    /// reported.
    var isResumed = false
    /// How many processes have gone on from its newest checkpoint.
    var resumptions = 0
    /// What is recorded for the next process: the number above and the ids of its results, if there are any.
    var remembered: [UInt64] = []
    package var phase = Phase.downloading
    package var iteration: Int
    var totalIterations = 0
    /// As its trainer reported it last; 0 before the first iteration.
    var secondsPerIteration = 0.0
    /// The lease is gone or the job cancelled: nothing is sent any more, and the trainer is to stop.
    var isDisowned: Bool { disownedAt != nil }
    var disownedAt: Instant?
    var downloads: [ArtifactReceiver]
    var downloadActiveAt: Instant
    /// Downloads that arrived with a wrong digest.
    var damagedDownloads = 0
    /// Metrics and logs: small, and of no consequence to what is in the other lane.
    var reports: Lane
    /// Artifacts, and behind them the last word, which also waits for the reports.
    var results: Lane
    var sender: ArtifactSender?
    /// Decided while the trainer still runs: how the attempt ends, whatever the trainer says at its end.
    var verdict: WorkerState.Ending?
    var newest: [ArtifactRole: String] = [:]

    init(assignment: Assignment, downloads: [ArtifactReceiver], at now: Instant) {
        self.assignment = assignment
        self.downloads = downloads
        iteration = assignment.checkpoint?.iteration ?? 0
        downloadActiveAt = now
        reports = Lane(retryAt: now)
        results = Lane(retryAt: now)
        // A run that resumes from its last checkpoint has nothing to train and makes no other.
        newest[.checkpoint] = assignment.checkpoint?.artifact.sha256
    }

    var ref: AttemptReference { assignment.attempt }

    var status: AttemptStatus {
        AttemptStatus(
            attempt: ref, iteration: iteration, totalIterations: totalIterations,
            secondsPerIteration: secondsPerIteration)
    }

    /// Whether a file waits to be delivered as it is. What was to be delivered of it, and was overwritten since, is not.
    mutating func has(_ file: String, _ artifact: Artifact, at now: Instant) -> Bool {
        guard
            let index = results.items.firstIndex(where: {
                if case .artifact(_, file) = $0.content { true } else { false }
            }), case .artifact(let offer, _) = results.items[index].content
        else { return false }
        if offer.artifact == artifact { return true }
        results.items.remove(at: index)
        if index == 0 {
            sender = nil
            results.retryAt = now
        }
        return false
    }

    /// Queues within the spool's bounds; gives the files that are superseded.
    mutating func append(_ item: Undelivered, at now: Instant) -> [String] {
        let lane = item.isReport ? \HeldAttempt.reports : \HeldAttempt.results
        if self[keyPath: lane].items.isEmpty { self[keyPath: lane].retryAt = now }
        self[keyPath: lane].items.append(item)
        var superseded: [String] = []
        // The first one may be under way, and artifacts that a finish names are behind every earlier checkpoint.
        func drop(keeping count: Int, where matches: (Undelivered) -> Bool) {
            while self[keyPath: lane].items.dropFirst().filter(matches).count > count,
                let index = self[keyPath: lane].items.dropFirst().firstIndex(where: matches)
            {
                if case .artifact(_, let file) = self[keyPath: lane].items[index].content { superseded.append(file) }
                self[keyPath: lane].items.remove(at: index)
            }
        }
        if item.isReport {
            drop(keeping: SpoolLimits.batches) { _ in true }
            while reports.items.count > 1, reports.items.reduce(0, { $0 + $1.weight }) > SpoolLimits.reportBytes {
                drop(keeping: reports.items.count - 2) { _ in true }
            }
        } else {
            drop(keeping: 1) { $0.isArtifact(.checkpoint) }
            drop(keeping: SpoolLimits.snapshots) { $0.isArtifact(.snapshot) }
        }
        return superseded
    }

    /// The last word ends the attempt: what explains it goes first. And a run that resumes from a checkpoint takes the
    /// rows in it for reported, so those before it go first; ids grow.
    func reportsGoFirst(before result: Undelivered) -> Bool {
        guard let report = reports.first else { return false }
        return result.endsAttempt || (result.isArtifact(.checkpoint) && report.id < result.id)
    }

    /// Nothing produced so far is part of a result any more.
    mutating func discardResults() {
        results.items = []
        sender = nil
        newest = [:]
    }

    /// Waiting to be delivered.
    var files: [String] {
        results.items.compactMap { if case .artifact(_, let file) = $0.content { file } else { nil } }
    }
}

/// What an attempt keeps for a coordinator that is away, besides two checkpoints and the files of a finished run.
/// docs/operations.md adds it up.
enum SpoolLimits {
    /// Older ones are dropped: pictures to look at, not part of the result.
    static let snapshots = 64
    /// Metrics and log lines, in memory; the oldest are dropped. A batch of metrics has some ten rows, so that a day of
    /// training fits.
    static let batches = 4096
    static let reportBytes = 8 << 20
}
