import Protocol
import Testing

@testable import Coordinator

/// SplitMix64: a seed replays a run exactly.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func happens(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }
}

/// Some workers, a lossy, duplicating and reordering network, and processes that die, all on a virtual clock.
struct ClusterSimulation {
    enum Parcel {
        case toCoordinator(ClusterEvent)
        case toWorker(WorkerMessage, session: UInt64)
    }

    let seed: UInt64
    var random: SeededGenerator
    let cluster: ClusterDriver
    var workers: [SimulatedWorker]
    var network: [(due: Instant, parcel: Parcel)] = []
    var accepted: Set<JobID> = []
    var finishes: [JobID: Int] = [:]
    /// The settled state of each job, until a person retries it.
    var settled: [JobID: JobState] = [:]
    var violations: [String] = []
    /// Whether processes die and parcels are lost.
    var isStormy = true

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(state: seed)
        cluster = ClusterDriver { $0.retries = 2 }
        workers = (1...4).map { SimulatedWorker(id: "worker-\($0)", session: UInt64($0) << 32) }
    }

    mutating func run() {
        for second in 0..<300 {
            if second % 30 == 0, second < 240 { submit(count: 2) }
            step()
        }
        isStormy = false
        var seconds = 0
        while settled.count < accepted.count, seconds < 4000 {
            step()
            seconds += 1
        }
        let unsettled = accepted.subtracting(settled.keys)
        check(unsettled.isEmpty, "jobs never end: \(unsettled)")
    }

    private mutating func submit(count: Int) {
        for _ in 0..<count {
            let key = "key-\(accepted.count)"
            // The answer may be lost with a crash; the client then asks again under the same key.
            while true {
                let submission = Submission(
                    name: "same name", fileName: "a.png", exemplar: .named(key), recipeYAML: "r", priority: 0, key: key)
                let salt = UInt32.random(in: 0..<1 << 20, using: &random)
                let effects = deliver(.submit(cluster.token(), [submission], salts: [salt]))
                if case .accepted(let jobs)? = effects.reply {
                    accepted.formUnion(jobs.map(\.id))
                    break
                }
            }
        }
    }

    private mutating func step() {
        cluster.now = cluster.now + .seconds(1)
        if isStormy { misfortune() }
        for index in workers.indices {
            for event in workers[index].work(at: cluster.now, &random) { post(.toCoordinator(event)) }
        }
        var due: [Parcel] = []
        network.removeAll { entry in
            guard entry.due <= cluster.now else { return false }
            due.append(entry.parcel)
            return true
        }
        due.shuffle(using: &random)
        for parcel in due {
            switch parcel {
            case .toCoordinator(let event): deliver(event)
            case .toWorker(let message, let session):
                for index in workers.indices where workers[index].session == session { workers[index].receive(message) }
            }
        }
        deliver(.tick)
    }

    private mutating func misfortune() {
        for index in workers.indices where random.happens(0.01) {
            workers[index].restart(session: UInt64.random(in: 1...UInt64.max, using: &random))
        }
        if random.happens(0.01) { cluster.restart() }
        guard let job = accepted.sorted().randomElement(using: &random) else { return }
        if random.happens(0.005) { deliver(.cancel(cluster.token(), job, reason: "simulated")) }
        if random.happens(0.02), let state = cluster.state.job(job)?.state, state.canBeRetried {
            settled[job] = nil
            deliver(.retry(cluster.token(), job))
        }
    }

    private mutating func post(_ parcel: Parcel) {
        let copies = isStormy ? (random.happens(0.1) ? 0 : random.happens(0.1) ? 2 : 1) : 1
        for _ in 0..<copies {
            let delay = isStormy ? Int.random(in: 0...8, using: &random) : 1
            network.append((cluster.now + .seconds(delay), parcel))
        }
    }

    /// Hands an event to the coordinator, which may die before or after it has committed what it decides.
    @discardableResult
    private mutating func deliver(_ event: ClusterEvent) -> [ClusterEffect] {
        let before = cluster.disk
        let fenced = fencedOff(event)
        let effects = cluster.handle(event)
        if let fenced {
            let isAccepted = effects.contains {
                if case .record(.attempt) = $0 { true } else if case .record(.artifact) = $0 { true } else { false }
            }
            check(!isAccepted, "a message of old attempt \(fenced.job) \(fenced.number) changed something")
        }
        if isStormy, random.happens(0.003) {
            cluster.disk = before
            cluster.restart()
            verify()
            return []
        }
        count(effects)
        if isStormy, random.happens(0.003) {
            cluster.restart()
            verify()
            return []
        }
        for case .send(let message, let session) in effects { post(.toWorker(message, session: session)) }
        verify()
        return effects
    }

    /// The attempt of a message that must change nothing: an older one, or one that another process holds.
    private func fencedOff(_ event: ClusterEvent) -> AttemptReference? {
        let sender: (session: UInt64, attempt: AttemptReference)
        switch event {
        case .artifactStored(let session, let offer): sender = (session, offer.attempt)
        case .finish(let session, let attempt, _, _): sender = (session, attempt)
        case .fail(let session, let attempt, _, _, _, _): sender = (session, attempt)
        default: return nil
        }
        let newest = cluster.disk.jobs.first { $0.id == sender.attempt.job }?.attempt
        let isHolder = newest?.number == sender.attempt.number && newest?.session == sender.session
        return isHolder ? nil : sender.attempt
    }

    private mutating func count(_ effects: [ClusterEffect]) {
        for case .record(.job(let job)) in effects where job.state == .finished { finishes[job.id, default: 0] += 1 }
    }

    private mutating func check(_ isTrue: Bool, _ message: @autoclosure () -> String) {
        if !isTrue, violations.count < 5 { violations.append("seed \(seed), \(cluster.now): \(message())") }
    }

    /// The invariants, after every event.
    private mutating func verify() {
        let jobs = Dictionary(uniqueKeysWithValues: cluster.disk.jobs.map { ($0.id, $0) })
        let waiting = Set(cluster.state.queue.elements.map { "\($0.sequence) \($0.order)" })
        for id in accepted {
            guard let job = jobs[id] else {
                check(false, "accepted job \(id) is lost")
                continue
            }
            let state = cluster.state
            check(state.job(id) == job, "job \(id) in memory is not what is recorded")
            if let final = settled[id] {
                check(
                    job.state == final || (job.state == .cancelled && final == .held),
                    "settled \(id) was \(final), is \(job.state)")
            }
            if job.state.isSettled { settled[id] = job.state }
            let times = finishes[id, default: 0]
            check(times <= 1, "\(id) was accepted as finished \(times) times")
            let lease = state.leases[id]
            check((job.state == .running) == (lease != nil), "\(id) is \(job.state), lease: \(lease != nil)")
            check((job.state == .running) == (job.attempt != nil && job.attempt?.outcome == nil), "\(id): attempt open")
            if let lease {
                check(lease.attempt.number == job.attempt?.number, "\(id): lease of an old attempt")
                let holders = state.sessions.values.filter { $0.attempts.contains(lease.attempt) }.map(\.session)
                check(holders == [lease.session], "\(id) is held by \(holders)")
            }
            if job.state == .queued {
                check(waiting.contains("\(id.sequence) \(job.queueOrder)"), "\(id) waits but is in no queue")
            }
            check(
                job.checkpoints.count <= ClusterState.checkpointsKept,
                "\(id) keeps \(job.checkpoints.count) checkpoints")
        }
        let counted = cluster.state.counts.filter { $0.value != 0 }
        let actual = Dictionary(grouping: cluster.disk.jobs, by: \.state).mapValues(\.count)
        check(counted == actual, "counts are \(counted), jobs are \(actual)")
    }
}

/// A worker process with two slots that trains, checkpoints, fails now and then, and repeats what is not answered.
struct SimulatedWorker {
    struct Training {
        var iteration: Int
        var isFailing = false
    }

    let id: String
    var session: UInt64
    private var isKnown = false
    private var request: UInt64?
    private var nextRequest: UInt64 = 1
    private var trainings: [AttemptReference: Training] = [:]

    init(id: String, session: UInt64) {
        self.id = id
        self.session = session
    }

    mutating func restart(session: UInt64) { self = SimulatedWorker(id: id, session: session) }

    mutating func work(at now: Instant, _ random: inout SeededGenerator) -> [ClusterEvent] {
        let second = now.nanoseconds / 1_000_000_000
        let running = trainings.sorted { $0.key < $1.key }
        let status = running.map { AttemptStatus.at($0.key, $0.value.iteration) }
        guard isKnown else {
            return second % 3 == 0 ? [.hello(session: session, worker: .named(id), running: status)] : []
        }
        var events: [ClusterEvent] = []
        if second % 5 == 0 { events.append(.heartbeat(session: session, sequence: UInt64(second), running: status)) }
        if trainings.count < 2, second % 2 == 0 {
            if request == nil {
                request = nextRequest
                nextRequest += 1
            }
            events.append(.workRequest(session: session, requestID: request!))
        }
        for (attempt, _) in running { events += train(attempt, &random) }
        return events
    }

    private mutating func train(_ attempt: AttemptReference, _ random: inout SeededGenerator) -> [ClusterEvent] {
        var training = trainings[attempt]!
        defer { trainings[attempt] = training }
        if training.isFailing || random.happens(0.004) {
            training.isFailing = true
            return [
                .fail(
                    session: session, attempt, requestID: requestID(attempt), iteration: training.iteration,
                    reason: "NaN", isRetryable: true)
            ]
        }
        training.iteration = min(100, training.iteration + 4)
        guard training.iteration % 20 == 0 else { return [] }
        let iteration = training.iteration
        func stored(_ kind: ArtifactKind) -> ClusterEvent {
            let artifact = StoredArtifact.named("\(kind) of \(attempt.job) at \(iteration)")
            let offer = ArtifactOffer(
                attempt: attempt, transferID: requestID(attempt), kind: kind, artifact: artifact, iteration: iteration)
            return .artifactStored(session: session, offer)
        }
        guard iteration == 100 else { return [stored(.checkpoint)] }
        let finish = ClusterEvent.finish(
            session: session, attempt, requestID: requestID(attempt), .of(attempt, iteration: 100))
        return [stored(.checkpoint), stored(.generator), stored(.discriminator), finish]
    }

    private func requestID(_ attempt: AttemptReference) -> UInt64 {
        UInt64(attempt.job.sequence) << 20 | UInt64(attempt.number)
    }

    mutating func receive(_ message: WorkerMessage) {
        switch message {
        case .welcome(let lost):
            isKnown = true
            for attempt in lost { trainings[attempt] = nil }
        case .helloAgain: isKnown = false
        case .assign(let id, let assignment):
            guard id == request else { return }
            request = nil
            trainings[assignment.attempt] = Training(iteration: assignment.checkpoint?.iteration ?? 0)
        case .noWork(let id, _): if id == request { request = nil }
        case .heartbeatReply(_, let cancelled, let lost, _):
            for attempt in cancelled + lost { trainings[attempt] = nil }
        case .acknowledge(let id, let code, _):
            // A FINISH may overtake its artifacts; it is repeated.
            guard code != .unknownArtifact, let attempt = trainings.keys.first(where: { requestID($0) == id }) else {
                return
            }
            trainings[attempt] = nil
        case .cancel(let attempt, _): trainings[attempt] = nil
        case .artifactReceipt, .drain: break
        }
    }
}

@Suite("Cluster state: simulation")
struct ClusterSimulationTests {
    @Test("no accepted job is lost and none is accepted twice, whatever dies", arguments: 1...40 as ClosedRange<UInt64>)
    func storm(seed: UInt64) {
        var simulation = ClusterSimulation(seed: seed)
        simulation.run()
        #expect(simulation.violations.isEmpty)
        #expect(simulation.finishes.count > 3, "the storm leaves something to accept")
    }
}
