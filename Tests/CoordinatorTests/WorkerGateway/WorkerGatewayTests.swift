import ClusterFixtures
import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Worker gateway", .timeLimit(.minutes(10)))
struct WorkerGatewayTests {
    @Test func aWorkerTrainsAJobFromHelloToFinish() async throws {
        let coordinator = try await RunningCoordinator()
        let accepted = try await coordinator.submit("wood")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 11)
        worker.hello()
        #expect(try await worker.welcome().version == 1)
        let assign = try await worker.askForWork()
        #expect(assign.attempt.jobID == accepted[0].id && assign.attempt.attempt == 1)
        #expect(assign.recipeYaml == "recipe: draft" && assign.exemplarFileName == "wood.png" && !assign.hasCheckpoint)
        let exemplar = try await worker.download(assign.exemplar, of: assign.attempt)
        #expect(Data(exemplar) == TestImages.png)

        var metrics = WireMetricBatch()
        metrics.attempt = assign.attempt
        metrics.requestID = worker.id()
        metrics.columns = ["l1"]
        metrics.rows = [
            .with {
                $0.iteration = 5
                $0.values = [0.5]
            }
        ]
        worker.send(.metrics(metrics))
        #expect(try await worker.acknowledgement().code == .ok)

        // Several chunks, one of them damaged on the way.
        let checkpoint = randomBytes(3 * Limits.chunkBytes + 17, seed: 1)
        let receipt = try await worker.upload(checkpoint, .checkpoint, iteration: 5, of: assign.attempt) {
            index, chunk in
            if index == 1 { chunk[7] ^= 1 }
        }
        guard case .artifactReceipt = receipt else {
            Issue.record("\(receipt)")
            return
        }
        let products = [randomBytes(1000, seed: 2), randomBytes(900, seed: 3)]
        for (kind, product) in zip([WireArtifactKind.generator, .discriminator], products) {
            _ = try await worker.upload(product, kind, iteration: 5, of: assign.attempt)
        }
        var finish = WireFinish()
        finish.attempt = assign.attempt
        finish.requestID = worker.id()
        finish.iteration = 5
        finish.generatorSha256 = ScriptedWorker.artifact(products[0]).sha256
        finish.discriminatorSha256 = ScriptedWorker.artifact(products[1]).sha256
        finish.checkpointSha256 = ScriptedWorker.artifact(checkpoint).sha256
        finish.trainingSeconds = 3
        finish.reportJson = "{\"weights\":\"vgg16\"}"
        worker.send(.finish(finish))
        #expect(try await worker.acknowledgement().code == .ok)

        let detail = try await coordinator.get("/api/v1/jobs/\(accepted[0].id)").decoded(JobDetail.self)
        #expect(detail.job.state == .finished && detail.reportJSON == "{\"weights\":\"vgg16\"}")
        #expect(detail.attempts.map(\.outcome) == ["finished"] && detail.job.lossLatest == ["l1": 0.5])
        let generator = try await coordinator.get("/api/v1/artifacts/\(finish.generatorSha256)")
        #expect([UInt8](generator.body) == products[0])
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func theNextAttemptResumesFromTheCheckpointOfTheLast() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("wood")
        let checkpoint = randomBytes(Limits.chunkBytes + 1, seed: 4)
        let first = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 21)
        first.hello()
        let attempt = try await first.askForWork().attempt
        _ = try await first.upload(checkpoint, .checkpoint, iteration: 40, of: attempt)
        var handBack = WireHandBack()
        handBack.attempt = attempt
        handBack.requestID = first.id()
        handBack.iteration = 40
        handBack.reason = "SIGTERM"
        first.send(.handBack(handBack))
        #expect(try await first.acknowledgement().code == .ok)

        let second = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 22)
        second.hello()
        let assign = try await second.askForWork()
        #expect(assign.attempt.attempt == 2 && assign.checkpointIteration == 40)
        #expect(try await second.download(assign.checkpoint, of: assign.attempt) == checkpoint)
        // Messages of the first session no longer count.
        first.send(.handBack(handBack))
        #expect(try await first.acknowledgement().code == .leaseLost)
        await first.socket.close()
        await second.socket.close()
        await coordinator.stop()
    }

    @Test func bytesThatAreNotThoseAnnouncedAreRefused() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("wood")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 31)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        let right = randomBytes(5000, seed: 5)
        let wrong = randomBytes(5000, seed: 6)
        let answer = try await worker.upload(
            wrong, .checkpoint, iteration: 1, of: attempt, announced: ScriptedWorker.artifact(right))
        guard case .acknowledgement(let refusal) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(refusal.code == .digestMismatch)
        guard case .artifactReceipt = try await worker.upload(right, .checkpoint, iteration: 1, of: attempt) else {
            Issue.record("the right bytes were refused")
            return
        }
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aConnectionSpeaksForALimitedNumberOfWorkers() async throws {
        let complaints = Complaints()
        let coordinator = try await RunningCoordinator(logger: complaints.logger)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 43)
        for number in 1...UInt64(WorkerGateway.maxSessionsPerPeer) + 1 {
            var hello = WireHello()
            (hello.minVersion, hello.maxVersion) = (1, 1)
            (hello.workerID, hello.name, hello.softwareVersion, hello.cpu) = ("w\(number)", "w", "test", "test")
            (hello.slots, hello.threadsPerSlot) = (1, 1)
            worker.socket.send(WireMessage(.hello(hello), session: 1000 + number, version: 1))
        }
        for _ in 0..<WorkerGateway.maxSessionsPerPeer { _ = try await worker.welcome() }
        // A session that is known still has its answer, and it comes after the one beyond the limit.
        worker.socket.send(WireMessage(.heartbeat(WireHeartbeat()), session: 1001, version: 1))
        let known = try await worker.next("HEARTBEAT_REPLY") { message -> UInt64? in
            if case .heartbeatReply? = message.body { message.session } else { nil }
        }
        #expect(known == 1001)
        #expect(complaints.all.contains("a connection speaks for too many workers"), "\(complaints.all)")
        let list = try await coordinator.get("/api/v1/workers").decoded(WorkerList.self)
        #expect(list.workers.count == WorkerGateway.maxSessionsPerPeer)
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func anUnknownSessionIsAskedToSayHelloAndAForeignJobIsLost() async throws {
        let coordinator = try await RunningCoordinator()
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 41)
        worker.send(.heartbeat(WireHeartbeat()))
        try await worker.next("HELLO_AGAIN") { if case .helloAgain? = $0.body { () } else { nil } }
        let status = WireAttemptStatus.with {
            $0.attempt = WireAttemptRef(jobID: "of-another-cluster", attempt: 3)
        }
        worker.hello(running: [status])
        #expect(try await worker.welcome().lost == [status.attempt])
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aFloodOfCoordinatorsMessagesDoesNotFloodTheLog() async throws {
        let complaints = Complaints()
        let coordinator = try await RunningCoordinator(logger: complaints.logger)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 42)
        worker.hello()
        _ = try await worker.welcome()
        for _ in 0..<10 { worker.send(.helloAgain(WireHelloAgain())) }
        // Its answer comes after all of them were handled.
        worker.hello()
        _ = try await worker.welcome()
        let logged = complaints.all.filter { $0 == "a worker sent a message that only coordinators send" }
        #expect(logged.count == 4, "after 1, 2, 4 and 8 of them")
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test(arguments: [(3...4 as ClosedRange<UInt32>, "coordinator")])
    func aVersionNobodySharesIsRefusedNamingWhoHasToUpgrade(versions: ClosedRange<UInt32>, side: String) async throws {
        let coordinator = try await RunningCoordinator()
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 51)
        worker.hello(versions: versions)
        let refusal = try await worker.next("REFUSAL") { message -> WireRefusal? in
            if case .refusal(let refusal)? = message.body { refusal } else { nil }
        }
        #expect(refusal.code == .versionUnsupported && refusal.message.contains("upgrade the \(side)"))
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aCoordinatorThatComesBackIsToldWhatRunsAndTakesTheResult() async throws {
        let folder = TemporaryFolder()
        let first = try await RunningCoordinator(folder: folder)
        let accepted = try await first.submit("wood")
        let worker = try ScriptedWorker(first.addresses.workerEndpoint, session: 61)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        await worker.socket.close()
        await first.stop()

        let second = try await RunningCoordinator(folder: folder)
        let again = try ScriptedWorker(second.addresses.workerEndpoint, session: 61)
        again.hello(running: [
            .with {
                $0.attempt = attempt
                $0.iteration = 7
                $0.totalIterations = 10
            }
        ])
        #expect(try await again.welcome().lost.isEmpty)
        let job = try await second.get("/api/v1/jobs/\(accepted[0].id)").decoded(JobDetail.self).job
        #expect(job.state == .running && job.iteration == 7 && job.attempt == 1)
        await again.socket.close()
        await second.stop()
    }
}
