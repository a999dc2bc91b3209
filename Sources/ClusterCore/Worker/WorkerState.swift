/// What a trainer is asked to do; it looks between iterations.
package enum TrainerWish: Equatable, Sendable {
    case proceed
    /// Write a checkpoint and end.
    case checkpointAndStop
    /// End at once and leave nothing.
    case abandon
}

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
///
/// Events in, effects out, as of ``ClusterState``.
package struct WorkerState: Sendable {
    package enum Event: Sendable {
        case tick
        case received(MessageToWorker, session: UInt64)
        case iterated(AttemptReference, iteration: Int, totalIterations: Int?, secondsPerIteration: Double)
        case metrics(AttemptReference, MetricsBlock)
        case log(AttemptReference, LogLine)
        /// A complete file in the attempt's folder.
        case spooled(AttemptReference, ArtifactRole, iteration: Int, Artifact, file: String)
        /// A spooled file is gone or not what it was.
        case unreadable(AttemptReference, file: String, reason: String)
        // What becomes of a download is known later than its last chunk. By then the attempt may have been lost and
        // given again, so it names the transfer it speaks of.
        case downloaded(AttemptReference, transferID: UInt64)
        /// All bytes are there, and they are not the artifact.
        case downloadDamaged(AttemptReference, transferID: UInt64, reason: String)
        case downloadFailed(AttemptReference, transferID: UInt64, reason: String)
        case ended(AttemptReference, Ending)
        /// What an earlier process left; before anything else happens.
        case recovered([RecoveredAttempt])
        case drain(String)
        /// Whether the worker's folder can be written to; nil: it can.
        case storage(problem: String?)
    }
    package enum Ending: Equatable, Sendable {
        case finished(iteration: Int, trainingSeconds: Double, reportJSON: String)
        case stopped(iteration: Int)
        case abandoned
        /// `neededBytes`: of disk, as far as that is known, where the disk is the reason.
        case failed(code: String, reason: String, retryable: Bool, neededBytes: Int = 0)
    }
    package enum Effect: Equatable, Sendable {
        case send(MessageToCoordinator)
        case sendChunk(AttemptReference, file: String, ArtifactSender.Chunk, transferID: UInt64)
        /// `verify`: it was the last; check the SHA-256 and report `downloaded` or `downloadDamaged`.
        case writeChunk(
            AttemptReference, Artifact, transferID: UInt64, offset: UInt64, payload: [UInt8], verify: Bool)
        /// `from`: the reported file that is the assignment's checkpoint; nil: it was downloaded.
        case train(Assignment, from: String?)
        /// For the next process; without results there is nothing to remember.
        case remember(AttemptRecord)
        case wish(AttemptReference, TrainerWish)
        case removeFile(AttemptReference, String)
        case removeFolder(AttemptReference)
        case logError(AttemptReference, String)
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

    package let worker: WorkerIdentity
    let versions: ClosedRange<UInt32>
    package let session: UInt64
    var link: Link
    /// Whether it was said that the coordinator does not answer.
    var isAway = false
    package var attempts: [AttemptReference: HeldAttempt] = [:]
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
    package internal(set) var storageProblem: String?
    /// What the disk has to take before it is trusted again: as much as did not fit.
    package internal(set) var storageNeed = 0
    /// What WELCOME chose; HELLO is written in the newest.
    package private(set) var version: UInt32
    /// How long a stopping worker waits for the next word of a coordinator that has not taken everything yet.
    let drainPatience: Duration
    private var lastID: UInt64 = 0
    private var beats: UInt64 = 0
    private var hasExited = false
    let breach: @Sendable (MessageToCoordinator) -> String?
    var effects: [Effect] = []

    /// - Parameters:
    ///   - versions: The protocol versions that this worker speaks.
    ///   - breach: Why a message is none that the coordinator accepts; nil if it is one.
    package init(
        worker: WorkerIdentity, session: UInt64, versions: ClosedRange<UInt32>,
        drainPatience: Duration = .seconds(60), breach: @escaping @Sendable (MessageToCoordinator) -> String?,
        at now: Instant
    ) {
        self.worker = worker
        self.versions = versions
        self.drainPatience = drainPatience
        self.breach = breach
        self.session = session
        version = versions.upperBound
        link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound)
        lastHeard = now
        nextBeat = now
        nextWork = now
    }

    /// Slots without a trainer; none while the disk fails, or while more ended attempts than slots wait for delivery,
    /// which bounds the spool.
    var freeSlots: Int {
        guard storageProblem == nil else { return 0 }
        let slots = worker.slots
        let ended = attempts.values.count { $0.phase == .ended }
        return ended > slots ? 0 : max(0, slots - (attempts.count - ended))
    }
    var isDraining: Bool { drainStart != nil }

    mutating func makeID() -> UInt64 {
        lastID += 1
        return lastID
    }

    package mutating func handle(_ event: Event, at now: Instant) -> [Effect] {
        guard !hasExited else { return [] }
        defer { effects = [] }
        switch event {
        case .tick: break
        case .received(let message, let named): receive(message, session: named, now)
        case .iterated(let ref, let iteration, let total, let seconds):
            // Within the wire's limits: one impossible number must not silence the heart.
            let limit = Int(Limits.maxIterations)
            attempts[ref]?.iteration = min(max(0, iteration), limit)
            if let total { attempts[ref]?.totalIterations = min(max(0, total), limit) }
            if seconds.isFinite, seconds > 0 { attempts[ref]?.secondsPerIteration = seconds }
        case .metrics(let ref, let block):
            for first in stride(from: 0, to: block.rows.count, by: Limits.maxMetricRows) {
                let rows = block.rows[first..<min(first + Limits.maxMetricRows, block.rows.count)]
                queue(.metrics(MetricsBlock(columns: block.columns, rows: Array(rows))), ref, now)
            }
        case .log(let ref, var line):
            line.message = line.message.shortened(to: Limits.maxLogLineBytes)
            queue(.log([line]), ref, now)
        case .spooled(let ref, let kind, let iteration, let artifact, let file):
            guard let attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else {
                effects.append(.removeFile(ref, file))
                break
            }
            // A process that took the attempt up makes pictures again that an earlier one had made.
            guard !attempts[ref]!.has(file, artifact, at: now) else { break }
            attempts[ref]?.newest[kind] = artifact.sha256
            if kind == .checkpoint { attempts[ref]?.resumptions = 0 }
            let offer = ArtifactOffer(
                attempt: ref, transferID: makeID(), role: kind, artifact: artifact, iteration: max(0, iteration))
            queue(.artifact(offer, file: file), id: offer.transferID, ref, now)
        case .unreadable(let ref, let file, let reason): giveUp(file, of: ref, reason, now)
        case .downloaded(let ref, let transferID):
            if isUnderWay(transferID, of: ref) { downloaded(ref) }
        case .downloadDamaged(let ref, let transferID, let reason):
            if isUnderWay(transferID, of: ref) { downloadDamaged(ref, reason, now) }
        case .downloadFailed(let ref, let transferID, let reason):
            guard isUnderWay(transferID, of: ref), let assignment = attempts[ref]?.assignment else { break }
            attempts[ref]?.downloads = []
            let files = assignment.inputs.map(\.artifact) + [assignment.checkpoint?.artifact].compactMap { $0 }
            let need = files.reduce(0) { $0 + $1.sizeBytes }
            end(
                ref, .failed(code: FailureCode.fileSystem, reason: reason, retryable: true, neededBytes: need), now)
        case .ended(let ref, let ending): end(ref, ending, now)
        case .recovered(let found): recover(found, now)
        case .drain(let reason): drain(reason, now)
        case .storage(let problem):
            storageProblem = problem
            if problem == nil { storageNeed = 0 }
            if problem == nil, workRequest == nil { nextWork = now }
        }
        advance(now)
        return remember() + effects
    }

    // MARK: Time

    private mutating func advance(_ now: Instant) {
        if let lastExit, attempts.values.allSatisfy({ $0.phase == .ended || $0.isDisowned }) {
            return exit(lastExit)
        }
        if let hung = hungAttempt(now) {
            effects.append(.send(.goodbye(reason: "a trainer hangs")))
            return exit(.hung("\(hung.job) does not stop"))
        }
        if let drainStart,
            attempts.values.allSatisfy(\.isDisowned) || now.since(max(drainStart, lastHeard)) >= drainPatience
        {
            effects.append(.send(.goodbye(reason: "stopped")))
            return exit(lastExit ?? .stopped)
        }
        if link == .welcomed, now.since(lastHeard) > heartbeat * Self.silentBeats {
            // Trainers are left alone: the coordinator may come back, and what they report waits.
            link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound)
        }
        if case .greeting(let nextHello, let backOff) = link {
            guard now >= nextHello else { return }
            if now.since(lastHeard) > heartbeat * Self.silentBeats {
                if !isAway { effects.append(.away) }
                isAway = true
                effects.append(.reconnect)
            }
            greet()
            link = .greeting(nextHello: now + backOff, backOff: min(backOff * 2, Self.backOffRange.upperBound))
            return
        }
        if now >= nextBeat {
            nextBeat = now + heartbeat
            beats += 1
            let free = isDraining ? 0 : freeSlots
            effects.append(.send(.heartbeat(sequence: beats, freeSlots: free, running: running, load: nil)))
        }
        if !isDraining, freeSlots > 0, now >= nextWork {
            let id = workRequest ?? makeID()
            workRequest = id
            nextWork = now + heartbeat
            effects.append(.send(.workRequest(requestID: id, freeSlots: freeSlots)))
        }
        for ref in attempts.keys.sorted() {
            deliver(ref, now)
            if let attempt = attempts[ref], let download = attempt.downloads.first,
                now.since(attempt.downloadActiveAt) > heartbeat
            {
                attempts[ref]?.downloadActiveAt = now
                request(download, of: attempt)
            }
        }
    }

    /// A trainer that should have stopped long ago, if there is nothing else to wait for.
    private func hungAttempt(_ now: Instant) -> AttemptReference? {
        guard attempts.values.allSatisfy(\.isDisowned) else { return nil }
        return attempts.values.first { $0.disownedAt.map { now.since($0) > Self.hangPatience } ?? false }?.ref
    }

    package var running: [AttemptStatus] {
        // An attempt whose last word is on its way still holds its lease.
        attempts.values.filter { !$0.isDisowned }.map(\.status).sorted { $0.attempt < $1.attempt }
    }

    mutating func greet() {
        if let count = hellosSinceWelcome { hellosSinceWelcome = count + 1 }
        let hello = Hello(
            minVersion: versions.lowerBound, maxVersion: versions.upperBound, worker: worker, running: running)
        effects.append(.send(.hello(hello)))
    }

    // MARK: Ends

    mutating func drain(_ reason: String, _ now: Instant) {
        guard drainStart == nil else { return }
        drainStart = now
        // In a fixed order, because ids are drawn on the way: the same events give the same effects.
        for ref in attempts.keys.sorted() {
            guard let attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else { continue }
            switch attempt.phase {
            case .downloading:
                attempts[ref]?.downloads = []
                end(ref, .stopped(iteration: attempt.iteration), now)
            case .training: effects.append(.wish(ref, .checkpointAndStop))
            case .ended: break
            }
        }
    }

    /// The version that a message of this worker is written in.
    package func version(of message: MessageToCoordinator) -> UInt32 {
        if case .hello = message { versions.upperBound } else { version }
    }

    mutating func speak(_ chosen: UInt32) { version = chosen }

    mutating func exit(_ exit: WorkerExit) {
        effects.append(.exit(exit))
        hasExited = true
    }
}

extension WorkerState.Ending: CustomStringConvertible {
    /// What became of a training: "finished at iteration 6000 after 240 s".
    package var description: String {
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

extension String {
    /// At most so many UTF-8 bytes, cut between characters.
    package func shortened(to limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(startIndex, offsetBy: limit)
        while end > startIndex, end.samePosition(in: self) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
