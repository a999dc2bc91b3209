/// Undelivered items, sent strictly in order. Only the first one is under way.
struct DeliveryQueue: Equatable, Sendable {
    var items: [Undelivered] = []
    /// When to send the first item again.
    var retryAt: Instant

    var first: Undelivered? { items.first }
}

/// One try at a job on this worker, from its assignment until the coordinator acknowledges its final message: FINISH,
/// FAIL or HAND_BACK.
package struct HeldAttempt: Equatable, Sendable {
    package enum Phase: Equatable, Sendable { case downloading, training, ended }

    package let assignment: Assignment
    /// Whether this process resumed the attempt from an earlier one. Then its checkpoint is this worker's own, and the
    /// metrics in the checkpoint may never have been reported.
    var isResumed = false
    /// How many processes have resumed from its newest checkpoint.
    var resumptions = 0
    /// What the record on disk holds: ``resumptions`` and the ids of the results. Empty without results.
    var remembered: [UInt64] = []
    package var phase = Phase.downloading
    package var iteration: Int
    var totalIterations = 0
    /// As its trainer last reported it; 0 before the first iteration.
    var secondsPerIteration = 0.0
    /// Whether the lease is lost or the job cancelled. Then the worker sends nothing more, and the trainer must stop.
    var isDisowned: Bool { disownedAt != nil }
    var disownedAt: Instant?
    var downloads: [ArtifactReceiver]
    /// When a chunk of the first of ``downloads`` last came, or the worker last considered asking for it.
    var downloadActiveAt: Instant
    var downloadPace: ChunkPace
    /// Whether no chunks can come before the worker asks again: the connection is new, or the coordinator has said so.
    var hasDownloadStopped = false
    /// Downloads that arrived with a wrong digest.
    var damagedDownloads = 0
    /// Metrics and log lines. They are small and do not wait for the artifacts.
    var reports: DeliveryQueue
    /// Artifacts, then the final message, which also waits for the reports.
    var results: DeliveryQueue
    var sender: ArtifactSender?
    /// How the attempt ends, whatever its trainer reports. The worker sets this while the trainer still runs.
    var verdict: WorkerState.Ending?
    var newest: [ArtifactRole: String] = [:]

    init(assignment: Assignment, downloads: [ArtifactReceiver], at now: Instant) {
        self.assignment = assignment
        self.downloads = downloads
        iteration = assignment.checkpoint?.iteration ?? 0
        downloadActiveAt = now
        downloadPace = ChunkPace(at: now)
        reports = DeliveryQueue(retryAt: now)
        results = DeliveryQueue(retryAt: now)
        // A run that resumes from the checkpoint of its last iteration makes no other checkpoint.
        newest[.checkpoint] = assignment.checkpoint?.artifact.sha256
    }

    var reference: AttemptReference { assignment.attempt }

    var status: AttemptStatus {
        AttemptStatus(
            attempt: reference, iteration: iteration, totalIterations: totalIterations,
            secondsPerIteration: secondsPerIteration)
    }

    /// Whether to ask for the first download again: its chunks are lost, and not only late.
    mutating func isRequestDue(every heartbeat: Duration, at now: Instant) -> Bool {
        guard downloads.first?.isComplete == false, now.since(downloadActiveAt) > heartbeat else { return false }
        downloadActiveAt = now
        return hasDownloadStopped || downloadPace.isRewindDue(at: now)
    }

    /// Whether the file already waits for delivery with this content. Drops the entry of an overwritten file.
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

    /// Queues an item within the spool's limits. Returns the files that it supersedes.
    mutating func append(_ item: Undelivered, at now: Instant) -> [String] {
        let queue = item.isReport ? \HeldAttempt.reports : \HeldAttempt.results
        if self[keyPath: queue].items.isEmpty { self[keyPath: queue].retryAt = now }
        self[keyPath: queue].items.append(item)
        var superseded: [String] = []
        // The first item may be under way, so it stays. The artifacts that FINISH names are newer than any dropped one.
        func drop(keeping count: Int, where matches: (Undelivered) -> Bool) {
            while self[keyPath: queue].items.dropFirst().filter(matches).count > count,
                let index = self[keyPath: queue].items.dropFirst().firstIndex(where: matches)
            {
                if case .artifact(_, let file) = self[keyPath: queue].items[index].content { superseded.append(file) }
                self[keyPath: queue].items.remove(at: index)
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

    /// Whether the waiting reports must arrive before this result. The final message ends the attempt, so the reports
    /// that explain it go first. A run that resumes from a checkpoint assumes that the coordinator has all metrics up
    /// to it, so they go before the checkpoint. A lower id means earlier.
    func reportsGoFirst(before result: Undelivered) -> Bool {
        guard let report = reports.first else { return false }
        return result.endsAttempt || (result.isArtifact(.checkpoint) && report.id < result.id)
    }

    /// Drops everything produced so far. None of it becomes part of a result.
    mutating func discardResults() {
        results.items = []
        sender = nil
        newest = [:]
    }

    /// The files that wait for delivery.
    var files: [String] {
        results.items.compactMap { if case .artifact(_, let file) = $0.content { file } else { nil } }
    }
}
