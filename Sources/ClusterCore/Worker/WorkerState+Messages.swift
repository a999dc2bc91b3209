/// What the coordinator's messages do.
extension WorkerState {
    mutating func receive(_ message: MessageToWorker, session named: UInt64, at now: Instant) {
        if case .refusal(let code, let reason) = message {
            return receive(refusal: code, reason, session: named, at: now)
        }
        guard named == session else { return }
        lastHeard = now
        switch message {
        case .welcome(let greeting, let lost): receive(greeting, lost, at: now)
        case .helloAgain:
            // One HELLO per back-off: a burst of messages to a restarted coordinator brings a burst of HELLO_AGAIN.
            greetAnew(at: now)
        case .assign(let id, let assignment): receive(assignment, request: id, at: now)
        case .noWork(let id, let retryAfter):
            guard id == workRequest else { return }
            workRequest = nil
            nextWork = now + max(.milliseconds(100), min(retryAfter, .seconds(60)))
        case .heartbeatReply(_, let cancelled, let lost, let isDraining):
            for reference in cancelled { disown(reference, at: now) }
            for reference in lost {
                lose(reference, "the coordinator has ended it or given it to another worker", at: now)
            }
            if isDraining { drain(because: "the coordinator asks it to drain", at: now) }
        case .cancel(let reference, _): disown(reference, at: now)
        case .drain(let reason):
            drain(because: "the coordinator asks it to drain" + (reason.isEmpty ? "" : " (\(reason))"), at: now)
        case .acknowledge(let id, let code, let reason): receive(answer: code, reason, to: id, at: now)
        case .artifactReceipt(let id, let sha256):
            guard let (reference, item) = underWay(id), case .artifact(let offer, _) = item.content,
                offer.artifact.sha256 == sha256
            else { return }
            settle(item, of: reference, at: now)
        case .credit(let credit): receive(credit, at: now)
        case .chunk(let chunk, let payload): receive(chunk, payload, at: now)
        case .refusal: break
        }
    }

    private mutating func greetAnew(at now: Instant) {
        if link == .welcomed { link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound) }
    }

    /// A refusal counts only for the session that it names, unless it is about the version.
    private mutating func receive(
        refusal code: AcknowledgementCode, _ reason: String, session named: UInt64, at now: Instant
    ) {
        switch code {
        case .duplicateWorker where named == session: exit(.duplicate(reason))
        case .notAuthorised where named == session: resign(.refused(reason), at: now)
        case .versionUnsupported:
            guard let hellos = hellosSinceWelcome else {
                return resign(.refused(reason), at: now)
            }
            // A new coordinator does not speak the agreed version. It may speak another.
            if link == .welcomed {
                greetAnew(at: now)
            } else if hellos >= Self.believedRefusals {
                resign(.refused(reason), at: now)
            }
        default: break
        }
    }

    /// The coordinator and this worker cannot speak with each other.
    mutating func unwelcome(_ reason: String, _ isFinal: Bool, at now: Instant) {
        if isFinal || hellosSinceWelcome == nil {
            resign(.refused(reason), at: now)
        } else {
            effects.append(.rejected(reason))
        }
    }

    /// Ends the worker once its checkpoints are in its folder, for the next process.
    mutating func resign(_ exit: WorkerExit, at now: Instant) {
        guard lastExit == nil else { return }
        lastExit = exit
        drain(at: now)
    }

    private mutating func receive(_ greeting: Greeting, _ lost: [AttemptReference], at now: Instant) {
        guard versions.contains(greeting.version) else {
            let reason =
                "the coordinator chose protocol version \(greeting.version), but this worker speaks "
                + "\(versions.lowerBound) to \(versions.upperBound); upgrade the older of the two"
            return resign(.refused(reason), at: now)
        }
        hellosSinceWelcome = 0
        speak(greeting.version)
        heartbeat = greeting.heartbeat
        for reference in lost {
            lose(reference, "its lease has ended, and the job may belong to another worker now", at: now)
        }
        guard link != .welcomed else { return }
        link = .welcomed
        isAway = false
        effects.append(
            .connected(coordinator: greeting.coordinatorID, softwareVersion: greeting.softwareVersion))
        nextBeat = now
        nextWork = now
        // Messages under way are lost with the old connection.
        for reference in attempts.keys {
            attempts[reference]?.reports.retryAt = now
            attempts[reference]?.results.retryAt = now
            // Begins again where the coordinator's next credit says.
            attempts[reference]?.sender = nil
            attempts[reference]?.hasDownloadStopped = true
            attempts[reference]?.downloadActiveAt = now + (.zero - heartbeat * 2)
        }
    }

    private mutating func receive(_ assignment: Assignment, request id: UInt64, at now: Instant) {
        if id == workRequest { workRequest = nil }
        let reference = assignment.attempt
        guard attempts[reference] == nil,
            !attempts.keys.contains(where: { $0.job == reference.job && $0.number > reference.number })
        else { return }
        var files: [Artifact] = []
        for artifact in assignment.artifacts where !files.contains(artifact) { files.append(artifact) }
        let downloads = files.map { ArtifactReceiver(transferID: makeID(), artifact: $0) }
        let hasRoom = freeSlots > 0 && !isDraining
        let attempt = HeldAttempt(assignment: assignment, downloads: hasRoom ? downloads : [], at: now)
        attempts[reference] = attempt
        if hasRoom, !downloads.isEmpty {
            requestDownload(of: reference, at: now)
            nextWork = now
        } else {
            end(reference, .stopped(iteration: assignment.checkpoint?.iteration ?? 0), at: now)
        }
    }

    private mutating func receive(
        answer code: AcknowledgementCode, _ reason: String, to id: UInt64, at now: Instant
    ) {
        if let (reference, item) = underWay(id) {
            return receive(answer: code, reason, to: item, of: reference, at: now)
        }
        guard let reference = attempts.first(where: { $0.value.downloads.first?.transferID == id })?.key
        else { return }
        switch code {
        case .leaseLost: lose(reference, reason, at: now)
        case .cancelled: disown(reference, at: now)
        case .unknownArtifact, .malformed, .tooLarge:
            attempts[reference]?.downloads = []
            let reason = "the coordinator refused to send an artifact of the assignment: \(reason)"
            end(reference, .failed(code: .download, reason: reason, isRetryable: true), at: now)
        default:
            attempts[reference]?.hasDownloadStopped = true
            attempts[reference]?.downloadActiveAt = now
        }
    }

    private mutating func receive(
        answer code: AcknowledgementCode, _ message: String, to item: Undelivered, of reference: AttemptReference,
        at now: Instant
    ) {
        switch (code, item.content) {
        // Only a receipt settles an artifact.
        case (.ok, .artifact): break
        case (.ok, _): settle(item, of: reference, at: now)
        case (.leaseLost, _): lose(reference, message, at: now)
        case (.cancelled, _): disown(reference, at: now)
        case (.malformed, .finish), (.tooLarge, .finish):
            let reason = "the coordinator refused the result: \(message)"
            condemn(reference, code: .resultRefused, reason: reason, isRetryable: false, at: now)
        case (.malformed, _), (.tooLarge, _): reject(item, of: reference, message, at: now)
        // The coordinator lost the files after its receipts. Another attempt makes them again from a stored checkpoint.
        case (.unknownArtifact, .finish):
            let reason = "the coordinator has lost an artifact of the result: \(message)"
            condemn(reference, code: .artifactsLost, reason: reason, isRetryable: true, at: now)
        case (.digestMismatch, .artifact(_, let file)) where item.mismatches + 1 >= Self.maxTransfers:
            giveUp(file, of: reference, "\(file) was sent \(Self.maxTransfers) times: \(message)", at: now)
        case (.noSpace, _), (.tryLater, _), (.digestMismatch, _), (.unknownArtifact, _), (.versionUnsupported, _),
            (.duplicateWorker, _), (.notAuthorised, _):
            if item.isReport {
                attempts[reference]?.reports.retryAt = now + heartbeat
            } else {
                if code == .digestMismatch { attempts[reference]?.results.items[0].mismatches += 1 }
                attempts[reference]?.sender = nil
                attempts[reference]?.results.retryAt = now + heartbeat
            }
        }
    }

    private mutating func receive(_ credit: ArtifactCredit, at now: Instant) {
        guard let (reference, item) = underWay(credit.transferID), var attempt = attempts[reference],
            case .artifact(let offer, let file) = item.content
        else { return }
        var sender =
            attempt.sender
            ?? ArtifactSender(
                transferID: credit.transferID, sizeBytes: UInt64(offer.artifact.sizeBytes),
                maxWindowChunks: Limits.uploadWindowChunks)
        sender.grant(credit)
        while let chunk = sender.next() {
            effects.append(.sendChunk(reference, file: file, chunk, transferID: credit.transferID))
        }
        attempt.sender = sender
        // Progress delays the next offer, which is only for transfers that have stopped.
        attempt.results.retryAt = now + heartbeat
        attempts[reference] = attempt
    }

    private mutating func receive(
        _ chunk: ArtifactChunk, _ payload: [UInt8], at now: Instant
    ) {
        let receiver = attempts.first { $0.value.downloads.first?.transferID == chunk.transferID }?.key
        for other in attempts.filter({ $0.key != receiver && !$0.value.downloads.isEmpty }).map(\.key) {
            attempts[other]?.downloadPace.othersArrived(bytes: payload.count, at: now)
        }
        guard let reference = receiver, var download = attempts[reference]?.downloads.first else { return }
        let decision = download.receive(chunk, byteCount: payload.count)
        attempts[reference]?.downloads[0] = download
        // Also one that brings nothing new: those behind it are still under way.
        attempts[reference]?.downloadActiveAt = now
        attempts[reference]?.downloadPace.arrived(at: now)
        attempts[reference]?.hasDownloadStopped = false
        switch decision {
        case .write(let offset), .writeLast(let offset):
            effects.append(
                .writeChunk(
                    reference, download.artifact, transferID: download.transferID, offset: offset, payload: payload,
                    verify: download.isComplete))
            effects.append(.send(.credit(download.credit(rewind: false))))
        case .rewind: effects.append(.send(.credit(download.credit(rewind: true))))
        case .ignore: break
        }
    }
}
