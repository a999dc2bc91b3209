import ClusterFixtures
import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

@Suite("Job store: batches and labels")
struct BatchStoreTests {
    let folder = TemporaryFolder()
    var file: URL { folder.url.appendingPathComponent("jobs.sqlite") }

    private func open() throws -> JobStore { try JobStore(file: file, newCoordinatorID: "c") }

    /// Submits a job for each pair of a batch and labels.
    private func fill(_ store: JobStore, _ tags: [JobTags]) async throws -> ClusterDriver {
        let driver = ClusterDriver()
        let submissions = tags.indices.map { index in
            var submission = Submission(
                name: "job \(index)", fileName: "a.png", exemplar: .named("a"), recipeYAML: "recipe: r\(index % 2)",
                priority: 0, key: nil)
            submission.tags = tags[index]
            return submission
        }
        try await play(store, driver, .submit(driver.token(), submissions, salts: tags.map { _ in 7 }))
        return driver
    }

    private func play(_ store: JobStore, _ driver: ClusterDriver, _ event: ClusterEvent) async throws {
        try await store.play(event, in: driver, at: Date(timeIntervalSince1970: 1_700_000_000))
    }

    @Test func theyAreReadBackAfterARestart() async throws {
        let tags = [
            JobTags(batch: "walls", labels: ["seed": "1", "k": "32"]), JobTags(),
            JobTags(labels: ["note": "ü = \"x\""]),
        ]
        let driver = try await fill(try open(), tags)
        let loaded = try open().load()
        #expect(loaded.jobs == driver.disk.jobs && loaded.jobs.map(\.tags) == tags)
        let summaries = try await open().summaries(of: [1, 2, 3]).sorted { $0.id < $1.id }
        #expect(summaries.map(\.batch) == ["walls", nil, nil])
        #expect(summaries.map(\.labels) == [["seed": "1", "k": "32"], [:], ["note": "ü = \"x\""]])
    }

    @Test func aStoreOfVersionOneHasJobsWithoutBatchAndTakesNewOnesWithOne() async throws {
        try await folder.makeStoreOfVersionOne()
        let store = try open()
        #expect(try store.load().jobs.allSatisfy { $0.tags == JobTags() })
        let rest = try store.load().jobs[2]
        let job = Job(
            id: JobID(sequence: 9, salt: 1), name: "n", resultName: "n", kind: .train, inputs: rest.inputs,
            spec: rest.spec, priority: 0, queueOrder: 9, tags: JobTags(batch: "walls", labels: ["a": "b"]))
        try await store.apply([.job(job)], at: Date())
        #expect(try open().load().jobs.last?.tags == job.tags)
        #expect(try await store.batches(limit: 9).map(\.name) == ["walls"])
    }

    @Test func queriesTakeBatchLabelsAndStateTogether() async throws {
        let store = try open()
        let tags = (0..<12).map {
            JobTags(batch: $0 < 8 ? "walls" : "roofs", labels: ["seed": "\($0 % 4)", "k": "\($0 % 2)"])
        }
        let driver = try await fill(store, tags)
        try await play(
            store, driver, .cancel(driver.token(), driver.disk.jobs[4].id, reason: "x"))
        func found(_ query: JobQuery) async throws -> [Int64] {
            let selection = try await store.selection(query, limit: 100).map(\.id.sequence)
            let page = try await store.summaries(query)
            #expect(page.total == selection.count)
            #expect(page.jobs.compactMap { JobID($0.id)?.sequence }.sorted() == selection)
            return selection
        }
        #expect(try await found(JobQuery(batch: "roofs", limit: 100)) == [9, 10, 11, 12])
        #expect(try await found(JobQuery(labels: ["seed": "1"], limit: 100)) == [2, 6, 10])
        #expect(try await found(JobQuery(batch: "walls", labels: ["seed": "0", "k": "0"], limit: 100)) == [1, 5])
        #expect(try await found(JobQuery(batch: "walls", labels: ["seed": "0", "k": "1"], limit: 100)) == [])
        #expect(try await found(JobQuery(state: .cancelled, batch: "walls", limit: 100)) == [5])
        let ids = [driver.disk.jobs[0].id, driver.disk.jobs[9].id]
        #expect(try await found(JobQuery(batch: "walls", ids: ids, limit: 100)) == [1])
        let labels = try await store.labels(ofBatch: "walls")
        #expect(labels.map(\.key) == ["k", "seed"] && labels.map(\.values) == [["0", "1"], ["0", "1", "2", "3"]])
    }

    @Test func batchesAreListedTheNewestFirstPageByPage() async throws {
        let store = try open()
        let driver = try await fill(store, ["a", "b", "a", "c"].map { JobTags(batch: $0) } + [JobTags()])
        try await play(store, driver, .cancel(driver.token(), driver.disk.jobs[1].id, reason: "x"))
        let all = try await store.batches(limit: 9)
        #expect(all.map(\.name) == ["c", "b", "a"] && all.map(\.first) == [4, 2, 1])
        #expect(all.map { $0.counts[.queued] } == [1, 0, 2] && all[1].counts[.cancelled] == 1)
        #expect(all[1].endedAt != nil && all[0].endedAt == nil)
        #expect(try await store.batches(before: 4, limit: 1).map(\.name) == ["b"])
        #expect(try await store.members(ofBatch: "a").map(\.kind) == [.train, .train])
        #expect(try await store.batches(named: "a", limit: 1).map(\.first) == [1])
    }

    @Test func theRestOfABatchIsEstimatedFromWhatItsJobsHaveShown() {
        func member(
            _ state: JobState, _ iteration: Int, _ total: Int, _ seconds: Double?, _ kind: JobKind = .train
        ) -> BatchMember {
            BatchMember(
                id: JobID(sequence: 1, salt: 1), kind: kind, state: state, iteration: iteration, totalIterations: total,
                secondsPerIteration: seconds)
        }
        // 100 s, 50 s and, for the one that has never run, the mean of the known 100 and 100 s.
        let work = BatchWork(
            [
                member(.finished, 100, 100, 1), member(.queued, 0, 100, 1), member(.running, 50, 100, 1),
                member(.queued, 0, 0, nil),
            ], leases: [:])
        #expect(work.secondsLeft(slots: 1) == 250 && work.secondsLeft(slots: 0) == nil)
        // A single job does not get faster by more slots.
        #expect(work.secondsLeft(slots: 100) == 50)
        #expect(abs(work.progress - (1 + 0 + 0.5 + 0) / 4) < 1e-9)
        #expect(BatchWork([member(.queued, 0, 0, nil)], leases: [:]).secondsLeft(slots: 1) == nil)
        // A picture does not take as long as a training.
        let mixed = BatchWork(
            [
                member(.finished, 100, 100, 10), member(.waiting, 0, 0, nil, .expand),
                member(.finished, 1000, 1000, 0.002, .expand),
            ], leases: [:])
        #expect(mixed.secondsLeft(slots: 1) == 2)
        let unknown = BatchWork([member(.finished, 100, 100, 10), member(.waiting, 0, 0, nil, .export)], leases: [:])
        #expect(unknown.secondsLeft(slots: 1) == nil)
    }
}
