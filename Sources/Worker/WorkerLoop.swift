import ClusterCore
import Foundation
import Logging
import Machine
import OperatingSystem
import Protocol
import TextureGAN
import Transport

/// The edge around ``WorkerState``: turns its effects into messages, files and threads, on a thread of its own.
actor WorkerLoop {
    private let executor: ThreadExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private var state: WorkerState
    private let spool: Spool
    private let socket: DealerSocket
    private let trainer: any AttemptTrainer
    private let threadsPerSlot: Int
    private let logger: Logger
    private let started = ContinuousClock.now
    /// Of the attempts whose trainers have not ended.
    private var wishes: [AttemptReference: CurrentWish] = [:]
    private let post: @Sendable (WorkerState.Event) -> Void
    private(set) var exit: WorkerExit?
    /// When to probe a failed disk again, and how long to wait after that. The wait grows while the disk keeps failing.
    private var nextProbe: ContinuousClock.Instant?
    private var probeBackOff = Spool.probeBackOff.lowerBound
    private var loadMeter = LoadMeter(at: .now)

    init(
        state: WorkerState, spool: Spool, socket: DealerSocket, trainer: any AttemptTrainer, threadsPerSlot: Int,
        logger: Logger, executor: ThreadExecutor, post: @escaping @Sendable (WorkerState.Event) -> Void
    ) {
        self.state = state
        self.spool = spool
        self.socket = socket
        self.trainer = trainer
        self.threadsPerSlot = threadsPerSlot
        self.logger = logger
        self.executor = executor
        self.post = post
    }

    /// Handles an event and carries out the effects. Returns the exit once there is one.
    func handle(_ event: WorkerState.Event) -> WorkerExit? {
        if case .log(let ref, let line) = event {
            logger.log(level: Logger.Level(line.level), "\(line.message)", metadata: metadata(ref, [:]))
        }
        if case .ended(let ref, let ending) = event {
            wishes[ref] = nil
            if case .finished = ending { probeBackOff = Spool.probeBackOff.lowerBound }
            // The trainer no longer uses the folder. If the attempt was forgotten meanwhile, its folder can go now.
            if state.attempts[ref] == nil { spool.remove(ref) }
            logger.info("work \(ending)", metadata: metadata(ref, [:]))
        }
        for effect in state.handle(event, at: .origin + (ContinuousClock.now - started)) { perform(effect) }
        watchStorage(event)
        return exit
    }

    /// Logs once that the disk fails, probes it now and then on a thread of its own, and logs when it works again.
    private func watchStorage(_ event: WorkerState.Event) {
        if case .storage(nil) = event {
            nextProbe = nil
            logger.notice("the worker's folder can be written to again; asking for work")
            return
        }
        guard let problem = state.storageProblem else { return }
        guard let due = nextProbe else {
            logger.error(
                "the worker's folder cannot be used; the worker asks for no work until it can",
                metadata: ["folder": "\(spool.folder.path)", "error": "\(problem)"])
            nextProbe = .now + probeBackOff
            return
        }
        guard due <= .now else { return }
        probeBackOff = min(probeBackOff * 2, Spool.probeBackOff.upperBound)
        nextProbe = .now + probeBackOff
        let thread = Thread { [post, spool, need = UInt64(state.storageNeed)] in
            if spool.takesFiles(ofBytes: need) { post(.storage(problem: nil)) }
        }
        thread.name = "texloom-probe"
        thread.start()
    }

    /// Tells the trainers to end, because the process is about to end.
    func abandonAll() {
        for wish in wishes.values { wish.set(.abandon) }
    }

    private func perform(_ effect: WorkerState.Effect) {
        switch effect {
        case .send(let message):
            socket.send(
                WireMessage(withLoad(message), session: state.session, version: state.version(of: message)))
        case .sendChunk(let ref, let file, let chunk, let transferID):
            do {
                let payload = try ArtifactFile.read(chunk, of: spool.artifacts(of: ref).appendingPathComponent(file))
                let piece = ArtifactChunk(transferID: transferID, offset: chunk.offset, isLast: chunk.isLast)
                socket.send(WireMessage(.chunk(piece, payload), session: state.session, version: state.version))
            } catch {
                post(.unreadable(ref, file: file, reason: "\(error)"))
            }
        case .writeChunk(let ref, let artifact, let transferID, let offset, let payload, let verify):
            do {
                try spool.create(ref)
                let file = spool.input(artifact.sha256, of: ref)
                try ArtifactFile.write(payload, at: offset, of: file)
                guard verify else { break }
                // On a thread of its own: a large checkpoint takes longer to hash than a heartbeat may wait.
                let context = metadata(ref, [:])
                let thread = Thread { [post, logger] in
                    do {
                        let found = try ArtifactFile.identify(file)
                        if found == artifact {
                            // The next process may need it, even after a power cut.
                            try DurableFile.sync(file)
                            post(.downloaded(ref, transferID: transferID))
                            return
                        }
                        let reason = "an artifact arrived as \(found.sha256), expected \(artifact.sha256)"
                        logger.warning(
                            "a download is damaged", metadata: context.merging(["reason": "\(reason)"]) { $1 })
                        post(.downloadDamaged(ref, transferID: transferID, reason: reason))
                    } catch {
                        post(.downloadFailed(ref, transferID: transferID, reason: "\(error)"))
                    }
                }
                thread.name = "texloom-verify"
                thread.start()
            } catch {
                post(.downloadFailed(ref, transferID: transferID, reason: "\(error)"))
            }
        case .start(let assignment, let file): start(assignment, from: file)
        case .remember(let record):
            do {
                try spool.remember(record)
            } catch {
                // The record matters only if this process ends before the next change.
                logger.warning(
                    "an attempt's record cannot be written", metadata: metadata(record.ref, ["error": "\(error)"]))
            }
        case .wish(let ref, let wish): wishes[ref]?.set(wish)
        case .removeFile(let ref, let file): spool.remove(file, of: ref)
        // While a trainer still writes there, the folder stays. It is removed when the trainer ends.
        case .removeFolder(let ref): if wishes[ref] == nil { spool.remove(ref) }
        case .logError(let ref, let message): logger.error("\(message)", metadata: metadata(ref, [:]))
        case .retire(let reason):
            logger.notice("worker ends: \(reason); it checkpoints its running attempts and hands them back")
        case .reconnect:
            logger.debug("connecting to the coordinator again", metadata: ["coordinator": "\(socket.endpoint)"])
            socket.recreate()
        case .connected(let id, let version):
            logger.notice(
                "connected to the coordinator",
                metadata: ["coordinator": "\(socket.endpoint)", "id": "\(id)", "version": "\(version)"])
        case .away:
            logger.warning(
                "the coordinator does not answer; training continues, and the worker keeps the results and tries again",
                metadata: ["coordinator": "\(socket.endpoint)"])
        case .rejected(let reason):
            logger.error("the coordinator cannot be used now; training continues", metadata: ["reason": "\(reason)"])
        case .exit(let exit): self.exit = exit
        }
    }

    private func withLoad(_ message: MessageToCoordinator) -> MessageToCoordinator {
        guard case .heartbeat(let sequence, let freeSlots, let running, _) = message else { return message }
        let load = loadMeter.read(spool, at: .now)
        return .heartbeat(sequence: sequence, freeSlots: freeSlots, running: running, load: load)
    }

    private func start(_ assignment: Assignment, from file: String?) {
        let ref = assignment.attempt
        if let file {
            do {
                try spool.adopt(file, for: assignment)
            } catch {
                return post(.ended(ref, .failed(code: .fileSystem, reason: error.systemReason, isRetryable: true)))
            }
        }
        logger.info(
            "work starts",
            metadata: metadata(
                ref,
                [
                    "kind": "\(assignment.kind)",
                    "name": "\(assignment.name)",
                    "iteration": .stringConvertible(assignment.checkpoint?.iteration ?? 0),
                    "recovered": "\(file != nil)",
                ]))
        if ProductRunner.kinds.contains(assignment.kind) {
            do throws(TrainingError) {
                if let input = try productInput(of: assignment) {
                    return ProductRunner(wish: newWish(ref)).start(assignment, input, post: post)
                }
            } catch {
                return post(
                    .ended(ref, .failed(code: FailureCode(error.code), reason: error.message, isRetryable: false)))
            }
        }
        // A worker announces only these kinds. A coordinator that assigns another breaks the protocol.
        guard assignment.kind == .train, let exemplar = assignment.input(JobInput.exemplar) else {
            let inputs = assignment.inputs.map(\.name).joined(separator: ", ")
            let reason = "this worker cannot do a job of kind '\(assignment.kind)' with the inputs \(inputs)"
            return post(.ended(ref, .failed(code: .unknownKind, reason: reason, isRetryable: true)))
        }
        TrainingRunner(wish: newWish(ref)).start(
            ref, recipeYAML: assignment.spec,
            input: TrainingRunner.Input(
                exemplar: spool.input(exemplar.artifact.sha256, of: ref),
                exemplarName: exemplar.fileName, maps: maps(of: assignment),
                checkpoint: assignment.checkpoint.map { spool.input($0.artifact.sha256, of: ref) },
                threads: threadsPerSlot, folder: spool.artifacts(of: ref), repeatsHistory: file != nil,
                concurrentRuns: state.worker.slots),
            trainer: trainer, post: post)
    }

    private func newWish(_ ref: AttemptReference) -> CurrentWish {
        let wish = CurrentWish()
        wishes[ref] = wish
        return wish
    }

    /// The files of a material; empty for a photograph.
    private func maps(of assignment: Assignment) -> [MaterialFiles.Given] {
        assignment.inputs.compactMap { input in
            input.map.map {
                MaterialFiles.Given(
                    content: $0, name: input.fileName, url: spool.input(input.artifact.sha256, of: assignment.attempt))
            }
        }
    }

    /// What work on a generator starts from; nil if an input is missing.
    /// - Throws: `TrainingError` for maps that make no material.
    private func productInput(of assignment: Assignment) throws(TrainingError) -> ProductRun.Input? {
        guard let exemplar = assignment.input(JobInput.exemplar), let generator = assignment.input(JobInput.generator)
        else { return nil }
        let ref = assignment.attempt
        return ProductRun.Input(
            exemplar: try .given(
                spool.input(exemplar.artifact.sha256, of: ref), maps: maps(of: assignment), name: exemplar.fileName),
            exemplarName: exemplar.fileName,
            generator: spool.input(generator.artifact.sha256, of: ref), generatorSHA256: generator.artifact.sha256,
            threads: threadsPerSlot,
            availableBytes: state.worker.equipment?.memoryBytes ?? MachineAllowance.current.memoryBytes,
            concurrentRuns: state.worker.slots, limits: .cluster, folder: spool.artifacts(of: ref))
    }

    /// Adds the attempt that a log line is about, and the attempt's iteration.
    private func metadata(_ ref: AttemptReference, _ more: Logger.Metadata) -> Logger.Metadata {
        var metadata = more
        metadata["job"] = "\(ref.job)"
        metadata["attempt"] = .stringConvertible(ref.number)
        if metadata["iteration"] == nil, let attempt = state.attempts[ref] {
            metadata["iteration"] = .stringConvertible(attempt.iteration)
        }
        return metadata
    }
}
