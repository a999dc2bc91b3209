import Protocol
import TextureGAN
import Transport

/// How a worker's process ended.
public enum WorkerExit: Equatable, Sendable {
    /// Told to stop: attempts were checkpointed and handed back.
    case stopped
    /// The coordinator does not speak this version.
    case refused(String)
    /// Another process with this worker's id is connected: its data folder is a copy.
    case duplicate(String)
    /// A trainer that was told to stop has not done so and holds its slot; a new process would have it again.
    case hung(String)
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
        /// A spooled file is gone or not what it was.
        case unreadable(WireAttemptRef, file: String, reason: String)
        // What becomes of a download is known later than its last chunk. By then the attempt may have been lost and
        // given again, so it names the transfer it speaks of.
        case downloaded(WireAttemptRef, transferID: UInt64)
        /// All bytes are there, and they are not the artifact.
        case downloadDamaged(WireAttemptRef, transferID: UInt64, reason: String)
        case downloadFailed(WireAttemptRef, transferID: UInt64, reason: String)
        case ended(WireAttemptRef, Ending)
        /// What an earlier process left; before anything else happens.
        case recovered([RecoveredAttempt])
        case drain(String)
        /// Whether the worker's folder can be written to; nil: it can.
        case storage(problem: String?)
    }
    public enum Ending: Equatable, Sendable {
        case finished(iteration: Int, trainingSeconds: Double, reportJSON: String)
        case stopped(iteration: Int)
        case abandoned
        /// `neededBytes`: of disk, as far as that is known, where the disk is the reason.
        case failed(code: String, reason: String, retryable: Bool, neededBytes: UInt64 = 0)
    }
    public enum Effect: Equatable, Sendable {
        case send(WireMessage.Body)
        case sendChunk(WireAttemptRef, file: String, ArtifactSender.Chunk, transferID: UInt64)
        /// `verify`: it was the last; check the SHA-256 and report `downloaded` or `downloadDamaged`.
        case writeChunk(
            WireAttemptRef, WireArtifact, transferID: UInt64, offset: UInt64, payload: [UInt8], verify: Bool)
        /// `from`: the reported file that is the assignment's checkpoint; nil: it was downloaded.
        case train(WireAssign, from: String?)
        /// For the next process; without results there is nothing to remember.
        case remember(AttemptRecord)
        case wish(WireAttemptRef, TrainingRun.Wish)
        case removeFile(WireAttemptRef, String)
        case removeFolder(WireAttemptRef)
        case logError(WireAttemptRef, String)
        case reconnect
        /// The coordinator has welcomed this process.
        case connected(coordinator: String, softwareVersion: String)
        /// The coordinator does not answer. Said once, until it does again.
        case away
        case exit(WorkerExit)
    }

    enum Link: Equatable, Sendable { case greeting(nextHello: Instant, backOff: Duration), welcomed }

    /// Beats of silence after which the connection is made anew.
    static let silentBeats = 4
    static let backOffRange = Duration.seconds(1)...Duration.seconds(32)
    /// How often an artifact is transferred before wrong bytes are blamed on the file.
    static let maxTransfers = 3
    /// How many HELLOs have to be answered by a refusal of this version, where an earlier one was welcomed, until it is
    /// believed: what was sent in the old version before brings refusals, too.
    static let believedRefusals = 3
    /// How long a trainer that nobody wants any more may take to end: longer than any iteration or snapshot.
    static let hangPatience = Duration.seconds(3600)

    let hello: WireHello
    let session: UInt64
    var link: Link
    /// Whether it was said that the coordinator does not answer.
    var isAway = false
    var attempts: [WireAttemptRef: Attempt] = [:]
    var heartbeat = Duration.seconds(5)
    var lastHeard: Instant
    var nextBeat: Instant
    var nextWork: Instant
    var workRequest: UInt64?
    var drainStart: Instant?
    /// How this worker will end, once its trainers have left their checkpoints.
    var lastExit: WorkerExit?
    /// HELLOs since the last WELCOME; nil before the first.
    var hellosSinceWelcome: Int?
    /// Why this worker's disk is not to be trusted; no work is asked for until it is usable again.
    var storageProblem: String?
    /// What the disk has to take before it is trusted again: as much as did not fit.
    var storageNeed: UInt64 = 0
    /// What WELCOME chose; HELLO is written in the newest.
    private(set) var version: UInt32
    /// How long a stopping worker waits for the next word of a coordinator that has not taken everything yet.
    let drainPatience: Duration
    private var lastID: UInt64 = 0
    private var beats: UInt64 = 0
    private var hasExited = false

    public init(hello: WireHello, session: UInt64, drainPatience: Duration = .seconds(60), at now: Instant) {
        self.hello = hello
        self.drainPatience = drainPatience
        self.session = session
        version = hello.maxVersion
        link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound)
        lastHeard = now
        nextBeat = now
        nextWork = now
    }

    /// Slots without a trainer; none while the disk fails, or while more ended attempts than slots wait for delivery,
    /// which bounds the spool.
    var freeSlots: Int {
        guard storageProblem == nil else { return 0 }
        let slots = Int(hello.slots)
        let ended = attempts.values.count { $0.phase == .ended }
        return ended > slots ? 0 : max(0, slots - (attempts.count - ended))
    }
    var isDraining: Bool { drainStart != nil }

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
            // Within the wire's limits: one impossible number must not silence the heart.
            attempts[ref]?.iteration = min(UInt64(max(0, iteration)), Limits.maxIterations)
            if let total { attempts[ref]?.totalIterations = min(UInt64(max(0, total)), Limits.maxIterations) }
            if seconds.isFinite, seconds > 0 { attempts[ref]?.iterated(seconds: seconds) }
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
            guard let attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else {
                effects.append(.removeFile(ref, file))
                break
            }
            // A process that took the attempt up makes pictures again that an earlier one had made.
            guard !attempts[ref]!.has(file, artifact, at: now) else { break }
            attempts[ref]?.newest[kind] = artifact.sha256
            if kind == .checkpoint { attempts[ref]?.resumptions = 0 }
            var offer = WireArtifactOffer()
            offer.attempt = ref
            offer.transferID = makeID()
            offer.kind = WireArtifactKind(kind)
            offer.artifact = artifact
            offer.iteration = UInt64(max(0, iteration))
            queue(.artifact(offer, file: file), id: offer.transferID, ref, now, &effects)
        case .unreadable(let ref, let file, let reason): giveUp(file, of: ref, reason, now, &effects)
        case .downloaded(let ref, let transferID):
            if isUnderWay(transferID, of: ref) { downloaded(ref, &effects) }
        case .downloadDamaged(let ref, let transferID, let reason):
            if isUnderWay(transferID, of: ref) { downloadDamaged(ref, reason, now, &effects) }
        case .downloadFailed(let ref, let transferID, let reason):
            guard isUnderWay(transferID, of: ref), let assignment = attempts[ref]?.assignment else { break }
            attempts[ref]?.downloads = []
            let need = assignment.exemplar.sizeBytes + assignment.checkpoint.sizeBytes
            end(
                ref, .failed(code: "fileSystem", reason: reason, retryable: true, neededBytes: need), now, &effects)
        case .ended(let ref, let ending): end(ref, ending, now, &effects)
        case .recovered(let found): recover(found, now, &effects)
        case .drain(let reason): drain(reason, now, &effects)
        case .storage(let problem):
            storageProblem = problem
            if problem == nil { storageNeed = 0 }
            if problem == nil, workRequest == nil { nextWork = now }
        }
        advance(now, &effects)
        return remember() + effects
    }

    // MARK: Time

    private mutating func advance(_ now: Instant, _ effects: inout [Effect]) {
        if let lastExit, attempts.values.allSatisfy({ $0.phase == .ended || $0.isDisowned }) {
            return exit(lastExit, &effects)
        }
        if let hung = hungAttempt(now) {
            var goodbye = WireGoodbye()
            goodbye.reason = "a trainer hangs"
            effects.append(.send(.goodbye(goodbye)))
            return exit(.hung("\(hung.jobID) does not stop"), &effects)
        }
        if let drainStart,
            attempts.values.allSatisfy(\.isDisowned) || now - max(drainStart, lastHeard) >= drainPatience
        {
            var goodbye = WireGoodbye()
            goodbye.reason = "stopped"
            effects.append(.send(.goodbye(goodbye)))
            return exit(lastExit ?? .stopped, &effects)
        }
        if link == .welcomed, now - lastHeard > heartbeat * Self.silentBeats {
            // Trainers are left alone: the coordinator may come back, and what they report waits.
            link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound)
        }
        if case .greeting(let nextHello, let backOff) = link {
            guard now >= nextHello else { return }
            if now - lastHeard > heartbeat * Self.silentBeats {
                if !isAway { effects.append(.away) }
                isAway = true
                effects.append(.reconnect)
            }
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

    /// A trainer that should have stopped long ago, if there is nothing else to wait for.
    private func hungAttempt(_ now: Instant) -> WireAttemptRef? {
        guard attempts.values.allSatisfy(\.isDisowned) else { return nil }
        return attempts.values.first { $0.disownedAt.map { now - $0 > Self.hangPatience } ?? false }?.ref
    }

    var running: [WireAttemptStatus] {
        // An attempt whose last word is on its way still holds its lease.
        attempts.values.filter { !$0.isDisowned }.map(\.status).sorted { $0.attempt.jobID < $1.attempt.jobID }
    }

    mutating func greet(_ effects: inout [Effect]) {
        var hello = hello
        hello.running = running
        if let count = hellosSinceWelcome { hellosSinceWelcome = count + 1 }
        effects.append(.send(.hello(hello)))
    }

    // MARK: Ends

    mutating func drain(_ reason: String, _ now: Instant, _ effects: inout [Effect]) {
        guard drainStart == nil else { return }
        drainStart = now
        // In a fixed order, because ids are drawn on the way: the same events give the same effects.
        for ref in attempts.keys.sorted(by: { ($0.jobID, $0.attempt) < ($1.jobID, $1.attempt) }) {
            guard let attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else { continue }
            switch attempt.phase {
            case .downloading:
                attempts[ref]?.downloads = []
                end(ref, .stopped(iteration: Int(clamping: attempt.iteration)), now, &effects)
            case .training: effects.append(.wish(ref, .checkpointAndStop))
            case .ended: break
            }
        }
    }

    /// The version that a message of this worker is written in.
    func version(of body: WireMessage.Body) -> UInt32 {
        if case .hello = body { hello.maxVersion } else { version }
    }

    mutating func speak(_ chosen: UInt32) { version = chosen }

    mutating func exit(_ exit: WorkerExit, _ effects: inout [Effect]) {
        effects.append(.exit(exit))
        hasExited = true
    }
}

extension WorkerState.Ending: CustomStringConvertible {
    /// What became of a training: "finished at iteration 6000 after 240 s".
    public var description: String {
        switch self {
        case .finished(let iteration, let seconds, _):
            "finished at iteration \(iteration) after \(Int(seconds.rounded())) s"
        case .stopped(let iteration): "stopped at iteration \(iteration), with a checkpoint"
        case .abandoned: "was abandoned"
        case .failed(let code, let reason, let isRetryable, _):
            "failed (\(code)\(isRetryable ? "" : ", for good")): \(reason)"
        }
    }
}

extension WorkerExit: CustomStringConvertible {
    public var description: String {
        switch self {
        case .stopped: "stopped, its jobs are handed back"
        case .refused(let reason), .duplicate(let reason): "refused by the coordinator: \(reason)"
        case .hung(let reason): "a trainer hangs: \(reason)"
        }
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

    /// What a trainer calls it; nil for what no trainer makes.
    var trainingKind: TrainingRun.ArtifactKind? {
        switch self {
        case .snapshot: .snapshot
        case .checkpoint: .checkpoint
        case .generator: .generator
        case .discriminator: .discriminator
        case .exemplar, .unspecified, .UNRECOGNIZED: nil
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
