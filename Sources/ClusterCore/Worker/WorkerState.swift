/// What the worker asks of a trainer. The trainer looks between iterations.
package enum TrainerWish: Equatable, Sendable {
    case proceed
    /// Write a checkpoint and end.
    case checkpointAndStop
    /// End at once and leave nothing.
    case abandon
}

/// How a worker's process ended.
public enum WorkerExit: Equatable, Sendable {
    /// It was told to stop. It checkpointed its attempts and handed them back.
    case stopped
    /// Its lifetime was over, or it had no job for long enough. It handed back its jobs, and nothing waits for
    /// delivery.
    case retired(String)
    /// The coordinator does not speak the worker's protocol version.
    case refused(String)
    /// Another process with this worker's id is connected: its data folder is a copy.
    case duplicate(String)
    /// A trainer was told to stop, but still holds its slot. A new process gets the slot back.
    case hung(String)
}

/// Every decision of a worker, without clock, socket, file or randomness.
///
/// Events go in, effects come out, as in ``ClusterState``.
package struct WorkerState: Sendable {
    package enum Event: Sendable {
        case tick
        case received(MessageToWorker, session: UInt64)
        case iterated(AttemptReference, iteration: Int, totalIterations: Int?, secondsPerIteration: Double)
        case metrics(AttemptReference, MetricsBlock)
        case log(AttemptReference, LogLine)
        /// A complete file in the attempt's folder.
        case spooled(AttemptReference, ArtifactRole, iteration: Int, Artifact, file: String)
        /// A spooled file is gone or has changed.
        case unreadable(AttemptReference, file: String, reason: String)
        // A download's outcome is known only after its last chunk. By then the worker may have lost the attempt and got
        // it again, so the outcome names its transfer.
        case downloaded(AttemptReference, transferID: UInt64)
        /// All bytes are there, but they are not the artifact's.
        case downloadDamaged(AttemptReference, transferID: UInt64, reason: String)
        case downloadFailed(AttemptReference, transferID: UInt64, reason: String)
        case ended(AttemptReference, Ending)
        /// What an earlier process left. Comes before every other event.
        case recovered([RecoveredAttempt])
        /// A signal or the end of the task asks the worker to stop, and has been logged.
        case drain
        /// Why the worker's folder cannot be written to; nil: it can.
        case storage(problem: String?)
        /// The coordinator and this worker cannot speak with each other.
        /// - isFinal: Trying again does not help, even if the coordinator has welcomed this worker before.
        case unwelcome(reason: String, isFinal: Bool)
    }
    package enum Ending: Equatable, Sendable {
        case finished(iteration: Int, trainingSeconds: Double, reportJSON: String)
        case stopped(iteration: Int)
        case abandoned
        /// `neededBytes` is the disk space that was needed, if the disk is the reason and the number is known.
        case failed(code: FailureCode, reason: String, isRetryable: Bool, neededBytes: Int = 0)
    }
    package enum Effect: Equatable, Sendable {
        case send(MessageToCoordinator)
        case sendChunk(AttemptReference, file: String, ArtifactSender.Chunk, transferID: UInt64)
        /// `verify`: this chunk is the last; check the SHA-256 and report `downloaded` or `downloadDamaged`.
        case writeChunk(
            AttemptReference, Artifact, transferID: UInt64, offset: UInt64, payload: [UInt8], verify: Bool)
        /// Start the work. `from`: the spooled file that is the assignment's checkpoint; nil: the inputs were
        /// downloaded.
        case start(Assignment, from: String?)
        /// Write the record for the next process, or remove it if it has no results.
        case remember(AttemptRecord)
        case wish(AttemptReference, TrainerWish)
        case removeFile(AttemptReference, String)
        case removeFolder(AttemptReference)
        case logError(AttemptReference, String)
        case reconnect
        /// The coordinator has welcomed this process.
        case connected(coordinator: String, softwareVersion: String)
        /// The worker begins to end for this reason, which is its own or the coordinator's.
        case retire(String)
        /// The coordinator does not answer. Comes once until it answers again.
        case away
        /// The coordinator and this worker cannot speak with each other at present.
        case rejected(String)
        case exit(WorkerExit)
    }

    enum Link: Equatable, Sendable { case greeting(nextHello: Instant, backOff: Duration), welcomed }

    /// After this many silent heartbeats the worker opens a new connection.
    static let silentBeats = 4
    static let backOffRange = Duration.seconds(1)...Duration.seconds(32)
    /// How often the worker transfers an artifact before it blames the file for wrong bytes.
    static let maxTransfers = 3
    /// A worker that was welcomed before believes a refusal of its version only after this many HELLOs without a
    /// WELCOME. Its earlier messages in the old version bring refusals too.
    static let believedRefusals = 3
    /// How long a trainer may take to end after the worker disowned its attempt: longer than any iteration or snapshot.
    static let hangPatience = Duration.seconds(3600)

    package let worker: WorkerIdentity
    let versions: ClosedRange<UInt32>
    /// Shows the coordinator that the worker's id is its own.
    let secret: String
    package let session: UInt64
    var link: Link
    /// Whether ``Effect/away`` has been reported since the coordinator last answered.
    var isAway = false
    package var attempts: [AttemptReference: HeldAttempt] = [:]
    var heartbeat = Duration.seconds(5)
    var lastHeard: Instant
    var nextBeat: Instant
    var nextWork: Instant
    var workRequest: UInt64?
    var drainStart: Instant?
    /// How this worker will end, once its trainers have written their checkpoints.
    var lastExit: WorkerExit?
    let limits: WorkerLimits
    let startedAt: Instant
    /// Since when the worker has held no attempt.
    var idleSince: Instant
    /// Why the worker ends by itself; nil while it does not.
    var retirement: String?
    /// HELLOs since the last WELCOME; nil before the first.
    var hellosSinceWelcome: Int?
    /// Why the worker does not trust its disk. It asks for no work until the disk is usable again.
    package internal(set) var storageProblem: String?
    /// How many bytes the disk has to take before the worker trusts it again: as many as did not fit.
    package internal(set) var storageNeed = 0
    /// The protocol version that WELCOME chose. HELLO uses the newest.
    package private(set) var version: UInt32
    /// How long a stopping worker waits for the coordinator's next message while it still has something to deliver.
    let drainPatience: Duration
    private var lastID: UInt64 = 0
    private var beats: UInt64 = 0
    private var hasExited = false
    let breach: @Sendable (MessageToCoordinator) -> String?
    var effects: [Effect] = []

    /// - Parameters:
    ///   - versions: The protocol versions that this worker speaks.
    ///   - limits: When the worker ends by itself.
    ///   - breach: Why the coordinator would not accept a message; nil if it would.
    package init(
        worker: WorkerIdentity, secret: String = "", session: UInt64, versions: ClosedRange<UInt32>,
        drainPatience: Duration = .seconds(60), limits: WorkerLimits = WorkerLimits(),
        breach: @escaping @Sendable (MessageToCoordinator) -> String?, at now: Instant
    ) {
        self.worker = worker
        self.secret = secret
        self.versions = versions
        self.drainPatience = drainPatience
        self.limits = limits
        startedAt = now
        idleSince = now
        self.breach = breach
        self.session = session
        version = versions.upperBound
        link = .greeting(nextHello: now, backOff: Self.backOffRange.lowerBound)
        lastHeard = now
        nextBeat = now
        nextWork = now
    }

    /// Slots without a trainer. None while the disk fails. None while more ended attempts than slots wait for delivery,
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
            // Kept within the wire's limits: one impossible number must not stop the heartbeats.
            let limit = Int(Limits.maxIterations)
            attempts[ref]?.iteration = min(max(0, iteration), limit)
            if let total { attempts[ref]?.totalIterations = min(max(0, total), limit) }
            if seconds.isFinite, seconds > 0 {
                attempts[ref]?.secondsPerIteration = min(seconds, Limits.maxSecondsPerIteration)
            }
        case .metrics(let ref, let block):
            for first in stride(from: 0, to: block.rows.count, by: Limits.maxMetricRows) {
                let rows = block.rows[first..<min(first + Limits.maxMetricRows, block.rows.count)]
                queue(.metrics(MetricsBlock(columns: block.columns, rows: Array(rows))), ref, now)
            }
        case .log(let ref, var line):
            line.message = line.message.shortened(to: Limits.maxLogLineBytes)
            queue(.log([line]), ref, now)
        case .spooled(let ref, let role, let iteration, let artifact, let file):
            guard let attempt = attempts[ref], !attempt.isDisowned, attempt.verdict == nil else {
                effects.append(.removeFile(ref, file))
                break
            }
            // A process that resumes an attempt makes some snapshots that an earlier process already made.
            guard !attempts[ref]!.has(file, artifact, at: now) else { break }
            attempts[ref]?.newest[role] = artifact.sha256
            if role == .checkpoint { attempts[ref]?.resumptions = 0 }
            let offer = ArtifactOffer(
                attempt: ref, transferID: makeID(), role: role, artifact: artifact, iteration: max(0, iteration))
            queue(.artifact(offer, file: file), id: offer.transferID, ref, now)
        case .unreadable(let ref, let file, let reason): giveUp(file, of: ref, reason, now)
        case .downloaded(let ref, let transferID):
            if isUnderWay(transferID, of: ref) { downloaded(ref) }
        case .downloadDamaged(let ref, let transferID, let reason):
            if isUnderWay(transferID, of: ref) { downloadDamaged(ref, reason, now) }
        case .downloadFailed(let ref, let transferID, let reason):
            guard isUnderWay(transferID, of: ref), let assignment = attempts[ref]?.assignment else { break }
            attempts[ref]?.downloads = []
            let need = assignment.artifacts.reduce(0) { $0 + $1.sizeBytes }
            end(ref, .failed(code: .fileSystem, reason: reason, isRetryable: true, neededBytes: need), now)
        case .ended(let ref, let ending): end(ref, ending, now)
        case .recovered(let found): recover(found, now)
        case .drain: drain(now)
        case .storage(let problem):
            storageProblem = problem
            if problem == nil { storageNeed = 0 }
            if problem == nil, workRequest == nil { nextWork = now }
        case .unwelcome(let reason, let isFinal):
            if isFinal || hellosSinceWelcome == nil {
                resign(.refused(reason), now)
            } else {
                effects.append(.rejected(reason))
            }
        }
        advance(now)
        return remember() + effects
    }

    // MARK: Time

    private mutating func advance(_ now: Instant) {
        if let lastExit, attempts.values.allSatisfy({ $0.phase == .ended || $0.isDisowned }) {
            return exit(lastExit)
        }
        retire(now)
        if let hung = hungAttempt(now) {
            effects.append(.send(.goodbye(reason: "a trainer hangs")))
            return exit(.hung("\(hung.job) does not stop"))
        }
        if let drainStart,
            attempts.values.allSatisfy(\.isDisowned) || now.since(max(drainStart, lastHeard)) >= drainPatience
        {
            effects.append(.send(.goodbye(reason: retirement ?? "stopped")))
            return exit(lastExit ?? exitOfDrained)
        }
        if link == .welcomed, now.since(lastHeard) > heartbeat * Self.silentBeats {
            // Trainers keep running: the coordinator may come back, and their reports wait.
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

    /// An attempt whose trainer should have stopped long ago, if the worker has nothing else to wait for.
    private func hungAttempt(_ now: Instant) -> AttemptReference? {
        guard attempts.values.allSatisfy(\.isDisowned) else { return nil }
        return attempts.values.first { $0.disownedAt.map { now.since($0) > Self.hangPatience } ?? false }?.ref
    }

    package var running: [AttemptStatus] {
        // An attempt whose final message is under way still holds its lease.
        attempts.values.filter { !$0.isDisowned }.map(\.status).sorted { $0.attempt < $1.attempt }
    }

    mutating func greet() {
        if let count = hellosSinceWelcome { hellosSinceWelcome = count + 1 }
        let hello = Hello(
            minVersion: versions.lowerBound, maxVersion: versions.upperBound, worker: worker, running: running,
            secret: secret)
        effects.append(.send(.hello(hello)))
    }

    // MARK: Ends

    /// - Parameter reason: For the log; nil if it has been logged, or will be with the end.
    mutating func drain(_ now: Instant, because reason: String? = nil) {
        guard drainStart == nil else { return }
        drainStart = now
        if let reason { effects.append(.retire(reason)) }
        // In a fixed order, because the loop draws ids: the same events must give the same effects.
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

    /// The protocol version of a message from this worker.
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
    /// How a training ended: "finished at iteration 6000 after 240 s".
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
        case .retired(let reason): "\(reason); its jobs are handed back"
        case .refused(let reason), .duplicate(let reason): "refused by the coordinator: \(reason)"
        case .hung(let reason): "a trainer hangs: \(reason)"
        }
    }
}
