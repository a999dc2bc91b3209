import ClusterCore

// Translates the values of messages between the wire and the cluster's own types. A decoded value is valid, because
// `WireMessage` checks it first.

extension AttemptReference {
    /// nil if this software does not give out such a job id.
    init?(_ reference: WireAttemptRef) {
        guard let job = JobID(reference.jobID) else { return nil }
        self.init(job: job, number: Int(reference.attempt))
    }

    package var wire: WireAttemptRef { WireAttemptRef(jobID: job.description, attempt: UInt32(clamping: number)) }
}

extension Artifact {
    init(_ artifact: WireArtifact) { self.init(sha256: artifact.sha256, sizeBytes: Int(artifact.sizeBytes)) }

    package var wire: WireArtifact { WireArtifact(sha256: sha256, sizeBytes: UInt64(clamping: sizeBytes)) }
}

extension AttemptStatus {
    init?(_ status: WireAttemptStatus) {
        guard let attempt = AttemptReference(status.attempt) else { return nil }
        self.init(
            attempt: attempt, iteration: Int(status.iteration), totalIterations: Int(status.totalIterations),
            secondsPerIteration: status.secondsPerIteration)
    }

    var wire: WireAttemptStatus {
        var status = WireAttemptStatus()
        status.attempt = attempt.wire
        status.iteration = UInt64(clamping: iteration)
        status.totalIterations = UInt64(clamping: totalIterations)
        status.secondsPerIteration = secondsPerIteration
        return status
    }
}

extension WorkerLoad {
    init(_ load: WireWorkerLoad) {
        self.init(
            coresBusy: load.coresBusy, residentBytes: Int(load.residentBytes), spoolBytes: Int(load.spoolBytes),
            loadAverage: load.loadAverage)
    }

    var wire: WireWorkerLoad {
        var load = WireWorkerLoad()
        load.coresBusy = coresBusy
        load.residentBytes = UInt64(clamping: residentBytes)
        load.spoolBytes = UInt64(clamping: spoolBytes)
        load.loadAverage = loadAverage
        return load
    }
}

extension MetricsBlock {
    init(_ batch: WireMetricBatch) {
        self.init(
            columns: batch.columns,
            rows: batch.rows.map {
                Row(iteration: Int($0.iteration), unixSeconds: $0.unixSeconds, values: $0.values)
            })
    }

    func wire(_ attempt: AttemptReference, _ id: UInt64) -> WireMetricBatch {
        var batch = WireMetricBatch()
        batch.attempt = attempt.wire
        batch.requestID = id
        batch.columns = columns
        batch.rows = rows.map { row in
            var wire = WireMetricRow()
            wire.iteration = UInt64(clamping: row.iteration)
            wire.unixSeconds = row.unixSeconds
            wire.values = row.values
            return wire
        }
        return batch
    }
}

extension LogLine {
    init(_ line: WireLogLine) {
        self.init(
            unixSeconds: line.unixSeconds, level: LogLevel(rawValue: line.level) ?? .info, message: line.message)
    }

    var wire: WireLogLine {
        var line = WireLogLine()
        line.unixSeconds = unixSeconds
        line.level = level.rawValue
        line.message = message
        return line
    }
}

extension WorkerIdentity {
    init(_ hello: WireHello) {
        self.init(
            id: hello.workerID, name: hello.name.isEmpty ? hello.workerID : hello.name,
            softwareVersion: hello.softwareVersion, slots: Int(hello.slots),
            threadsPerSlot: Int(hello.threadsPerSlot), cpu: hello.cpu,
            // A worker of version 1 names no kinds. It trains.
            kinds: hello.kinds.isEmpty ? [.train] : Set(hello.kinds.map(JobKind.init(rawValue:))),
            equipment: hello.hasEquipment
                ? Equipment(weights: Set(hello.equipment.weights), memoryBytes: Int(hello.equipment.memoryBytes)) : nil)
    }
}

extension Hello {
    var wire: WireHello {
        var hello = WireHello()
        hello.minVersion = minVersion
        hello.maxVersion = maxVersion
        hello.workerID = worker.id
        hello.name = worker.name
        hello.softwareVersion = worker.softwareVersion
        hello.slots = UInt32(clamping: worker.slots)
        hello.threadsPerSlot = UInt32(clamping: worker.threadsPerSlot)
        hello.cpu = worker.cpu
        hello.running = running.map(\.wire)
        hello.kinds = worker.kinds.map(\.rawValue).sorted()
        if let equipment = worker.equipment {
            hello.equipment.weights = equipment.weights.sorted()
            hello.equipment.memoryBytes = UInt64(clamping: equipment.memoryBytes)
        }
        hello.secret = secret
        return hello
    }
}

extension JobInput {
    init(_ input: WireInput) {
        self.init(name: input.name, artifact: Artifact(input.artifact), fileName: input.fileName)
    }

    var wire: WireInput {
        var input = WireInput()
        input.name = name
        input.artifact = artifact.wire
        input.fileName = fileName
        return input
    }
}

extension ArtifactRole {
    /// The role of a version 1 kind; nil for a kind that no worker may offer.
    init?(_ kind: WireArtifactKind) {
        switch kind {
        case .snapshot: self = .snapshot
        case .checkpoint: self = .checkpoint
        case .generator: self = .generator
        case .discriminator: self = .discriminator
        case .exemplar, .unspecified, .UNRECOGNIZED: return nil
        }
    }

    /// `unspecified` for a role that version 1 cannot name.
    var wireKind: WireArtifactKind {
        switch self {
        case .snapshot: .snapshot
        case .checkpoint: .checkpoint
        case .generator: .generator
        case .discriminator: .discriminator
        case .exemplar: .exemplar
        // Version 1 only trains, and only on photographs.
        case .picture, .model, .map, .material: .unspecified
        }
    }

    /// The role with this name; nil for a role that no worker may offer.
    init?(offered name: String) {
        guard let role = ArtifactRole(rawValue: name), !role.isSubmitted else { return nil }
        self = role
    }
}

extension AcknowledgementCode {
    init(_ code: WireCode) {
        self =
            switch code {
            case .ok: .ok
            case .leaseLost: .leaseLost
            case .unknownArtifact: .unknownArtifact
            case .noSpace: .noSpace
            case .tooLarge: .tooLarge
            case .digestMismatch: .digestMismatch
            case .malformed: .malformed
            case .versionUnsupported: .versionUnsupported
            case .cancelled: .cancelled
            case .duplicateWorker: .duplicateWorker
            case .notAuthorised: .notAuthorised
            // A newer coordinator may send an unknown code. The worker repeats its message, as it does if the
            // coordinator is busy.
            case .tryLater, .UNRECOGNIZED: .tryLater
            }
    }

    package var wire: WireCode {
        switch self {
        case .ok: .ok
        case .leaseLost: .leaseLost
        case .unknownArtifact: .unknownArtifact
        case .noSpace: .noSpace
        case .tooLarge: .tooLarge
        case .digestMismatch: .digestMismatch
        case .malformed: .malformed
        case .versionUnsupported: .versionUnsupported
        case .tryLater: .tryLater
        case .cancelled: .cancelled
        case .duplicateWorker: .duplicateWorker
        case .notAuthorised: .notAuthorised
        }
    }
}

extension ArtifactChunk {
    init(_ chunk: WireArtifactChunk, _ payload: [UInt8]) {
        self.init(
            transferID: chunk.transferID, offset: chunk.offset, isLast: chunk.last,
            isIntact: CRC32.checksum(payload) == chunk.crc32)
    }

    func wire(_ payload: [UInt8]) -> WireArtifactChunk {
        var chunk = WireArtifactChunk()
        chunk.transferID = transferID
        chunk.offset = offset
        chunk.crc32 = CRC32.checksum(payload)
        chunk.last = isLast
        return chunk
    }
}

extension ArtifactCredit {
    init(_ credit: WireArtifactCredit) {
        self.init(
            transferID: credit.transferID, nextOffset: credit.nextOffset, windowChunks: credit.windowChunks,
            isRewind: credit.rewind)
    }

    var wire: WireArtifactCredit {
        var credit = WireArtifactCredit()
        credit.transferID = transferID
        credit.nextOffset = nextOffset
        credit.windowChunks = windowChunks
        credit.rewind = isRewind
        return credit
    }
}
