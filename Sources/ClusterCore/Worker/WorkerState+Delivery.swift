/// What the worker sends until the coordinator acknowledges it, and what the worker gives up on.
extension WorkerState {
    mutating func metrics(_ reference: AttemptReference, _ block: MetricsBlock, at now: Instant) {
        for first in stride(from: 0, to: block.rows.count, by: Limits.maxMetricRows) {
            let rows = block.rows[first..<min(first + Limits.maxMetricRows, block.rows.count)]
            queue(.metrics(MetricsBlock(columns: block.columns, rows: Array(rows))), reference, at: now)
        }
    }

    mutating func log(_ reference: AttemptReference, _ line: LogLine, at now: Instant) {
        var line = line
        line.message = line.message.shortened(to: Limits.maxLogLineBytes)
        queue(.log([line]), reference, at: now)
    }

    /// A complete file waits in the attempt's folder.
    mutating func spooled(
        _ reference: AttemptReference, _ role: ArtifactRole, _ iteration: Int, _ artifact: Artifact, _ file: String,
        at now: Instant
    ) {
        guard let attempt = attempts[reference], !attempt.isDisowned, attempt.verdict == nil else {
            effects.append(.removeFile(reference, file))
            return
        }
        // A process that resumes an attempt makes some snapshots that an earlier process already made.
        guard !attempts[reference]!.has(file, artifact, at: now) else { return }
        attempts[reference]?.newest[role] = artifact.sha256
        if role == .checkpoint { attempts[reference]?.resumptions = 0 }
        let offer = ArtifactOffer(
            attempt: reference, transferID: makeID(), role: role, artifact: artifact, iteration: max(0, iteration))
        queue(.artifact(offer, file: file), id: offer.transferID, reference, at: now)
    }

    /// - Parameter id: An artifact's transfer id. Other messages get the next free id.
    mutating func queue(
        _ content: Undelivered.Content, id: UInt64? = nil, _ reference: AttemptReference, at now: Instant
    ) {
        guard var attempt = attempts[reference], !attempt.isDisowned else { return }
        let item = Undelivered(id: id ?? makeID(), attempt: reference, content: content)
        // The coordinator drops a malformed message without an answer. The worker would repeat it for ever and never
        // send what is behind it.
        if let breach = breach(item.message) { return refuse(item, of: reference, breach, at: now) }
        effects += attempt.append(item, at: now).map { .removeFile(reference, $0) }
        attempts[reference] = attempt
    }

    /// Gives up on a message that breaks the protocol. If the message is part of the attempt's result, the attempt
    /// fails. A lost snapshot, metric or log line does not end it.
    private mutating func refuse(
        _ item: Undelivered, of reference: AttemptReference, _ breach: String, at now: Instant
    ) {
        effects.append(.logError(reference, "a message is not sent, because it breaks the protocol: \(breach)"))
        switch item.content {
        case .metrics, .log: break
        case .artifact(let offer, let file):
            effects.append(.removeFile(reference, file))
            guard offer.role != .snapshot else { break }
            condemn(reference, code: .invalidReport, reason: "\(offer.role): \(breach)", isRetryable: false, at: now)
        case .finish:
            condemn(reference, code: .invalidReport, reason: "result: \(breach)", isRetryable: false, at: now)
        // The worker keeps these within the limits. If it ever does not, the attempt's lease expires.
        case .fail, .handBack: forget(reference, at: now)
        }
    }

    /// Sends the first item of each delivery queue, or repeats it.
    mutating func deliver(_ reference: AttemptReference, at now: Instant) {
        guard link == .welcomed, var attempt = attempts[reference] else { return }
        if let report = attempt.reports.first, now >= attempt.reports.retryAt {
            attempt.reports.retryAt = now + heartbeat
            effects.append(.send(report.message))
        }
        if let result = attempt.results.first, now >= attempt.results.retryAt, !attempt.reportsGoFirst(before: result) {
            attempt.results.retryAt = now + heartbeat
            effects.append(.send(result.message))
        }
        attempts[reference] = attempt
    }

    /// The attempt and the item under way with this request or transfer id.
    func underWay(_ id: UInt64) -> (AttemptReference, Undelivered)? {
        for (reference, attempt) in attempts {
            if let item = attempt.reports.first, item.id == id { return (reference, item) }
            if let item = attempt.results.first, item.id == id { return (reference, item) }
        }
        return nil
    }

    /// The first item of a delivery queue has arrived, or the coordinator will never accept it.
    mutating func settle(_ item: Undelivered, of reference: AttemptReference, at now: Instant) {
        guard var attempt = attempts[reference] else { return }
        if item.isReport {
            attempt.reports.items.removeFirst()
            attempt.reports.retryAt = now
        } else {
            attempt.results.items.removeFirst()
            attempt.results.retryAt = now
            attempt.sender = nil
        }
        attempts[reference] = attempt
        if case .artifact(_, let file) = item.content { effects.append(.removeFile(reference, file)) }
        if item.endsAttempt { forget(reference, at: now) }
    }

    /// The coordinator will never accept the item. The item must not block what follows. But without its artifacts the
    /// attempt has no result.
    mutating func reject(
        _ item: Undelivered, of reference: AttemptReference, _ reason: String, at now: Instant
    ) {
        effects.append(.logError(reference, "the coordinator refused a message: \(reason)"))
        settle(item, of: reference, at: now)
        switch item.content {
        case .metrics, .log, .finish, .fail, .handBack: break
        case .artifact(let offer, _) where offer.role == .snapshot: break
        case .artifact:
            let reason = "the coordinator refused an artifact: \(reason)"
            condemn(reference, code: .artifactRefused, reason: reason, isRetryable: false, at: now)
        }
    }

    /// A spooled file cannot be delivered. A lost checkpoint matters only if FINISH names it.
    mutating func giveUp(
        _ file: String, of reference: AttemptReference, _ reason: String, at now: Instant
    ) {
        guard let item = attempts[reference]?.results.first, case .artifact(let offer, file) = item.content
        else { return }
        effects.append(.logError(reference, "a file was lost before its delivery: \(reason)"))
        settle(item, of: reference, at: now)
        guard let attempt = attempts[reference] else { return }
        let isPartOfResult =
            switch offer.role {
            case .generator, .discriminator, .picture, .model, .material: true
            case .checkpoint: attempt.results.items.contains { if case .finish = $0.content { true } else { false } }
            case .snapshot, .exemplar, .map: false
            }
        if isPartOfResult {
            condemn(reference, code: .fileSystem, reason: reason, isRetryable: true, at: now)
        } else if attempt.newest[.checkpoint] == offer.artifact.sha256 {
            attempts[reference]?.newest[.checkpoint] = nil
        }
    }

    /// The attempt cannot have a result. It fails once its trainer has ended; until then the trainer holds the slot.
    mutating func condemn(
        _ reference: AttemptReference, code: FailureCode, reason: String, isRetryable: Bool, at now: Instant
    ) {
        guard var attempt = attempts[reference], !attempt.isDisowned, attempt.verdict == nil else { return }
        effects += attempt.files.map { .removeFile(reference, $0) }
        attempt.discardResults()
        let verdict = Ending.failed(code: code, reason: reason, isRetryable: isRetryable)
        attempt.verdict = verdict
        attempts[reference] = attempt
        switch attempt.phase {
        case .training: effects.append(.wish(reference, .abandon))
        case .downloading: end(reference, verdict, at: now)
        case .ended: conclude(reference, verdict, at: now)
        }
    }

    mutating func forget(_ reference: AttemptReference, at now: Instant) {
        attempts[reference] = nil
        effects.append(.removeFolder(reference))
        if workRequest == nil { nextWork = now }
    }

    /// The lease is lost. Stops the attempt and logs why.
    mutating func lose(_ reference: AttemptReference, _ reason: String, at now: Instant) {
        guard let attempt = attempts[reference], !attempt.isDisowned else { return }
        effects.append(
            .logError(reference, "the lease is lost at iteration \(attempt.iteration), the attempt stops: \(reason)"))
        disown(reference, at: now)
    }

    /// The lease is lost or the job cancelled. Stops the attempt and sends nothing more about it.
    mutating func disown(_ reference: AttemptReference, at now: Instant) {
        guard var attempt = attempts[reference], !attempt.isDisowned else { return }
        guard attempt.phase == .training else { return forget(reference, at: now) }
        attempt.disownedAt = now
        attempt.reports.items = []
        attempt.discardResults()
        attempts[reference] = attempt
        effects.append(.wish(reference, .abandon))
    }
}
