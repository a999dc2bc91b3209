import Protocol
import TextureGAN
import Transport

/// How a worker's process ended.
public enum WorkerExit: Equatable, Sendable {
    /// Told to stop: attempts were checkpointed and handed back.
    case stopped
    /// The coordinator does not speak this version or does not want this worker.
    case refused(String)
}

/// Every decision of a worker, without clock, socket, file or randomness.
public struct WorkerState: Sendable {
    public enum Event: Sendable {
        case tick
        case received(WireMessage)
        case iterated(WireAttemptRef, iteration: Int, totalIterations: Int?, secondsPerIteration: Double)
        case metrics(WireAttemptRef, columns: [String], rows: [TrainingRun.MetricsRow])
        case log(WireAttemptRef, level: String, message: String, unixSeconds: Double)
        /// A complete file in the attempt's folder.
        case spooled(WireAttemptRef, TrainingRun.ArtifactKind, iteration: Int, WireArtifact, file: String)
        case downloaded(WireAttemptRef, sha256: String)
        case downloadFailed(WireAttemptRef, String)
        case ended(WireAttemptRef, Ending)
        case drain(String)
    }
    public enum Ending: Sendable {
        case finished(iteration: Int, trainingSeconds: Double, reportJSON: String)
        case stopped(iteration: Int)
        case abandoned
        case failed(code: String, reason: String, retryable: Bool)
    }
    public enum Effect: Equatable, Sendable {
        case send(WireMessage.Body)
        case sendChunk(WireAttemptRef, file: String, ArtifactSender.Chunk, transferID: UInt64)
        /// `verify`: it was the last; check the SHA-256 and report `downloaded` or `downloadFailed`.
        case writeChunk(WireAttemptRef, WireArtifact, offset: UInt64, payload: [UInt8], verify: Bool)
        case train(WireAssign)
        case wish(WireAttemptRef, TrainingRun.Wish)
        case removeFile(WireAttemptRef, String)
        case removeFolder(WireAttemptRef)
        case reconnect
        case exit(WorkerExit)
    }

    enum Link: Equatable, Sendable { case greeting(nextHello: Instant, backOff: Duration), welcomed }

    /// Beats of silence after which the connection is made anew.
    static let silentBeats = 4
    static let backOffRange = Duration.seconds(1)...Duration.seconds(32)
    /// What a stopping worker waits for a coordinator to take its checkpoints.
    static let drainTime = Duration.seconds(60)

    let hello: WireHello
    let session: UInt64
    var link: Link
    var attempts: [WireAttemptRef: Attempt] = [:]
    var heartbeat = Duration.seconds(5)
    var lastHeard: Instant
    var nextBeat: Instant
    var nextWork: Instant
    var workRequest: UInt64?
    var drainDeadline: Instant?
    private var lastID: UInt64 = 0
    private var beats: UInt64 = 0
    private var hasExited = false

    public init(hello: WireHello, session: UInt64, at now: Instant) {
        self.hello = hello
        self.session = session
        link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound)
        lastHeard = now
        nextBeat = now
        nextWork = now
    }

    var freeSlots: Int { max(0, Int(hello.slots) - attempts.values.filter { $0.phase != .ended }.count) }
    var isDraining: Bool { drainDeadline != nil }

    mutating func makeID() -> UInt64 {
        lastID += 1
        return lastID
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Effect] {
        guard !hasExited else { return [] }
        var effects: [Effect] = []
        switch event {
        case .tick: break
        case .received(let message): receive(message, now, &effects)
        case .iterated(let ref, let iteration, let total, let seconds):
            attempts[ref]?.iteration = UInt64(max(0, iteration))
            if let total { attempts[ref]?.totalIterations = UInt64(max(0, total)) }
            attempts[ref]?.secondsPerIteration = seconds.isFinite ? max(0, seconds) : 0
        case .metrics(let ref, let columns, let rows):
            for first in stride(from: 0, to: rows.count, by: Limits.maxMetricRows) {
                let part = rows[first..<min(first + Limits.maxMetricRows, rows.count)]
                var batch = WireMetricBatch()
                batch.attempt = ref
                batch.requestID = makeID()
                batch.columns = columns
                batch.rows = part.map { row in
                    var wire = WireMetricRow()
                    wire.iteration = UInt64(max(0, row.iteration))
                    wire.unixSeconds = row.unixSeconds
                    wire.values = row.values
                    return wire
                }
                queue(.metrics(batch), id: batch.requestID, ref, now, &effects)
            }
        case .log(let ref, let level, let message, let unixSeconds):
            var line = WireLogLine()
            line.level = level
            line.message = message.shortened(to: Limits.maxLogLineBytes)
            line.unixSeconds = unixSeconds
            var batch = WireLogBatch()
            batch.attempt = ref
            batch.requestID = makeID()
            batch.lines = [line]
            queue(.log(batch), id: batch.requestID, ref, now, &effects)
        case .spooled(let ref, let kind, let iteration, let artifact, let file):
            guard let attempt = attempts[ref], !attempt.isDisowned else {
                effects.append(.removeFile(ref, file))
                break
            }
            attempts[ref]?.newest[kind] = artifact.sha256
            var offer = WireArtifactOffer()
            offer.attempt = ref
            offer.transferID = makeID()
            offer.kind = WireArtifactKind(kind)
            offer.artifact = artifact
            offer.iteration = UInt64(max(0, iteration))
            queue(.artifact(offer, file: file), id: offer.transferID, ref, now, &effects)
        case .downloaded(let ref, let sha256): downloaded(ref, sha256, &effects)
        case .downloadFailed(let ref, let reason):
            attempts[ref]?.downloads = []
            end(ref, .failed(code: "fileSystem", reason: reason, retryable: true), now, &effects)
        case .ended(let ref, let ending): end(ref, ending, now, &effects)
        case .drain(let reason): drain(reason, now, &effects)
        }
        advance(now, &effects)
        return effects
    }

    // MARK: Time

    private mutating func advance(_ now: Instant, _ effects: inout [Effect]) {
        if let deadline = drainDeadline, attempts.isEmpty || now >= deadline {
            var goodbye = WireGoodbye()
            goodbye.reason = "stopped"
            effects += [.send(.goodbye(goodbye)), .exit(.stopped)]
            hasExited = true
            return
        }
        if link == .welcomed, now - lastHeard > heartbeat * Self.silentBeats {
            // Trainers are left alone: the coordinator may come back, and what they report waits.
            link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound)
        }
        if case .greeting(let nextHello, let backOff) = link {
            guard now >= nextHello else { return }
            if now - lastHeard > heartbeat * Self.silentBeats { effects.append(.reconnect) }
            greet(&effects)
            link = .greeting(nextHello: now + backOff, backOff: min(backOff * 2, Self.backOffRange.upperBound))
            return
        }
        if now >= nextBeat {
            nextBeat = now + heartbeat
            beats += 1
            var beat = WireHeartbeat()
            beat.sequence = beats
            beat.freeSlots = isDraining ? 0 : UInt32(freeSlots)
            beat.running = running
            effects.append(.send(.heartbeat(beat)))
        }
        if !isDraining, freeSlots > 0, now >= nextWork {
            let id = workRequest ?? makeID()
            workRequest = id
            nextWork = now + heartbeat
            var request = WireWorkRequest()
            request.requestID = id
            request.freeSlots = UInt32(freeSlots)
            effects.append(.send(.workRequest(request)))
        }
        for ref in attempts.keys.sorted(by: { ($0.jobID, $0.attempt) < ($1.jobID, $1.attempt) }) {
            deliver(ref, now, &effects)
            if let attempt = attempts[ref], let download = attempt.downloads.first,
                now - attempt.downloadActiveAt > heartbeat
            {
                attempts[ref]?.downloadActiveAt = now
                request(download, of: attempt, &effects)
            }
        }
    }

    var running: [WireAttemptStatus] {
        // An attempt whose last word is on its way still holds its lease.
        attempts.values.filter { !$0.isDisowned }.map(\.status).sorted { $0.attempt.jobID < $1.attempt.jobID }
    }

    func greet(_ effects: inout [Effect]) {
        var hello = hello
        hello.running = running
        effects.append(.send(.hello(hello)))
    }

    // MARK: Delivery

    private mutating func queue(
        _ content: Undelivered.Content, id: UInt64, _ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]
    ) {
        guard var attempt = attempts[ref], !attempt.isDisowned else { return }
        if attempt.undelivered.isEmpty { attempt.retryAt = now }
        effects += attempt.append(Undelivered(id: id, content: content)).map { .removeFile(ref, $0) }
        attempts[ref] = attempt
    }

    /// Sends the first undelivered one, or sends it again.
    private mutating func deliver(_ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
        guard link == .welcomed, let item = attempts[ref]?.undelivered.first, let retryAt = attempts[ref]?.retryAt,
            now >= retryAt
        else { return }
        attempts[ref]?.retryAt = now + heartbeat
        effects.append(.send(item.body))
    }

    /// The first undelivered one has arrived, or will never be taken.
    mutating func settle(_ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
        guard var attempt = attempts[ref], !attempt.undelivered.isEmpty else { return }
        let item = attempt.undelivered.removeFirst()
        attempt.sender = nil
        attempt.retryAt = now
        attempts[ref] = attempt
        if case .artifact(_, let file) = item.content { effects.append(.removeFile(ref, file)) }
        if item.endsAttempt { forget(ref, now, &effects) }
    }

    mutating func forget(_ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
        attempts[ref] = nil
        effects.append(.removeFolder(ref))
        if workRequest == nil { nextWork = now }
    }

    /// The lease is lost or the job cancelled: stop, and say nothing more about it.
    mutating func disown(_ ref: WireAttemptRef, _ now: Instant, _ effects: inout [Effect]) {
        guard let attempt = attempts[ref], !attempt.isDisowned else { return }
        guard attempt.phase == .training else { return forget(ref, now, &effects) }
        attempts[ref]?.isDisowned = true
        attempts[ref]?.undelivered = []
        attempts[ref]?.sender = nil
        effects.append(.wish(ref, .abandon))
    }

    // MARK: The life of an attempt

    mutating func request(_ download: ArtifactReceiver, of attempt: Attempt, _ effects: inout [Effect]) {
        var request = WireArtifactRequest()
        request.transferID = download.transferID
        request.artifact = download.artifact
        request.offset = download.nextOffset
        request.windowChunks = Limits.windowChunks
        request.attempt = attempt.ref
        effects.append(.send(.artifactRequest(request)))
    }

    private mutating func downloaded(_ ref: WireAttemptRef, _ sha256: String, _ effects: inout [Effect]) {
        guard var attempt = attempts[ref], attempt.phase == .downloading else { return }
        attempt.downloads.removeAll { $0.artifact.sha256 == sha256 }
        if let next = attempt.downloads.first {
            request(next, of: attempt, &effects)
        } else {
            attempt.phase = .training
            effects.append(.train(attempt.assignment))
        }
        attempts[ref] = attempt
    }

    mutating func end(_ ref: WireAttemptRef, _ ending: Ending, _ now: Instant, _ effects: inout [Effect]) {
        guard var attempt = attempts[ref], attempt.phase != .ended else { return }
        guard !attempt.isDisowned else { return forget(ref, now, &effects) }
        attempt.phase = .ended
        attempts[ref] = attempt
        if workRequest == nil { nextWork = now }
        let id = makeID()
        let content: Undelivered.Content
        switch ending {
        case .finished(let iteration, let seconds, let report):
            guard let generator = attempt.newest[.generator], let discriminator = attempt.newest[.discriminator],
                let checkpoint = attempt.newest[.checkpoint], report.utf8.count <= Limits.maxReportBytes
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
        case .failed(let code, let reason, let retryable):
            content = failure(attempt, id, code: code, reason: reason, retryable: retryable)
        }
        queue(content, id: id, ref, now, &effects)
    }

    private func failure(
        _ attempt: Attempt, _ id: UInt64, code: String, reason: String, retryable: Bool
    ) -> Undelivered.Content {
        var fail = WireFail()
        fail.attempt = attempt.ref
        fail.requestID = id
        fail.iteration = attempt.iteration
        fail.code = code
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

    mutating func drain(_ reason: String, _ now: Instant, _ effects: inout [Effect]) {
        guard drainDeadline == nil else { return }
        drainDeadline = now + Self.drainTime
        for (ref, attempt) in attempts where !attempt.isDisowned {
            switch attempt.phase {
            case .downloading:
                attempts[ref]?.downloads = []
                end(ref, .stopped(iteration: Int(clamping: attempt.iteration)), now, &effects)
            case .training: effects.append(.wish(ref, .checkpointAndStop))
            case .ended: break
            }
        }
    }

    mutating func exit(_ exit: WorkerExit, _ effects: inout [Effect]) {
        effects.append(.exit(exit))
        hasExited = true
    }
}

extension WireArtifactKind {
    init(_ kind: TrainingRun.ArtifactKind) {
        self =
            switch kind {
            case .snapshot: .snapshot
            case .checkpoint: .checkpoint
            case .generator: .generator
            case .discriminator: .discriminator
            }
    }
}

extension String {
    /// At most so many UTF-8 bytes, cut between characters.
    func shortened(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(startIndex, offsetBy: limit)
        while end > startIndex, end.samePosition(in: self) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
