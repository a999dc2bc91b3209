import Protocol
import TextureGAN

@testable import Worker

/// A worker with its clock, and what it said last.
struct WorkerBench {
    static let ref = WireAttemptRef(jobID: "job", attempt: 1)
    static let digests = "0123456789abcdef".map { String(repeating: $0, count: 64) }

    var state: WorkerState
    var now = Instant(sinceStart: .zero)

    init(slots: UInt32 = 2) {
        var hello = WireHello()
        hello.minVersion = 1
        hello.maxVersion = 1
        hello.workerID = "w"
        hello.slots = slots
        state = WorkerState(hello: hello, session: 5, at: Instant(sinceStart: .zero))
    }

    @discardableResult mutating func play(_ event: WorkerState.Event, after: Duration = .zero)
        -> [WorkerState.Effect]
    {
        now = now + after
        return state.handle(event, at: now)
    }
    @discardableResult mutating func hear(_ body: WireMessage.Body) -> [WorkerState.Effect] {
        play(.received(WireMessage(body, session: 5, payload: nil)))
    }
    @discardableResult mutating func welcome() -> [WorkerState.Effect] {
        var welcome = WireWelcome()
        welcome.version = 1
        welcome.coordinatorID = "c"
        welcome.heartbeatMilliseconds = 1000
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
        assign.attempt = ref
        assign.exemplar = WireArtifact(sha256: digests[1], sizeBytes: 10)
        return assign
    }

    /// A worker that trains ``ref``.
    static func training(slots: UInt32 = 2) -> WorkerBench {
        var bench = WorkerBench(slots: slots)
        bench.play(.tick)
        bench.welcome()
        bench.hear(assign())
        bench.download()
        return bench
    }

    /// The transfer under way has arrived whole.
    @discardableResult mutating func download() -> [WorkerState.Effect] {
        play(.downloaded(Self.ref, transferID: state.attempts[Self.ref]?.downloads.first?.transferID ?? 0))
    }

    static func receipt(_ offer: WireArtifactOffer) -> WireMessage.Body {
        var receipt = WireArtifactReceipt()
        receipt.transferID = offer.transferID
        receipt.sha256 = offer.artifact.sha256
        return .artifactReceipt(receipt)
    }
    /// A file of the attempt, ready to be delivered.
    @discardableResult mutating func spool(_ kind: TrainingRun.ArtifactKind, _ number: Int) -> [WorkerState.Effect] {
        let artifact = WireArtifact(sha256: Self.digests[number], sizeBytes: 1)
        return play(.spooled(Self.ref, kind, iteration: number, artifact, file: "\(kind)-\(number)"))
    }
    @discardableResult mutating func log(_ message: String) -> [WorkerState.Effect] {
        play(.log(Self.ref, level: "info", message: message, unixSeconds: 0))
    }
}

extension [WorkerState.Effect] {
    var bodies: [WireMessage.Body] { compactMap { if case .send(let body) = $0 { body } else { nil } } }
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
