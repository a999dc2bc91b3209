import Protocol

/// What a worker's message is to the coordinator.
enum InboundMessage: Sendable {
    case hello(WireHello, ClusterEvent, foreign: [WireAttemptRef])
    case event(ClusterEvent)
    /// A heartbeat, and those of its attempts whose ids were not given out by this software: they are lost.
    case heartbeat(ClusterEvent, foreign: [WireAttemptRef])
    case chunk(WireArtifactChunk, [UInt8])
    case credit(WireArtifactCredit)
    /// A message about a job that cannot be one of this cluster's, by its request or transfer id.
    case foreign(id: UInt64)
    /// A message that only coordinators send.
    case unexpected
}

extension InboundMessage {
    /// - Parameter message: Decoded and valid, so its counts and texts are within the limits.
    init(_ message: WireMessage) {
        let session = message.session
        func event(_ reference: WireAttemptRef, _ id: UInt64, _ make: (AttemptReference) -> ClusterEvent)
            -> InboundMessage
        {
            AttemptReference(reference).map { .event(make($0)) } ?? .foreign(id: id)
        }
        switch message.body {
        case .hello(let hello):
            let (running, foreign) = AttemptStatus.split(hello.running)
            self = .hello(
                hello, .hello(session: session, worker: WorkerIdentity(hello), running: running), foreign: foreign)
        case .workRequest(let request): self = .event(.workRequest(session: session, requestID: request.requestID))
        case .heartbeat(let beat):
            let (running, foreign) = AttemptStatus.split(beat.running)
            self = .heartbeat(
                .heartbeat(
                    session: session, sequence: beat.sequence, running: running,
                    load: beat.hasLoad ? WorkerLoad(beat.load) : nil), foreign: foreign)
        case .metrics(let batch):
            self = event(batch.attempt, batch.requestID) {
                .metrics(session: session, $0, requestID: batch.requestID, MetricsBlock(batch))
            }
        case .log(let batch):
            self = event(batch.attempt, batch.requestID) {
                .log(session: session, $0, requestID: batch.requestID, batch.lines.map(LogLine.init))
            }
        case .artifactOffer(let offer):
            self = event(offer.attempt, offer.transferID) { attempt in
                let kind = ArtifactKind(offer.kind)
                let event = ArtifactOffer(
                    attempt: attempt, transferID: offer.transferID, kind: kind,
                    artifact: StoredArtifact(offer.artifact),
                    iteration: Int(offer.iteration))
                return .artifactOffered(session: session, event, isStored: false)
            }
        case .artifactRequest(let request):
            self = event(request.attempt, request.transferID) { attempt in
                let event = ArtifactRequest(
                    attempt: attempt, transferID: request.transferID, sha256: request.artifact.sha256,
                    offset: request.offset, windowChunks: request.windowChunks)
                return .artifactRequested(session: session, event)
            }
        case .finish(let finish):
            self = event(finish.attempt, finish.requestID) {
                .finish(session: session, $0, requestID: finish.requestID, Completion(finish))
            }
        case .fail(let fail):
            self = event(fail.attempt, fail.requestID) {
                if fail.code == "damagedCheckpoint" {
                    .checkpointRefused(session: session, $0, requestID: fail.requestID, reason: fail.reason)
                } else {
                    .fail(
                        session: session, $0, requestID: fail.requestID, iteration: Int(fail.iteration),
                        reason: fail.reason, isRetryable: fail.retryable)
                }
            }
        case .handBack(let handBack):
            self = event(handBack.attempt, handBack.requestID) {
                .handBack(
                    session: session, $0, requestID: handBack.requestID, iteration: Int(handBack.iteration),
                    reason: handBack.reason)
            }
        case .goodbye(let goodbye): self = .event(.goodbye(session: session, reason: goodbye.reason))
        case .artifactChunk(let chunk): self = .chunk(chunk, message.payload ?? [])
        case .artifactCredit(let credit): self = .credit(credit)
        case .welcome, .helloAgain, .assign, .noWork, .heartbeatReply, .artifactReceipt, .acknowledgement, .cancel,
            .drain, .refusal, nil:
            self = .unexpected
        }
    }
}

extension AttemptReference {
    /// nil if the job's id is none that this software gives out.
    init?(_ reference: WireAttemptRef) {
        guard let job = JobID(reference.jobID) else { return nil }
        self.init(job: job, number: Int(reference.attempt))
    }

    var wire: WireAttemptRef { WireAttemptRef(jobID: job.description, attempt: UInt32(number)) }
}

extension AttemptStatus {
    fileprivate static func split(_ running: [WireAttemptStatus]) -> (known: [AttemptStatus], foreign: [WireAttemptRef])
    {
        var known: [AttemptStatus] = []
        var foreign: [WireAttemptRef] = []
        for status in running {
            guard let attempt = AttemptReference(status.attempt) else {
                foreign.append(status.attempt)
                continue
            }
            known.append(
                AttemptStatus(
                    attempt: attempt, iteration: Int(status.iteration), totalIterations: Int(status.totalIterations),
                    secondsPerIteration: status.secondsPerIteration))
        }
        return (known, foreign)
    }
}

extension WorkerLoad {
    fileprivate init(_ load: WireWorkerLoad) {
        self.init(
            coresBusy: load.coresBusy, residentBytes: Int(load.residentBytes), spoolBytes: Int(load.spoolBytes),
            loadAverage: load.loadAverage)
    }
}

extension WorkerIdentity {
    fileprivate init(_ hello: WireHello) {
        self.init(
            id: hello.workerID, name: hello.name.isEmpty ? hello.workerID : hello.name,
            softwareVersion: hello.softwareVersion, slots: Int(hello.slots),
            threadsPerSlot: Int(hello.threadsPerSlot), cpu: hello.cpu,
            equipment: hello.hasEquipment
                ? Equipment(weights: Set(hello.equipment.weights), memoryBytes: Int(hello.equipment.memoryBytes)) : nil)
    }
}

extension MetricsBlock {
    fileprivate init(_ batch: WireMetricBatch) {
        self.init(
            columns: batch.columns,
            rows: batch.rows.map {
                Row(iteration: Int($0.iteration), unixSeconds: $0.unixSeconds, values: $0.values)
            })
    }
}

extension LogLine {
    fileprivate init(_ line: WireLogLine) {
        let level = ["debug", "info", "warning", "error"].contains(line.level) ? line.level : "info"
        self.init(unixSeconds: line.unixSeconds, level: level, message: line.message)
    }
}

extension StoredArtifact {
    fileprivate init(_ artifact: WireArtifact) {
        self.init(sha256: artifact.sha256, sizeBytes: Int(artifact.sizeBytes))
    }

    var wire: WireArtifact { WireArtifact(sha256: sha256, sizeBytes: UInt64(sizeBytes)) }
}

extension ArtifactKind {
    /// Kinds are checked when a message is decoded; what is left is refused by the cluster as an exemplar is.
    fileprivate init(_ kind: WireArtifactKind) {
        self =
            switch kind {
            case .snapshot: .snapshot
            case .checkpoint: .checkpoint
            case .generator: .generator
            case .discriminator: .discriminator
            case .exemplar, .unspecified, .UNRECOGNIZED: .exemplar
            }
    }
}

extension Completion {
    fileprivate init(_ finish: WireFinish) {
        self.init(
            iteration: Int(finish.iteration), generatorSHA256: finish.generatorSha256,
            discriminatorSHA256: finish.discriminatorSha256, checkpointSHA256: finish.checkpointSha256,
            trainingSeconds: finish.trainingSeconds, reportJSON: finish.reportJson)
    }
}

extension AcknowledgementCode {
    fileprivate var wire: WireCode {
        switch self {
        case .ok: .ok
        case .leaseLost: .leaseLost
        case .unknownArtifact: .unknownArtifact
        case .noSpace: .noSpace
        case .tooLarge: .tooLarge
        case .malformed: .malformed
        case .tryLater: .tryLater
        case .cancelled: .cancelled
        case .digestMismatch: .digestMismatch
        }
    }
}

/// What a WELCOME says of the coordinator.
struct CoordinatorGreeting: Sendable {
    var coordinatorID: String
    var softwareVersion: String
    var heartbeat: Duration
    var lease: Duration
}

extension WorkerMessage {
    /// - Parameter foreign: Attempts of the worker that are of no job here; they are reported lost.
    func body(_ greeting: CoordinatorGreeting, version: UInt32, foreign: [WireAttemptRef] = []) -> WireMessage.Body {
        switch self {
        case .welcome(let lost):
            var welcome = WireWelcome()
            welcome.version = version
            welcome.coordinatorID = greeting.coordinatorID
            welcome.softwareVersion = greeting.softwareVersion
            welcome.heartbeatMilliseconds = UInt32(greeting.heartbeat.milliseconds)
            welcome.leaseMilliseconds = UInt32(greeting.lease.milliseconds)
            welcome.lost = lost.map(\.wire) + foreign
            return .welcome(welcome)
        case .helloAgain: return .helloAgain(WireHelloAgain())
        case .assign(let id, let assignment):
            var assign = WireAssign()
            assign.requestID = id
            assign.attempt = assignment.attempt.wire
            assign.name = assignment.name
            assign.recipeYaml = assignment.recipeYAML
            assign.exemplar = assignment.exemplar.wire
            assign.exemplarFileName = assignment.fileName
            if let checkpoint = assignment.checkpoint {
                assign.checkpoint = checkpoint.artifact.wire
                assign.checkpointIteration = UInt64(checkpoint.iteration)
            }
            return .assign(assign)
        case .noWork(let id, let retryAfter):
            var none = WireNoWork()
            none.requestID = id
            none.retryAfterMilliseconds = UInt32(retryAfter.milliseconds)
            return .noWork(none)
        case .heartbeatReply(let sequence, let cancelled, let lost, let isDraining):
            var reply = WireHeartbeatReply()
            reply.sequence = sequence
            reply.cancelled = cancelled.map(\.wire)
            reply.lost = lost.map(\.wire) + foreign
            reply.drain = isDraining
            return .heartbeatReply(reply)
        case .artifactReceipt(let id, let sha256):
            var receipt = WireArtifactReceipt()
            receipt.transferID = id
            receipt.sha256 = sha256
            return .artifactReceipt(receipt)
        case .acknowledge(let id, let code, let message):
            var answer = WireAcknowledgement()
            answer.requestID = id
            answer.code = code.wire
            answer.message = message
            return .acknowledgement(answer)
        case .cancel(let attempt, let reason):
            var cancel = WireCancel()
            cancel.attempt = attempt.wire
            cancel.reason = reason
            return .cancel(cancel)
        case .drain(let reason):
            var drain = WireDrain()
            drain.reason = reason
            return .drain(drain)
        }
    }
}
