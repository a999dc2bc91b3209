import ClusterFixtures
import Testing

@testable import ClusterCore

/// Work of any kind. A table says what a kind takes and what completes it, and no other code depends on the kind.
struct JobKindTests {
    private static let weave = JobKind(rawValue: "weave")

    /// A cluster with a second kind of work: it takes a generator and an image and ends with a snapshot.
    private func driver() -> ClusterDriver {
        ClusterDriver {
            $0.contracts[Self.weave] = WorkContract(inputs: ["generator", "image"], products: [.snapshot])
        }
    }

    private func submit(_ cluster: ClusterDriver, _ kind: JobKind, _ inputs: [String]) -> Reply? {
        let inputs = inputs.map { JobInput(name: $0, artifact: .named("the \($0)"), fileName: $0) }
        let submission = Submission(kind: kind, name: "work", inputs: inputs, spec: "factor: 4", priority: 0)
        return cluster.handle(.submit(cluster.token(), [submission], salts: [1])).reply
    }

    private func hello(_ cluster: ClusterDriver, _ session: UInt64, kinds: Set<JobKind>) {
        var worker = WorkerIdentity.named("worker-\(session)")
        worker.kinds = kinds
        cluster.handle(.hello(session: session, worker: worker, running: []))
    }

    @Test func aJobGoesToAWorkerThatDoesItsKind() throws {
        let cluster = driver()
        guard case .accepted(let accepted)? = submit(cluster, Self.weave, ["generator", "image"]) else {
            Issue.record("not accepted")
            return
        }
        cluster.submit("wood")
        // A worker of version 1 trains. It never gets the other job, which waits ahead of it.
        hello(cluster, 1, kinds: [.train])
        #expect(cluster.ask(1).assignment?.kind == .train)
        #expect(cluster.ask(1).assignment == nil)
        let demand = try #require(cluster.state.job(accepted[0].id)).demand
        #expect(cluster.state.obstacle(to: demand)?.contains("'weave'") == true)
        hello(cluster, 2, kinds: [.train, Self.weave])
        #expect(cluster.state.obstacle(to: demand) == nil)
        let assignment = try #require(cluster.ask(2).assignment)
        #expect(assignment.kind == Self.weave && assignment.spec == "factor: 4")
        #expect(assignment.inputs.map(\.name) == ["generator", "image"])
    }

    @Test func theProductsOfItsKindCompleteAJob() throws {
        let cluster = driver()
        _ = submit(cluster, Self.weave, ["generator", "image"])
        hello(cluster, 1, kinds: [Self.weave])
        let attempt = try #require(cluster.take(1))
        let none = Completion(iteration: 1, products: [:], trainingSeconds: 1, reportJSON: "{}")
        let refused = cluster.handle(.finish(session: 1, attempt, requestID: 5, none))
        #expect(refused.acknowledgement == .unknownArtifact)
        guard case .acknowledge(_, _, let reason)? = refused.messages.first else {
            Issue.record("not acknowledged")
            return
        }
        #expect(reason.contains("snapshot"), "\(reason)")
        cluster.store(1, attempt, .snapshot, iteration: 1, content: "picture")
        let products: [ArtifactRole: String] = [.snapshot: Artifact.named("picture").sha256]
        let whole = Completion(iteration: 1, products: products, trainingSeconds: 1, reportJSON: "{}")
        #expect(cluster.handle(.finish(session: 1, attempt, requestID: 6, whole)).acknowledgement == .ok)
        #expect(cluster.state.job(attempt.job)?.state == .finished)
    }

    @Test func everyInputIsGivenOut() throws {
        let cluster = driver()
        _ = submit(cluster, Self.weave, ["generator", "image"])
        hello(cluster, 1, kinds: [Self.weave])
        let attempt = try #require(cluster.take(1))
        for name in ["the generator", "the image"] {
            let request = ArtifactRequest(
                attempt: attempt, transferID: 3, artifact: .named(name), offset: 0, windowChunks: 2)
            let effects = cluster.handle(.artifactRequested(session: 1, request))
            #expect(effects.contains(.sendArtifact(request, .named(name), session: 1)))
        }
    }

    @Test(arguments: [["generator"], ["generator", "image", "image"], ["exemplar"], []])
    func aSubmissionWithoutTheInputsOfItsKindIsRefused(inputs: [String]) {
        guard case .refused(.conflict(let reason))? = submit(driver(), Self.weave, inputs) else {
            Issue.record("accepted")
            return
        }
        #expect(reason.contains("generator, image"), "\(reason)")
    }

    @Test func anUnknownKindIsRefusedByName() {
        guard case .refused(.conflict(let reason))? = submit(driver(), JobKind(rawValue: "paint"), ["x"]) else {
            Issue.record("accepted")
            return
        }
        #expect(reason.contains("'paint'") && reason.contains("expand, export, train, weave"), "\(reason)")
    }

    @Test func aJobOfAnotherKindIsRestoredAsItWas() throws {
        let cluster = driver()
        guard case .accepted(let accepted)? = submit(cluster, Self.weave, ["generator", "image"]) else {
            Issue.record("not accepted")
            return
        }
        let before = try #require(cluster.state.job(accepted[0].id))
        cluster.restart()
        #expect(cluster.state.job(accepted[0].id) == before)
        hello(cluster, 1, kinds: [Self.weave])
        #expect(cluster.take(1)?.job == accepted[0].id)
    }
}
