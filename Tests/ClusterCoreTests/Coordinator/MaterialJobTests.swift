import ClusterFixtures
import Testing

@testable import ClusterCore

/// Jobs whose exemplar is a material: several files.
@Suite("Cluster state: materials")
struct MaterialJobTests {
    private let cluster = ClusterDriver()

    private func hello(_ session: UInt64, kinds: Set<JobKind>) {
        var worker = WorkerIdentity.named("worker-\(session)")
        worker.kinds = kinds
        cluster.handle(.hello(session: session, worker: worker, running: []))
    }

    private func submission(
        _ maps: [String] = ["albedo", "roughness"], kind: JobKind = .train, awaiting: Bool = false, key: String? = nil,
        continues: JobID? = nil
    ) -> Submission {
        let files = maps.map {
            JobInput(name: JobInput.mapPrefix + $0, artifact: .named("file of \($0)"), fileName: "\($0).png")
        }
        let exemplar = JobInput(name: JobInput.exemplar, artifact: .named("file of albedo"), fileName: "wall")
        return Submission(
            kind: kind, name: "wall", inputs: [exemplar] + files,
            awaited: awaiting
                ? [Submission.Awaited(name: JobInput.generator, source: .submission(0), role: .generator)] : [],
            spec: "recipe: draft", priority: 0, key: key, continues: continues)
    }

    private func submit(_ submissions: Submission...) -> Reply? {
        let salts = submissions.indices.map { UInt32($0) &* 31 &+ 7 }
        return cluster.handle(.submit(cluster.token(), submissions, salts: salts)).reply
    }

    private func ids(_ reply: Reply?) -> [JobID] {
        guard case .accepted(let jobs)? = reply else {
            Issue.record("not accepted: \(String(describing: reply))")
            return []
        }
        return jobs.map(\.id)
    }

    private func conflict(_ reply: Reply?) -> String {
        if case .refused(.conflict(let reason))? = reply { reason } else { "accepted" }
    }

    @Test func onlyWorkersThatKnowMaterialsGetThemWithAllTheirFiles() throws {
        let jobs = ids(submit(submission(), submission(kind: .expand, awaiting: true)))
        // It does all kinds of work, and on photographs only.
        hello(1, kinds: [.train, .expand, .export])
        #expect(cluster.take(1) == nil)
        let demand = try #require(cluster.state.job(jobs[0])).demand
        let obstacle = try #require(cluster.state.obstacle(to: demand))
        #expect(obstacle.contains("work of the kind 'train' on materials"), "\(obstacle)")
        #expect(cluster.state.slotsWanted(at: cluster.now) == 1, "its slot does not count")
        // A photograph behind them.
        let photograph = cluster.submit("photograph")[0]
        #expect(cluster.state.job(photograph)?.state == .running, "the worker's request was still open")

        hello(2, kinds: [.train, JobKind.train.onMaterials])
        #expect(cluster.state.obstacle(to: demand) == nil)
        let assignment = try #require(cluster.ask(2).assignment)
        #expect(assignment.attempt.job == jobs[0] && assignment.kind == .train)
        #expect(assignment.inputs.map(\.name) == ["exemplar", "map.albedo", "map.roughness"])
        #expect(assignment.inputs.map(\.map) == [nil, "albedo", "roughness"])
        for input in assignment.inputs {
            let request = ArtifactRequest(
                attempt: assignment.attempt, transferID: 3, artifact: input.artifact, offset: 0, windowChunks: 2)
            #expect(
                cluster.handle(.artifactRequested(session: 2, request)).contains(
                    .sendArtifact(request, input.artifact, session: 2)))
        }
        cluster.finish(2, assignment.attempt)
        #expect(cluster.take(1) == nil && cluster.take(2) == nil, "neither does what follows on materials")
        hello(3, kinds: [JobKind.expand.onMaterials])
        let next = try #require(cluster.ask(3).assignment)
        #expect(next.attempt.job == jobs[1])
        #expect(next.inputs.map(\.name) == ["exemplar", "map.albedo", "map.roughness", "generator"])
        cluster.restart()
        #expect(cluster.state.job(jobs[0])?.inputs == assignment.inputs && cluster.state.job(jobs[0])?.hasMaps == true)
    }

    @Test func aKeyBelongsToAllFilesOfAnExemplar() throws {
        let first = ids(submit(submission(key: "k")))
        #expect(ids(submit(submission(key: "k"))) == first)
        for maps in [[], ["albedo"], ["albedo", "ao"], ["roughness", "albedo"], ["albedo", "roughness", "ao"]] {
            #expect(conflict(submit(submission(maps, key: "k"))).contains("another exemplar"), "\(maps)")
        }
        // Within one request, too.
        let two = conflict(submit(submission(key: "new"), submission(["albedo", "ao"], key: "new")))
        #expect(two.contains("in this request"), "\(two)")
    }

    @Test func aContinuationHasAllFilesOfItsSource() throws {
        hello(1, kinds: [.train, JobKind.train.onMaterials])
        let source = ids(submit(submission()))[0]
        cluster.finish(1, try #require(cluster.take(1)))
        #expect(conflict(submit(submission(["albedo", "ao"], continues: source))).contains("another exemplar"))
        #expect(conflict(submit(submission([], continues: source))).contains("another exemplar"))
        #expect(ids(submit(submission(continues: source))).count == 1)
    }

    @Test func mapsThatAKindDoesNotTakeAreRefused() {
        #expect(
            conflict(submit(submission(kind: .export))).contains("kind 'export' takes no maps"))
        #expect(conflict(submit(submission(["ao", "ao"]))).contains("expected each of them once"))
    }

    /// The file that is damaged is named.
    @Test func aDamagedMapHoldsTheJob() throws {
        hello(1, kinds: [.train, JobKind.train.onMaterials])
        let job = ids(submit(submission()))[0]
        let attempt = try #require(cluster.take(1))
        let request = ArtifactRequest(
            attempt: attempt, transferID: 3, artifact: .named("file of roughness"), offset: 0, windowChunks: 2)
        cluster.handle(.artifactDamaged(session: 1, request, reason: "is gone"))
        #expect(cluster.state.job(job)?.state == .held)
        #expect(cluster.state.job(job)?.reason?.contains("the stored map roughness is gone") == true)
    }
}
