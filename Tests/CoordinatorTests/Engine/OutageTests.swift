import ClusterFixtures
import Foundation
import GRDB
import OperatingSystem
import Protocol
import Synchronization
import Testing

@testable import ClusterCore
@testable import Coordinator

/// A clock that a test sets.
final class ManualClock: Sendable {
    private let state = Mutex(Instant.origin)
    var now: Instant { state.withLock { $0 } }
    func advance(_ duration: Duration) { state.withLock { $0 = $0 + duration } }
}

/// A wall clock that jumps at every read: by an hour, a year, and back.
final class JumpingClock: Sendable {
    private let state = Mutex((looks: 0, date: Date(timeIntervalSince1970: 1_700_000_000)))

    var date: Date {
        let jumps: [TimeInterval] = [3600, -7200, 366 * 86_400, -2 * 366 * 86_400]
        return state.withLock { state in
            state.looks += 1
            state.date += jumps[state.looks % jumps.count]
            return state.date
        }
    }
}

/// A store on a really full disk: SQLite cannot allocate another page.
@Suite("Engine on a full disk")
struct OutageTests {
    let folder: TemporaryFolder
    let store: JobStore
    let artifacts: ArtifactStore
    let engine: ClusterEngine
    let clock = ManualClock()

    init() throws {
        let stores = try Stores()
        (folder, store, artifacts) = (stores.folder, stores.jobs, stores.artifacts)
        engine = stores.engine(clock: { [clock] in clock.now })
    }

    private func setFull(_ isFull: Bool) async throws {
        try await store.pool.writeWithoutTransaction { db in
            let pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            try db.execute(sql: "PRAGMA max_page_count = \(isFull ? pages : 1_000_000)")
        }
    }

    /// Submits enough text to need a new page.
    private func submit(_ name: String) async -> Reply {
        guard let exemplar = try? artifacts.store(Data(name.utf8)) else { return .refused(.storeUnavailable) }
        let submission = Submission(
            name: name, fileName: "a.png", exemplar: exemplar,
            recipeYAML: name + String(repeating: "x", count: 60_000), priority: 0, key: name)
        return await engine.request { .submit($0, [submission], salts: [7]) }
    }

    @Test func aFullDiskRefusesNewJobsSaysSoAndTheyAreTakenOnceThereIsSpace() async throws {
        let loop = Task { [engine] in await engine.run() }
        defer { loop.cancel() }
        guard case .accepted = await submit("before") else {
            Issue.record("refused")
            return
        }
        try await setFull(true)
        for _ in 0..<3 { #expect(await submit("a") == .refused(.storeUnavailable)) }
        // The probe must not mistake a full disk for one with space.
        clock.advance(.seconds(5))
        await engine.post(.tick)
        #expect(await nobodysJob() == .refused(.noSuchJob))
        #expect(await engine.storeProblem?.contains("full") == true)
        // Stored jobs stay readable all the time, and there are no half-written ones.
        #expect(try store.load().jobs.map(\.name) == ["before"])
        #expect(await engine.committed.jobs.count == 1)

        try await setFull(false)
        guard case .accepted(let jobs) = await submit("a") else {
            Issue.record("still refused")
            return
        }
        #expect(jobs[0].id.sequence == 2 && !jobs[0].alreadyExisted)
        #expect(await engine.storeProblem == nil)
        let report = try await StoreCheck(store: store, artifacts: artifacts).run(repairs: false)
        #expect(report.problems.isEmpty)
    }

    /// Tokens, invitations and logins write beside the engine.
    @Test func whatIsWrittenBesideTheEngineIsRefusedInTheSameWay() async throws {
        let tokens = TokenStore(pool: store.pool)
        try await setFull(true)
        var problem: Problem?
        for number in 0..<5_000 where problem == nil {
            do {
                _ = try await tokens.create(TokenRequest(name: "t\(number)", role: .viewer))
            } catch {
                problem = Problem(error)
            }
        }
        #expect(problem?.status.code == 503 && problem?.headers.isEmpty == false, "with Retry-After")
        #expect(problem?.detail.contains("the job store cannot be read or written (database or disk is full)") == true)
        let url = URL(fileURLWithPath: "/data/server-key.next")
        #expect(Problem(FileFailure("write", url, number: ENOSPC)).status.code == 503)
        #expect(Problem(FileFailure("write", url, number: EACCES)).status.code == 500)
        #expect(Problem(DatabaseError(resultCode: .SQLITE_CONSTRAINT)).status.code == 500)
    }

    /// A request that records nothing. When its answer comes, the engine has handled everything before it.
    private func nobodysJob() async -> Reply {
        await engine.request { .cancel($0, JobID(sequence: 99, salt: 9), reason: "") }
    }

    @Test(.timeLimit(.minutes(10)))
    func anIdleCoordinatorFindsThatThereIsSpaceAgain() async throws {
        let loop = Task { [engine] in await engine.run() }
        defer { loop.cancel() }
        _ = await submit("before")
        try await setFull(true)
        #expect(await submit("a") == .refused(.storeUnavailable))
        try await setFull(false)
        clock.advance(.seconds(2))
        await engine.post(.tick)
        // No request arrives.
        while await engine.storeProblem != nil { try await Task.sleep(for: .milliseconds(10)) }
    }

    @Test func aLongOutageCostsNoLeaseNoRetryAndNoJob() async throws {
        let loop = Task { [engine] in await engine.run() }
        defer { loop.cancel() }
        guard case .accepted(let jobs) = await submit("a") else {
            Issue.record("refused")
            return
        }
        await engine.post(.hello(session: 1, worker: .named("w"), running: []))
        await engine.post(.workRequest(session: 1, requestID: 1))
        let attempt = AttemptReference(job: jobs[0].id, number: 1)
        _ = await submit("b")
        await engine.post(.heartbeat(session: 1, sequence: 0, running: [.at(attempt, 5)]))
        try await setFull(true)
        // For two hours, far longer than the stall limit, the trainer only waits to report. The engine handles each step
        // before the next, so that it never counts as absent itself.
        for step in 0..<1440 {
            clock.advance(.seconds(5))
            await engine.post(.tick)
            await engine.post(.heartbeat(session: 1, sequence: UInt64(step), running: [.at(attempt, 5)]))
            if step % 60 == 0 { #expect(await submit("c") == .refused(.storeUnavailable)) }
            #expect(await nobodysJob() == .refused(.noSuchJob))
        }
        try await setFull(false)
        await engine.post(.tick)
        _ = await submit("c")
        let job = try #require(await engine.committed.job(attempt.job))
        #expect(job.state == .running && job.failures == 0 && job.attempt?.number == 1)
    }

    @Test func aJumpOfTheWallClockChangesNothing() async throws {
        let wall = JumpingClock()
        let engine = ClusterEngine(store, artifacts, clock: { [clock] in clock.now }, wallClock: { wall.date })
        let loop = Task { await engine.run() }
        defer { loop.cancel() }
        func submit(_ name: String) async throws -> Reply {
            let submission = Submission(
                name: name, fileName: "a.png", exemplar: try artifacts.store(Data(name.utf8)), recipeYAML: "r",
                priority: 0, key: name)
            return await engine.request { .submit($0, [submission], salts: [7]) }
        }
        guard case .accepted(let jobs) = try await submit("a") else {
            Issue.record("refused")
            return
        }
        await engine.post(.hello(session: 1, worker: .named("w"), running: []))
        await engine.post(.workRequest(session: 1, requestID: 1))
        let attempt = AttemptReference(job: jobs[0].id, number: 1)
        for second in 0..<30 {
            clock.advance(.seconds(1))
            await engine.post(.tick)
            if second % 5 == 0 {
                await engine.post(.heartbeat(session: 1, sequence: 1, running: [.at(attempt, second)]))
            }
            _ = try await submit("job \(second)")
        }
        let state = await engine.committed
        #expect(state.job(attempt.job)?.state == .running && state.job(attempt.job)?.attempt?.number == 1)
        // Without heartbeats, the lease expires by the monotonic clock, whatever the wall clock shows.
        for second in 0..<21 {
            clock.advance(.seconds(1))
            await engine.post(.tick)
            _ = try await submit("later job \(second)")
        }
        #expect(await engine.committed.job(attempt.job)?.state == .queued)
    }

    @Test func aFloodFromOneWorkerDoesNotDropTheOthersMessages() async throws {
        let text = String(repeating: "x", count: 16_000)
        let lines = (0..<100).map { _ in LogLine(unixSeconds: 1, level: .info, message: text) }
        let attempt = AttemptReference(job: JobID(sequence: 1, salt: 1), number: 1)
        // The engine has handled nothing yet: all of it waits.
        for request in 0..<1000 {
            await engine.post(.log(session: 1, attempt, requestID: UInt64(request), lines))
        }
        #expect(await engine.droppedEvents > 990, "1.6 GB were offered, 8 MiB are kept")
        await engine.post(.hello(session: 2, worker: .named("quiet"), running: []))
        let loop = Task { [engine] in await engine.run() }
        _ = await submit("everything before has been handled")
        loop.cancel()
        #expect(await engine.committed.sessionOfWorker["quiet"] == 2)
        // Handled events have made room.
        let dropped = await engine.droppedEvents
        await engine.post(.log(session: 1, attempt, requestID: 1, lines))
        #expect(await engine.droppedEvents == dropped)
    }

    @Test func aFloodOfSmallMessagesFromManySessionsLeavesRoomForTheOthersAndForPeople() async throws {
        let attempt = AttemptReference(job: JobID(sequence: 1, salt: 1), number: 1)
        let small = MetricsBlock(columns: ["l1"], rows: [])
        let count = 256
        // The disk is slow meanwhile.
        for request in 0..<200 as Range<UInt64> {
            for session in 1...UInt64(count) {
                await engine.post(.metrics(session: session, attempt, requestID: request, small))
            }
        }
        #expect(await engine.droppedEvents > 30_000, "51,200 were offered")
        await engine.post(.hello(session: 1000, worker: .named("quiet"), running: []))
        await engine.post(.tick)
        let asked = Task { await submit("a person's") }
        let loop = Task { [engine] in await engine.run() }
        guard case .accepted = await asked.value else {
            Issue.record("refused")
            return
        }
        loop.cancel()
        #expect(await engine.committed.sessionOfWorker["quiet"] == 1000)
    }
}
