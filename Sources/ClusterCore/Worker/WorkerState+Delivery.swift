/// What goes to the coordinator until it is acknowledged, and what will never be.
extension WorkerState {
    /// - Parameter id: An artifact's transfer; other messages get the next free one.
    mutating func queue(
        _ content: Undelivered.Content, id: UInt64? = nil, _ ref: AttemptReference, _ now: Instant
    ) {
        guard var attempt = attempts[ref], !attempt.isDisowned else { return }
        let item = Undelivered(id: id ?? makeID(), attempt: ref, content: content)
        // What the coordinator would drop unanswered would be repeated for ever, and all behind it never sent.
        if let breach = breach(item.message) { return refuse(item, of: ref, breach, now) }
        effects += attempt.append(item, at: now).map { .removeFile(ref, $0) }
        attempts[ref] = attempt
    }

    /// A message that is not one: of no consequence if it only describes, the attempt's failure if it is its result.
    private mutating func refuse(
        _ item: Undelivered, of ref: AttemptReference, _ breach: String, _ now: Instant
    ) {
        effects.append(.logError(ref, "not reported, because it breaks the protocol: \(breach)"))
        switch item.content {
        case .metrics, .log: break
        case .artifact(let offer, let file):
            effects.append(.removeFile(ref, file))
            guard offer.role != .snapshot else { break }
            condemn(ref, code: "invalidReport", reason: "\(offer.role): \(breach)", retryable: false, now)
        case .finish:
            condemn(ref, code: "invalidReport", reason: "result: \(breach)", retryable: false, now)
        // Made within the limits here; were it not so, the lease would end the attempt.
        case .fail, .handBack: forget(ref, now)
        }
    }

    /// Sends the first of each lane, or sends it again.
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

    /// Whose message under way has this request or transfer id.
    func underWay(_ id: UInt64) -> (AttemptReference, Undelivered)? {
        for (ref, attempt) in attempts {
            if let item = attempt.reports.first, item.id == id { return (ref, item) }
            if let item = attempt.results.first, item.id == id { return (ref, item) }
        }
        return nil
    }

    /// The first of a lane has arrived, or will never be taken.
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

    /// The coordinator will never take it: that must not block what follows, but a result without its artifacts is
    /// none.
    mutating func reject(
        _ item: Undelivered, of ref: AttemptReference, _ reason: String, _ now: Instant
    ) {
        effects.append(.logError(ref, "the coordinator does not take a message: \(reason)"))
        settle(item, of: ref, now)
        switch item.content {
        case .metrics, .log, .finish, .fail, .handBack: break
        case .artifact(let offer, _) where offer.role == .snapshot: break
        case .artifact:
            let reason = "the coordinator does not take an artifact: \(reason)"
            condemn(ref, code: "artifactRefused", reason: reason, retryable: false, now)
        }
    }

    /// A spooled file cannot be delivered. A checkpoint is missed only by the result that names it.
    mutating func giveUp(
        _ file: String, of ref: AttemptReference, _ reason: String, _ now: Instant
    ) {
        guard let item = attempts[ref]?.results.first, case .artifact(let offer, file) = item.content
        else { return }
        effects.append(.logError(ref, "a file is lost before its delivery: \(reason)"))
        settle(item, of: ref, now)
        guard let attempt = attempts[ref] else { return }
        let isPartOfResult =
            switch offer.role {
            case .generator, .discriminator: true
            case .checkpoint: attempt.results.items.contains { if case .finish = $0.content { true } else { false } }
            case .snapshot, .exemplar: false
            }
        if isPartOfResult {
            condemn(ref, code: FailureCode.fileSystem, reason: reason, retryable: true, now)
        } else if attempt.newest[.checkpoint] == offer.artifact.sha256 {
            attempts[ref]?.newest[.checkpoint] = nil
        }
    }

    /// The attempt will have no result. It fails once its trainer has ended, which holds the slot until then.
    mutating func condemn(
        _ ref: AttemptReference, code: String, reason: String, retryable: Bool, _ now: Instant
    ) {
        guard var attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else { return }
        effects += attempt.files.map { .removeFile(ref, $0) }
        attempt.discardResults()
        let verdict = Ending.failed(code: code, reason: reason, retryable: retryable)
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

    /// The lease is lost: stop, and say here why.
    mutating func lose(_ ref: AttemptReference, _ reason: String, _ now: Instant) {
        guard let attempt = attempts[ref], !attempt.isDisowned else { return }
        effects.append(
            .logError(ref, "the lease is lost at iteration \(attempt.iteration), the attempt stops: \(reason)"))
        disown(ref, now)
    }

    /// The lease is lost or the job cancelled: stop, and say nothing more about it.
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
