import Testing

@testable import ClusterCore
@testable import Protocol

/// A message of every kind with every field set.
enum WireCorpus {
    static let digest = String(repeating: "0123456789abcdef", count: 4)
    static let session: UInt64 = 77

    static func fromWorker(_ ref: WireAttemptRef) -> [WireMessage] {
        var status = WireAttemptStatus()
        status.attempt = ref
        status.iteration = 7
        status.totalIterations = 100
        status.secondsPerIteration = 0.5
        var hello = WireHello()
        hello.minVersion = 1
        hello.maxVersion = 1
        hello.workerID = "worker-1"
        hello.name = "fuzz:1"
        hello.softwareVersion = "1"
        hello.slots = 2
        hello.threadsPerSlot = 1
        hello.cpu = "cpu"
        hello.running = [status]
        hello.equipment.weights = ["vgg16"]
        hello.equipment.memoryBytes = 1 << 30
        var work = WireWorkRequest()
        work.requestID = 1
        work.freeSlots = 1
        var beat = WireHeartbeat()
        beat.sequence = 3
        beat.running = [status]
        beat.load.coresBusy = 1.5
        beat.load.residentBytes = 1 << 30
        beat.load.spoolBytes = 1 << 20
        beat.load.loadAverage = 2.5
        var metrics = WireMetricBatch()
        metrics.attempt = ref
        metrics.requestID = 4
        metrics.columns = ["l1", "style"]
        var row = WireMetricRow()
        row.iteration = 7
        row.unixSeconds = 1e9
        row.values = [1, .nan]
        metrics.rows = [row, row]
        var log = WireLogBatch()
        log.attempt = ref
        log.requestID = 5
        var line = WireLogLine()
        line.unixSeconds = 1e9
        line.level = "info"
        line.message = "text"
        log.lines = [line, line]
        var finish = WireFinish()
        finish.attempt = ref
        finish.requestID = 6
        finish.iteration = 100
        finish.generatorSha256 = digest
        finish.discriminatorSha256 = digest
        finish.checkpointSha256 = digest
        finish.trainingSeconds = 9
        finish.reportJson = "{}"
        var fail = WireFail()
        fail.attempt = ref
        fail.requestID = 7
        fail.reason = "NaN"
        fail.code = "notFinite"
        fail.retryable = true
        var damaged = fail
        damaged.code = "damagedCheckpoint"
        var handBack = WireHandBack()
        handBack.attempt = ref
        handBack.requestID = 8
        handBack.reason = "stops"
        var goodbye = WireGoodbye()
        goodbye.reason = "stops"
        var request = WireArtifactRequest()
        request.transferID = 9
        request.artifact = WireArtifact(sha256: digest, sizeBytes: 9)
        request.attempt = ref
        request.windowChunks = 8
        let bodies: [WireMessage.Body] = [
            .hello(hello), .workRequest(work), .heartbeat(beat), .metrics(metrics), .log(log),
            .artifactOffer(offer(ref)), .finish(finish), .fail(fail), .fail(damaged), .handBack(handBack),
            .goodbye(goodbye), .artifactRequest(request), .artifactCredit(credit),
        ]
        let reference = AttemptReference(ref)!
        let products: [ArtifactRole: String] = [.generator: digest, .discriminator: digest, .checkpoint: digest]
        let worker = WorkerIdentity(
            id: "worker-1", name: "fuzz:1", softwareVersion: "1", slots: 2, threadsPerSlot: 1, cpu: "cpu")
        // Messages that differ in version 2.
        let newer: [MessageToCoordinator] = [
            .hello(Hello(minVersion: 1, maxVersion: 2, worker: worker)),
            .offer(
                ArtifactOffer(
                    attempt: reference, transferID: 2, role: .checkpoint,
                    artifact: Artifact(sha256: digest, sizeBytes: 9), iteration: 20)),
            .finish(
                reference, requestID: 6,
                Completion(iteration: 100, products: products, trainingSeconds: 9, reportJSON: "{}")),
        ]
        return bodies.map { WireMessage($0, session: session, version: 1) }
            + newer.map { WireMessage($0, session: session, version: 2) } + [chunk]
    }

    static func fromCoordinator(_ ref: WireAttemptRef) -> [WireMessage] {
        var welcome = WireWelcome()
        welcome.version = 1
        welcome.coordinatorID = "coordinator"
        welcome.softwareVersion = "1"
        welcome.heartbeatMilliseconds = 5000
        welcome.leaseMilliseconds = 20000
        welcome.lost = [ref]
        var assign = WireAssign()
        assign.requestID = 1
        assign.attempt = ref
        assign.name = "job"
        assign.recipeYaml = "base: draft"
        assign.exemplar = WireArtifact(sha256: digest, sizeBytes: 9)
        assign.exemplarFileName = "job.png"
        assign.checkpoint = WireArtifact(sha256: digest, sizeBytes: 9)
        assign.checkpointIteration = 5
        var noWork = WireNoWork()
        noWork.requestID = 1
        noWork.retryAfterMilliseconds = 1000
        var reply = WireHeartbeatReply()
        reply.sequence = 3
        reply.cancelled = [ref]
        reply.lost = [ref]
        reply.drain = true
        var receipt = WireArtifactReceipt()
        receipt.transferID = 1
        receipt.sha256 = digest
        var answer = WireAcknowledgement()
        answer.requestID = 2
        answer.code = .tryLater
        answer.message = "later"
        var cancel = WireCancel()
        cancel.attempt = ref
        cancel.reason = "asked"
        var drain = WireDrain()
        drain.reason = "asked"
        var refusal = WireRefusal()
        refusal.code = .versionUnsupported
        refusal.message = "upgrade the worker"
        let bodies: [WireMessage.Body] = [
            .welcome(welcome), .helloAgain(WireHelloAgain()), .assign(assign), .noWork(noWork), .heartbeatReply(reply),
            .artifactReceipt(receipt), .acknowledgement(answer), .cancel(cancel), .drain(drain), .refusal(refusal),
            .artifactCredit(credit),
        ]
        let exemplar = JobInput(
            name: JobInput.exemplar, artifact: Artifact(sha256: digest, sizeBytes: 9), fileName: "job.png")
        let assignment = Assignment(
            attempt: AttemptReference(ref)!, name: "job", spec: "base: draft", inputs: [exemplar],
            checkpoint: StoredCheckpoint(iteration: 5, artifact: exemplar.artifact))
        return bodies.map { WireMessage($0, session: session, version: 1) }
            + [WireMessage(.assign(requestID: 1, assignment), session: session, version: 2), chunk]
    }

    static func offer(_ ref: WireAttemptRef) -> WireArtifactOffer {
        var offer = WireArtifactOffer()
        offer.attempt = ref
        offer.transferID = 2
        offer.kind = .checkpoint
        offer.artifact = WireArtifact(sha256: digest, sizeBytes: 9)
        offer.iteration = 20
        return offer
    }

    static var credit: WireArtifactCredit {
        var credit = WireArtifactCredit()
        credit.transferID = 2
        credit.nextOffset = 4
        credit.windowChunks = 8
        credit.rewind = true
        return credit
    }

    static var chunk: WireMessage {
        var chunk = WireArtifactChunk()
        chunk.transferID = 2
        chunk.offset = 0
        chunk.crc32 = CRC32.checksum(Array(repeating: 5, count: 9))
        chunk.last = true
        return WireMessage(.artifactChunk(chunk), session: session, payload: Array(repeating: 5, count: 9))
    }

    /// Both frames in one array: the envelope's length in two bytes, the envelope, the payload.
    static func pack(_ message: WireMessage) throws -> [UInt8] {
        let frames = try message.frames()
        return [UInt8(frames[0].count >> 8), UInt8(frames[0].count & 255)] + frames.joined()
    }

    static func unpack(_ bytes: [UInt8]) throws -> WireMessage {
        guard bytes.count >= 2 else { return try WireMessage(frames: []) }
        let count = min(Int(bytes[0]) << 8 | Int(bytes[1]), bytes.count - 2)
        let rest = Array(bytes[(2 + count)...])
        let message = try WireMessage(frames: [Array(bytes[2..<2 + count])] + (rest.isEmpty ? [] : [rest]))
        #expect(throws: Never.self, "what was taken can be sent on") { try message.frames() }
        return message
    }
}
