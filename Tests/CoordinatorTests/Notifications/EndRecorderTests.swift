import ClusterFixtures
import Foundation
import GRDB
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Which changes get messages, and what the messages say.
@Suite("Messages about ends")
struct EndRecorderTests {
    let folder = TemporaryFolder()
    let driver = ClusterDriver { $0.retries = 0 }
    let store: JobStore

    init() throws {
        let policy = NotificationPolicy(
            receivers: ["webhook-1", "command-x"], kinds: Set(NotificationKind.allCases), publicURL: "http://loom:7740")
        store = try JobStore(
            file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c", notifications: policy)
    }

    /// Plays events in one transaction.
    private func play(_ events: ClusterEvent..., at seconds: Double = 1_700_000_000) async throws {
        let changes = events.flatMap { driver.handle($0) }.compactMap {
            if case .record(let change) = $0 { change } else { nil }
        }
        try await store.apply(changes, at: Date(timeIntervalSince1970: seconds))
    }

    private func submission(_ name: String, batch: String? = nil, labels: [String: String] = [:]) -> Submission {
        var submission = Submission(
            name: name, fileName: "a.png", exemplar: .named(name), recipeYAML: "recipe: draft", priority: 0, key: nil)
        submission.tags = JobTags(batch: batch, labels: labels)
        return submission
    }

    private func submit(_ submissions: Submission...) async throws -> [JobID] {
        let before = Set(driver.disk.jobs.map(\.id))
        try await play(.submit(driver.token(), submissions, salts: submissions.map { _ in 5 }))
        return driver.disk.jobs.map(\.id).filter { !before.contains($0) }
    }

    /// Gives the oldest queued job to a worker.
    private func take() async throws -> AttemptReference {
        if driver.state.sessions.isEmpty { try await play(.hello(session: 1, worker: .named("w"), running: [])) }
        let before = Set(driver.state.leases.values.map(\.attempt))
        try await play(.workRequest(session: 1, requestID: UInt64.random(in: 10...(1 << 60))))
        return try #require(driver.state.leases.values.map(\.attempt).first { !before.contains($0) })
    }

    private func finish(_ attempt: AttemptReference, report: String = "{}") async throws {
        for kind in [ArtifactRole.checkpoint, .generator, .discriminator] {
            let offer = ArtifactOffer(
                attempt: attempt, transferID: 3, role: kind, artifact: .named("\(kind) of \(attempt.job) at 100"),
                iteration: 100)
            try await play(.artifactStored(session: 1, offer))
        }
        var completion = Completion.of(attempt, iteration: 100)
        completion.reportJSON = report
        try await play(.finish(session: 1, attempt, requestID: 4, completion), at: 1_700_000_060)
    }

    /// Takes the messages that wait for a receiver, in their order.
    private func messages(_ receiver: String = "webhook-1") async throws -> [NotificationMessage] {
        let waiting = try await store.dueNotifications(for: receiver, at: .distantFuture, limit: 1000)
        try await store.removeNotifications(waiting.map(\.sequence))
        return try waiting.map {
            let message = try APIFormat.decoder.decode(NotificationMessage.self, from: Data($0.body.utf8))
            #expect(message.id == $0.message && message.type.rawValue == $0.kind)
            return message
        }
    }

    @Test func aFinishedJobIsToldWithItsFiguresToEveryReceiver() async throws {
        let job = try await submit(submission("bricks", batch: "walls", labels: ["site": "ü=1"]))[0]
        let attempt = try await take()
        #expect(try await messages().isEmpty, "nothing has ended")
        try await finish(attempt, report: #"{"verdict": "close", "quality": {"quality_patches": 0.25}}"#)
        let told = try await messages()
        #expect(told.map(\.type) == [.jobFinished, .batchEnded])
        let end = try #require(told[0].data.job)
        #expect(end.id == job.description && end.name == "bricks" && end.resultName == "bricks" && end.kind == "train")
        #expect(end.state == .finished && end.reason == nil && end.batch == "walls" && end.labels == ["site": "ü=1"])
        #expect(end.attempts == 1 && end.iteration == 100 && end.trainingSeconds == 12)
        #expect(end.verdict == "close" && end.figures == ["quality_patches": 0.25])
        #expect(end.endedAt.timeIntervalSince1970 == 1_700_000_060 && told[0].timestamp == end.endedAt)
        #expect(end.startedAt?.timeIntervalSince1970 == 1_700_000_000)
        #expect(end.links?.page == "http://loom:7740/jobs/\(job)")
        #expect(end.links?.artifacts == "http://loom:7740/api/v1/jobs/\(job)/artifacts")
        let batch = try #require(told[1].data.batch)
        #expect(batch.name == "walls" && batch.jobs == ["finished": 1])
        #expect(batch.links?.page == "http://loom:7740/batches/walls")
        let others = try await messages("command-x")
        #expect(others == told, "the same ids, too")
        #expect(Set(told.map(\.id)).count == 2)
    }

    @Test func everyEndIsToldOnceAndNothingElse() async throws {
        let jobs = try await submit(submission("a"), submission("b"), submission("c"))
        let first = try await take()
        try await play(.fail(session: 1, first, requestID: 9, iteration: 4, reason: "NaN", isRetryable: true))
        let held = try await messages()
        #expect(held.map(\.type) == [.jobHeld])
        #expect(held[0].data.job?.reason?.contains("NaN") == true && held[0].data.job?.trainingSeconds == nil)
        // A new priority of a job that has ended is no end.
        try await play(.prioritise(driver.token(), jobs[0], priority: 7))
        #expect(try await messages().isEmpty)
        try await play(.cancel(driver.token(), jobs[0], reason: "not wanted"))
        #expect(try await messages().map(\.type) == [.jobCancelled])
        let second = try await take()
        try await play(.fail(session: 1, second, requestID: 10, iteration: 4, reason: "no picture", isRetryable: false))
        #expect(try await messages().map(\.type) == [.jobFailed])
        try await play(.retry(driver.token(), jobs[1]))
        #expect(try await messages().isEmpty)
        try await play(.cancel(driver.token(), jobs[1], reason: "again"))
        #expect(try await messages().map { $0.data.job?.name } == ["b"], "a second end")
    }

    @Test func aBatchEndsOnceWheneverItsLastOpenJobDoes() async throws {
        let jobs = try await submit(
            submission("a", batch: "walls"), submission("b", batch: "walls"), submission("other", batch: "floors"))
        try await play(.cancel(driver.token(), jobs[0], reason: "x"))
        #expect(try await messages().map(\.type) == [.jobCancelled])
        let attempt = try await take()
        try await play(.fail(session: 1, attempt, requestID: 9, iteration: 4, reason: "NaN", isRetryable: true))
        let ended = try await messages()
        #expect(ended.map(\.type) == [.jobHeld, .batchEnded])
        #expect(ended[1].data.batch?.jobs == ["cancelled": 1, "held": 1])
        // It had ended already.
        try await play(.cancel(driver.token(), jobs[1], reason: "x"))
        #expect(try await messages().map(\.type) == [.jobCancelled])
        // It gets another job, and ends again.
        let late = try await submit(submission("late", batch: "walls"))
        #expect(try await messages().isEmpty)
        try await play(.cancel(driver.token(), late[0], reason: "x"))
        let again = try await messages()
        #expect(again.map(\.type) == [.jobCancelled, .batchEnded])
        #expect(again[1].data.batch?.jobs == ["cancelled": 3])
        // All of a selection in one transaction: one end.
        let many = try await submit(submission("m", batch: "many"), submission("n", batch: "many"))
        try await play(.change(driver.token(), many, in: Set(JobState.allCases), .cancel(reason: "x")))
        #expect(try await messages().map(\.type) == [.jobCancelled, .jobCancelled, .batchEnded])
    }

    @Test func aTransactionThatEndsABatchAndAddsToItTellsNoEndOfTheBatch() async throws {
        let job = try await submit(submission("a", batch: "walls"))[0]
        try await play(
            .cancel(driver.token(), job, reason: "x"),
            .submit(driver.token(), [submission("b", batch: "walls")], salts: [9]))
        #expect(try await messages().map(\.type) == [.jobCancelled])
    }

    @Test func anEndIsToldAlsoIfTheSameTransactionUndoesOrDeletesTheJob() async throws {
        let jobs = try await submit(submission("a"), submission("b"))
        try await play(.cancel(driver.token(), jobs[0], reason: "x"), .retry(driver.token(), jobs[0]))
        #expect(try await messages().map { $0.data.job?.state } == [.cancelled])
        try await play(.change(driver.token(), [jobs[1]], in: Set(JobState.allCases), .delete(cancelsFirst: true)))
        let told = try await messages()
        #expect(told.map { $0.data.job?.name } == ["b"] && driver.state.job(jobs[1]) == nil)
        #expect(try await store.resultNames() == ["a"])
    }

    @Test func aTransactionThatFailsTellsNothing() async throws {
        let job = try await submit(submission("a"))[0]
        try await store.pool.write {
            try $0.execute(
                sql: """
                    CREATE TEMP TRIGGER broken BEFORE INSERT ON logs BEGIN SELECT RAISE(ABORT, 'broken'); END
                    """)
        }
        await #expect(throws: (any Error).self) { try await play(.cancel(driver.token(), job, reason: "x")) }
        #expect(try await messages().isEmpty)
    }

    @Test func onlyChosenEndsAreRecordedAndNoneWithoutReceivers() async throws {
        for policy in [
            nil, NotificationPolicy(receivers: [], kinds: Set(NotificationKind.allCases)),
            NotificationPolicy(receivers: ["r"], kinds: [.jobFailed, .batchEnded]),
        ] {
            let folder = TemporaryFolder()
            let store = try JobStore(
                file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c", notifications: policy)
            let driver = ClusterDriver()
            func play(_ event: ClusterEvent) async throws {
                try await store.play(event, in: driver)
            }
            try await play(.submit(driver.token(), [submission("a"), submission("b", batch: "w")], salts: [1, 2]))
            for job in driver.disk.jobs { try await play(.cancel(driver.token(), job.id, reason: "x")) }
            let waiting = try await store.waitingNotifications()
            #expect(waiting == (policy?.receivers == ["r"] ? ["r": 1] : [:]), "the batch's end alone")
        }
    }

    @Test func aBatchOfThousandsCostsALookupForEachEnd() async throws {
        let plan = try await store.pool.read { db in
            try Row.fetchAll(
                db,
                sql: "EXPLAIN QUERY PLAN SELECT 1 FROM jobs WHERE batch = ? AND state IN \(JobStore.openStates)",
                arguments: ["walls"]
            ).map { $0["detail"] as String }
        }
        #expect(plan.count == 1 && plan[0].contains("open_jobs_of_batch"), "\(plan)")
    }

    @Test func theStatesOfTheIndexAreThoseThatHaveNotEnded() {
        let open = JobState.allCases.filter { !$0.isSettled }.map { "'\($0.rawValue)'" }.joined(separator: ", ")
        #expect(JobStore.openStates == "(\(open))")
        for state in JobState.allCases { #expect((NotificationKind(ofJobIn: state) != nil) == state.isSettled) }
    }
}
