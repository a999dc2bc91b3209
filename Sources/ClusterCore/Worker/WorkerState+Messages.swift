/// What the coordinator's messages do.
extension WorkerState {
    mutating func receive(_ message: MessageToWorker, session named: UInt64, _ now: Instant) {
        if case .refusal(let code, let reason) = message {
            return receive(refusal: code, reason, session: named, now)
        }
        guard named == session else { return }
        lastHeard = now
        switch message {
        case .welcome(let greeting, let lost): receive(greeting, lost, now)
        case .helloAgain:
            // One HELLO per back-off: a burst of messages to a restarted coordinator brings a burst of HELLO_AGAIN.
            greetAnew(now)
        case .assign(let id, let assignment): receive(assignment, request: id, now)
        case .noWork(let id, let retryAfter):
            guard id == workRequest else { return }
            workRequest = nil
            nextWork = now + max(.milliseconds(100), min(retryAfter, .seconds(60)))
        case .heartbeatReply(_, let cancelled, let lost, let isDraining):
            for ref in cancelled { disown(ref, now) }
            for ref in lost { lose(ref, "the coordinator has ended it or given it to another worker", now) }
            if isDraining { drain(now, because: "the coordinator asks it to drain") }
        case .cancel(let ref, _): disown(ref, now)
        case .drain(let reason):
            drain(now, because: "the coordinator asks it to drain" + (reason.isEmpty ? "" : " (\(reason))"))
        case .acknowledge(let id, let code, let reason): receive(answer: code, reason, to: id, now)
        case .artifactReceipt(let id, let sha256):
            guard let (ref, item) = underWay(id), case .artifact(let offer, _) = item.content,
                offer.artifact.sha256 == sha256
            else { return }
            settle(item, of: ref, now)
        case .credit(let credit): receive(credit, now)
        case .chunk(let chunk, let payload): receive(chunk, payload, now)
        case .refusal: break
        }
    }

    private mutating func greetAnew(_ now: Instant) {
        if link == .welcomed { link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound) }
    }

    /// A refusal counts only for the session that it names, unless it is about the version.
    private mutating func receive(
        refusal code: AcknowledgementCode, _ reason: String, session named: UInt64, _ now: Instant
    ) {
        switch code {
        case .duplicateWorker where named == session: exit(.duplicate(reason))
        case .notAuthorised where named == session: resign(.refused(reason), now)
        case .versionUnsupported:
            guard let hellos = hellosSinceWelcome else {
                return resign(.refused(reason), now)
            }
            // A new coordinator does not speak the agreed version. It may speak another.
            if link == .welcomed {
                greetAnew(now)
            } else if hellos >= Self.believedRefusals {
                resign(.refused(reason), now)
            }
        default: break
        }
    }

    /// Ends the worker once its checkpoints are in its folder, for the next process.
    mutating func resign(_ exit: WorkerExit, _ now: Instant) {
        guard lastExit == nil else { return }
        lastExit = exit
        drain(now)
    }

    private mutating func receive(_ greeting: Greeting, _ lost: [AttemptReference], _ now: Instant) {
        guard versions.contains(greeting.version) else {
            let reason =
                "the coordinator chose protocol version \(greeting.version), but this worker speaks "
                + "\(versions.lowerBound) to \(versions.upperBound); upgrade the older of the two"
            return resign(.refused(reason), now)
        }
        hellosSinceWelcome = 0
        speak(greeting.version)
        heartbeat = greeting.heartbeat
        for ref in lost {
            lose(ref, "its lease has ended, and the job may belong to another worker now", now)
        }
        guard link != .welcomed else { return }
        link = .welcomed
        isAway = false
        effects.append(
            .connected(coordinator: greeting.coordinatorID, softwareVersion: greeting.softwareVersion))
        nextBeat = now
        nextWork = now
        // Messages under way are lost with the old connection.
        for ref in attempts.keys {
            attempts[ref]?.reports.retryAt = now
            attempts[ref]?.results.retryAt = now
            // Begins again where the coordinator's next credit says.
            attempts[ref]?.sender = nil
            attempts[ref]?.hasDownloadStopped = true
            attempts[ref]?.downloadActiveAt = now + (.zero - heartbeat * 2)
        }
    }

    private mutating func receive(_ assignment: Assignment, request id: UInt64, _ now: Instant) {
        if id == workRequest { workRequest = nil }
        let ref = assignment.attempt
        guard attempts[ref] == nil, !attempts.keys.contains(where: { $0.job == ref.job && $0.number > ref.number })
        else { return }
        var files: [Artifact] = []
        for artifact in assignment.artifacts where !files.contains(artifact) { files.append(artifact) }
        let downloads = files.map { ArtifactReceiver(transferID: makeID(), artifact: $0) }
        let hasRoom = freeSlots > 0 && !isDraining
        let attempt = HeldAttempt(assignment: assignment, downloads: hasRoom ? downloads : [], at: now)
        attempts[ref] = attempt
        if hasRoom, !downloads.isEmpty {
            requestDownload(of: ref, now)
            nextWork = now
        } else {
            end(ref, .stopped(iteration: assignment.checkpoint?.iteration ?? 0), now)
        }
    }

    private mutating func receive(
        answer code: AcknowledgementCode, _ reason: String, to id: UInt64, _ now: Instant
    ) {
        if let (ref, item) = underWay(id) { return receive(answer: code, reason, to: item, of: ref, now) }
        guard let ref = attempts.first(where: { $0.value.downloads.first?.transferID == id })?.key
        else { return }
        switch code {
        case .leaseLost: lose(ref, reason, now)
        case .cancelled: disown(ref, now)
        case .unknownArtifact, .malformed, .tooLarge:
            attempts[ref]?.downloads = []
            let reason = "the coordinator refused to send an artifact of the assignment: \(reason)"
            end(ref, .failed(code: .download, reason: reason, isRetryable: true), now)
        default:
            attempts[ref]?.hasDownloadStopped = true
            attempts[ref]?.downloadActiveAt = now
        }
    }

    private mutating func receive(
        answer code: AcknowledgementCode, _ message: String, to item: Undelivered, of ref: AttemptReference,
        _ now: Instant
    ) {
        switch (code, item.content) {
        // Only a receipt settles an artifact.
        case (.ok, .artifact): break
        case (.ok, _): settle(item, of: ref, now)
        case (.leaseLost, _): lose(ref, message, now)
        case (.cancelled, _): disown(ref, now)
        case (.malformed, .finish), (.tooLarge, .finish):
            let reason = "the coordinator refused the result: \(message)"
            condemn(ref, code: .resultRefused, reason: reason, isRetryable: false, now)
        case (.malformed, _), (.tooLarge, _): reject(item, of: ref, message, now)
        // The coordinator lost the files after its receipts. Another attempt makes them again from a stored checkpoint.
        case (.unknownArtifact, .finish):
            let reason = "the coordinator has lost an artifact of the result: \(message)"
            condemn(ref, code: .artifactsLost, reason: reason, isRetryable: true, now)
        case (.digestMismatch, .artifact(_, let file)) where item.mismatches + 1 >= Self.maxTransfers:
            giveUp(file, of: ref, "\(file) was sent \(Self.maxTransfers) times: \(message)", now)
        case (.noSpace, _), (.tryLater, _), (.digestMismatch, _), (.unknownArtifact, _), (.versionUnsupported, _),
            (.duplicateWorker, _), (.notAuthorised, _):
            if item.isReport {
                attempts[ref]?.reports.retryAt = now + heartbeat
            } else {
                if code == .digestMismatch { attempts[ref]?.results.items[0].mismatches += 1 }
                attempts[ref]?.sender = nil
                attempts[ref]?.results.retryAt = now + heartbeat
            }
        }
    }

    private mutating func receive(_ credit: ArtifactCredit, _ now: Instant) {
        guard let (ref, item) = underWay(credit.transferID), var attempt = attempts[ref],
            case .artifact(let offer, let file) = item.content
        else { return }
        var sender =
            attempt.sender
            ?? ArtifactSender(
                transferID: credit.transferID, sizeBytes: UInt64(offer.artifact.sizeBytes),
                maxWindowChunks: Limits.uploadWindowChunks)
        sender.grant(credit)
        while let chunk = sender.next() {
            effects.append(.sendChunk(ref, file: file, chunk, transferID: credit.transferID))
        }
        attempt.sender = sender
        // Progress delays the next offer, which is only for transfers that have stopped.
        attempt.results.retryAt = now + heartbeat
        attempts[ref] = attempt
    }

    private mutating func receive(
        _ chunk: ArtifactChunk, _ payload: [UInt8], _ now: Instant
    ) {
        let receiver = attempts.first { $0.value.downloads.first?.transferID == chunk.transferID }?.key
        for other in attempts.keys where other != receiver {
            attempts[other]?.downloadPace.othersArrived(bytes: payload.count, at: now)
        }
        guard let ref = receiver, var download = attempts[ref]?.downloads.first else { return }
        let decision = download.receive(chunk, byteCount: payload.count)
        attempts[ref]?.downloads[0] = download
        // Also one that brings nothing new: those behind it are still under way.
        attempts[ref]?.downloadActiveAt = now
        attempts[ref]?.downloadPace.arrived(at: now)
        switch decision {
        case .write(let offset), .writeLast(let offset):
            effects.append(
                .writeChunk(
                    ref, download.artifact, transferID: download.transferID, offset: offset, payload: payload,
                    verify: download.isComplete))
            effects.append(.send(.credit(download.credit(rewind: false))))
        case .rewind: effects.append(.send(.credit(download.credit(rewind: true))))
        case .ignore: break
        }
    }
}
