/// The life of an attempt: its inputs, the end of its trainer, its final message.
extension WorkerState {
    /// Asks for what the first download lacks.
    mutating func requestDownload(of reference: AttemptReference, at now: Instant) {
        guard let download = attempts[reference]?.downloads.first else { return }
        attempts[reference]?.downloadActiveAt = now
        attempts[reference]?.downloadPace.restart(at: now)
        attempts[reference]?.hasDownloadStopped = false
        let request = ArtifactRequest(
            attempt: reference, transferID: download.transferID, artifact: download.artifact,
            offset: download.nextOffset, windowChunks: Limits.windowChunks)
        effects.append(.send(.request(request)))
    }

    private func isUnderWay(_ transferID: UInt64, of reference: AttemptReference) -> Bool {
        guard let attempt = attempts[reference], attempt.phase == .downloading else { return false }
        return attempt.downloads.first?.transferID == transferID
    }

    /// The first download is complete.
    mutating func downloaded(_ reference: AttemptReference, _ transferID: UInt64, at now: Instant) {
        guard isUnderWay(transferID, of: reference), var attempt = attempts[reference] else { return }
        attempt.downloads.removeFirst()
        if attempt.downloads.isEmpty {
            attempt.phase = .training
            effects.append(.start(attempt.assignment, from: nil))
        }
        attempts[reference] = attempt
        requestDownload(of: reference, at: now)
    }

    /// Fetches an artifact again if its bytes are wrong. Gives up after ``maxTransfers`` tries.
    mutating func downloadDamaged(
        _ reference: AttemptReference, _ transferID: UInt64, _ reason: String, at now: Instant
    ) {
        guard isUnderWay(transferID, of: reference), var attempt = attempts[reference],
            let damaged = attempt.downloads.first
        else { return }
        attempt.damagedDownloads += 1
        guard attempt.damagedDownloads < Self.maxTransfers else {
            attempt.downloads = []
            attempts[reference] = attempt
            let reason = "\(reason), \(attempt.damagedDownloads) times"
            return end(reference, .failed(code: .download, reason: reason, isRetryable: true), at: now)
        }
        // A new transfer id, because chunks of the old transfer may still be under way.
        attempt.downloads[0] = ArtifactReceiver(transferID: makeID(), artifact: damaged.artifact)
        attempts[reference] = attempt
        requestDownload(of: reference, at: now)
    }

    /// This machine could not write a download.
    mutating func downloadFailed(
        _ reference: AttemptReference, _ transferID: UInt64, _ reason: String, at now: Instant
    ) {
        guard isUnderWay(transferID, of: reference), let assignment = attempts[reference]?.assignment else { return }
        attempts[reference]?.downloads = []
        let need = assignment.artifacts.reduce(0) { $0 + $1.sizeBytes }
        end(reference, .failed(code: .fileSystem, reason: reason, isRetryable: true, neededBytes: need), at: now)
    }

    mutating func iterated(
        _ reference: AttemptReference, _ iteration: Int, _ totalIterations: Int?, _ secondsPerIteration: Double
    ) {
        // Kept within the wire's limits: one impossible number must not stop the heartbeats.
        let limit = Int(Limits.maxIterations)
        attempts[reference]?.iteration = min(max(0, iteration), limit)
        if let totalIterations { attempts[reference]?.totalIterations = min(max(0, totalIterations), limit) }
        if secondsPerIteration.isFinite, secondsPerIteration > 0 {
            attempts[reference]?.secondsPerIteration = min(secondsPerIteration, Limits.maxSecondsPerIteration)
        }
    }

    /// The trainer has ended, or there never was one.
    mutating func end(_ reference: AttemptReference, _ ending: Ending, at now: Instant) {
        guard var attempt = attempts[reference], attempt.phase != .ended else { return }
        guard !attempt.isDisowned else { return forget(reference, at: now) }
        attempt.phase = .ended
        attempts[reference] = attempt
        if workRequest == nil { nextWork = now }
        conclude(reference, attempt.verdict ?? ending, at: now)
    }

    /// Queues an attempt's final message.
    mutating func conclude(_ reference: AttemptReference, _ ending: Ending, at now: Instant) {
        guard let attempt = attempts[reference] else { return }
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
            return resumedInVain(reference, reason, at: now)
        // Treated like a damaged checkpoint: the job resumes from the previous one at no cost.
        case .failed(.foreignCheckpoint, let reason, _, _):
            content = failure(attempt, code: .damagedCheckpoint, reason: reason, isRetryable: true)
        case .failed(let code, let reason, let isRetryable, _):
            content = failure(attempt, code: code, reason: reason, isRetryable: isRetryable)
        }
        queue(content, reference, at: now)
    }

    /// Failure codes of a trainer that cannot use its checkpoint.
    private static let checkpointTroubles: Set<FailureCode> = [.damagedCheckpoint, .foreignCheckpoint, .badCheckpoint]

    /// Ends an attempt that has no trainer, at no cost to its job.
    mutating func giveBack(_ reference: AttemptReference, _ reason: String, at now: Instant) {
        guard let attempt = attempts[reference] else { return }
        queue(
            .handBack(iteration: attempt.iteration, reason: reason.shortened(to: Limits.maxReasonBytes)), reference,
            at: now)
    }

    /// - Parameter problem: Why the disk cannot be written to; nil: it can.
    mutating func storage(_ problem: String?, at now: Instant) {
        storageProblem = problem
        guard problem == nil else { return }
        storageNeed = 0
        if workRequest == nil { nextWork = now }
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
