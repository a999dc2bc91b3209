import Protocol
import Transport

/// What the coordinator says.
extension WorkerState {
    mutating func receive(_ message: WireMessage, _ now: Instant, _ effects: inout [Effect]) {
        guard let body = message.body else { return }
        if case .refusal(let refusal) = body { return receive(refusal, session: message.session, now, &effects) }
        guard message.session == session else { return }
        lastHeard = now
        switch body {
        case .welcome(let welcome): receive(welcome, now, &effects)
        case .helloAgain:
            // One answer per back-off: a burst of messages to a restarted coordinator brings a burst of these.
            greetAnew(now)
        case .assign(let assign): receive(assign, now, &effects)
        case .noWork(let answer):
            guard answer.requestID == workRequest else { return }
            workRequest = nil
            nextWork = now + .milliseconds(max(100, min(Int(answer.retryAfterMilliseconds), 60_000)))
        case .heartbeatReply(let reply):
            for ref in reply.cancelled { disown(ref, now, &effects) }
            for ref in reply.lost { lose(ref, "the coordinator has ended it or given it to another", now, &effects) }
            if reply.drain { drain("the coordinator asked to drain", now, &effects) }
        case .cancel(let cancel): disown(cancel.attempt, now, &effects)
        case .drain(let order): drain(order.reason, now, &effects)
        case .acknowledgement(let answer): receive(answer, now, &effects)
        case .artifactReceipt(let receipt):
            guard let (ref, item) = underWay(receipt.transferID), case .artifact(let offer, _) = item.content,
                offer.artifact.sha256 == receipt.sha256
            else { return }
            settle(item, of: ref, now, &effects)
        case .artifactCredit(let credit): receive(credit, now, &effects)
        case .artifactChunk(let chunk): receive(chunk, message.payload ?? [], now, &effects)
        default: break
        }
    }

    private mutating func greetAnew(_ now: Instant) {
        if link == .welcomed { link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound) }
    }

    /// A refusal that is not about the version is for the session that it names.
    private mutating func receive(
        _ refusal: WireRefusal, session named: UInt64, _ now: Instant, _ effects: inout [Effect]
    ) {
        switch refusal.code {
        case .duplicateWorker where named == session: exit(.duplicate(refusal.message), &effects)
        case .versionUnsupported:
            guard let hellos = hellosSinceWelcome else {
                return resign(.refused(refusal.message), now, &effects)
            }
            // The coordinator was replaced by one that does not speak the version agreed on; perhaps another.
            if link == .welcomed {
                greetAnew(now)
            } else if hellos >= Self.believedRefusals {
                resign(.refused(refusal.message), now, &effects)
            }
        default: break
        }
    }

    /// Ends, but not before what is trained is in this worker's folder, for whoever starts next.
    private mutating func resign(_ exit: WorkerExit, _ now: Instant, _ effects: inout [Effect]) {
        guard lastExit == nil else { return }
        lastExit = exit
        drain("refused", now, &effects)
    }

    private mutating func receive(_ welcome: WireWelcome, _ now: Instant, _ effects: inout [Effect]) {
        guard (hello.minVersion...hello.maxVersion).contains(welcome.version) else {
            let reason =
                "the coordinator chose version \(welcome.version) of the protocol, this worker speaks "
                + "\(hello.minVersion) to \(hello.maxVersion); upgrade the older of the two"
            return resign(.refused(reason), now, &effects)
        }
        hellosSinceWelcome = 0
        speak(welcome.version)
        heartbeat = .milliseconds(welcome.heartbeatMilliseconds)
        for ref in welcome.lost {
            lose(ref, "it was not heard of for the length of its lease, and the job is another's now", now, &effects)
        }
        guard link != .welcomed else { return }
        link = .welcomed
        isAway = false
        effects.append(
            .connected(coordinator: welcome.coordinatorID, softwareVersion: welcome.softwareVersion))
        nextBeat = now
        nextWork = now
        // What was under way is lost with the old connection.
        for ref in attempts.keys {
            attempts[ref]?.reports.retryAt = now
            attempts[ref]?.results.retryAt = now
            attempts[ref]?.downloadActiveAt = Instant(sinceStart: now.sinceStart - heartbeat * 2)
        }
    }

    private mutating func receive(_ assign: WireAssign, _ now: Instant, _ effects: inout [Effect]) {
        if assign.requestID == workRequest { workRequest = nil }
        guard attempts[assign.attempt] == nil else { return }
        guard
            !attempts.keys.contains(where: { $0.jobID == assign.attempt.jobID && $0.attempt > assign.attempt.attempt })
        else { return }
        var downloads = [ArtifactReceiver(transferID: makeID(), artifact: assign.exemplar)]
        if assign.hasCheckpoint, assign.checkpoint.sha256 != assign.exemplar.sha256 {
            downloads.append(ArtifactReceiver(transferID: makeID(), artifact: assign.checkpoint))
        }
        let hasRoom = freeSlots > 0 && !isDraining
        let attempt = Attempt(assignment: assign, downloads: hasRoom ? downloads : [], at: now)
        attempts[assign.attempt] = attempt
        if hasRoom {
            request(downloads[0], of: attempt, &effects)
            nextWork = now
        } else {
            end(assign.attempt, .stopped(iteration: Int(clamping: assign.checkpointIteration)), now, &effects)
        }
    }

    private mutating func receive(_ answer: WireAcknowledgement, _ now: Instant, _ effects: inout [Effect]) {
        if let (ref, item) = underWay(answer.requestID) {
            return receive(answer, to: item, of: ref, now, &effects)
        }
        guard let ref = attempts.first(where: { $0.value.downloads.first?.transferID == answer.requestID })?.key
        else { return }
        switch answer.code {
        case .leaseLost: lose(ref, answer.message, now, &effects)
        case .cancelled: disown(ref, now, &effects)
        case .unknownArtifact, .malformed, .tooLarge:
            attempts[ref]?.downloads = []
            let reason = "the coordinator does not give an artifact of the assignment: \(answer.message)"
            end(ref, .failed(code: "download", reason: reason, retryable: true), now, &effects)
        default: attempts[ref]?.downloadActiveAt = now
        }
    }

    private mutating func receive(
        _ answer: WireAcknowledgement, to item: Undelivered, of ref: WireAttemptRef, _ now: Instant,
        _ effects: inout [Effect]
    ) {
        switch (answer.code, item.content) {
        // An artifact is settled by its receipt alone.
        case (.ok, .artifact): break
        case (.ok, _): settle(item, of: ref, now, &effects)
        case (.leaseLost, _): lose(ref, answer.message, now, &effects)
        case (.cancelled, _): disown(ref, now, &effects)
        case (.malformed, .finish), (.tooLarge, .finish):
            let reason = "the coordinator does not take the result: \(answer.message)"
            condemn(ref, code: "resultRefused", reason: reason, retryable: false, now, &effects)
        case (.malformed, _), (.tooLarge, _): reject(item, of: ref, answer.message, now, &effects)
        // Their files are gone since the receipts: another attempt makes them again from a stored checkpoint.
        case (.unknownArtifact, .finish):
            let reason = "the coordinator has lost an artifact of the result: \(answer.message)"
            condemn(ref, code: "artifactsLost", reason: reason, retryable: true, now, &effects)
        case (.digestMismatch, .artifact(_, let file)) where item.mismatches + 1 >= Self.maxTransfers:
            giveUp(file, of: ref, "\(file) was sent \(Self.maxTransfers) times: \(answer.message)", now, &effects)
        case (.noSpace, _), (.tryLater, _), (.digestMismatch, _), (.unknownArtifact, _), (.versionUnsupported, _),
            (.duplicateWorker, _), (.UNRECOGNIZED, _):
            if item.isReport {
                attempts[ref]?.reports.retryAt = now + heartbeat
            } else {
                if answer.code == .digestMismatch { attempts[ref]?.results.items[0].mismatches += 1 }
                attempts[ref]?.sender = nil
                attempts[ref]?.results.retryAt = now + heartbeat
            }
        }
    }

    private mutating func receive(_ credit: WireArtifactCredit, _ now: Instant, _ effects: inout [Effect]) {
        guard let (ref, item) = underWay(credit.transferID), var attempt = attempts[ref],
            case .artifact(let offer, let file) = item.content
        else { return }
        var sender =
            attempt.sender ?? ArtifactSender(transferID: credit.transferID, sizeBytes: offer.artifact.sizeBytes)
        sender.grant(nextOffset: credit.nextOffset, windowChunks: credit.windowChunks, rewind: credit.rewind)
        while let chunk = sender.next() {
            effects.append(.sendChunk(ref, file: file, chunk, transferID: credit.transferID))
        }
        attempt.sender = sender
        // Progress puts off the next offer, which is only for transfers that stand still.
        attempt.results.retryAt = now + heartbeat
        attempts[ref] = attempt
    }

    private mutating func receive(
        _ chunk: WireArtifactChunk, _ payload: [UInt8], _ now: Instant, _ effects: inout [Effect]
    ) {
        guard let ref = attempts.first(where: { $0.value.downloads.first?.transferID == chunk.transferID })?.key,
            var download = attempts[ref]?.downloads.first
        else { return }
        let decision = download.receive(chunk, payload: payload)
        attempts[ref]?.downloads[0] = download
        switch decision {
        case .write(let offset), .writeLast(let offset):
            attempts[ref]?.downloadActiveAt = now
            effects.append(
                .writeChunk(
                    ref, download.artifact, transferID: download.transferID, offset: offset, payload: payload,
                    verify: download.isComplete))
            effects.append(.send(.artifactCredit(download.credit(rewind: false))))
        case .rewind: effects.append(.send(.artifactCredit(download.credit(rewind: true))))
        case .ignore: break
        }
    }
}
