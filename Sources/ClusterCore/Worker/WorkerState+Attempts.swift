/// The life of an attempt: its inputs, the end of its trainer, its final message.
extension WorkerState {
    /// Asks for what the first download lacks.
    mutating func requestDownload(of ref: AttemptReference, _ now: Instant) {
        guard let download = attempts[ref]?.downloads.first else { return }
        attempts[ref]?.downloadActiveAt = now
        attempts[ref]?.downloadPace.restart(at: now)
        attempts[ref]?.hasDownloadStopped = false
        let request = ArtifactRequest(
            attempt: ref, transferID: download.transferID, artifact: download.artifact,
            offset: download.nextOffset, windowChunks: Limits.windowChunks)
        effects.append(.send(.request(request)))
    }

    func isUnderWay(_ transferID: UInt64, of ref: AttemptReference) -> Bool {
        guard let attempt = attempts[ref], attempt.phase == .downloading else { return false }
        return attempt.downloads.first?.transferID == transferID
    }

    /// The first download is complete.
    mutating func downloaded(_ ref: AttemptReference, _ now: Instant) {
        guard var attempt = attempts[ref] else { return }
        attempt.downloads.removeFirst()
        if attempt.downloads.isEmpty {
            attempt.phase = .training
            effects.append(.start(attempt.assignment, from: nil))
        }
        attempts[ref] = attempt
        requestDownload(of: ref, now)
    }

    /// Fetches an artifact again if its bytes are wrong. Gives up after ``maxTransfers`` tries.
    mutating func downloadDamaged(
        _ ref: AttemptReference, _ reason: String, _ now: Instant
    ) {
        guard var attempt = attempts[ref], let damaged = attempt.downloads.first else { return }
        attempt.damagedDownloads += 1
        guard attempt.damagedDownloads < Self.maxTransfers else {
            attempt.downloads = []
            attempts[ref] = attempt
            let reason = "\(reason), \(attempt.damagedDownloads) times"
            return end(ref, .failed(code: .download, reason: reason, isRetryable: true), now)
        }
        // A new transfer id, because chunks of the old transfer may still be under way.
        attempt.downloads[0] = ArtifactReceiver(transferID: makeID(), artifact: damaged.artifact)
        attempts[ref] = attempt
        requestDownload(of: ref, now)
    }

    /// The trainer has ended, or there never was one.
    mutating func end(_ ref: AttemptReference, _ ending: Ending, _ now: Instant) {
        guard var attempt = attempts[ref], attempt.phase != .ended else { return }
        guard !attempt.isDisowned else { return forget(ref, now) }
        attempt.phase = .ended
        attempts[ref] = attempt
        if workRequest == nil { nextWork = now }
        conclude(ref, attempt.verdict ?? ending, now)
    }

    /// Queues an attempt's final message.
    mutating func conclude(_ ref: AttemptReference, _ ending: Ending, _ now: Instant) {
        guard let attempt = attempts[ref] else { return }
        let content: Undelivered.Content
        switch ending {
        case .finished(let iteration, let seconds, let report):
            let required = WorkContract.table[attempt.assignment.kind]?.products ?? []
            let products = attempt.newest.filter { required.contains($0.key) }
            guard products.count == required.count else {
                let missing = required.subtracting(products.keys).map(\.rawValue).sorted().joined(separator: ", ")
                content = failure(
                    attempt, code: .incomplete, reason: "the run ended without its \(missing)", isRetryable: true)
                break
            }
            content = .finish(
                Completion(
                    iteration: max(0, iteration), products: products, trainingSeconds: seconds, reportJSON: report))
        case .stopped(let iteration):
            content = .handBack(iteration: max(0, iteration), reason: "the worker stops")
        case .abandoned:
            content = .handBack(iteration: attempt.iteration, reason: "training was abandoned")
        // This machine is at fault, not the job. The job loses no retry, and the worker asks for no work until its disk
        // works again.
        case .failed(.fileSystem, let reason, _, let neededBytes):
            storageProblem = reason
            storageNeed = max(storageNeed, neededBytes)
            content = .handBack(
                iteration: attempt.iteration,
                reason: "the disk of its worker: \(reason)".shortened(to: Limits.maxReasonBytes))
        case .failed(let code, let reason, _, _) where attempt.isResumed && Self.checkpointTroubles.contains(code):
            return resumedInVain(ref, reason, now)
        // Treated like a damaged checkpoint: the job resumes from the previous one at no cost.
        case .failed(.foreignCheckpoint, let reason, _, _):
            content = failure(attempt, code: .damagedCheckpoint, reason: reason, isRetryable: true)
        case .failed(let code, let reason, let isRetryable, _):
            content = failure(attempt, code: code, reason: reason, isRetryable: isRetryable)
        }
        queue(content, ref, now)
    }

    /// Failure codes of a trainer that cannot use its checkpoint.
    private static let checkpointTroubles: Set<FailureCode> = [.damagedCheckpoint, .foreignCheckpoint, .badCheckpoint]

    /// Ends an attempt that has no trainer, at no cost to its job.
    mutating func giveBack(_ ref: AttemptReference, _ reason: String, _ now: Instant) {
        guard let attempt = attempts[ref] else { return }
        queue(
            .handBack(iteration: attempt.iteration, reason: reason.shortened(to: Limits.maxReasonBytes)), ref, now)
    }

    private func failure(
        _ attempt: HeldAttempt, code: FailureCode, reason: String, isRetryable: Bool
    ) -> Undelivered.Content {
        .fail(
            Failure(
                code: FailureCode(rawValue: code.rawValue.shortened(to: Limits.maxNameBytes)),
                reason: reason.shortened(to: Limits.maxReasonBytes), iteration: attempt.iteration,
                isRetryable: isRetryable))
    }
}
