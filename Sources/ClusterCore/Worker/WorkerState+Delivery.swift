/// What the worker sends until the coordinator acknowledges it, and what the worker gives up on.
extension WorkerState {
    /// - Parameter id: An artifact's transfer id. Other messages get the next free id.
    mutating func queue(
        _ content: Undelivered.Content, id: UInt64? = nil, _ ref: AttemptReference, _ now: Instant
    ) {
        guard var attempt = attempts[ref], !attempt.isDisowned else { return }
        let item = Undelivered(id: id ?? makeID(), attempt: ref, content: content)
        // The coordinator drops a malformed message without an answer. The worker would repeat it for ever and never
        // send what is behind it.
        if let breach = breach(item.message) { return refuse(item, of: ref, breach, now) }
        effects += attempt.append(item, at: now).map { .removeFile(ref, $0) }
        attempts[ref] = attempt
    }

    /// Gives up on a message that breaks the protocol. If the message is part of the attempt's result, the attempt
    /// fails. A lost snapshot, metric or log line does not end it.
    private mutating func refuse(
        _ item: Undelivered, of ref: AttemptReference, _ breach: String, _ now: Instant
    ) {
        effects.append(.logError(ref, "a message is not sent, because it breaks the protocol: \(breach)"))
        switch item.content {
        case .metrics, .log: break
        case .artifact(let offer, let file):
            effects.append(.removeFile(ref, file))
            guard offer.role != .snapshot else { break }
            condemn(ref, code: .invalidReport, reason: "\(offer.role): \(breach)", isRetryable: false, now)
        case .finish:
            condemn(ref, code: .invalidReport, reason: "result: \(breach)", isRetryable: false, now)
        // The worker keeps these within the limits. If it ever does not, the attempt's lease expires.
        case .fail, .handBack: forget(ref, now)
        }
    }

    /// Sends the first item of each delivery queue, or repeats it.
    mutating func deliver(_ ref: AttemptReference, _ now: Instant) {
        guard link == .welcomed, var attempt = attempts[ref] else { return }
        if let report = attempt.reports.first, now >= attempt.reports.retryAt {
            attempt.reports.retryAt = now + heartbeat
            effects.append(.send(report.message))
        }
        if let result = attempt.results.first, now >= attempt.results.retryAt, !attempt.reportsGoFirst(before: result) {
            attempt.results.retryAt = now + heartbeat
            effects.append(.send(result.message))
        }
        attempts[ref] = attempt
    }

    /// The attempt and the item under way with this request or transfer id.
    func underWay(_ id: UInt64) -> (AttemptReference, Undelivered)? {
        for (ref, attempt) in attempts {
            if let item = attempt.reports.first, item.id == id { return (ref, item) }
            if let item = attempt.results.first, item.id == id { return (ref, item) }
        }
        return nil
    }

    /// The first item of a delivery queue has arrived, or the coordinator will never accept it.
    mutating func settle(_ item: Undelivered, of ref: AttemptReference, _ now: Instant) {
        guard var attempt = attempts[ref] else { return }
        if item.isReport {
            attempt.reports.items.removeFirst()
            attempt.reports.retryAt = now
        } else {
            attempt.results.items.removeFirst()
            attempt.results.retryAt = now
            attempt.sender = nil
        }
        attempts[ref] = attempt
        if case .artifact(_, let file) = item.content { effects.append(.removeFile(ref, file)) }
        if item.endsAttempt { forget(ref, now) }
    }

    /// The coordinator will never accept the item. The item must not block what follows. But without its artifacts the
    /// attempt has no result.
    mutating func reject(
        _ item: Undelivered, of ref: AttemptReference, _ reason: String, _ now: Instant
    ) {
        effects.append(.logError(ref, "the coordinator refused a message: \(reason)"))
        settle(item, of: ref, now)
        switch item.content {
        case .metrics, .log, .finish, .fail, .handBack: break
        case .artifact(let offer, _) where offer.role == .snapshot: break
        case .artifact:
            let reason = "the coordinator refused an artifact: \(reason)"
            condemn(ref, code: .artifactRefused, reason: reason, isRetryable: false, now)
        }
    }

    /// A spooled file cannot be delivered. A lost checkpoint matters only if FINISH names it.
    mutating func giveUp(
        _ file: String, of ref: AttemptReference, _ reason: String, _ now: Instant
    ) {
        guard let item = attempts[ref]?.results.first, case .artifact(let offer, file) = item.content
        else { return }
        effects.append(.logError(ref, "a file was lost before its delivery: \(reason)"))
        settle(item, of: ref, now)
        guard let attempt = attempts[ref] else { return }
        let isPartOfResult =
            switch offer.role {
            case .generator, .discriminator, .picture, .model, .material: true
            case .checkpoint: attempt.results.items.contains { if case .finish = $0.content { true } else { false } }
            case .snapshot, .exemplar, .map: false
            }
        if isPartOfResult {
            condemn(ref, code: .fileSystem, reason: reason, isRetryable: true, now)
        } else if attempt.newest[.checkpoint] == offer.artifact.sha256 {
            attempts[ref]?.newest[.checkpoint] = nil
        }
    }

    /// The attempt cannot have a result. It fails once its trainer has ended; until then the trainer holds the slot.
    mutating func condemn(
        _ ref: AttemptReference, code: FailureCode, reason: String, isRetryable: Bool, _ now: Instant
    ) {
        guard var attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else { return }
        effects += attempt.files.map { .removeFile(ref, $0) }
        attempt.discardResults()
        let verdict = Ending.failed(code: code, reason: reason, isRetryable: isRetryable)
        attempt.verdict = verdict
        attempts[ref] = attempt
        switch attempt.phase {
        case .training: effects.append(.wish(ref, .abandon))
        case .downloading: end(ref, verdict, now)
        case .ended: conclude(ref, verdict, now)
        }
    }

    mutating func forget(_ ref: AttemptReference, _ now: Instant) {
        attempts[ref] = nil
        effects.append(.removeFolder(ref))
        if workRequest == nil { nextWork = now }
    }

    /// The lease is lost. Stops the attempt and logs why.
    mutating func lose(_ ref: AttemptReference, _ reason: String, _ now: Instant) {
        guard let attempt = attempts[ref], !attempt.isDisowned else { return }
        effects.append(
            .logError(ref, "the lease is lost at iteration \(attempt.iteration), the attempt stops: \(reason)"))
        disown(ref, now)
    }

    /// The lease is lost or the job cancelled. Stops the attempt and sends nothing more about it.
    mutating func disown(_ ref: AttemptReference, _ now: Instant) {
        guard var attempt = attempts[ref], !attempt.isDisowned else { return }
        guard attempt.phase == .training else { return forget(ref, now) }
        attempt.disownedAt = now
        attempt.reports.items = []
        attempt.discardResults()
        attempts[ref] = attempt
        effects.append(.wish(ref, .abandon))
    }
}
