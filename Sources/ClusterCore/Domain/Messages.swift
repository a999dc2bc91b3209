/// What a worker tells the coordinator, independent of the wire's encoding.
package enum MessageToCoordinator: Sendable, Equatable {
    case hello(Hello)
    case workRequest(requestID: UInt64, freeSlots: Int)
    case heartbeat(sequence: UInt64, freeSlots: Int, running: [AttemptStatus], load: WorkerLoad?)
    case metrics(AttemptReference, requestID: UInt64, MetricsBlock)
    case log(AttemptReference, requestID: UInt64, [LogLine])
    case offer(ArtifactOffer)
    case request(ArtifactRequest)
    case chunk(ArtifactChunk, [UInt8])
    case credit(ArtifactCredit)
    case finish(AttemptReference, requestID: UInt64, Completion)
    case fail(AttemptReference, requestID: UInt64, Failure)
    case handBack(AttemptReference, requestID: UInt64, iteration: Int, reason: String)
    case goodbye(reason: String)
}

/// What the coordinator tells a worker, independent of the wire's encoding.
package enum MessageToWorker: Sendable, Equatable {
    case welcome(Greeting, lost: [AttemptReference])
    case helloAgain
    case assign(requestID: UInt64, Assignment)
    case noWork(requestID: UInt64, retryAfter: Duration)
    case heartbeatReply(
        sequence: UInt64, cancelled: [AttemptReference], lost: [AttemptReference], isDraining: Bool)
    case artifactReceipt(transferID: UInt64, sha256: String)
    /// `id` is the request's or the transfer's.
    case acknowledge(id: UInt64, AcknowledgementCode, message: String)
    case cancel(AttemptReference, reason: String)
    case drain(reason: String)
    case chunk(ArtifactChunk, [UInt8])
    case credit(ArtifactCredit)
    case refusal(AcknowledgementCode, message: String)
}

/// The wire protocol's `Code`.
package enum AcknowledgementCode: Sendable, Equatable, CaseIterable {
    case ok, leaseLost, unknownArtifact, noSpace, tooLarge, digestMismatch, malformed, versionUnsupported, tryLater
    case cancelled, duplicateWorker, notAuthorised
}

/// How a worker process introduces itself.
package struct Hello: Sendable, Equatable {
    package var minVersion: UInt32
    package var maxVersion: UInt32
    package var worker: WorkerIdentity
    package var running: [AttemptStatus] = []
    /// From the worker's data folder; empty from software that has none.
    package var secret: String

    package init(
        minVersion: UInt32, maxVersion: UInt32, worker: WorkerIdentity, running: [AttemptStatus] = [],
        secret: String = ""
    ) {
        self.minVersion = minVersion
        self.maxVersion = maxVersion
        self.worker = worker
        self.running = running
        self.secret = secret
    }
}

/// What WELCOME says about the coordinator.
package struct Greeting: Sendable, Equatable {
    /// The protocol version that both sides speak from now on.
    package var version: UInt32
    package var coordinatorID: String
    package var softwareVersion: String
    package var heartbeat: Duration
    package var lease: Duration

    package init(
        version: UInt32, coordinatorID: String, softwareVersion: String, heartbeat: Duration, lease: Duration
    ) {
        self.version = version
        self.coordinatorID = coordinatorID
        self.softwareVersion = softwareVersion
        self.heartbeat = heartbeat
        self.lease = lease
    }
}

/// An attempt as a worker gets it.
package struct Assignment: Sendable, Equatable {
    package var attempt: AttemptReference
    package var kind: JobKind
    package var name: String
    /// A training's recipe in YAML.
    package var spec: String
    package var inputs: [JobInput]
    /// nil: the attempt starts from iteration 0.
    package var checkpoint: StoredCheckpoint?

    package init(
        attempt: AttemptReference, kind: JobKind = .train, name: String, spec: String, inputs: [JobInput],
        checkpoint: StoredCheckpoint? = nil
    ) {
        self.attempt = attempt
        self.kind = kind
        self.name = name
        self.spec = spec
        self.inputs = inputs
        self.checkpoint = checkpoint
    }

    /// The files that its worker needs.
    package var artifacts: [Artifact] { inputs.map(\.artifact) + [checkpoint?.artifact].compactMap { $0 } }

    /// The input with this name, if the assignment has one.
    package func input(_ name: String) -> JobInput? { inputs.first { $0.name == name } }
}

/// "I have this file; may I send it?"
package struct ArtifactOffer: Sendable, Equatable {
    package var attempt: AttemptReference
    package var transferID: UInt64
    package var role: ArtifactRole
    package var artifact: Artifact
    package var iteration: Int

    package init(
        attempt: AttemptReference, transferID: UInt64, role: ArtifactRole, artifact: Artifact, iteration: Int
    ) {
        self.attempt = attempt
        self.transferID = transferID
        self.role = role
        self.artifact = artifact
        self.iteration = iteration
    }
}

/// "Send me this file, from this offset."
package struct ArtifactRequest: Sendable, Equatable {
    package var attempt: AttemptReference
    package var transferID: UInt64
    package var artifact: Artifact
    package var offset: UInt64
    package var windowChunks: UInt32

    package init(
        attempt: AttemptReference, transferID: UInt64, artifact: Artifact, offset: UInt64, windowChunks: UInt32
    ) {
        self.attempt = attempt
        self.transferID = transferID
        self.artifact = artifact
        self.offset = offset
        self.windowChunks = windowChunks
    }
}

/// How an attempt ended well.
package struct Completion: Sendable, Equatable {
    package var iteration: Int
    /// The digest of each product. All of them are stored by now.
    package var products: [ArtifactRole: String]
    package var trainingSeconds: Double
    /// What `result.json` says about the run.
    package var reportJSON: String

    package init(iteration: Int, products: [ArtifactRole: String], trainingSeconds: Double, reportJSON: String) {
        self.iteration = iteration
        self.products = products
        self.trainingSeconds = trainingSeconds
        self.reportJSON = reportJSON
    }
}

/// Why an attempt ended without a result.
package struct Failure: Sendable, Equatable {
    package var code: FailureCode
    package var reason: String
    package var iteration: Int
    /// false: the job would fail on any worker.
    package var isRetryable: Bool

    package init(code: FailureCode, reason: String, iteration: Int, isRetryable: Bool) {
        self.code = code
        self.reason = reason
        self.iteration = iteration
        self.isRetryable = isRetryable
    }
}

/// The kind of a ``Failure``. The cluster's own codes are below. Trainers have codes of their own, and workers of other
/// versions may have more.
package struct FailureCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }

    package var description: String { rawValue }

    // The cluster acts on these.
    /// The assigned checkpoint is damaged, although its bytes are the stored ones.
    package static let damagedCheckpoint = FailureCode(rawValue: "damagedCheckpoint")
    /// Another version of texloom wrote the checkpoint, and this one cannot read it.
    package static let foreignCheckpoint = FailureCode(rawValue: "foreignCheckpoint")
    package static let badCheckpoint = FailureCode(rawValue: "badCheckpoint")
    /// The worker's own disk is full or fails.
    package static let fileSystem = FailureCode(rawValue: "fileSystem")
    package static let download = FailureCode(rawValue: "download")
    /// The work needs more memory than the worker's slot has.
    package static let memory = FailureCode(rawValue: "memory")

    // These are for people and scripts.
    /// No worker can do what the job asks for.
    package static let badRequest = FailureCode(rawValue: "badRequest")
    /// A fault of the worker that nothing else names.
    package static let internalFault = FailureCode(rawValue: "internalFault")
    /// The worker cannot do work of this kind or with these inputs.
    package static let unknownKind = FailureCode(rawValue: "unknownKind")
    /// The run ended without one of its products.
    package static let incomplete = FailureCode(rawValue: "incomplete")
    /// What the run made breaks the protocol's limits.
    package static let invalidReport = FailureCode(rawValue: "invalidReport")
    package static let artifactRefused = FailureCode(rawValue: "artifactRefused")
    package static let resultRefused = FailureCode(rawValue: "resultRefused")
    /// The coordinator lost artifacts of the result after it had acknowledged them.
    package static let artifactsLost = FailureCode(rawValue: "artifactsLost")
}
