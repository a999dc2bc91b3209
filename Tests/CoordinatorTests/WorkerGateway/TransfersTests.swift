import ClusterFixtures
import Foundation
import Logging
import Synchronization
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Transfers")
struct TransfersTests {
    private let attempt = AttemptReference(job: JobID(sequence: 1, salt: 1), number: 1)

    private func transfers(in folder: TemporaryFolder, logger: Logger = .silent) throws -> Transfers {
        try edge(in: folder, logger: logger).transfers
    }

    private func edge(
        in folder: TemporaryFolder, logger: Logger = .silent, clock: @escaping @Sendable () -> Instant = { .origin }
    ) throws -> (transfers: Transfers, engine: ClusterEngine, artifacts: ArtifactStore) {
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let artifacts = try ArtifactStore(dataFolder: folder.url)
        let engine = ClusterEngine(store, artifacts, clock: clock)
        let transfers = Transfers(artifacts: artifacts, disk: BlockingWork(), engine: engine, logger: logger)
        return (transfers, engine, artifacts)
    }

    private func offer(_ id: UInt64, bytes: Int = 64 << 20) -> ArtifactOffer {
        let artifact = Artifact(sha256: Artifact.named("\(id)").sha256, sizeBytes: bytes)
        return ArtifactOffer(attempt: attempt, transferID: id, role: .checkpoint, artifact: artifact, iteration: 1)
    }

    /// Bytes of received chunks that are not on disk yet.
    private func arrivedBytes(_ transfers: Transfers) -> Int { transfers.arrived.withLock { $0.bytes } }

    /// A peer that sends far beyond its credit, in many transfers at once.
    @Test(.timeLimit(.minutes(10)))
    func chunksThatWaitForTheDiskAreBoundedAndForgottenWithTheirTransfer() async throws {
        let folder = TemporaryFolder()
        let transfers = try transfers(in: folder)
        let payload = [UInt8](repeating: 7, count: Limits.chunkBytes)
        var most = 0
        for id in 1...40 as ClosedRange<UInt64> {
            transfers.receive(offer(id), session: 1) { _ in }
            for _ in 0..<16 {
                // Behind a gap, so never written.
                let chunk = ArtifactChunk(transferID: id, offset: 1 << 20, isLast: false)
                transfers.receive(chunk, payload, from: 1)
                most = max(most, arrivedBytes(transfers))
            }
        }
        #expect(most <= Transfers.maxChunks * Limits.chunkBytes / 5)
        transfers.endAll()
        while arrivedBytes(transfers) > 0 { try await Task.sleep(for: .milliseconds(10)) }
    }

    /// The next credit of a transfer.
    private func credit(_ answers: inout AsyncStream<MessageToWorker>.Iterator) async throws -> ArtifactCredit {
        while let answer = await answers.next() {
            if case .credit(let credit) = answer { return credit }
        }
        throw CancellationError()
    }

    private func send(_ index: Int, of id: UInt64, bytes: Int, to transfers: Transfers) {
        let chunk = ArtifactChunk(transferID: id, offset: UInt64(index * bytes), isLast: false)
        transfers.receive(chunk, [UInt8](repeating: 7, count: bytes), from: 1)
    }

    @Test(.timeLimit(.minutes(10)))
    func aWindowOfSmallChunksMayWaitForTheDisk() async throws {
        let folder = TemporaryFolder()
        let transfers = try transfers(in: folder)
        let (stream, answer) = AsyncStream<MessageToWorker>.makeStream()
        var answers = stream.makeAsyncIterator()
        transfers.receive(offer(1), session: 1) { answer.yield($0) }
        let window = Int(Limits.windowChunks) * Limits.chunkBytes
        for index in 0..<window / Limits.sentChunkBytes {
            send(index, of: 1, bytes: Limits.sentChunkBytes, to: transfers)
        }
        var last = try await credit(&answers)
        while last.nextOffset < UInt64(window) {
            last = try await credit(&answers)
            #expect(!last.isRewind)
        }
        transfers.endAll()
    }

    /// The chunks of a slow worker's uploads arrive one after the other.
    @Test(.timeLimit(.minutes(10)))
    func anUploadThatWaitsBehindAnotherIsNotSentAgain() async throws {
        let folder = TemporaryFolder()
        let seconds = Mutex(0)
        let transfers = try edge(in: folder) { .origin + .seconds(seconds.withLock { $0 }) }.transfers
        let (stream, answer) = AsyncStream<MessageToWorker>.makeStream()
        var answers = stream.makeAsyncIterator()
        transfers.receive(offer(1), session: 1) { _ in }
        transfers.receive(offer(2), session: 1) { answer.yield($0) }
        _ = try await credit(&answers)
        var rewinds: [Int] = []
        for second in 1...45 {
            seconds.withLock { $0 = second }
            if second <= 20, second % 2 == 0 { send(second / 2 - 1, of: 1, bytes: 1000, to: transfers) }
            guard second % 5 == 0 else { continue }
            transfers.receive(offer(2), session: 1) { answer.yield($0) }
            if try await credit(&answers).isRewind { rewinds.append(second) }
        }
        #expect(rewinds == [40], "nothing has come for three times as long as between the chunks before")
        transfers.endAll()
    }

    /// A worker repeats its offers, and the log must not repeat the refusals.
    @Test(.timeLimit(.minutes(10)))
    func refusalsAreLoggedWithTheLimitThatWasHitButNotOneByOne() async throws {
        let folder = TemporaryFolder()
        let complaints = Complaints()
        let transfers = try transfers(in: folder, logger: complaints.logger)
        let (answers, answer) = AsyncStream<MessageToWorker>.makeStream()
        let refused = 10
        for id in 1...UInt64(Transfers.maxPerSession + refused) {
            transfers.receive(offer(id, bytes: 1000), session: 1) { answer.yield($0) }
        }
        var refusals = 0
        for await message in answers {
            if case .acknowledge(_, .tryLater, _) = message { refusals += 1 }
            if refusals == refused { break }
        }
        let refusal = "too many transfers of one worker at once"
        #expect(complaints.all == Array(repeating: refusal, count: 4), "after 1, 2, 4 and 8 of them")
        transfers.endAll()
    }

    private func request(_ artifact: Artifact) -> ArtifactRequest {
        ArtifactRequest(attempt: attempt, transferID: 1, artifact: artifact, offset: 0, windowChunks: 1)
    }

    @Test(.timeLimit(.minutes(10)))
    func anArtifactThatCannotBeOpenedIsLogged() async throws {
        let folder = TemporaryFolder()
        let complaints = Complaints()
        let (transfers, engine, artifacts) = try edge(in: folder, logger: complaints.logger)
        let artifact = try artifacts.store(Data("a checkpoint".utf8))
        let file = folder.artifact(artifact.sha256)
        try FileManager.default.removeItem(at: file)
        try FileManager.default.createSymbolicLink(at: file, withDestinationURL: file)
        let (answers, answer) = AsyncStream<MessageToWorker>.makeStream()
        transfers.send(artifact, request(artifact), session: 1) { answer.yield($0) }
        for await case .acknowledge(_, let code, _) in answers {
            #expect(code == .tryLater)
            break
        }
        #expect(complaints.all == ["an artifact cannot be sent; its worker asks for it again"])
        #expect(await engine.waitingEvents == 0, "neither damage nor progress")
        transfers.endAll()
    }

    @Test(.timeLimit(.minutes(10)))
    func whatAWorkerConfirmsOfADownloadIsProgress() async throws {
        let folder = TemporaryFolder()
        let (transfers, engine, artifacts) = try edge(in: folder)
        let artifact = try artifacts.store(Data(count: 2 * Limits.chunkBytes + 1))
        let (answers, answer) = AsyncStream<MessageToWorker>.makeStream()
        transfers.send(artifact, request(artifact), session: 1) { answer.yield($0) }
        for await case .chunk(let chunk, let payload) in answers {
            let confirmed = Int(chunk.offset) / Limits.chunkBytes
            #expect(await engine.waitingEvents == confirmed, "one event for each credit that confirms something")
            if chunk.isLast { break }
            let next = chunk.offset + UInt64(payload.count)
            guard next % UInt64(Limits.chunkBytes) == 0 else { continue }
            // A repeated one confirms nothing new.
            for _ in 1...2 {
                transfers.receive(
                    ArtifactCredit(transferID: 1, nextOffset: next, windowChunks: 1, isRewind: false), from: 1)
            }
        }
        transfers.endAll()
    }
}
