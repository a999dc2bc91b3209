import ClusterFixtures
import Testing

@testable import ClusterCore

@Suite("Cluster state: many jobs at once")
struct JobSelectionTests {
    private let any = Set(JobState.allCases)

    private func changed(_ effects: [ClusterEffect]) -> [JobID]? {
        guard case .changed(let ids)? = effects.reply else { return nil }
        return ids
    }

    @Test func aCancellationStopsRunningAndWaitingJobsAndLeavesEndedOnes() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("finished", "running", "waiting", "other")
        cluster.hello(1)
        let first = try #require(cluster.take(1))
        cluster.finish(1, first)
        let second = try #require(cluster.take(1))
        let effects = cluster.handle(
            .change(cluster.token(), Array(jobs.prefix(3)), in: any, .cancel(reason: "enough")))
        #expect(changed(effects) == [jobs[1], jobs[2]])
        #expect(effects.messages == [.cancel(second, reason: "enough")])
        #expect(jobs.map { cluster.state.job($0)?.state } == [.finished, .cancelled, .cancelled, .queued])
        #expect(cluster.disk.jobs.map(\.state) == [.finished, .cancelled, .cancelled, .queued])
        #expect(cluster.state.leases.isEmpty)
        // The worker's later messages change nothing.
        let late = cluster.store(1, second, .checkpoint, iteration: 50)
        #expect(!late.contains { if case .record = $0 { true } else { false } })
    }

    @Test func aRetryPutsBackWhatEndedBadlyAndGivesItToAWaitingWorker() throws {
        let cluster = ClusterDriver { $0.retries = 0 }
        let jobs = cluster.submit("a", "b", "c")
        cluster.hello(1)
        for _ in 0..<2 { cluster.fail(1, try #require(cluster.take(1)), isRetryable: false) }
        cluster.handle(.cancel(cluster.token(), jobs[2], reason: "x"))
        #expect(cluster.take(1) == nil)
        let effects = cluster.handle(.change(cluster.token(), jobs, in: [.failed], .retry))
        #expect(changed(effects) == [jobs[0], jobs[1]] && effects.assignment?.attempt.job == jobs[0])
        #expect(cluster.state.job(jobs[2])?.state == .cancelled)
    }

    /// The caller looks the jobs up first. One that has changed its state since no longer matches.
    @Test func aJobThatLeftTheAskedStateMeanwhileStaysAsItIs() {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        cluster.hello(1)
        _ = cluster.take(1)
        let effects = cluster.handle(
            .change(cluster.token(), jobs, in: [.queued], .cancel(reason: "only what waits")))
        #expect(changed(effects) == [jobs[1]] && cluster.state.job(jobs[0])?.state == .running)
        let gone = JobID(sequence: 99, salt: 1)
        #expect(changed(cluster.handle(.change(cluster.token(), [gone], in: any, .retry))) == [])
    }

    @Test func aJobKeepsTheBatchAndTheLabelsOfItsSubmission() {
        let cluster = ClusterDriver()
        var submission = Submission(
            name: "a", fileName: "a.png", exemplar: .named("a"), recipeYAML: "r", priority: 0, key: "k")
        submission.tags = JobTags(batch: "walls", labels: ["seed": "1"])
        cluster.handle(.submit(cluster.token(), [submission], salts: [1]))
        cluster.restart()
        submission.tags = JobTags(batch: "roofs")
        let again = cluster.handle(.submit(cluster.token(), [submission], salts: [2]))
        guard case .accepted(let jobs)? = again.reply else { Issue.record("refused"); return }
        #expect(jobs[0].alreadyExisted)
        #expect(cluster.state.job(jobs[0].id)?.tags == JobTags(batch: "walls", labels: ["seed": "1"]))
    }

    @Test func tagsThatAddressesAndShellsCannotCarryAreRefusedInWords() {
        for name in ["", ".hidden", "a/b", "a b", "ü", String(repeating: "x", count: 65)] {
            #expect(JobTags.problem(ofBatch: name)?.contains("expected 1...64 letters") == true, "\(name)")
        }
        #expect(JobTags.problem(ofBatch: "walls_2.night-1") == nil)
        #expect(JobTags.problem(ofLabel: "a=b", "c") != nil && JobTags.problem(ofLabel: "a", "") != nil)
        #expect(JobTags.problem(ofLabel: "a", "x\ny") != nil && JobTags.problem(ofLabel: "a", "x = ü") == nil)
        #expect(JobTags.problem(ofLabel: "a", String(repeating: "x", count: 201)) != nil)
        let many = Dictionary(uniqueKeysWithValues: (0..<33).map { ("k\($0)", "v") })
        #expect(JobTags(labels: many).problem?.contains("33 labels") == true)
        #expect(JobTags.label("a=b=c")?.value == "b=c" && JobTags.label("a") == nil)
    }
}
