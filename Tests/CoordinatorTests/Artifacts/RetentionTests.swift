import ClusterFixtures
import Foundation
import GRDB
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Retention", .timeLimit(.minutes(10)))
struct RetentionTests {
    private let stores: Stores
    private var store: JobStore { stores.jobs }
    private var artifacts: ArtifactStore { stores.artifacts }
    let engine: ClusterEngine
    let quota = StorageQuota()
    private let complaints = Complaints()
    private static let end = Date(timeIntervalSince1970: 1_700_000_000)

    init() throws {
        stores = try Stores()
        engine = stores.engine(wallClock: { Self.end }, logger: complaints.logger)
    }

    /// Finishes a job with eleven snapshots and two checkpoints of 1000 bytes each.
    private func finish(_ name: String, alike: String? = nil, session: UInt64 = 1) async throws -> JobID {
        let exemplar = try artifacts.store(Data("photograph".utf8))
        let submission = Submission(
            name: name, fileName: "a.png", exemplar: exemplar, recipeYAML: "r", priority: 0, key: nil)
        guard case .accepted(let jobs) = await engine.request({ .submit($0, [submission], salts: [7]) }) else {
            throw CoordinatorError(.storeUnavailable, "refused")
        }
        await engine.post(.hello(session: session, worker: .named("w\(session)"), running: []))
        await engine.post(.workRequest(session: session, requestID: .random(in: 1 ... .max)))
        let id = jobs[0].id
        let attempt = AttemptReference(job: id, number: 1)
        var digests: [ArtifactRole: String] = [:]
        func keep(_ role: ArtifactRole, _ iteration: Int) async throws {
            let text = "\(role) \(iteration) of \(alike ?? name)"
            let artifact = try artifacts.store(Data(text.utf8) + Data(count: 1000 - text.utf8.count))
            digests[role] = artifact.sha256
            let offer = ArtifactOffer(
                attempt: attempt, transferID: 1, role: role, artifact: artifact, iteration: iteration)
            await engine.post(.artifactStored(session: session, offer))
        }
        for iteration in stride(from: 0, through: 100, by: 10) { try await keep(.snapshot, iteration) }
        for role in [ArtifactRole.checkpoint, .generator, .discriminator] { try await keep(role, 90) }
        try await keep(.checkpoint, 100)
        let completion = Completion(
            iteration: 100, products: digests.filter { $0.key != .snapshot }, trainingSeconds: 1, reportJSON: "{}")
        await engine.post(.finish(session: session, attempt, requestID: 5, completion))
        // Answered after everything before it.
        _ = await engine.request { .prioritise($0, id, priority: 0) }
        #expect(await engine.committed.job(id)?.state == .finished)
        return id
    }

    private func running<Result>(_ work: () async throws -> Result) async rethrows -> Result {
        let loop = Task { [engine] in await engine.run() }
        defer { loop.cancel() }
        return try await work()
    }

    private func enforce(_ policy: RetentionPolicy, days: Double, filesPerLook: Int = 100) async throws -> Int {
        let retention = Retention(
            policy: policy, store: store, engine: engine, quota: quota, logger: complaints.logger,
            filesPerLook: filesPerLook)
        let count = try await retention.enforce(at: Self.end.addingTimeInterval(days * 86_400))
        await engine.flush()
        return count
    }

    private func kept(_ id: JobID) async throws -> [ArtifactRole: [Int]] {
        let list = try await store.artifacts(of: id)
        for artifact in list {
            #expect(artifacts.contains(Artifact(sha256: artifact.sha256, sizeBytes: artifact.sizeBytes)), "\(artifact)")
        }
        return Dictionary(grouping: list, by: \.role).mapValues { $0.map(\.iteration) }
    }

    private func isInOrder() async throws {
        let report = try await StoreCheck(store: store, artifacts: artifacts).run(repairs: false)
        #expect(report.problems == [] && report.orphans == 0)
    }

    @Test func byDefaultNothingIsGivenUp() async throws {
        try await running {
            let id = try await finish("a")
            #expect(try await enforce(RetentionPolicy(), days: 10_000) == 0)
            #expect(try await kept(id)[.snapshot]?.count == 11)
        }
    }

    @Test func checkpointsGoSoManyDaysAfterTheEndAndProductsStay() async throws {
        var policy = RetentionPolicy()
        policy.checkpointAge = .seconds(7 * 86_400)
        try await running {
            let id = try await finish("a")
            #expect(try await enforce(policy, days: 6.9) == 0)
            #expect(try await enforce(policy, days: 7.1) == 2)
            let left = try await kept(id)
            #expect(left[.checkpoint] == nil && left[.generator] == [90] && left[.snapshot]?.count == 11)
            #expect(await engine.committed.job(id)?.checkpoints.isEmpty == true)
            #expect(try await enforce(policy, days: 8) == 0)
            try await isInOrder()
        }
    }

    @Test func snapshotsAreThinnedEvenlyADayAfterTheEnd() async throws {
        var policy = RetentionPolicy()
        policy.snapshots = 3
        try await running {
            let id = try await finish("a")
            #expect(try await enforce(policy, days: 0.9) == 0)
            #expect(try await enforce(policy, days: 1.1) == 8)
            #expect(try await kept(id)[.snapshot] == [0, 50, 100])
            policy.snapshots = 1
            #expect(try await enforce(policy, days: 2) == 2)
            #expect(try await kept(id)[.snapshot] == [100])
            try await isInOrder()
        }
        #expect(JobStore.spread(2, over: 5) == [0, 4] && JobStore.spread(9, over: 3) == [0, 1, 2])
    }

    @Test func theQuotaTakesWhatIsLeastMissedOfTheOldestJobsAndThenRefusesNewOnes() async throws {
        var policy = RetentionPolicy()
        try await running {
            let (first, second) = (try await finish("a"), try await finish("b", session: 2))
            let all = try await store.distinctArtifactBytes()
            policy.quotaBytes = all - 2500
            #expect(try await enforce(policy, days: 0) == 3)
            #expect(try await kept(first)[.checkpoint] == nil)
            #expect(try await kept(second)[.checkpoint] == [100])
            #expect(quota.problem == nil)
            #expect(try await enforce(policy, days: 0) == 0, "within the quota now")
            policy.quotaBytes = 3000
            #expect(try await enforce(policy, days: 0) == 21)
            let left = try await kept(first)
            #expect(left[.snapshot] == [100] && left[.generator] == [90] && left[.discriminator] == [90])
            #expect(try await kept(second)[.snapshot] == [100])
            _ = try await enforce(policy, days: 0)
            #expect(quota.problem?.contains("'texloom delete'") == true)
            let refused = #expect(throws: Problem.self) { try quota.requireRoom() }
            #expect(refused?.status.code == 507 && refused?.headers[.retryAfter] == "600")
            policy.quotaBytes = all
            #expect(try await enforce(policy, days: 0) == 0)
            #expect(quota.problem == nil)
            try await isInOrder()
        }
    }

    @Test func theQuotaGoesOnUntilThereIsRoomHoweverManyFilesItTakes() async throws {
        var policy = RetentionPolicy()
        try await running {
            let id = try await finish("a")
            policy.quotaBytes = try await store.distinctArtifactBytes() - 6500
            #expect(try await enforce(policy, days: 0, filesPerLook: 3) == 7)
            #expect(try await kept(id)[.snapshot]?.count == 6)
            #expect(quota.problem == nil && !complaints.all.contains { $0.contains("quota") })
        }
    }

    @Test func whileTheStoreRecordsNothingTheQuotaIsNotFoundExhausted() async throws {
        var policy = RetentionPolicy()
        try await running {
            let id = try await finish("a")
            policy.quotaBytes = try await store.distinctArtifactBytes() - 500
            try await store.pool.write {
                try $0.execute(
                    sql: "CREATE TRIGGER full BEFORE DELETE ON artifacts BEGIN SELECT RAISE(ABORT, 'full'); END")
            }
            #expect(try await enforce(policy, days: 0) == 1)
            #expect(quota.problem == nil && !complaints.all.contains { $0.contains("quota") })
            #expect(try await kept(id)[.checkpoint] == [90, 100])
            try await store.pool.write { try $0.execute(sql: "DROP TRIGGER full") }
            #expect(try await enforce(policy, days: 0) == 1)
            #expect(try await kept(id)[.checkpoint] == [100] && quota.problem == nil)
        }
    }

    /// A job that is held or blocked is retried from its checkpoint.
    @Test func onlyJobsThatEndedAreChosen() async throws {
        for (number, state) in JobState.allCases.enumerated() {
            var job = Job(
                id: JobID(sequence: Int64(number + 1), salt: 1), name: state.rawValue, resultName: state.rawValue,
                kind: .train, inputs: [], spec: "r", priority: 0, queueOrder: Int64(number + 1), state: .queued)
            try await store.apply([.job(job)], at: Self.end)
            job.state = state
            var changes = [Change.job(job)]
            for role in [ArtifactRole.checkpoint, .snapshot] {
                for iteration in [10, 20] {
                    let artifact = Artifact.named("\(role) \(iteration) of \(state)")
                    changes.append(.artifact(job.id, role, iteration: iteration, artifact))
                }
            }
            try await store.apply(changes, at: Self.end)
        }
        func states(_ spare: [SpareArtifact], each count: Int) -> Set<JobState> {
            let files = Dictionary(grouping: spare) { JobState.allCases[Int($0.job.sequence) - 1] }
            #expect(files.values.allSatisfy { $0.count == count }, "\(files)")
            return Set(files.keys)
        }
        let later = Self.end.addingTimeInterval(86_400)
        let ended: Set<JobState> = [.finished, .failed, .cancelled]
        #expect(try await states(store.checkpoints(endedBefore: later, limit: 100), each: 2) == ended)
        #expect(try await states(store.snapshots(beyond: 1, endedBefore: later, limit: 100), each: 1) == ended)
        // Beyond the quota only what finished jobs can do without.
        #expect(try await states(store.dispensable(limit: 100).flatMap(\.holders), each: 3) == [.finished])
    }

    @Test func aFileThatAnotherJobHasSavesNothingAndStaysThere() async throws {
        var policy = RetentionPolicy()
        policy.checkpointAge = .zero
        try await running {
            let first = try await finish("a", alike: "same")
            #expect(try await enforce(policy, days: 1) == 2)
            let second = try await finish("b", alike: "same", session: 2)
            #expect(try await kept(first)[.checkpoint] == nil)
            #expect(try await kept(second)[.checkpoint] == [90, 100])
            let files = try await store.dispensable(limit: 100)
            // The two checkpoints are the second job's alone; the ten snapshots of each are shared.
            #expect(files.map { $0.holders.count } == [1, 1] + Array(repeating: 2, count: 10))
            #expect(files.allSatisfy { $0.bytes == 1000 })
            try await isInOrder()
        }
    }

    @Test func ofSharedFilesTheQuotaTakesNoMoreThanItNeedsAndKnowsThatThereIsRoom() async throws {
        var policy = RetentionPolicy()
        try await running {
            let (first, second) = (
                try await finish("a", alike: "same"), try await finish("b", alike: "same", session: 2)
            )
            // The two checkpoints of 1000 bytes, and two of the snapshots that both jobs have.
            policy.quotaBytes = try await store.distinctArtifactBytes() - 3500
            #expect(try await enforce(policy, days: 0) == 8)
            for job in [first, second] {
                let left = try await kept(job)
                #expect(left[.checkpoint] == nil && left[.snapshot]?.count == 9)
            }
            #expect(quota.problem == nil && !complaints.all.contains { $0.contains("quota") })
            #expect(try await enforce(policy, days: 0) == 0, "within the quota now")
            try await isInOrder()
        }
    }

    @Test func aFileThatAJobOutsideTheQuotasReachKeepsIsNotGivenUpElsewhere() async throws {
        var policy = RetentionPolicy()
        try await running {
            let first = try await finish("a", alike: "same")
            let second = try await finish("b", alike: "same", session: 2)
            try await store.pool.write { db in
                try db.execute(sql: "UPDATE jobs SET state = 'held' WHERE id = ?", arguments: [second.description])
            }
            policy.quotaBytes = try await store.distinctArtifactBytes() - 500
            #expect(try await enforce(policy, days: 0) == 0)
            #expect(try await kept(first)[.snapshot]?.count == 11)
            #expect(quota.problem?.contains("no more of them can be given up") == true)
        }
    }
}
