import ClusterFixtures
import Protocol

@testable import ClusterCore

/// A worker over all its lives: `WorkerState`, surrounded by the work of the loop, the spool and the trainers, without
/// threads, sockets and files.
struct SimulatedWorker {
    /// Work that takes time.
    enum Timer {
        /// A training's next iteration, by the number of its runner.
        case iterate(Int)
        /// The last chunk is written, and the worker is comparing the file's digest.
        case verify(AttemptReference, transferID: UInt64, sha256: String)
        /// The next try on a disk that failed.
        case probe
    }

    private struct Runner {
        let ref: AttemptReference
        var training: Training
        /// What it makes with a generator; nil: it trains.
        var picture: Content?
        var wish = TrainerWish.proceed
        /// Whether the checkpoint it got is damaged.
        var isTorn: Bool
        /// Whether a checkpoint is still unwritten.
        var lacksCheckpoint = false
        /// The iteration of its newest checkpoint.
        var checkpointed: Int?
        var mustStopBy: Int?
        var hasBegun = false
    }

    let id: String
    private let slots: Int
    private let kinds: Set<JobKind>
    private(set) var life = 0
    /// Number of sockets so far.
    private(set) var connection = 0
    /// Whether no process runs: it has ended, died, or not started.
    private(set) var hasExited = true
    private(set) var refusal: String?
    private var start = 0
    private var state: WorkerState
    private var runners: [Int: Runner] = [:]
    private var nextRunner = 0
    /// The data folder, which outlives the process: reported files, inputs, and the records of both.
    private var spooled: [AttemptReference: [String: Content]] = [:]
    private var inputs: [AttemptReference: Set<String>] = [:]
    private var records: [AttemptReference: AttemptRecord] = [:]
    /// Attempts that a later life resumed.
    private(set) var recoveries = 0
    private var lines = 0
    /// Whether the worker dies at every start of a training.
    var diesAtTraining = false
    /// The worker dies after this many more effects.
    var effectsUntilDeath: Int?
    private(set) var outbox: [WireMessage] = []
    private(set) var timers: [(after: Int, Timer)] = []
    /// Jobs whose attempt failed or hung on the simulation's order. The simulation collects them.
    var faults: [JobID] = []
    /// Digests of checkpoints that were damaged before the worker computed them. The simulation collects them.
    var torn: [String] = []
    /// A violation by the worker.
    private(set) var complaint: String?
    var diskFullUntil = 0
    private var hasMetFullDisk = false
    private var isProbing = false

    init(id: String, slots: Int, kinds: Set<JobKind>) {
        self.id = id
        self.slots = slots
        self.kinds = kinds
        state = Self.state(id, slots, kinds, session: 1)
    }

    private static func state(_ id: String, _ slots: Int, _ kinds: Set<JobKind>, session: UInt64) -> WorkerState {
        let worker = WorkerIdentity(
            id: id, name: id, softwareVersion: "1", slots: slots, threadsPerSlot: 1, cpu: "simulated", kinds: kinds)
        return WorkerState(
            worker: worker, session: session, versions: ProtocolVersion.oldest...ProtocolVersion.newest,
            breach: WireMessage.breach, at: .origin)
    }

    /// Kills the process. Its folder stays.
    mutating func die() {
        life += 1
        connection += 1
        hasExited = true
        effectsUntilDeath = nil
        runners = [:]
        outbox = []
        timers = []
    }

    /// Starts a new process with the same data folder.
    mutating func begin(session: UInt64, at now: Int) {
        die()
        start = now
        hasExited = false
        hasMetFullDisk = false
        isProbing = false
        state = Self.state(id, slots, kinds, session: session)
        spooled = spooled.filter { records[$0.key] != nil }
        inputs = inputs.filter { records[$0.key] != nil }
        let found = records.values.map { record in
            for case .artifact(_, let file) in record.results.map(\.content) where spooled[record.ref]?[file] == nil {
                complaint = "\(id) remembers \(file) of \(record.ref.job), which is gone"
            }
            let files = record.assignment.inputs.map(\.artifact.sha256)
            return RecoveredAttempt(record: record, canTrain: inputs[record.ref]?.isSuperset(of: files) == true)
        }
        handle(.recovered(found), now)
        recoveries += state.attempts.count
    }

    mutating func takeOutbox() -> [WireMessage] {
        defer { outbox = [] }
        return outbox
    }

    mutating func takeTimers() -> [(after: Int, Timer)] {
        defer { timers = [] }
        return timers
    }

    // MARK: Events

    mutating func tick(at now: Int) { handle(.tick, now) }
    mutating func receive(_ message: WireMessage, at now: Int) {
        guard let content = MessageToWorker(message) else { return }
        handle(.received(content, session: message.session), now)
    }
    mutating func terminate(at now: Int) { handle(.drain, now) }

    /// - Parameter faultRate: The probability that an iteration fails or hangs.
    mutating func fire(_ timer: Timer, at now: Int, _ random: inout SeededRandom, faultRate: Double) {
        switch timer {
        case .iterate(let number): iterate(number, now, &random, faultRate)
        case .verify(let ref, let transferID, let sha256):
            // The worker may have forgotten the attempt since, and may even have got it again. Its folder
            // disappears before or after the result of the comparison.
            if inputs[ref]?.contains(sha256) == true || random.happens(0.5) {
                handle(.downloaded(ref, transferID: transferID), now)
            } else {
                handle(.downloadFailed(ref, transferID: transferID, reason: "no such file"), now)
            }
        case .probe:
            isProbing = false
            if now >= diskFullUntil { handle(.storage(problem: nil), now) }
        }
    }

    /// Whether the disk accepts a file now.
    private mutating func hasSpace(_ now: Int) -> Bool {
        if now < diskFullUntil { hasMetFullDisk = true }
        return now >= diskFullUntil
    }

    private mutating func handle(_ event: WorkerState.Event, _ now: Int) {
        guard !hasExited else { return }
        for effect in state.handle(event, at: .origin + .milliseconds(now - start)) {
            if let left = effectsUntilDeath {
                guard left > 0 else { return die() }
                effectsUntilDeath = left - 1
            }
            perform(effect, now)
            guard !hasExited else { return }
        }
        if let problem = state.storageProblem {
            if !hasMetFullDisk { complaint = "\(id) does not trust its disk, which never was full: \(problem)" }
            if !isProbing { timers.append((5000, .probe)) }
            isProbing = true
        }
    }

    // MARK: Effects

    private mutating func perform(_ effect: WorkerState.Effect, _ now: Int) {
        switch effect {
        case .send(let message):
            outbox.append(WireMessage(message, session: state.session, version: state.version(of: message)))
        case .sendChunk(let ref, let file, let chunk, let transferID):
            guard let content = spooled[ref]?[file] else {
                return handle(.unreadable(ref, file: file, reason: "not there"), now)
            }
            let payload = Array(content.bytes[Int(chunk.offset)...].prefix(chunk.count))
            let piece = ArtifactChunk(transferID: transferID, offset: chunk.offset, isLast: chunk.isLast)
            outbox.append(WireMessage(.chunk(piece, payload), session: state.session, version: state.version))
        case .writeChunk(let ref, let artifact, let transferID, _, let payload, let verify):
            guard hasSpace(now) else {
                return handle(.downloadFailed(ref, transferID: transferID, reason: "no space"), now)
            }
            guard verify else { return }
            guard Content(payload)?.sha256 == artifact.sha256 else {
                return handle(.downloadDamaged(ref, transferID: transferID, reason: "wrong sum"), now)
            }
            inputs[ref, default: []].insert(artifact.sha256)
            timers.append((100, .verify(ref, transferID: transferID, sha256: artifact.sha256)))
        case .start(let assignment, let file):
            if let file {
                let sha256 = assignment.checkpoint?.artifact.sha256 ?? ""
                if spooled[assignment.attempt]?[file]?.sha256 != sha256 {
                    complaint = "\(id) goes on from another file than \(file)"
                }
                inputs[assignment.attempt, default: []].insert(sha256)
            }
            train(assignment)
        case .remember(let record): records[record.ref] = record.results.isEmpty ? nil : record
        case .wish(let ref, let wish):
            for (number, runner) in runners where runner.ref == ref && runner.wish != .abandon {
                runners[number]!.wish = wish
            }
        case .removeFile(let ref, let file): spooled[ref]?[file] = nil
        case .removeFolder(let ref):
            spooled[ref] = nil
            inputs[ref] = nil
            records[ref] = nil
        case .logError: break
        case .reconnect: connection += 1
        case .connected, .away, .rejected, .retire: break
        case .exit(let exit):
            hasExited = true
            switch exit {
            case .stopped, .retired: break
            case .refused(let reason), .duplicate(let reason), .hung(let reason): refusal = reason
            }
        }
    }

    private mutating func train(_ assignment: Assignment) {
        guard !diesAtTraining else { return die() }
        for artifact in assignment.artifacts {
            if inputs[assignment.attempt]?.contains(artifact.sha256) != true {
                complaint = "\(id) trains without an input of \(assignment.attempt.job)"
            }
        }
        let isMaterial = assignment.inputs.contains { $0.map != nil }
        guard kinds.contains(isMaterial ? assignment.kind.onMaterials : assignment.kind) else {
            complaint = "\(id) gets work of kind \(assignment.kind) with the inputs \(assignment.inputs.map(\.name))"
            return
        }
        if assignment.kind == .expand {
            guard let generator = assignment.input(JobInput.generator) else {
                complaint = "\(assignment.attempt.job) starts without its generator"
                return
            }
            nextRunner += 1
            runners[nextRunner] = Runner(
                ref: assignment.attempt, training: Training(exemplar: generator.artifact.sha256, recipe: "2 every 3"),
                picture: Training.picture(generator: generator.artifact.sha256, spec: assignment.spec), isTorn: false)
            return timers.append((1000, .iterate(nextRunner)))
        }
        var isWhole = true
        var training = Training(exemplar: Training.subject(of: assignment.inputs), recipe: assignment.spec)
        if let checkpoint = assignment.checkpoint {
            isWhole = training.resume(Content(sha256: checkpoint.artifact.sha256))
        }
        nextRunner += 1
        runners[nextRunner] = Runner(
            ref: assignment.attempt, training: training, isTorn: !isWhole,
            checkpointed: assignment.checkpoint.map { _ in training.iteration })
        timers.append((1000, .iterate(nextRunner)))
    }

    // MARK: Training

    private mutating func iterate(_ number: Int, _ now: Int, _ random: inout SeededRandom, _ faultRate: Double) {
        guard let runner = runners[number] else { return }
        let ref = runner.ref
        if !runner.hasBegun {
            runners[number]!.hasBegun = true
            log(ref, now)
            guard runners[number] != nil else { return }
        }
        func ended(_ ending: WorkerState.Ending) {
            runners[number] = nil
            handle(.ended(ref, ending), now)
        }
        if runner.picture != nil, runner.wish == .checkpointAndStop { return ended(.stopped(iteration: 0)) }
        switch runner.wish {
        case .abandon: return ended(.abandoned)
        case .checkpointAndStop where !runner.isTorn:
            guard hasSpace(now) else {
                if let end = runner.mustStopBy, end <= now { return ended(.abandoned) }
                runners[number]?.mustStopBy = runner.mustStopBy ?? now + 10_000
                return timers.append((1000, .iterate(number)))
            }
            if runner.checkpointed != runner.training.iteration {
                spool(.checkpoint, runner.training.checkpoint, ref, runner.training.iteration, now)
            }
            return ended(.stopped(iteration: runner.training.iteration))
        case .checkpointAndStop, .proceed: break
        }
        if runner.isTorn {
            return ended(.failed(code: .damagedCheckpoint, reason: "wrong sum", isRetryable: true))
        }
        if random.happens(faultRate) || (runner.training.isPoison && runner.training.iteration == 2) {
            faults.append(ref.job)
            return ended(.failed(code: FailureCode(rawValue: "notFinite"), reason: "NaN", isRetryable: true))
        }
        if random.happens(faultRate) {
            faults.append(ref.job)
            // Longer than the coordinator's limit for one iteration.
            return timers.append((200_000, .iterate(number)))
        }
        var training = runner.training
        // A run may resume from its last checkpoint and only have to deliver.
        if training.iteration < training.total {
            training.advance()
            runners[number]!.training = training
            handle(
                .iterated(
                    ref, iteration: training.iteration, totalIterations: training.total, secondsPerIteration: 1), now)
            let row = MetricsBlock.Row(iteration: training.iteration, unixSeconds: 0, values: [1])
            handle(.metrics(ref, MetricsBlock(columns: ["loss"], rows: [row])), now)
            if runner.picture != nil { return timers.append((random.number(500...2500), .iterate(number))) }
            let isDue = training.iteration == training.total || training.iteration % training.checkpointEvery == 0
            if isDue, hasSpace(now) { spool(.snapshot, training.snapshot, ref, training.iteration, now) }
            if isDue || runner.lacksCheckpoint { runners[number]?.lacksCheckpoint = true }
        }
        if let picture = runner.picture {
            guard hasSpace(now) else { return timers.append((5000, .iterate(number))) }
            spool(.picture, picture, ref, 1, now)
            return ended(.finished(iteration: training.total, trainingSeconds: 1, reportJSON: "{}"))
        }
        // Without space, training continues, but its end waits.
        if runners[number]?.lacksCheckpoint == true, hasSpace(now) {
            runners[number]?.lacksCheckpoint = false
            let isTorn = random.happens(4 * faultRate)
            let checkpoint = isTorn ? training.tornCheckpoint : training.checkpoint
            if isTorn { torn.append(checkpoint.sha256) }
            runners[number]?.checkpointed = training.iteration
            spool(.checkpoint, checkpoint, ref, training.iteration, now)
            log(ref, now)
        }
        guard training.iteration >= training.total else {
            return timers.append((random.number(500...2500), .iterate(number)))
        }
        guard hasSpace(now) else { return timers.append((5000, .iterate(number))) }
        spool(.generator, training.generator, ref, training.iteration, now)
        spool(.discriminator, training.discriminator, ref, training.iteration, now)
        ended(.finished(iteration: training.total, trainingSeconds: 1, reportJSON: "{}"))
    }

    /// Logs a line that differs from all earlier ones.
    private mutating func log(_ ref: AttemptReference, _ now: Int) {
        lines += 1
        handle(.log(ref, LogLine(unixSeconds: 0, level: .info, message: "line \(lines) of \(id)")), now)
    }

    private mutating func spool(
        _ kind: ArtifactRole, _ content: Content, _ ref: AttemptReference, _ iteration: Int, _ now: Int
    ) {
        guard !hasExited else { return }
        let file = "\(kind.rawValue)-\(iteration)"
        spooled[ref, default: [:]][file] = content
        let artifact = Artifact(sha256: content.sha256, sizeBytes: Content.sizeBytes)
        handle(.spooled(ref, kind, iteration: iteration, artifact, file: file), now)
    }
}
