import ClusterCore

extension MessageToWorker {
    /// What a coordinator's message says. nil for a message that only workers send, and for a job id that this software
    /// does not give out.
    /// - Parameter message: Decoded and valid, so its counts and texts are within the limits.
    package init?(_ message: WireMessage) {
        func known(_ references: [WireAttemptRef]) -> [AttemptReference] {
            references.compactMap(AttemptReference.init)
        }
        switch message.body {
        case .welcome(let welcome):
            let greeting = Greeting(
                version: welcome.version, coordinatorID: welcome.coordinatorID,
                softwareVersion: welcome.softwareVersion,
                heartbeat: .milliseconds(Int64(welcome.heartbeatMilliseconds)),
                lease: .milliseconds(Int64(welcome.leaseMilliseconds)))
            self = .welcome(greeting, lost: known(welcome.lost))
        case .helloAgain: self = .helloAgain
        case .assign(let assign):
            guard let assignment = Assignment(assign, isFirstVersion: message.envelope.version == 1) else { return nil }
            self = .assign(requestID: assign.requestID, assignment)
        case .noWork(let none):
            self = .noWork(
                requestID: none.requestID, retryAfter: .milliseconds(Int64(none.retryAfterMilliseconds)))
        case .heartbeatReply(let reply):
            self = .heartbeatReply(
                sequence: reply.sequence, cancelled: known(reply.cancelled), lost: known(reply.lost),
                isDraining: reply.drain)
        case .artifactReceipt(let receipt):
            self = .artifactReceipt(transferID: receipt.transferID, sha256: receipt.sha256)
        case .acknowledgement(let answer):
            self = .acknowledge(id: answer.requestID, AcknowledgementCode(answer.code), message: answer.message)
        case .cancel(let cancel):
            guard let attempt = AttemptReference(cancel.attempt) else { return nil }
            self = .cancel(attempt, reason: cancel.reason)
        case .drain(let drain): self = .drain(reason: drain.reason)
        case .artifactChunk(let chunk):
            let payload = message.payload ?? []
            self = .chunk(ArtifactChunk(chunk, payload), payload)
        case .artifactCredit(let credit): self = .credit(ArtifactCredit(credit))
        case .refusal(let refusal): self = .refusal(AcknowledgementCode(refusal.code), message: refusal.message)
        case .hello, .workRequest, .heartbeat, .metrics, .log, .artifactOffer, .artifactRequest, .finish, .fail,
            .handBack, .goodbye, .join, .joined, .nextKey, .keySaved, nil:
            return nil
        }
    }
}

extension WireMessage {
    /// A coordinator's message in the given version of the protocol.
    /// - Parameter foreign: Attempts that the worker claims but that belong to no job here. WELCOME and HEARTBEAT_REPLY
    ///   report them as lost.
    package init(
        _ message: MessageToWorker, session: UInt64, version: UInt32 = ProtocolVersion.newest,
        foreign: [WireAttemptRef] = []
    ) {
        var payload: [UInt8]?
        if case .chunk(_, let bytes) = message { payload = bytes }
        self.init(message.body(version, foreign), session: session, version: version, payload: payload)
    }
}

extension MessageToWorker {
    fileprivate func body(_ version: UInt32, _ foreign: [WireAttemptRef]) -> WireMessage.Body {
        switch self {
        case .welcome(let greeting, let lost):
            var welcome = WireWelcome()
            welcome.version = greeting.version
            welcome.coordinatorID = greeting.coordinatorID
            welcome.softwareVersion = greeting.softwareVersion
            welcome.heartbeatMilliseconds = UInt32(clamping: greeting.heartbeat.milliseconds)
            welcome.leaseMilliseconds = UInt32(clamping: greeting.lease.milliseconds)
            welcome.lost = lost.map(\.wire) + foreign
            return .welcome(welcome)
        case .helloAgain: return .helloAgain(WireHelloAgain())
        case .assign(let id, let assignment): return .assign(assignment.wire(id, version: version))
        case .noWork(let id, let retryAfter):
            var none = WireNoWork()
            none.requestID = id
            none.retryAfterMilliseconds = UInt32(clamping: retryAfter.milliseconds)
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
        case .chunk(let chunk, let payload): return .artifactChunk(chunk.wire(payload))
        case .credit(let credit): return .artifactCredit(credit.wire)
        case .refusal(let code, let message):
            var refusal = WireRefusal()
            refusal.code = code.wire
            refusal.message = message
            return .refusal(refusal)
        }
    }
}

extension Assignment {
    fileprivate init?(_ assign: WireAssign, isFirstVersion: Bool) {
        guard let attempt = AttemptReference(assign.attempt) else { return nil }
        let checkpoint =
            assign.hasCheckpoint
            ? StoredCheckpoint(iteration: Int(assign.checkpointIteration), artifact: Artifact(assign.checkpoint)) : nil
        if isFirstVersion {
            let exemplar = JobInput(
                name: JobInput.exemplar, artifact: Artifact(assign.exemplar), fileName: assign.exemplarFileName)
            self.init(
                attempt: attempt, kind: .train, name: assign.name, spec: assign.recipeYaml, inputs: [exemplar],
                checkpoint: checkpoint)
        } else {
            self.init(
                attempt: attempt, kind: JobKind(rawValue: assign.kind), name: assign.name, spec: assign.spec,
                inputs: assign.inputs.map(JobInput.init), checkpoint: checkpoint)
        }
    }

    fileprivate func wire(_ id: UInt64, version: UInt32) -> WireAssign {
        var assign = WireAssign()
        assign.requestID = id
        assign.attempt = attempt.wire
        assign.name = name
        if let checkpoint {
            assign.checkpoint = checkpoint.artifact.wire
            assign.checkpointIteration = UInt64(clamping: checkpoint.iteration)
        }
        if version == 1 {
            // Other kinds never reach a worker of version 1: it does not announce them.
            assign.recipeYaml = spec
            if let exemplar = input(JobInput.exemplar) {
                assign.exemplar = exemplar.artifact.wire
                assign.exemplarFileName = exemplar.fileName
            }
        } else {
            assign.kind = kind.rawValue
            assign.spec = spec
            assign.inputs = inputs.map(\.wire)
        }
        return assign
    }
}
