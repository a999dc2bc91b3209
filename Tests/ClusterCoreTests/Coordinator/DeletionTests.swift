import ClusterFixtures
import Testing

@testable import ClusterCore

@Suite("Cluster state: deletion")
struct DeletionTests {
    private let any = Set(JobState.allCases)

    private func delete(_ cluster: ClusterDriver, _ jobs: [JobID], cancelsFirst: Bool = false) -> (
        changed: [JobID], effects: [ClusterEffect]
    ) {
        let effects = cluster.handle(.change(cluster.token(), jobs, in: any, .delete(cancelsFirst: cancelsFirst)))
        guard case .changed(let ids)? = effects.reply else { return ([], effects) }
        return (ids, effects)
    }

    @Test func aJobThatEndedIsForgottenAndOthersStay() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("finished", "running", "waiting")
        cluster.hello(1)
        cluster.finish(1, try #require(cluster.take(1)))
        let running = try #require(cluster.take(1))
        #expect(delete(cluster, jobs).changed == [jobs[0]])
        #expect(cluster.state.job(jobs[0]) == nil && cluster.state.counts[.finished] == 0)
        #expect(cluster.state.jobs.count == 2 && cluster.disk.jobs.map(\.id) == [jobs[1], jobs[2]])
        #expect(cluster.state.leases[jobs[1]]?.attempt == running)
        cluster.restart()
        #expect(cluster.state.job(jobs[0]) == nil && cluster.state.jobs.count == 2)
        // A new job takes a new number, although the newest ones may be gone.
        #expect(delete(cluster, jobs, cancelsFirst: true).changed.count == 2)
        #expect(cluster.submit("later")[0].sequence == 4)
    }

    @Test func aRunningJobIsCancelledFirstAndItsWorkerLearnsThatTheLeaseIsLost() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("a", "b")
        cluster.hello(1)
        let attempt = try #require(cluster.take(1))
        let (changed, effects) = delete(cluster, jobs, cancelsFirst: true)
        #expect(changed == jobs && effects.messages == [.cancel(attempt, reason: "to be deleted")])
        #expect(cluster.state.leases.isEmpty && cluster.state.jobs.count == 0 && cluster.disk.jobs.isEmpty)
        // The deletion is the last record of the job: rows of a job that is gone could not be written.
        let records = effects.compactMap {
            if case .record(let change) = $0, change.job == jobs[0] { change } else { nil }
        }
        #expect(records.last == .jobDeleted(jobs[0]) && records.count > 1)
        let checkpoint = cluster.store(1, attempt, .checkpoint, iteration: 9)
        #expect(checkpoint.acknowledgement == .leaseLost && checkpoint.discarded.count == 1)
        let finish = cluster.handle(.finish(session: 1, attempt, requestID: 5, .of(attempt, iteration: 9)))
        #expect(finish.acknowledgement == .leaseLost)
        for effect in checkpoint + finish { if case .record = effect { Issue.record("\(effect)") } }
        // The waiting one leaves the queue, and the worker is free.
        #expect(cluster.take(1) == nil)
        let next = cluster.submit("c")
        #expect(cluster.state.leases[next[0]] != nil)
    }

    @Test func aDeletedJobsKeyIsFreeAndItsResultNameIsNotReusedBeforeARestart() {
        let cluster = ClusterDriver()
        let first = cluster.submit("wood", key: "k")
        #expect(delete(cluster, first, cancelsFirst: true).changed == first)
        let second = cluster.submit("wood", key: "k", recipe: "another")
        #expect(second.count == 1 && second != first)
        #expect(cluster.disk.jobs.map(\.resultName) == ["wood-2"])
    }

    @Test func spareFilesAreDroppedOnlyOfJobsThatEnded() throws {
        let cluster = ClusterDriver()
        let jobs = cluster.submit("finished", "cancelled", "running")
        cluster.hello(1)
        let first = try #require(cluster.take(1))
        cluster.store(1, first, .snapshot, iteration: 50)
        cluster.finish(1, first)
        let second = try #require(cluster.take(1))
        cluster.store(1, second, .checkpoint, iteration: 40)
        cluster.handle(.cancel(cluster.token(), jobs[1], reason: "x"))
        let third = try #require(cluster.take(1))
        cluster.store(1, third, .checkpoint, iteration: 30)
        func spare(_ job: JobID, _ role: ArtifactRole, _ iteration: Int) -> [ClusterEffect] {
            let sha256 = Artifact.named("\(role) of \(job) at \(iteration)").sha256
            return cluster.handle(.spare([SpareArtifact(job: job, role: role, iteration: iteration, sha256: sha256)]))
        }
        #expect(spare(jobs[0], .checkpoint, 100).discarded.count == 1)
        #expect(cluster.state.job(jobs[0])?.checkpoints.isEmpty == true && cluster.state.job(jobs[0])?.iteration == 100)
        #expect(spare(jobs[0], .snapshot, 50).contains(.record(.artifactDropped(jobs[0], .snapshot, iteration: 50))))
        #expect(spare(jobs[0], .generator, 100).isEmpty, "a product is not spare")
        #expect(spare(jobs[1], .checkpoint, 39).isEmpty && spare(jobs[1], .checkpoint, 40).discarded.count == 1)
        #expect(cluster.state.job(jobs[1])?.iteration == 0, "a retry begins from the start")
        #expect(spare(jobs[2], .checkpoint, 30).isEmpty && cluster.state.job(jobs[2])?.checkpoints.count == 1)
        cluster.restart()
        #expect(jobs.map { cluster.state.job($0)?.checkpoints.count } == [0, 0, 1])
    }

    /// A retry of either begins from its checkpoint.
    @Test func aHeldJobAndOneThatWasPutBackAfterTheChoiceKeepTheirCheckpoints() throws {
        let cluster = ClusterDriver { $0.retries = 0 }
        let jobs = cluster.submit("held", "cancelled")
        cluster.hello(1)
        for id in jobs { cluster.store(1, try #require(cluster.take(1)), .checkpoint, iteration: 40, content: "\(id)") }
        cluster.fail(1, AttemptReference(job: jobs[0], number: 1))
        cluster.handle(.cancel(cluster.token(), jobs[1], reason: "x"))
        let spare = jobs.map {
            SpareArtifact(job: $0, role: .checkpoint, iteration: 40, sha256: Artifact.named("\($0)").sha256)
        }
        cluster.handle(.retry(cluster.token(), jobs[1]))
        #expect(jobs.map { cluster.state.job($0)?.state } == [.held, .queued])
        #expect(cluster.handle(.spare(spare)).isEmpty)
        #expect(jobs.map { cluster.state.job($0)?.checkpoints.map(\.iteration) } == [[40], [40]])
        // The cancelled one would have lost it.
        cluster.handle(.cancel(cluster.token(), jobs[1], reason: "x"))
        #expect(cluster.handle(.spare(spare)).discarded == [spare[1].sha256])
    }
}
