import ClusterFixtures
import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Interrupted, repeated and damaged transfers, over real sockets and across restarts.
@Suite("Artifact transfers", .timeLimit(.minutes(10)))
struct TransferResumptionTests {
    private func running(_ attempt: WireAttemptRef) -> [WireAttemptStatus] {
        [
            .with {
                $0.attempt = attempt
                $0.iteration = 5
                $0.totalIterations = 10
            }
        ]
    }

    /// Offers an artifact and sends only its first chunks. Returns once the coordinator has confirmed them.
    private func beginUpload(
        _ worker: ScriptedWorker, _ content: [UInt8], chunks: Int, of attempt: WireAttemptRef
    ) async throws {
        var offer = WireArtifactOffer()
        offer.attempt = attempt
        offer.transferID = 7
        offer.kind = .checkpoint
        offer.artifact = ScriptedWorker.artifact(content)
        offer.iteration = 5
        worker.send(.artifactOffer(offer))
        let first = try await worker.credit(of: 7)
        #expect(first.nextOffset == 0 && first.rewind)
        for index in 0..<chunks {
            let payload = Array(content[index * Limits.chunkBytes..<(index + 1) * Limits.chunkBytes])
            worker.send(
                .artifactChunk(
                    .with {
                        $0.transferID = 7
                        $0.offset = UInt64(index * Limits.chunkBytes)
                        $0.crc32 = CRC32.checksum(payload)
                    }), payload: payload)
        }
        while try await worker.credit(of: 7).nextOffset < UInt64(chunks * Limits.chunkBytes) {}
    }

    @Test func anUploadGoesOnFromItsOffsetAfterTheCoordinatorWasStoppedAndStartedAgain() async throws {
        let folder = TemporaryFolder()
        let first = try await RunningCoordinator(folder: folder)
        _ = try await first.submit("wood")
        let content = randomBytes(5 * Limits.chunkBytes + 9, seed: 1)
        let worker = try ScriptedWorker(first.addresses.workerEndpoint, session: 71)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        try await beginUpload(worker, content, chunks: 3, of: attempt)
        await worker.socket.close()
        await first.stop()

        let second = try await RunningCoordinator(folder: folder)
        let again = try ScriptedWorker(second.addresses.workerEndpoint, session: 71)
        again.hello(running: running(attempt))
        _ = try await again.welcome()
        var sent: [Int] = []
        let answer = try await again.upload(content, .checkpoint, iteration: 5, of: attempt) { _, chunk in
            sent.append(chunk.count)
        }
        guard case .artifactReceipt = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(sent == [Limits.chunkBytes, Limits.chunkBytes, 9], "three chunks were there already")
        let digest = ScriptedWorker.artifact(content).sha256
        #expect([UInt8](try await second.get("/api/v1/artifacts/\(digest)").body) == content)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path + "/incoming").isEmpty)
        await again.socket.close()
        await second.stop()
    }

    @Test func aPartThatACrashDamagedIsSentAgainFromTheStart() async throws {
        let folder = TemporaryFolder()
        let first = try await RunningCoordinator(folder: folder)
        _ = try await first.submit("wood")
        let content = randomBytes(3 * Limits.chunkBytes + 9, seed: 2)
        let worker = try ScriptedWorker(first.addresses.workerEndpoint, session: 72)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        try await beginUpload(worker, content, chunks: 2, of: attempt)
        await worker.socket.close()
        await first.stop()
        let part = folder.url.appendingPathComponent("incoming/\(ScriptedWorker.artifact(content).sha256).part")
        var torn = try Data(contentsOf: part)
        #expect(torn.count == 2 * Limits.chunkBytes)
        // A power cut leaves the length but not the bytes.
        torn.replaceSubrange(torn.count - 5000..<torn.count, with: Data(count: 5000))
        try torn.write(to: part)

        let second = try await RunningCoordinator(folder: folder)
        let again = try ScriptedWorker(second.addresses.workerEndpoint, session: 72)
        again.hello(running: running(attempt))
        _ = try await again.welcome()
        guard
            case .acknowledgement(let refusal) = try await again.upload(content, .checkpoint, iteration: 5, of: attempt)
        else {
            Issue.record("damaged bytes were taken")
            return
        }
        #expect(refusal.code == .tryLater, "no mismatch that would be blamed on the worker's file")
        guard case .artifactReceipt = try await again.upload(content, .checkpoint, iteration: 5, of: attempt) else {
            Issue.record("the right bytes were refused")
            return
        }
        await again.socket.close()
        await second.stop()
    }

    @Test func anArtifactThatIsThereAlreadyIsNotSentAgain() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("wood")
        let content = randomBytes(2 * Limits.chunkBytes, seed: 3)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 73)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        var chunks = 0
        _ = try await worker.upload(content, .checkpoint, iteration: 5, of: attempt) { _, _ in chunks += 1 }
        #expect(chunks == 2)
        for kind in [WireArtifactKind.snapshot, .checkpoint] {
            let answer = try await worker.upload(content, kind, iteration: 6, of: attempt) { _, _ in chunks += 1 }
            guard case .artifactReceipt = answer else {
                Issue.record("\(answer)")
                return
            }
        }
        #expect(chunks == 2, "not one more")
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aDownloadGoesOnFromWhereTheWorkerSays() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("wood")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 74)
        worker.hello()
        let assign = try await worker.askForWork()
        let offset = UInt64(TestImages.png.count - 10)
        worker.send(
            .artifactRequest(
                .with {
                    $0.transferID = 5
                    $0.artifact = assign.exemplar
                    $0.offset = offset
                    $0.windowChunks = 8
                    $0.attempt = assign.attempt
                }))
        let (chunk, payload) = try await worker.next("CHUNK") { message -> (WireArtifactChunk, [UInt8])? in
            guard case .artifactChunk(let chunk)? = message.body else { return nil }
            return (chunk, message.payload ?? [])
        }
        #expect(chunk.offset == offset && Data(payload) == TestImages.png.suffix(10) && chunk.last)
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aDamagedCheckpointIsNotGivenOutAndTheOneBeforeIsAtNoCost() async throws {
        let folder = TemporaryFolder()
        let coordinator = try await RunningCoordinator(folder: folder)
        let job = try await coordinator.submit("wood")[0]
        let (older, newest) = (randomBytes(5000, seed: 4), randomBytes(5000, seed: 5))
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 75)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        _ = try await worker.upload(older, .checkpoint, iteration: 10, of: attempt)
        _ = try await worker.upload(newest, .checkpoint, iteration: 20, of: attempt)
        try await worker.handBack(attempt)
        try folder.damage(ScriptedWorker.artifact(newest).sha256)

        let second = try await worker.askForWork()
        #expect(second.checkpointIteration == 20)
        worker.requestCheckpoint(of: second)
        #expect(try await worker.acknowledgement().code == .leaseLost)
        let third = try await worker.askForWork()
        #expect(third.checkpointIteration == 10 && third.attempt.attempt == 3)
        #expect(try await worker.download(third.checkpoint, of: third.attempt) == older)
        let detail = try await coordinator.get("/api/v1/jobs/\(job.id)").decoded(JobDetail.self)
        #expect(detail.job.failures == 0)
        let log = try await coordinator.get("/api/v1/jobs/\(job.id)/logs").decoded(LogPage.self).entries
        #expect(log.contains { $0.message.contains("the checkpoint of iteration 20 is damaged") })
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aCheckpointIsNotGivenUpWhileTheFolderOfAllFilesIsGone() async throws {
        let folder = TemporaryFolder()
        let coordinator = try await RunningCoordinator(folder: folder)
        _ = try await coordinator.submit("wood")
        let checkpoint = randomBytes(5000, seed: 4)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 79)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        _ = try await worker.upload(checkpoint, .checkpoint, iteration: 10, of: attempt)
        try await worker.handBack(attempt)
        let second = try await worker.askForWork()
        let shelves = folder.url.appendingPathComponent("artifacts")
        let elsewhere = folder.url.appendingPathComponent("elsewhere")
        try FileManager.default.moveItem(at: shelves, to: elsewhere)
        worker.requestCheckpoint(of: second)
        #expect(try await worker.acknowledgement().code == .tryLater)
        try FileManager.default.moveItem(at: elsewhere, to: shelves)
        #expect(try await worker.download(second.checkpoint, of: second.attempt) == checkpoint)
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aJobWhoseExemplarIsDamagedIsHeldUntilThePhotographIsSentAgain() async throws {
        let folder = TemporaryFolder()
        let coordinator = try await RunningCoordinator(folder: folder)
        let job = try await coordinator.submit("wood")[0]
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 76)
        worker.hello()
        let assign = try await worker.askForWork()
        try folder.damage(assign.exemplar.sha256)
        worker.send(
            .artifactRequest(
                .with {
                    $0.transferID = 5
                    $0.artifact = assign.exemplar
                    $0.windowChunks = 8
                    $0.attempt = assign.attempt
                }))
        #expect(try await worker.acknowledgement().code == .leaseLost)
        let path = "/api/v1/jobs/\(job.id)"
        let held = try await coordinator.get(path).decoded(JobDetail.self).job
        #expect(held.state == .held && held.reason?.contains("send the file again") == true)
        #expect(try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png).status == 201)
        #expect(try await coordinator.send("POST", path + "/retry").status == 200)
        let again = try await worker.askForWork()
        #expect(Data(try await worker.download(again.exemplar, of: again.attempt)) == TestImages.png)
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func twoWorkersWithOneIdAreToldApartAndTheDisplacedOneIsRefused() async throws {
        let coordinator = try await RunningCoordinator()
        let first = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 81)
        let second = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 82)
        for _ in 1...ClusterState.displacementsOfDuplicate {
            first.hello(id: "copied")
            _ = try await first.welcome()
            second.hello(id: "copied")
            _ = try await second.welcome()
        }
        second.send(.heartbeat(WireHeartbeat()))
        try await second.next("HEARTBEAT_REPLY") { if case .heartbeatReply? = $0.body { () } else { nil } }
        first.send(.heartbeat(WireHeartbeat()))
        try await first.next("HELLO_AGAIN") { if case .helloAgain? = $0.body { () } else { nil } }
        first.hello(id: "copied")
        let refusal = try await first.next("REFUSAL") { message -> WireRefusal? in
            if case .refusal(let refusal)? = message.body { refusal } else { nil }
        }
        #expect(refusal.code == .duplicateWorker && refusal.message.contains("--data"))
        second.send(.heartbeat(WireHeartbeat()))
        try await second.next("HEARTBEAT_REPLY") { if case .heartbeatReply? = $0.body { () } else { nil } }
        await first.socket.close()
        await second.socket.close()
        await coordinator.stop()
    }

    @Test func aNewerWorkerWorksInTheNewestVersionThatBothSpeak() async throws {
        let coordinator = try await RunningCoordinator()
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 83)
        // The worker writes its HELLO in its own newest version.
        worker.hello(versions: 1...7, in: 7)
        let (version, welcome) = try await worker.next("WELCOME") { message -> (UInt32, WireWelcome)? in
            if case .welcome(let welcome)? = message.body { (message.envelope.version, welcome) } else { nil }
        }
        #expect(welcome.version == 2 && version == 2)
        await worker.socket.close()
        await coordinator.stop()
    }
}
