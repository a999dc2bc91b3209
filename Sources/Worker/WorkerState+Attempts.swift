import Protocol
import TextureGAN
import Transport

/// The life of an attempt: inputs, the trainer's end, the last word.
extension WorkerState {
    mutating func request(_ download: ArtifactReceiver, of attempt: Attempt, _ effects: inout [Effect]) {
        var request = WireArtifactRequest()
        request.transferID = download.transferID
        request.artifact = download.artifact
        request.offset = download.nextOffset
        request.windowChunks = Limits.windowChunks
        request.attempt = attempt.ref
        effects.append(.send(.artifactRequest(request)))
    }

    func isUnderWay(_ transferID: UInt64, of ref: WireAttemptRef) -> Bool {
        guard let attempt = attempts[ref], attempt.phase == .downloading else { return false }
        return attempt.downloads.first?.transferID == transferID
    }

    /// The first download is there.
    mutating func downloaded(_ ref: WireAttemptRef, _ effects: inout [Effect]) {
        guard var attempt = attempts[ref] else { return }
        attempt.downloads.removeFirst()
        if let next = attempt.downloads.first {
            request(next, of: attempt, &effects)
        } else {
            attempt.phase = .training
            effects.append(.train(attempt.assignment, from: nil))
        }
        attempts[ref] = attempt
    }

    /// Fetches an artifact again whose bytes are not what they should be, but not for ever.
    mutating func downloadDamaged(
        _ ref: WireAttemptRef, _ reason: String, _ now: Instant, _ effects: inout [Effect]
    ) {
        guard var attempt = attempts[ref], let damaged = attempt.downloads.first else { return }
        attempt.damagedDownloads += 1
        guard attempt.damagedDownloads < Self.maxTransfers else {
            attempt.downloads = []
            attempts[ref] = attempt
            let reason = "\(reason), \(attempt.damagedDownloads) times"
            return end(ref, .failed(code: "download", reason: reason, retryable: true), now, &effects)
        }
        // A new transfer id: chunks of the old one may still be under way.
        attempt.downloads[0] = ArtifactReceiver(transferID: makeID(), artifact: damaged.artifact)
        attempt.downloadActiveAt = now
        attempts[ref] = attempt
        request(attempt.downloads[0], of: attempt, &effects)
    }

    /// The trainer has ended, or there never was one.
    mutating func end(_ ref: WireAttemptRef, _ ending: Ending, _ now: Instant, _ effects: inout [Effect]) {
        guard var attempt = attempts[ref], attempt.phase != .ended else { return }
        guard !attempt.isDisowned else { return forget(ref, now, &effects) }
        attempt.phase = .ended
        attempts[ref] = attempt
        if workRequest == nil { nextWork = now }
        conclude(ref, attempt.verdict ?? ending, now, &effects)
    }

    /// Queues an attempt's last word.
    mutating func conclude(_ ref: WireAttemptRef, _ ending: Ending, _ now: Instant, _ effects: inout [Effect]) {
        guard let attempt = attempts[ref] else { return }
        let id = makeID()
        let content: Undelivered.Content
        switch ending {
        case .finished(let iteration, let seconds, let report):
            guard let generator = attempt.newest[.generator], let discriminator = attempt.newest[.discriminator],
                let checkpoint = attempt.newest[.checkpoint]
            else {
                content = failure(
                    attempt, id, code: "incomplete", reason: "training ended without its three artifacts",
                    retryable: true)
                break
            }
            var finish = WireFinish()
            finish.attempt = ref
            finish.requestID = id
            finish.iteration = UInt64(max(0, iteration))
            finish.generatorSha256 = generator
            finish.discriminatorSha256 = discriminator
            finish.checkpointSha256 = checkpoint
            finish.trainingSeconds = seconds
            finish.reportJson = report
            content = .finish(finish)
        case .stopped(let iteration):
            content = handBack(attempt, id, iteration: UInt64(max(0, iteration)), reason: "the worker stops")
        case .abandoned:
            content = handBack(attempt, id, iteration: attempt.iteration, reason: "training was abandoned")
        // This machine's trouble and not the job's: it costs the job nothing, and this worker asks for no other before
        // its disk is well again.
        case .failed("fileSystem", let reason, _, let neededBytes):
            storageProblem = reason
            storageNeed = max(storageNeed, neededBytes)
            content = handBack(
                attempt, id, iteration: attempt.iteration,
                reason: "the disk of its worker: \(reason)".shortened(to: Limits.maxReasonBytes))
        case .failed(let code, let reason, _, _) where attempt.isResumed && Self.checkpointTroubles.contains(code):
            return resumedInVain(ref, reason, now, &effects)
        // Nobody's fault, like a damaged one: the job goes on from the one before.
        case .failed(TrainingError.Code.foreignCheckpoint.rawValue, let reason, _, _):
            content = failure(
                attempt, id, code: TrainingError.Code.damagedCheckpoint.rawValue, reason: reason, retryable: true)
        case .failed(let code, let reason, let retryable, _):
            content = failure(attempt, id, code: code, reason: reason, retryable: retryable)
        }
        queue(content, id: id, ref, now, &effects)
    }

    /// Codes of a trainer that could not use its checkpoint.
    private static let checkpointTroubles = Set(
        [TrainingError.Code.damagedCheckpoint, .foreignCheckpoint, .badCheckpoint].map(\.rawValue))

    /// Ends an attempt that has no trainer, at no cost to its job.
    mutating func giveBack(_ ref: WireAttemptRef, _ reason: String, _ now: Instant, _ effects: inout [Effect]) {
        guard let attempt = attempts[ref] else { return }
        let id = makeID()
        let content = handBack(
            attempt, id, iteration: attempt.iteration, reason: reason.shortened(to: Limits.maxReasonBytes))
        queue(content, id: id, ref, now, &effects)
    }

    private func failure(
        _ attempt: Attempt, _ id: UInt64, code: String, reason: String, retryable: Bool
    ) -> Undelivered.Content {
        var fail = WireFail()
        fail.attempt = attempt.ref
        fail.requestID = id
        fail.iteration = attempt.iteration
        fail.code = code.shortened(to: Limits.maxNameBytes)
        fail.reason = reason.shortened(to: Limits.maxReasonBytes)
        fail.retryable = retryable
        return .fail(fail)
    }

    private func handBack(
        _ attempt: Attempt, _ id: UInt64, iteration: UInt64, reason: String
    ) -> Undelivered.Content {
        var handBack = WireHandBack()
        handBack.attempt = attempt.ref
        handBack.requestID = id
        handBack.iteration = iteration
        handBack.reason = reason
        return .handBack(handBack)
    }
}
