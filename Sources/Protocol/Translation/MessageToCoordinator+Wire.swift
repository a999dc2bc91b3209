import ClusterCore

/// A worker's message as the coordinator reads it.
package enum InboundMessage: Sendable {
    /// - foreign: Attempts that the worker claims under job ids that this software does not give out. They are lost.
    case message(MessageToCoordinator, foreign: [WireAttemptRef])
    /// A message about a job that cannot belong to this cluster. `id` is its request or transfer id.
    case foreign(id: UInt64)
    /// A message that only coordinators send.
    case unexpected
}

extension InboundMessage {
    /// - Parameter message: Decoded and valid, so its counts and texts are within the limits.
    package init(_ message: WireMessage) {
        func about(
            _ reference: WireAttemptRef, _ id: UInt64, _ make: (AttemptReference) -> MessageToCoordinator
        ) -> InboundMessage {
            AttemptReference(reference).map { .message(make($0), foreign: []) } ?? .foreign(id: id)
        }
        func claimed(_ running: [WireAttemptStatus]) -> (known: [AttemptStatus], foreign: [WireAttemptRef]) {
            (running.compactMap(AttemptStatus.init), running.map(\.attempt).filter { AttemptReference($0) == nil })
        }
        let isFirstVersion = message.envelope.version == 1
        switch message.body {
        case .hello(let hello):
            let (running, foreign) = claimed(hello.running)
            let said = Hello(
                minVersion: hello.minVersion, maxVersion: hello.maxVersion, worker: WorkerIdentity(hello),
                running: running, secret: hello.secret)
            self = .message(.hello(said), foreign: foreign)
        case .workRequest(let request):
            let request = MessageToCoordinator.workRequest(
                requestID: request.requestID, freeSlots: Int(request.freeSlots))
            self = .message(request, foreign: [])
        case .heartbeat(let beat):
            let (running, foreign) = claimed(beat.running)
            let heartbeat = MessageToCoordinator.heartbeat(
                sequence: beat.sequence, freeSlots: Int(beat.freeSlots), running: running,
                load: beat.hasLoad ? WorkerLoad(beat.load) : nil)
            self = .message(heartbeat, foreign: foreign)
        case .metrics(let batch):
            self = about(batch.attempt, batch.requestID) {
                .metrics($0, requestID: batch.requestID, MetricsBlock(batch))
            }
        case .log(let batch):
            self = about(batch.attempt, batch.requestID) {
                .log($0, requestID: batch.requestID, batch.lines.map(LogLine.init))
            }
        case .artifactOffer(let offer):
            // Validation has checked that workers may offer this role.
            let role = isFirstVersion ? ArtifactRole(offer.kind) : ArtifactRole(offered: offer.role)
            guard let role else {
                self = .unexpected
                return
            }
            self = about(offer.attempt, offer.transferID) {
                .offer(
                    ArtifactOffer(
                        attempt: $0, transferID: offer.transferID, role: role, artifact: Artifact(offer.artifact),
                        iteration: Int(offer.iteration)))
            }
        case .artifactRequest(let request):
            self = about(request.attempt, request.transferID) {
                .request(
                    ArtifactRequest(
                        attempt: $0, transferID: request.transferID, artifact: Artifact(request.artifact),
                        offset: request.offset, windowChunks: request.windowChunks))
            }
        case .finish(let finish):
            self = about(finish.attempt, finish.requestID) {
                .finish($0, requestID: finish.requestID, Completion(finish, isFirstVersion: isFirstVersion))
            }
        case .fail(let fail):
            self = about(fail.attempt, fail.requestID) {
                .fail(
                    $0, requestID: fail.requestID,
                    Failure(
                        code: FailureCode(rawValue: fail.code), reason: fail.reason, iteration: Int(fail.iteration),
                        isRetryable: fail.retryable))
            }
        case .handBack(let handBack):
            self = about(handBack.attempt, handBack.requestID) {
                .handBack(
                    $0, requestID: handBack.requestID, iteration: Int(handBack.iteration), reason: handBack.reason)
            }
        case .goodbye(let goodbye): self = .message(.goodbye(reason: goodbye.reason), foreign: [])
        case .artifactChunk(let chunk):
            let payload = message.payload ?? []
            self = .message(.chunk(ArtifactChunk(chunk, payload), payload), foreign: [])
        case .artifactCredit(let credit): self = .message(.credit(ArtifactCredit(credit)), foreign: [])
        case .welcome, .helloAgain, .assign, .noWork, .heartbeatReply, .artifactReceipt, .acknowledgement, .cancel,
            .drain, .refusal, .join, .joined, .nextKey, .keySaved, nil:
            self = .unexpected
        }
    }
}

extension Completion {
    fileprivate init(_ finish: WireFinish, isFirstVersion: Bool) {
        var products: [ArtifactRole: String] = [:]
        if isFirstVersion {
            products = [
                .generator: finish.generatorSha256, .discriminator: finish.discriminatorSha256,
                .checkpoint: finish.checkpointSha256,
            ]
        } else {
            for product in finish.products {
                if let role = ArtifactRole(offered: product.role) { products[role] = product.sha256 }
            }
        }
        self.init(
            iteration: Int(finish.iteration), products: products, trainingSeconds: finish.trainingSeconds,
            reportJSON: finish.reportJson)
    }

    fileprivate func wire(_ attempt: AttemptReference, _ id: UInt64, version: UInt32) -> WireFinish {
        var finish = WireFinish()
        finish.attempt = attempt.wire
        finish.requestID = id
        finish.iteration = UInt64(clamping: iteration)
        finish.trainingSeconds = trainingSeconds
        finish.reportJson = reportJSON
        if version == 1 {
            finish.generatorSha256 = products[.generator] ?? ""
            finish.discriminatorSha256 = products[.discriminator] ?? ""
            finish.checkpointSha256 = products[.checkpoint] ?? ""
        } else {
            finish.products = products.sorted { $0.key.rawValue < $1.key.rawValue }.map { role, sha256 in
                var product = WireProduct()
                product.role = role.rawValue
                product.sha256 = sha256
                return product
            }
        }
        return finish
    }
}

extension WireMessage {
    /// A worker's message in the given version of the protocol.
    package init(_ message: MessageToCoordinator, session: UInt64, version: UInt32 = ProtocolVersion.newest) {
        var payload: [UInt8]?
        if case .chunk(_, let bytes) = message { payload = bytes }
        self.init(message.body(version), session: session, version: version, payload: payload)
    }
}

extension MessageToCoordinator {
    fileprivate func body(_ version: UInt32) -> WireMessage.Body {
        switch self {
        case .hello(let hello): return .hello(hello.wire)
        case .workRequest(let id, let freeSlots):
            var request = WireWorkRequest()
            request.requestID = id
            request.freeSlots = UInt32(clamping: freeSlots)
            return .workRequest(request)
        case .heartbeat(let sequence, let freeSlots, let running, let load):
            var beat = WireHeartbeat()
            beat.sequence = sequence
            beat.freeSlots = UInt32(clamping: freeSlots)
            beat.running = running.map(\.wire)
            if let load { beat.load = load.wire }
            return .heartbeat(beat)
        case .metrics(let attempt, let id, let block): return .metrics(block.wire(attempt, id))
        case .log(let attempt, let id, let lines):
            var batch = WireLogBatch()
            batch.attempt = attempt.wire
            batch.requestID = id
            batch.lines = lines.map(\.wire)
            return .log(batch)
        case .offer(let offer):
            var wire = WireArtifactOffer()
            wire.attempt = offer.attempt.wire
            wire.transferID = offer.transferID
            wire.artifact = offer.artifact.wire
            wire.iteration = UInt64(clamping: offer.iteration)
            if version == 1 { wire.kind = offer.role.wireKind } else { wire.role = offer.role.rawValue }
            return .artifactOffer(wire)
        case .request(let request):
            var wire = WireArtifactRequest()
            wire.attempt = request.attempt.wire
            wire.transferID = request.transferID
            wire.artifact = request.artifact.wire
            wire.offset = request.offset
            wire.windowChunks = request.windowChunks
            return .artifactRequest(wire)
        case .chunk(let chunk, let payload): return .artifactChunk(chunk.wire(payload))
        case .credit(let credit): return .artifactCredit(credit.wire)
        case .finish(let attempt, let id, let completion):
            return .finish(completion.wire(attempt, id, version: version))
        case .fail(let attempt, let id, let failure):
            var fail = WireFail()
            fail.attempt = attempt.wire
            fail.requestID = id
            fail.iteration = UInt64(clamping: failure.iteration)
            fail.reason = failure.reason
            fail.retryable = failure.isRetryable
            fail.code = failure.code.rawValue
            return .fail(fail)
        case .handBack(let attempt, let id, let iteration, let reason):
            var handBack = WireHandBack()
            handBack.attempt = attempt.wire
            handBack.requestID = id
            handBack.iteration = UInt64(clamping: iteration)
            handBack.reason = reason
            return .handBack(handBack)
        case .goodbye(let reason):
            var goodbye = WireGoodbye()
            goodbye.reason = reason
            return .goodbye(goodbye)
        }
    }
}

extension WireMessage {
    /// Why a coordinator would not accept a message; nil if it would.
    package static func breach(_ message: MessageToCoordinator) -> String? {
        do throws(ProtocolError) {
            _ = try WireMessage(message, session: 1).frames()
            return nil
        } catch {
            return error.message
        }
    }
}
