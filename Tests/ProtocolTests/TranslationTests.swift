import Testing

@testable import ClusterCore
@testable import Protocol

/// Messages keep their meaning through the wire, in every version that both sides may speak.
struct TranslationTests {
    private static let attempt = AttemptReference(job: JobID(sequence: 7, salt: 99), number: 3)
    private static let artifact = Artifact(sha256: String(repeating: "a", count: 64), sizeBytes: 12)
    private static let versions = ProtocolVersion.oldest...ProtocolVersion.newest

    private static let status = AttemptStatus(
        attempt: attempt, iteration: 40, totalIterations: 100, secondsPerIteration: 0.5)
    private static let worker = WorkerIdentity(
        id: "w-1", name: "forge", softwareVersion: "0.1.0", slots: 2, threadsPerSlot: 4, cpu: "Zen 4",
        equipment: .init(weights: ["vgg16", "vgg19"], memoryBytes: 1 << 31))

    private static let fromWorker: [MessageToCoordinator] = [
        .hello(Hello(minVersion: 1, maxVersion: 2, worker: worker, running: [status])),
        .workRequest(requestID: 5, freeSlots: 2),
        .heartbeat(
            sequence: 6, freeSlots: 1, running: [status],
            load: WorkerLoad(coresBusy: 1.5, residentBytes: 1 << 30, spoolBytes: 77, loadAverage: 2)),
        .heartbeat(sequence: 7, freeSlots: 0, running: [], load: nil),
        .metrics(
            attempt, requestID: 8,
            MetricsBlock(columns: ["l1", "style"], rows: [.init(iteration: 9, unixSeconds: 1e9, values: [1, 2])])),
        .log(attempt, requestID: 9, [LogLine(unixSeconds: 1e9, level: .warning, message: "text")]),
        .offer(ArtifactOffer(attempt: attempt, transferID: 10, role: .snapshot, artifact: artifact, iteration: 50)),
        .request(
            ArtifactRequest(attempt: attempt, transferID: 11, artifact: artifact, offset: 4, windowChunks: 3)),
        .chunk(ArtifactChunk(transferID: 12, offset: 8, isLast: true), [1, 2, 3, 4]),
        .credit(ArtifactCredit(transferID: 13, nextOffset: 4, windowChunks: 2, isRewind: true)),
        .finish(
            attempt, requestID: 14,
            Completion(
                iteration: 100,
                products: [
                    .generator: String(repeating: "1", count: 64), .discriminator: String(repeating: "2", count: 64),
                    .checkpoint: String(repeating: "3", count: 64),
                ], trainingSeconds: 12, reportJSON: "{}")),
        .fail(
            attempt, requestID: 15,
            Failure(code: FailureCode(rawValue: "notFinite"), reason: "l1 is NaN", iteration: 7, isRetryable: true)),
        .handBack(attempt, requestID: 16, iteration: 8, reason: "the worker stops"),
        .goodbye(reason: "stopped"),
    ]

    private static let fromCoordinator: [MessageToWorker] =
        [
            .welcome(
                Greeting(
                    version: 2, coordinatorID: "c", softwareVersion: "0.1.0", heartbeat: .seconds(5),
                    lease: .seconds(20)),
                lost: [attempt]),
            .helloAgain,
            .assign(
                requestID: 5,
                Assignment(
                    attempt: attempt, name: "wall", spec: "base: draft",
                    inputs: [JobInput(name: JobInput.exemplar, artifact: artifact, fileName: "wall.png")],
                    checkpoint: StoredCheckpoint(iteration: 30, artifact: artifact))),
            .noWork(requestID: 6, retryAfter: .milliseconds(1500)),
            .heartbeatReply(sequence: 7, cancelled: [attempt], lost: [], isDraining: true),
            .artifactReceipt(transferID: 8, sha256: artifact.sha256), .cancel(attempt, reason: "asked"),
            .drain(reason: "asked"), .chunk(ArtifactChunk(transferID: 12, offset: 8, isLast: true), [1, 2, 3, 4]),
            .credit(ArtifactCredit(transferID: 13, nextOffset: 4, windowChunks: 2, isRewind: false)),
            .refusal(.duplicateWorker, message: "another"),
        ] + AcknowledgementCode.allCases.map { .acknowledge(id: 9, $0, message: "m") }

    @Test(arguments: versions)
    func whatAWorkerSaysIsWhatTheCoordinatorHears(version: UInt32) throws {
        for said in Self.fromWorker {
            let message = try WireMessage(frames: WireMessage(said, session: 5, version: version).frames())
            guard case .message(let heard, let foreign) = InboundMessage(message) else {
                Issue.record("\(said) is not understood in version \(version)")
                continue
            }
            #expect(heard == said && foreign.isEmpty)
            #expect(WireMessage.breach(said) == nil)
        }
    }

    @Test(arguments: versions)
    func whatTheCoordinatorSaysIsWhatAWorkerHears(version: UInt32) throws {
        for said in Self.fromCoordinator {
            let message = try WireMessage(frames: WireMessage(said, session: 5, version: version).frames())
            #expect(MessageToWorker(message) == said)
        }
    }

    @Test func aChunkWhoseBytesChangedIsNotIntact() throws {
        let said = MessageToCoordinator.chunk(ArtifactChunk(transferID: 1, offset: 0, isLast: false), [1, 2, 3])
        var message = WireMessage(said, session: 5)
        message.payload = [1, 2, 2]
        guard case .message(.chunk(let chunk, _), _) = InboundMessage(message) else {
            Issue.record("no chunk")
            return
        }
        #expect(!chunk.isIntact)
    }

    @Test func aWorkerOfVersionOneTrainsAndNothingElse() {
        var hello = WireHello()
        hello.workerID = "old"
        #expect(WorkerIdentity(hello).kinds == [.train])
        hello.kinds = ["train", "expand"]
        #expect(WorkerIdentity(hello).kinds == [.train, JobKind(rawValue: "expand")])
    }

    /// For other kinds of work, version 2 carries everything that version 1 has no field for.
    @Test func anotherKindOfWorkKeepsItsNamesInVersionTwo() throws {
        let inputs = ["exemplar", "generator"].map {
            JobInput(name: $0, artifact: Self.artifact, fileName: "\($0).bin")
        }
        for kind in [JobKind.expand, .export, JobKind(rawValue: "weave")] {
            let assignment = Assignment(
                attempt: Self.attempt, kind: kind, name: "wall", spec: "size=64x64", inputs: inputs)
            let said = MessageToWorker.assign(requestID: 1, assignment)
            #expect(MessageToWorker(try WireMessage(frames: WireMessage(said, session: 5).frames())) == said)
        }
        for role in [ArtifactRole.picture, .model] {
            let offer = ArtifactOffer(
                attempt: Self.attempt, transferID: 10, role: role, artifact: Self.artifact, iteration: 3)
            let completion = Completion(
                iteration: 1000, products: [role: Self.artifact.sha256], trainingSeconds: 2, reportJSON: "{}")
            for said in [MessageToCoordinator.offer(offer), .finish(Self.attempt, requestID: 14, completion)] {
                let message = try WireMessage(frames: WireMessage(said, session: 5, version: 2).frames())
                guard case .message(said, _) = InboundMessage(message) else {
                    Issue.record("\(said) is heard otherwise")
                    continue
                }
            }
        }
    }

    @Test func aJobIdThatThisSoftwareDidNotGiveOutIsForeign() {
        var request = WireArtifactRequest()
        request.attempt = WireAttemptRef(jobID: "of-another-cluster", attempt: 1)
        request.transferID = 44
        guard case .foreign(44) = InboundMessage(WireMessage(.artifactRequest(request), session: 5)) else {
            Issue.record("a foreign job is taken for one of this cluster's")
            return
        }
        var cancel = WireCancel()
        cancel.attempt = request.attempt
        #expect(MessageToWorker(WireMessage(.cancel(cancel), session: 5)) == nil)
    }

    @Test(arguments: ["exemplar", "", "painting"])
    func aRoleThatNoWorkerOffersIsMalformed(role: String) {
        var offer = WireArtifactOffer()
        offer.attempt = Self.attempt.wire
        offer.artifact = Self.artifact.wire
        offer.role = role
        let error = #expect(throws: ProtocolError.self) {
            try WireMessage(.artifactOffer(offer), session: 5, version: 2).frames()
        }
        #expect(error?.message.contains("snapshot") == true)
    }
}
