import ClusterCore

/// What stands beside `ClusterState` in a coordinator and follows its events.
package protocol ClusterObserver: AnyObject {
    func handled(_ event: ClusterEvent, _ effects: [ClusterEffect], _ state: ClusterState, at now: Instant)
    func restarted()
}

/// Plays a cluster on a virtual clock and records its changes as the store would.
package final class ClusterDriver {
    package var configuration = ClusterState.Configuration()
    package var state: ClusterState
    package var now = Instant.origin
    package var disk = RecordedCluster()
    /// Hears of everything that the driver plays.
    package var observer: (any ClusterObserver)?
    private var tokens: UInt64 = 0
    private var requests: UInt64 = 0

    package init(_ configure: (inout ClusterState.Configuration) -> Void = { _ in }) {
        configure(&configuration)
        state = ClusterState(configuration: configuration, at: now)
    }

    @discardableResult
    package func handle(_ event: ClusterEvent) -> [ClusterEffect] {
        let effects = state.handle(event, at: now)
        for case .record(let change) in effects { disk.apply(change) }
        observer?.handled(event, effects, state, at: now)
        return effects
    }

    /// Advances time in the coordinator's usual small steps.
    @discardableResult
    package func pass(_ duration: Duration, beat: (ClusterDriver) -> Void = { _ in }) -> [ClusterEffect] {
        var effects: [ClusterEffect] = []
        let end = now + duration
        while now < end {
            now = min(end, now + .seconds(1))
            beat(self)
            effects += handle(.tick)
        }
        return effects
    }

    /// The process dies, and a new one continues from the records.
    package func restart() {
        state = ClusterState(configuration: configuration, restoring: disk, at: now)
        observer?.restarted()
    }

    // MARK: People

    package func token() -> RequestToken {
        tokens += 1
        return RequestToken(number: tokens)
    }

    @discardableResult
    package func submit(
        _ names: String..., priority: Int = 0, key: String? = nil, recipe: String = "recipe: draft",
        needs: JobNeeds = JobNeeds()
    ) -> [JobID] {
        let submissions = names.map { name in
            Submission(
                name: name, fileName: "\(name).png", exemplar: .named("exemplar of \(name)"), recipeYAML: recipe,
                needs: needs, priority: priority, key: key)
        }
        let effects = handle(.submit(token(), submissions, salts: names.indices.map { UInt32($0) &* 77 &+ 5 }))
        guard case .accepted(let jobs)? = effects.reply else { return [] }
        return jobs.map(\.id)
    }

    // MARK: Workers

    @discardableResult
    package func hello(
        _ session: UInt64, worker: String? = nil, running: [AttemptStatus] = [],
        equipment: WorkerIdentity.Equipment? = nil, credentials: WorkerCredentials = WorkerCredentials()
    ) -> [ClusterEffect] {
        var identity = WorkerIdentity.named(worker ?? "worker-\(session)")
        identity.credentials = credentials
        identity.equipment = equipment
        return handle(.hello(session: session, worker: identity, running: running))
    }

    /// Asks for work with a new request id.
    package func ask(_ session: UInt64) -> [ClusterEffect] {
        requests += 1
        return handle(.workRequest(session: session, requestID: requests))
    }

    /// Asks for work and returns the attempt, if any.
    package func take(_ session: UInt64) -> AttemptReference? { ask(session).assignment?.attempt }

    @discardableResult
    package func beat(_ session: UInt64, _ attempt: AttemptReference?, iteration: Int = 0) -> [ClusterEffect] {
        handle(
            .heartbeat(
                session: session, sequence: 1, running: attempt.map { [.at($0, iteration)] } ?? []))
    }

    @discardableResult
    package func store(
        _ session: UInt64, _ attempt: AttemptReference, _ kind: ArtifactRole, iteration: Int, content: String? = nil
    ) -> [ClusterEffect] {
        let offer = ArtifactOffer(
            attempt: attempt, transferID: UInt64(iteration) + 1, role: kind,
            artifact: .named(content ?? "\(kind) of \(attempt.job) at \(iteration)"), iteration: iteration)
        return handle(.artifactStored(session: session, offer))
    }

    /// Stores the products of the attempt and finishes it.
    @discardableResult
    package func finish(_ session: UInt64, _ attempt: AttemptReference, iteration: Int = 100) -> [ClusterEffect] {
        for kind in [ArtifactRole.checkpoint, .generator, .discriminator] {
            store(session, attempt, kind, iteration: iteration)
        }
        return handle(.finish(session: session, attempt, requestID: 900, .of(attempt, iteration: iteration)))
    }

    @discardableResult
    package func fail(
        _ session: UInt64, _ attempt: AttemptReference, _ reason: String = "NaN in l1", isRetryable: Bool = true
    ) -> [ClusterEffect] {
        handle(
            .fail(
                session: session, attempt, requestID: 901, iteration: 10, reason: reason, isRetryable: isRetryable))
    }
}

extension RecordedCluster {
    /// Applies a change as the store does, as far as `ClusterState` reads it back.
    package mutating func apply(_ change: Change) {
        switch change {
        case .job(var job):
            nextSequence = max(nextSequence, job.id.sequence + 1)
            if let index = jobs.firstIndex(where: { $0.id == job.id }) {
                job.attempt = jobs[index].attempt
                job.checkpoints = jobs[index].checkpoints
                jobs[index] = job
            } else {
                job.attempt = nil
                job.checkpoints = []
                jobs.append(job)
            }
        case .attempt(let id, let attempt):
            guard let index = jobs.firstIndex(where: { $0.id == id }) else { return }
            if attempt.number >= jobs[index].attempt?.number ?? 0 { jobs[index].attempt = attempt }
        case .artifact(let id, .checkpoint, let iteration, let artifact):
            guard let index = jobs.firstIndex(where: { $0.id == id }) else { return }
            jobs[index].checkpoints.removeAll { $0.iteration == iteration }
            jobs[index].checkpoints.append(StoredCheckpoint(iteration: iteration, artifact: artifact))
            jobs[index].checkpoints.sort { $0.iteration < $1.iteration }
        case .artifactDropped(let id, .checkpoint, let iteration):
            guard let index = jobs.firstIndex(where: { $0.id == id }) else { return }
            jobs[index].checkpoints.removeAll { $0.iteration == iteration }
        case .worker(let identity, let session, let isDraining, _):
            workers.removeAll { $0.identity.id == identity.id }
            workers.append(Worker(identity: identity, session: session, isDraining: isDraining))
        case .jobDeleted(let id): jobs.removeAll { $0.id == id }
        case .artifact, .artifactDropped, .report, .metrics, .metricsCopied, .log, .note: break
        }
    }
}

extension Artifact {
    /// An artifact with a digest derived from a text. Equal texts give equal digests.
    package static func named(_ text: String) -> Artifact {
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let half = String(value, radix: 16)
        let digest = String(repeating: "0", count: 16 - half.count) + half
        return Artifact(sha256: String(repeating: digest, count: 4), sizeBytes: 1000)
    }
}

extension WorkerIdentity {
    package static func named(_ id: String) -> WorkerIdentity {
        WorkerIdentity(id: id, name: "host of \(id)", softwareVersion: "1", slots: 1, threadsPerSlot: 2, cpu: "test")
    }
}

extension AttemptStatus {
    package static func at(_ attempt: AttemptReference, _ iteration: Int) -> AttemptStatus {
        AttemptStatus(attempt: attempt, iteration: iteration, totalIterations: 100, secondsPerIteration: 1)
    }
}

extension Completion {
    package static func of(_ attempt: AttemptReference, iteration: Int) -> Completion {
        func digest(_ kind: ArtifactRole) -> String {
            Artifact.named("\(kind) of \(attempt.job) at \(iteration)").sha256
        }
        return Completion(
            iteration: iteration, generatorSHA256: digest(.generator), discriminatorSHA256: digest(.discriminator),
            checkpointSHA256: digest(.checkpoint), trainingSeconds: 12, reportJSON: "{}")
    }
}

extension [ClusterEffect] {
    package var reply: Reply? {
        for case .reply(_, let reply) in self { return reply }
        return nil
    }

    package var messages: [MessageToWorker] {
        compactMap { if case .send(let message, _) = $0 { message } else { nil } }
    }

    /// The attempts that a WELCOME reports lost; nil if there is no WELCOME.
    package var welcomed: [AttemptReference]? {
        for case .welcome(let lost, _) in self { return lost }
        return nil
    }

    package var assignment: Assignment? {
        for case .assign(_, let assignment) in messages { return assignment }
        return nil
    }

    package var acknowledgement: AcknowledgementCode? {
        for case .acknowledge(_, let code, _) in messages { return code }
        return nil
    }

    package var discarded: [String] { compactMap { if case .discard(let sha256) = $0 { sha256 } else { nil } } }
}
