import Testing

@testable import ClusterCore
@testable import Protocol

/// A worker's state with a clock. Each call returns the effects.
struct WorkerBench {
    static let ref = AttemptReference(job: JobID(sequence: 1, salt: 0), number: 1)
    static let digests = "0123456789abcdef".map { String(repeating: $0, count: 64) }

    var state: WorkerState
    var now = Instant.origin

    init(slots: Int = 2, limits: WorkerLimits = WorkerLimits()) {
        let worker = WorkerIdentity(
            id: "w", name: "w", softwareVersion: "1", slots: slots, threadsPerSlot: 1, cpu: "test")
        state = WorkerState(
            worker: worker, session: 5, versions: 1...2, limits: limits, breach: WireMessage.breach, at: .origin)
    }

    @discardableResult mutating func play(_ event: WorkerState.Event, after: Duration = .zero)
        -> [WorkerState.Effect]
    {
        now = now + after
        return state.handle(event, at: now)
    }
    /// Plays a message from a coordinator of version 1.
    @discardableResult mutating func hear(_ body: WireMessage.Body, session: UInt64 = 5) -> [WorkerState.Effect] {
        guard let message = MessageToWorker(WireMessage(body, session: session, version: 1)) else {
            Issue.record("\(body) is no message to a worker")
            return []
        }
        return play(.received(message, session: session))
    }
    @discardableResult mutating func welcome(heartbeatSeconds: UInt32 = 1) -> [WorkerState.Effect] {
        var welcome = WireWelcome()
        welcome.version = 1
        welcome.coordinatorID = "c"
        welcome.heartbeatMilliseconds = 1000 * heartbeatSeconds
        return hear(.welcome(welcome))
    }
    mutating func acknowledge(_ id: UInt64, _ code: WireCode = .ok) -> [WorkerState.Effect] {
        var answer = WireAcknowledgement()
        answer.requestID = id
        answer.code = code
        return hear(.acknowledgement(answer))
    }

    static func assign(_ requestID: UInt64 = 1) -> WireMessage.Body { .assign(assignment(requestID)) }

    static func assignment(_ requestID: UInt64 = 1) -> WireAssign {
        var assign = WireAssign()
        assign.requestID = requestID
        assign.attempt = ref.wire
        assign.exemplar = WireArtifact(sha256: digests[1], sizeBytes: 10)
        return assign
    }

    /// A worker that trains ``ref``.
    static func training(slots: Int = 2, limits: WorkerLimits = WorkerLimits()) -> WorkerBench {
        var bench = WorkerBench(slots: slots, limits: limits)
        bench.play(.tick)
        bench.welcome()
        bench.hear(assign())
        bench.download()
        return bench
    }

    /// The running download has arrived completely.
    @discardableResult mutating func download() -> [WorkerState.Effect] {
        play(.downloaded(Self.ref, transferID: state.attempts[Self.ref]?.downloads.first?.transferID ?? 0))
    }

    static func receipt(_ offer: WireArtifactOffer) -> WireMessage.Body {
        var receipt = WireArtifactReceipt()
        receipt.transferID = offer.transferID
        receipt.sha256 = offer.artifact.sha256
        return .artifactReceipt(receipt)
    }
    /// A file of the attempt is ready for delivery.
    @discardableResult mutating func spool(_ kind: ArtifactRole, _ number: Int) -> [WorkerState.Effect] {
        let artifact = Artifact(sha256: Self.digests[number], sizeBytes: 1)
        return play(.spooled(Self.ref, kind, iteration: number, artifact, file: "\(kind)-\(number)"))
    }
    @discardableResult mutating func log(_ message: String) -> [WorkerState.Effect] {
        play(.log(Self.ref, LogLine(unixSeconds: 0, level: .info, message: message)))
    }
}

extension [WorkerState.Effect] {
    /// The messages in version 1 of the protocol.
    var bodies: [WireMessage.Body] {
        compactMap {
            if case .send(let message) = $0 { WireMessage(message, session: 5, version: 1).body } else { nil }
        }
    }
    var offers: [WireArtifactOffer] {
        bodies.compactMap { if case .artifactOffer(let offer) = $0 { offer } else { nil } }
    }
    var artifactRequests: [WireArtifactRequest] {
        bodies.compactMap { if case .artifactRequest(let request) = $0 { request } else { nil } }
    }
    var metrics: [WireMetricBatch] { bodies.compactMap { if case .metrics(let batch) = $0 { batch } else { nil } } }
    var logs: [WireLogBatch] { bodies.compactMap { if case .log(let batch) = $0 { batch } else { nil } } }
    var finishes: [WireFinish] { bodies.compactMap { if case .finish(let finish) = $0 { finish } else { nil } } }
    var fails: [WireFail] { bodies.compactMap { if case .fail(let fail) = $0 { fail } else { nil } } }
    var handBacks: [WireHandBack] {
        bodies.compactMap { if case .handBack(let handBack) = $0 { handBack } else { nil } }
    }
    var workRequests: [WireWorkRequest] {
        bodies.compactMap { if case .workRequest(let request) = $0 { request } else { nil } }
    }
    var hasLoggedAnError: Bool { contains { if case .logError = $0 { true } else { false } } }
}

extension WorkerState.Event {
    static func metrics(
        _ attempt: AttemptReference, columns: [String], rows: [MetricsBlock.Row]
    ) -> WorkerState.Event {
        .metrics(attempt, MetricsBlock(columns: columns, rows: rows))
    }
}
