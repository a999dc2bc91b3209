import ClusterFixtures
import Foundation
import GRDB
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Cluster engine")
struct ClusterEngineTests {
    let folder: TemporaryFolder
    let store: JobStore
    let artifacts: ArtifactStore
    let disk = BlockingWork()
    let engine: ClusterEngine

    init() throws {
        let stores = try Stores()
        (folder, store, artifacts) = (stores.folder, stores.jobs, stores.artifacts)
        engine = stores.engine(disk: disk)
    }

    private func running<Result>(_ work: () async throws -> Result) async rethrows -> Result {
        let loop = Task { [engine] in await engine.run() }
        defer { loop.cancel() }
        return try await work()
    }

    private func submit(_ name: String) async -> Reply {
        guard let exemplar = try? artifacts.store(Data(name.utf8)) else { return .refused(.storeUnavailable) }
        let submission = Submission(
            name: name, fileName: "a.png", exemplar: exemplar, recipeYAML: "r", priority: 0, key: name)
        return await engine.request { .submit($0, [submission], salts: [7]) }
    }

    @Test func anAnswerIsGivenOnlyOnceItIsOnDisk() async throws {
        try await running {
            guard case .accepted(let jobs) = await submit("a") else {
                Issue.record("refused")
                return
            }
            let stored = try store.load().jobs
            #expect(stored.map(\.id) == jobs.map(\.id))
        }
    }

    @Test func aFailedCommitChangesNothingAndSendsNothing() async throws {
        try await running {
            _ = await submit("before")
            try await setBroken(true, ["jobs", "workers"])
            #expect(await submit("a") == .refused(.storeUnavailable))
            await engine.post(.hello(session: 1, worker: .named("w"), running: []))
            #expect(await submit("b") == .refused(.storeUnavailable))
            #expect(await engine.committed.jobs.count == 1)
            let counts = engine.metrics.current
            #expect(counts.commitFailures >= 2 && counts.commit.count >= 1 && counts.eventWait.count >= 4)

            #expect(await engine.committed.sessions.isEmpty)

            try await setBroken(false, ["jobs", "workers"])
            guard case .accepted(let jobs) = await submit("a") else {
                Issue.record("still refused")
                return
            }
            #expect(jobs[0].id.sequence == 2, "the numbers of refused jobs are not used up")
            #expect(await engine.committed.jobs.count == 2)
            await engine.post(.hello(session: 2, worker: .named("later"), running: []))
            _ = await submit("c")
        }
        var greeted: [UInt64] = []
        for await effect in engine.effects { if case .welcome(_, let session) = effect { greeted.append(session) } }
        #expect(greeted == [2], "the first worker has heard nothing, and will say HELLO again")
    }

    /// Makes writes to some tables fail, as on a full disk.
    private func setBroken(_ isBroken: Bool, _ tables: [String] = ["jobs"]) async throws {
        try await store.pool.write { db in
            for table in tables {
                try db.execute(
                    sql: isBroken
                        ? "CREATE TRIGGER no_\(table) BEFORE INSERT ON \(table) BEGIN SELECT RAISE(ABORT, 'full'); END"
                        : "DROP TRIGGER no_\(table)")
            }
        }
    }

    @Test func withABrokenStoreHeartbeatsStillGetThrough() async throws {
        try await running {
            _ = await submit("a")
            await engine.post(.hello(session: 1, worker: .named("w"), running: []))
            try await setBroken(true)
            await engine.post(.heartbeat(session: 1, sequence: 42, running: []))
            #expect(await submit("b") == .refused(.storeUnavailable))
        }
        var sent: [MessageToWorker] = []
        for await effect in engine.effects { if case .send(let message, _) = effect { sent.append(message) } }
        let reply = MessageToWorker.heartbeatReply(sequence: 42, cancelled: [], lost: [], isDraining: false)
        #expect(sent.contains(reply))
    }

    @Test func aCheckpointThatIsNoLongerNeededLeavesTheDisk() async throws {
        try await discardCheckpoints()
    }

    /// The engine waits for the removal of a file, and every worker's heartbeat waits for the engine.
    @Test(.timeLimit(.minutes(10))) func theEngineDoesNotWaitForWhoHashesAndDecodes() async throws {
        let release = DispatchSemaphore(value: 0)
        let lanes: [BlockingWork.Lane] = [.chunks, .files]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in lanes {
                for _ in 0..<2 * lane.threads {
                    group.addTask { [disk] in try await disk.run(lane) { release.wait() } }
                }
            }
            try await discardCheckpoints()
            for lane in lanes { for _ in 0..<2 * lane.threads { release.signal() } }
            try await group.waitForAll()
        }
    }

    private func discardCheckpoints() async throws {
        try await running {
            guard case .accepted(let jobs) = await submit("a") else {
                Issue.record("refused")
                return
            }
            await engine.post(.hello(session: 1, worker: .named("w"), running: []))
            await engine.post(.workRequest(session: 1, requestID: 1))
            let attempt = AttemptReference(job: jobs[0].id, number: 1)
            var stored: [Artifact] = []
            for iteration in 1...4 {
                let incoming = try artifacts.makeIncoming()
                try incoming.append(Data("checkpoint \(iteration)".utf8))
                stored.append(try incoming.commit())
                let offer = ArtifactOffer(
                    attempt: attempt, transferID: UInt64(iteration), role: .checkpoint, artifact: stored.last!,
                    iteration: iteration)
                await engine.post(.artifactStored(session: 1, offer))
            }
            _ = await submit("later: everything before has been handled")
            #expect(stored.map { artifacts.contains($0) } == [false, false, true, true])
        }
    }

    @Test func requestsAreRefusedOnceTheEngineHasStopped() async throws {
        let loop = Task { [engine] in await engine.run() }
        loop.cancel()
        await loop.value
        #expect(await submit("a") == .refused(.storeUnavailable))
    }

    /// A worker may claim to run any job. The engine remembers touched jobs for clients that follow the cluster.
    @Test func aHeartbeatTouchesTheJobsThatTheWorkerRunsAndNoOthers() async {
        await running {
            guard case .accepted(let jobs) = await submit("a") else {
                Issue.record("refused")
                return
            }
            await engine.post(.hello(session: 1, worker: .named("w"), running: []))
            await engine.post(.workRequest(session: 1, requestID: 1))
            _ = await submit("b")
            _ = await engine.takeTouchedJobs()
            let claims = (0..<1000).map {
                AttemptStatus.at(.init(job: JobID(sequence: $0 + 100, salt: 3), number: 1), 5)
            }
            let held = AttemptReference(job: jobs[0].id, number: 1)
            await engine.post(.heartbeat(session: 1, sequence: 1, running: claims + [.at(held, 5)]))
            _ = await engine.request { .prioritise($0, JobID(sequence: 99, salt: 0), priority: 1) }
            #expect(await engine.takeTouchedJobs() == [held.job])
        }
    }
}
