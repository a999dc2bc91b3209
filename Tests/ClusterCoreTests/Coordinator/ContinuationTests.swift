import ClusterFixtures
import Testing

@testable import ClusterCore

@Suite("Cluster state: continuations")
struct ContinuationTests {
    private func submit(
        _ cluster: ClusterDriver, continuing id: JobID, exemplar: String = "exemplar of a",
        needs: JobNeeds = JobNeeds(), key: String? = nil
    ) -> Reply? {
        var submission = Submission(
            name: "longer", fileName: "a.png", exemplar: .named(exemplar), recipeYAML: "recipe: draft\niterations: 200",
            needs: needs, priority: 0, key: key)
        submission.continues = id
        return cluster.handle(.submit(cluster.token(), [submission], salts: [9])).reply
    }

    @Test func theNewJobBeginsAtTheFinishedOnesLastCheckpointWhateverHappensToThatJob() throws {
        let cluster = ClusterDriver()
        let first = cluster.submit("a")[0]
        cluster.hello(1)
        cluster.finish(1, try #require(cluster.take(1)))
        guard case .accepted(let accepted)? = submit(cluster, continuing: first, key: "k") else {
            Issue.record("refused")
            return
        }
        let id = accepted[0].id
        let checkpoint = Artifact.named("checkpoint of \(first) at 100")
        cluster.handle(.change(cluster.token(), [first], in: [.finished], .delete(cancelsFirst: false)))
        cluster.restart()
        #expect(cluster.state.job(id)?.checkpoints == [StoredCheckpoint(iteration: 100, artifact: checkpoint)])
        cluster.hello(2)
        let assignment = try #require(cluster.ask(2).assignment)
        #expect(assignment.attempt.job == id && assignment.checkpoint?.artifact == checkpoint)
        // The same submission is the same job, although what it continues is gone.
        guard case .accepted(let again)? = submit(cluster, continuing: first, key: "k") else {
            Issue.record("refused")
            return
        }
        #expect(again[0].id == id && again[0].alreadyExisted)
    }

    @Test func theNewJobNeedsAtLeastWhatTheFinishedOneNeeded() throws {
        let cluster = ClusterDriver()
        let first = cluster.submit("a", needs: JobNeeds(weights: ["vgg19"], memoryBytes: 6 << 30))[0]
        cluster.hello(1)
        cluster.finish(1, try #require(cluster.take(1)))
        for memoryBytes in [0, 5 << 30, 7 << 30] {
            let reply = submit(cluster, continuing: first, needs: JobNeeds(memoryBytes: memoryBytes))
            guard case .accepted(let accepted)? = reply else {
                Issue.record("refused")
                return
            }
            #expect(
                cluster.state.job(accepted[0].id)?.needs
                    == JobNeeds(weights: ["vgg19"], memoryBytes: max(memoryBytes, 6 << 30)))
        }
        cluster.hello(2, equipment: .init(weights: ["vgg19"], memoryBytes: 5 << 30))
        #expect(cluster.take(2) == nil)
    }

    @Test func whatCannotBeContinuedIsRefusedInWords() throws {
        let cluster = ClusterDriver()
        let job = cluster.submit("a")[0]
        func refusal(_ exemplar: String = "exemplar of a") -> String {
            guard case .refused(.conflict(let reason))? = submit(cluster, continuing: job, exemplar: exemplar) else {
                return ""
            }
            return reason
        }
        #expect(refusal().contains("is queued; only a finished job"))
        cluster.hello(1)
        cluster.finish(1, try #require(cluster.take(1)))
        #expect(refusal("another").contains("another exemplar"))
        let checkpoint = cluster.state.job(job)!.checkpoints[0]
        cluster.handle(
            .spare([SpareArtifact(job: job, role: .checkpoint, iteration: 100, sha256: checkpoint.artifact.sha256)]))
        #expect(refusal().contains("no longer stored"))
        cluster.handle(.change(cluster.token(), [job], in: [.finished], .delete(cancelsFirst: false)))
        #expect(refusal().contains("there is no job"))
        #expect(cluster.state.jobs.count == 0)
    }
}
