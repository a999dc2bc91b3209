import Protocol
import Transport

/// What goes to the coordinator until it is acknowledged, and what will never be.
extension WorkerState {
    mutating func queue(
        _ content: Undelivered.Content, id: UInt64, _ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]
    ) {
        guard var attempt = attempts[ref], !attempt.isDisowned else { return }
        let item = Undelivered(id: id, content: content)
        do {
            // What the coordinator would drop unanswered would be repeated for ever, and all behind it never sent.
            _ = try WireMessage(item.body, session: session).frames()
        } catch {
            return refuse(item, of: ref, error, now, &effects)
        }
        effects += attempt.append(item, at: now).map { .removeFile(ref, $0) }
        attempts[ref] = attempt
    }

    /// A message that is not one: of no consequence if it only describes, the attempt's failure if it is its result.
    private mutating func refuse(
        _ item: Undelivered, of ref: WireAttemptRef, _ error: ProtocolError, _ now: Instant, _ effects: inout [Effect]
    ) {
        effects.append(.logError(ref, "not reported, because it breaks the protocol: \(error)"))
        switch item.content {
        case .metrics, .log: break
        case .artifact(let offer, let file):
            effects.append(.removeFile(ref, file))
            guard offer.kind != .snapshot else { break }
            condemn(ref, code: "invalidReport", reason: "\(offer.kind): \(error)", retryable: false, now, &effects)
        case .finish:
            condemn(ref, code: "invalidReport", reason: "result: \(error)", retryable: false, now, &effects)
        // Made within the limits here; were it not so, the lease would end the attempt.
        case .fail, .handBack: forget(ref, now, &effects)
        }
    }

    /// Sends the first of each lane, or sends it again.
    mutating func deliver(_ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
        guard link == .welcomed, var attempt = attempts[ref] else { return }
        if let report = attempt.reports.first, now >= attempt.reports.retryAt {
            attempt.reports.retryAt = now + heartbeat
            effects.append(.send(report.body))
        }
        if let result = attempt.results.first, now >= attempt.results.retryAt, !attempt.reportsGoFirst(before: result) {
            attempt.results.retryAt = now + heartbeat
            effects.append(.send(result.body))
        }
        attempts[ref] = attempt
    }

    /// Whose message under way has this request or transfer id.
    func underWay(_ id: UInt64) -> (WireAttemptRef, Undelivered)? {
        for (ref, attempt) in attempts {
            if let item = attempt.reports.first, item.id == id { return (ref, item) }
            if let item = attempt.results.first, item.id == id { return (ref, item) }
        }
        return nil
    }

    /// The first of a lane has arrived, or will never be taken.
    mutating func settle(_ item: Undelivered, of ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
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
        if item.endsAttempt { forget(ref, now, &effects) }
    }

    /// The coordinator will never take it: that must not block what follows, but a result without its artifacts is
    /// none.
    mutating func reject(
        _ item: Undelivered, of ref: WireAttemptRef, _ reason: String, _ now: Instant, _ effects: inout [Effect]
    ) {
        effects.append(.logError(ref, "the coordinator does not take a message: \(reason)"))
        settle(item, of: ref, now, &effects)
        switch item.content {
        case .metrics, .log, .finish, .fail, .handBack: break
        case .artifact(let offer, _) where offer.kind == .snapshot: break
        case .artifact:
            let reason = "the coordinator does not take an artifact: \(reason)"
            condemn(ref, code: "artifactRefused", reason: reason, retryable: false, now, &effects)
        }
    }

    /// A spooled file cannot be delivered. A checkpoint is missed only by the result that names it.
    mutating func giveUp(
        _ file: String, of ref: WireAttemptRef, _ reason: String, _ now: Instant, _ effects: inout [Effect]
    ) {
        guard let item = attempts[ref]?.results.first, case .artifact(let offer, file) = item.content
        else { return }
        effects.append(.logError(ref, "a file is lost before its delivery: \(reason)"))
        settle(item, of: ref, now, &effects)
        guard let attempt = attempts[ref] else { return }
        let isPartOfResult =
            switch offer.kind {
            case .generator, .discriminator: true
            case .checkpoint: attempt.results.items.contains { if case .finish = $0.content { true } else { false } }
            case .snapshot, .exemplar, .unspecified, .UNRECOGNIZED: false
            }
        if isPartOfResult {
            condemn(ref, code: "fileSystem", reason: reason, retryable: true, now, &effects)
        } else if attempt.newest[.checkpoint] == offer.artifact.sha256 {
            attempts[ref]?.newest[.checkpoint] = nil
        }
    }

    /// The attempt will have no result. It fails once its trainer has ended, which holds the slot until then.
    mutating func condemn(
        _ ref: WireAttemptRef, code: String, reason: String, retryable: Bool, _ now: Instant,
        _ effects: inout [Effect]
    ) {
        guard var attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else { return }
        effects += attempt.files.map { .removeFile(ref, $0) }
        attempt.discardResults()
        let verdict = Ending.failed(code: code, reason: reason, retryable: retryable)
        attempt.verdict = verdict
        attempts[ref] = attempt
        switch attempt.phase {
        case .training: effects.append(.wish(ref, .abandon))
        case .downloading: end(ref, verdict, now, &effects)
        case .ended: conclude(ref, verdict, now, &effects)
        }
    }

    mutating func forget(_ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
        attempts[ref] = nil
        effects.append(.removeFolder(ref))
        if workRequest == nil { nextWork = now }
    }

    /// The lease is lost: stop, and say here why.
    mutating func lose(_ ref: WireAttemptRef, _ reason: String, _ now: Instant, _ effects: inout [Effect]) {
        guard let attempt = attempts[ref], !attempt.isDisowned else { return }
        effects.append(
            .logError(ref, "the lease is lost at iteration \(attempt.iteration), the attempt stops: \(reason)"))
        disown(ref, now, &effects)
    }

    /// The lease is lost or the job cancelled: stop, and say nothing more about it.
    mutating func disown(_ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
        guard var attempt = attempts[ref], !attempt.isDisowned else { return }
        guard attempt.phase == .training else { return forget(ref, now, &effects) }
        attempt.disownedAt = now
        attempt.reports.items = []
        attempt.discardResults()
        attempts[ref] = attempt
        effects.append(.wish(ref, .abandon))
    }
}
