import Protocol

@testable import ClusterCore

/// A deliberate bug, to check that the simulation finds it.
enum Sabotage: Sendable {
    case none
    /// Accepts messages with any attempt number and session.
    case noFence
    /// Sends effects when changes are written, before they are synced.
    case acknowledgeBeforeCommit
    /// Records files when they have their names, before the names are synced.
    case recordUnsyncedFiles
    /// Recognises a worker's log lines only by their request, whichever process sent them.
    case logsForgetSessions
    /// Forgets at a restart which jobs wait for which.
    case forgetsFollowers
    /// Takes silence about an attempt for a heartbeat without it.
    case silenceIsEvidence
}

/// The sender of a message, and the target of its answers.
struct Route: Hashable {
    var worker: Int
    /// A worker that reconnects gets nothing that was sent to its old connection.
    var connection: Int
}

/// One life of the coordinator's process: `ClusterState`, surrounded by the work of the engine, the gateway and the
/// transfers, without threads, sockets and files.
struct SimulatedCoordinator {
    /// The point where the process dies while it handles a batch.
    enum Death { case beforeFileSync, beforeWrite, beforeSync, beforeEffects, amidEffects }

    private struct TransferKey: Hashable {
        var session: UInt64
        var id: UInt64
    }
    private struct Upload {
        var offer: ArtifactOffer
        var receiver: ArtifactReceiver
    }
    private struct Download {
        var attempt: AttemptReference
        var content: Content
        var sender: ArtifactSender
    }

    private(set) var state: ClusterState
    private let start: Int
    private let sabotage: Sabotage
    private var pending: [ClusterEvent] = []
    private var routes: [UInt64: Route] = [:]
    private var uploads: [TransferKey: Upload] = [:]
    private var downloads: [TransferKey: Download] = [:]
    /// Complete files with their names. Their folders are synced before any message mentions them.
    private var arrived: [(offer: ArtifactOffer, session: UInt64)] = []
    /// The attempt of each FINISH, because its answer makes a promise.
    private var finishes: [TransferKey: AttemptReference] = [:]
    /// The lines of each LOG, for the same reason.
    private var logs: [TransferKey: (job: JobID, lines: [LogLine])] = [:]
    /// The end of the outage time that the deadlines already exclude.
    private var forgivenTo: Instant?
    /// When a session last sent anything, and the attempts in its newest HELLO or heartbeat.
    private var heard: [UInt64: Instant] = [:]
    private var listed: [UInt64: Set<AttemptReference>] = [:]
    private(set) var outbox: [(message: WireMessage, to: Route)] = []

    /// - Parameter now: Milliseconds of the simulation's clock. The process counts from its own start.
    init(restoring store: SimulatedStore, at now: Int, sabotage: Sabotage) {
        var configuration = ClusterState.Configuration()
        configuration.stall = .seconds(120)
        configuration.startupStall = .seconds(300)
        start = now
        self.sabotage = sabotage
        state = ClusterState(configuration: configuration, restoring: store.load(), at: .origin)
        if sabotage == .forgetsFollowers { state.followers = [:] }
    }

    mutating func post(_ event: ClusterEvent) { pending.append(event) }

    mutating func takeOutbox() -> [(message: WireMessage, to: Route)] {
        defer { outbox = [] }
        return outbox
    }

    private mutating func send(_ message: MessageToWorker, to session: UInt64) {
        guard let route = routes[session] else { return }
        outbox.append((WireMessage(message, session: session), route))
    }

    // MARK: Gateway

    /// - Parameter isFull: Whether the disk is full.
    mutating func receive(_ message: WireMessage, from route: Route, _ store: inout SimulatedStore, isFull: Bool) {
        let session = message.session
        let inbound = InboundMessage(message)
        guard case .message(let content, _) = inbound else { return }
        if case .hello = content {
            routes[session] = route
            return post(.received(content, session: session))
        }
        guard routes[session] != nil else {
            outbox.append((WireMessage(MessageToWorker.helloAgain, session: session), route))
            return
        }
        routes[session] = route
        switch content {
        case .chunk(let chunk, let payload): return receive(chunk, payload, session, &store, isFull)
        case .credit(let credit):
            return grant(TransferKey(session: session, id: credit.transferID), credit)
        case .finish(let attempt, let id, _): finishes[TransferKey(session: session, id: id)] = attempt
        case .log(let attempt, let id, let lines): logs[TransferKey(session: session, id: id)] = (attempt.job, lines)
        default: break
        }
        post(.received(content, session: session))
    }

    private mutating func receive(
        _ chunk: ArtifactChunk, _ payload: [UInt8], _ session: UInt64, _ store: inout SimulatedStore,
        _ isFull: Bool
    ) {
        let key = TransferKey(session: session, id: chunk.transferID)
        guard var upload = uploads[key] else { return }
        guard !isFull else {
            uploads[key] = nil
            return send(.acknowledge(id: key.id, .noSpace, message: "simulated"), to: session)
        }
        let decision = upload.receiver.receive(chunk, byteCount: payload.count)
        uploads[key] = upload
        switch decision {
        case .ignore: break
        case .rewind: send(.credit(upload.receiver.credit(rewind: true)), to: session)
        case .write, .writeLast:
            send(.credit(upload.receiver.credit(rewind: false)), to: session)
            guard upload.receiver.isComplete else { return }
            uploads[key] = nil
            guard Content(payload)?.sha256 == upload.offer.artifact.sha256 else {
                return send(.acknowledge(id: key.id, .digestMismatch, message: "simulated"), to: session)
            }
            store.addFile(upload.offer.artifact.sha256)
            arrived.append((upload.offer, session))
        }
    }

    private mutating func grant(_ key: TransferKey, _ credit: ArtifactCredit) {
        guard var download = downloads[key] else { return }
        download.sender.grant(credit)
        while let part = download.sender.next() {
            let chunk = ArtifactChunk(transferID: key.id, offset: part.offset, isLast: part.isLast)
            send(.chunk(chunk, Array(download.content.bytes[Int(part.offset)...])), to: key.session)
        }
        downloads[key] = download.sender.isComplete ? nil : download
    }

    // MARK: Engine

    /// Handles all arrived events as one batch: first the commit, then the effects.
    /// - Returns: false if the process died.
    mutating func process(
        _ store: inout SimulatedStore, at now: Int, isFull: Bool, death: Death?, _ witness: Witness
    ) -> Bool {
        // A crash may come between the rename of a file and the sync of its folder.
        guard !pending.isEmpty || !arrived.isEmpty else { return true }
        if death == .beforeFileSync { return false }
        for (offer, session) in arrived {
            if sabotage != .recordUnsyncedFiles { store.syncFile(offer.artifact.sha256) }
            post(.artifactStored(session: session, offer))
        }
        arrived = []
        let batch = pending
        pending = []
        if sabotage == .acknowledgeBeforeCommit { store.sync() }
        return process(batch, &store, at: now, isFull, death, witness)
    }

    private mutating func process(
        _ batch: [ClusterEvent], _ store: inout SimulatedStore, at now: Int, _ isFull: Bool, _ death: Death?,
        _ witness: Witness
    ) -> Bool {
        let instant = Instant(nanoseconds: Int64(now - start) * 1_000_000)
        if let last = forgivenTo {
            state.forgive(instant.since(last), at: instant)
            forgivenTo = instant
        }
        let before = state
        if sabotage == .silenceIsEvidence {
            for session in state.sessions.keys { state.sessions[session]!.listedAt = instant }
        }
        var effects: [ClusterEffect] = []
        for event in batch {
            guard let event = admitted(event, store, witness) else { continue }
            note(event, at: instant)
            let sender = event.fenced
            let newest = sender.flatMap { state.job($0.attempt.job)?.attempt }
            let more = handle(event, at: instant)
            if let sender { witness.handled(sender.attempt, from: sender.session, newest: newest, more) }
            // Before the next event, which may be the worker's answer to the loss.
            for case .record(.attempt(let job, let attempt)) in more where attempt.outcome == .lost {
                verify(attempt, of: job, at: instant, witness)
            }
            effects += more
        }
        let changes = effects.compactMap { if case .record(let change) = $0 { change } else { nil } }
        if isFull, !changes.isEmpty {
            state = before
            guard batch.count > 1 else {
                forgivenTo = forgivenTo ?? instant
                return true
            }
            return batch.allSatisfy { process([$0], &store, at: now, isFull, death, witness) }
        }
        if !changes.isEmpty { forgivenTo = nil }
        guard death != .beforeWrite else { return false }
        store.write(changes)
        guard death != .beforeSync else { return false }
        if sabotage != .acknowledgeBeforeCommit { store.sync() }
        witness.committed(changes)
        guard death != .beforeEffects else { return false }
        for (index, effect) in effects.enumerated() {
            if death == .amidEffects, index >= effects.count / 2 { break }
            perform(effect, &store, witness)
        }
        witness.verify(store, state)
        return death != .amidEffects
    }

    private mutating func note(_ event: ClusterEvent, at now: Instant) {
        guard let session = event.session else { return }
        heard[session] = now
        switch event {
        case .received(.hello(let hello), _): listed[session] = Set(hello.running.map(\.attempt))
        case .received(.heartbeat(_, _, let running, _), _): listed[session] = Set(running.map(\.attempt))
        default: break
        }
    }

    /// Silence about an attempt is no reason to take it from a worker that speaks.
    private func verify(_ attempt: Attempt, of job: JobID, at now: Instant, _ witness: Witness) {
        guard attempt.reason?.hasPrefix("its worker reported nothing about it") == true,
            let heard = heard[attempt.session], now.since(heard) < state.configuration.lease
        else { return }
        let reference = AttemptReference(job: job, number: attempt.number)
        if listed[attempt.session]?.contains(reference) != false {
            witness.violated("attempt \(attempt.number) at \(job) is taken from a worker that speaks and has it")
        }
    }

    private func admitted(_ event: ClusterEvent, _ store: SimulatedStore, _ witness: Witness) -> ClusterEvent? {
        switch event {
        case .received(.offer(let offer), let session):
            return .artifactOffered(
                session: session, offer,
                isStored: sabotage == .recordUnsyncedFiles
                    ? store.contains(offer.artifact) : store.isSafe(offer.artifact))
        case .artifactStored(_, let offer): return store.contains(offer.artifact) ? event : nil
        case .submit(let token, let submissions, _):
            guard let gone = submissions.flatMap(\.inputs).map(\.artifact).first(where: { !store.contains($0) })
            else { return event }
            witness.answered(token, .refused(.inputMissing(sha256: gone.sha256)))
            return nil
        default: return event
        }
    }

    private mutating func handle(_ event: ClusterEvent, at now: Instant) -> [ClusterEffect] {
        guard sabotage == .noFence, let (sender, attempt) = event.fenced, let holder = state.leases[attempt.job] else {
            return state.handle(event, at: now)
        }
        state.leases[attempt.job]!.session = sender
        let effects = state.handle(event.speaking(of: holder.attempt), at: now)
        if state.leases[attempt.job]?.attempt == holder.attempt { state.leases[attempt.job]!.session = holder.session }
        return effects
    }

    private mutating func perform(_ effect: ClusterEffect, _ store: inout SimulatedStore, _ witness: Witness) {
        switch effect {
        case .record, .warn: break
        case .reply(let token, let reply): witness.answered(token, reply)
        case .discard(let sha256): store.discard(sha256)
        case .send(let message, let session):
            witness.told(
                message, worker: state.sessions[session]?.worker.id,
                finishOf: { finishes[TransferKey(session: session, id: $0)] })
            if case .acknowledge(let id, .ok, _) = message,
                let log = logs.removeValue(forKey: TransferKey(session: session, id: id))
            {
                witness.acknowledged(log.lines.map(\.message), of: log.job, store)
            }
            send(message, to: session)
        case .welcome(let lost, let session): send(.welcome(Self.greeting, lost: lost), to: session)
        case .receiveArtifact(let offer, let session):
            let key = TransferKey(session: session, id: offer.transferID)
            let receiver =
                uploads[key]?.receiver
                ?? ArtifactReceiver(transferID: offer.transferID, artifact: offer.artifact)
            uploads[key] = Upload(offer: offer, receiver: receiver)
            send(.credit(receiver.credit(rewind: true)), to: session)
        case .sendArtifact(let request, let artifact, let session):
            witness.sent(artifact, store)
            guard store.isIntact(artifact) else {
                store.setAside(artifact.sha256)
                return post(.artifactDamaged(session: session, request, reason: "is damaged"))
            }
            let key = TransferKey(session: session, id: request.transferID)
            downloads[key] = Download(
                attempt: request.attempt, content: Content(sha256: artifact.sha256),
                sender: ArtifactSender(transferID: key.id, sizeBytes: UInt64(artifact.sizeBytes)))
            let start = ArtifactCredit(
                transferID: key.id, nextOffset: min(request.offset, UInt64(artifact.sizeBytes)),
                windowChunks: request.windowChunks, isRewind: true)
            grant(key, start)
        case .endTransfers(let attempt):
            uploads = uploads.filter { $0.value.offer.attempt != attempt }
            downloads = downloads.filter { $0.value.attempt != attempt }
        case .closeSession(let session):
            routes[session] = nil
            uploads = uploads.filter { $0.key.session != session }
            downloads = downloads.filter { $0.key.session != session }
        case .refuse(let session, let code, let reason):
            send(.refusal(code, message: reason), to: session)
            routes[session] = nil
        }
    }

    private static let greeting = Greeting(
        version: ProtocolVersion.newest, coordinatorID: "simulated", softwareVersion: "1", heartbeat: .seconds(5),
        lease: .seconds(20))
}

extension ClusterEvent {
    /// The sender and attempt of a message that changes the attempt.
    fileprivate var fenced: (session: UInt64, attempt: AttemptReference)? {
        switch self {
        case .artifactOffered(let session, let offer, _), .artifactStored(let session, let offer):
            (session, offer.attempt)
        case .artifactDamaged(let session, let request, _): (session, request.attempt)
        case .received(.offer(let offer), let session): (session, offer.attempt)
        case .received(.finish(let attempt, _, _), let session), .received(.fail(let attempt, _, _), let session),
            .received(.handBack(let attempt, _, _, _), let session):
            (session, attempt)
        default: nil
        }
    }

    fileprivate func speaking(of attempt: AttemptReference) -> ClusterEvent {
        switch self {
        case .artifactOffered(let session, var offer, let isStored):
            offer.attempt = attempt
            return .artifactOffered(session: session, offer, isStored: isStored)
        case .artifactStored(let session, var offer):
            offer.attempt = attempt
            return .artifactStored(session: session, offer)
        case .received(.finish(_, let id, let completion), let session):
            return .received(.finish(attempt, requestID: id, completion), session: session)
        case .received(.fail(_, let id, let failure), let session):
            return .received(.fail(attempt, requestID: id, failure), session: session)
        case .artifactDamaged(let session, var request, let reason):
            request.attempt = attempt
            return .artifactDamaged(session: session, request, reason: reason)
        case .received(.handBack(_, let id, let iteration, let reason), let session):
            return .received(
                .handBack(attempt, requestID: id, iteration: iteration, reason: reason), session: session)
        default: return self
        }
    }
}
