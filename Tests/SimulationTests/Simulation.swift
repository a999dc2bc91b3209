import ClusterFixtures
import Protocol

@testable import ClusterCore

/// A coordinator, some workers and some clients on a virtual clock: real decisions in an invented world. The network
/// loses, duplicates, reorders, delays and cuts. Processes crash and stop. The disk fills up, and forgets what was not
/// synced. After a while the faults end, and then every job must reach its end.
///
/// The seed determines everything.
final class Simulation {
    /// In milliseconds. Events of one step happen in random order.
    static let step = 100

    private enum Happening {
        case startCoordinator
        case coordinatorTick(life: Int)
        case toCoordinator(WireMessage, from: Route, life: Int)
        case toWorker(WireMessage, Route)
        case startWorker(Int)
        case workerTick(Int, life: Int)
        case timer(Int, life: Int, SimulatedWorker.Timer)
        case client(Int)
        case misfortune
    }

    /// The faults of a seed's world until they end.
    private struct Weather {
        var faultsEnd: Int
        var loss: Double
        var duplication: Double
        var maxDelay: Int
        /// Multiplies the rate of process deaths and broken connections.
        var violence: Double
    }

    private struct Client {
        var key: String
        /// A training, and perhaps work with its generator.
        var submissions: [Submission]
        var jobs: [JobID] = []
    }

    private let weather: Weather
    private let sabotage: Sabotage
    /// Whether messages are serialised: slower, but it finds messages that one side can send and the other cannot read.
    private let isSerialised: Bool
    /// Whether the first worker dies at every start of a training while the faults last.
    private let hasBrokenWorker: Bool
    private(set) var random: SeededRandom
    let witness = Witness()
    private(set) var trace: [String]?
    private var now = 0
    private var agenda: [[Happening]] = []
    private var store: SimulatedStore
    private var coordinator: SimulatedCoordinator?
    private var coordinatorLife = 0
    private var coordinatorStopped = 0
    private var diskFullUntil = 0
    private var workers: [SimulatedWorker]
    private var workersStopped: [Int]
    /// The life number of each worker's last start. If the worker's own number differs, its process was killed.
    private var lives: [Int]
    /// The times until which no message reaches a worker, or leaves it.
    private var cutTo: [Int]
    private var cutFrom: [Int]
    private var clients: [Client] = []
    private var askers: [RequestToken: Int] = [:]
    private var nextToken: UInt64 = 0
    private(set) var messages = 0
    private(set) var crashes = 0
    /// Attempts that workers' new processes resumed.
    var recoveries: Int { workers.reduce(0) { $0 + $1.recoveries } }

    init(seed: UInt64, sabotage: Sabotage = .none, traces: Bool = false) {
        var random = SeededRandom(seed: seed)
        weather = Weather(
            faultsEnd: 1000 * random.number(40...100), loss: [0, 0.03, 0.15][random.number(0...2)],
            duplication: [0, 0.1][random.number(0...1)], maxDelay: [200, 2000, 8000][random.number(0...2)],
            violence: [0.5, 1, 2][random.number(0...2)])
        self.sabotage = sabotage
        store = SimulatedStore(logsForgetSessions: sabotage == .logsForgetSessions)
        isSerialised = seed % 50 == 0
        hasBrokenWorker = seed % 10 == 3
        trace = traces ? [] : nil
        workers = (1...random.number(2...3)).map {
            // Sometimes the first worker is of an older version, which only trains, or does not know materials.
            let kinds: Set<JobKind> =
                $0 == 1 && random.happens(0.3)
                ? (seed % 2 == 0 ? [.train] : [.train, .expand])
                : [.train, .expand, JobKind.train.onMaterials, JobKind.expand.onMaterials]
            return SimulatedWorker(id: "worker-\($0)", slots: random.number(1...2), kinds: kinds)
        }
        workersStopped = workers.map { _ in 0 }
        lives = workersStopped
        cutTo = workersStopped
        cutFrom = workersStopped
        for number in 1...random.number(2...4) {
            // Some jobs share exemplar and recipe, and so every artifact.
            let exemplar = Content(value: SeededRandom.mix(UInt64(random.number(1...3))))
            let recipe = "\(random.number(1...2) * 6) every 3\(random.happens(0.1) ? " poison" : "")"
            let input = JobInput(
                name: JobInput.exemplar, artifact: Artifact(sha256: exemplar.sha256, sizeBytes: Content.sizeBytes),
                fileName: "job.png")
            // Every third exemplar is a material. The albedo is one of its maps; two materials may have the same albedo.
            let isMaterial = (seed &+ UInt64(number)) % 3 == 0
            let maps = (isMaterial ? ["albedo", "roughness", "normal-gl"] : []).enumerated().map { index, map in
                let other = Content(value: SeededRandom.mix(exemplar.value &+ UInt64(number % 2 + index)))
                return JobInput(
                    name: JobInput.mapPrefix + map,
                    artifact: Artifact(
                        sha256: (index == 0 ? exemplar : other).sha256, sizeBytes: Content.sizeBytes),
                    fileName: "\(map).png")
            }
            let submission = Submission(
                name: "job", inputs: [input] + maps, spec: recipe, priority: random.number(0...1), key: "key-\(number)")
            var client = Client(key: "key-\(number)", submissions: [submission])
            if random.happens(0.6) {
                client.submissions += (1...random.number(1...2)).map { follower in
                    Submission(
                        kind: .expand, name: "then", inputs: [input] + maps,
                        awaited: [
                            Submission.Awaited(name: JobInput.generator, source: .submission(0), role: .generator)
                        ], spec: "times=\(follower)", priority: submission.priority, key: "key-\(number)-\(follower)")
                }
            }
            clients.append(client)
        }
        self.random = random
    }

    /// Plays until everything has ended.
    func run() {
        plan(.startCoordinator, after: 0)
        for index in workers.indices { plan(.startWorker(index), after: random.number(0...3000)) }
        for index in clients.indices { plan(.client(index), after: random.number(0...weather.faultsEnd / 2)) }
        plan(.misfortune, after: 1000)
        let patience = 40 * 60_000
        while now < weather.faultsEnd + patience {
            var happenings = now / Self.step < agenda.count ? agenda[now / Self.step] : []
            if !happenings.isEmpty {
                agenda[now / Self.step] = []
                witness.now = now
                if isStormy { happenings.shuffle(using: &random) }
                for happening in happenings { take(happening) }
                runCoordinator()
            }
            if now % 1000 == 0, !isStormy, hasEnded { break }
            guard witness.violations.isEmpty else { return }
            now += Self.step
        }
        witness.verifyEnd(store, submitted: clients.map(\.submissions.count).reduce(0, +))
    }

    private var isStormy: Bool { now < weather.faultsEnd }
    private var hasEnded: Bool {
        clients.allSatisfy { !$0.jobs.isEmpty } && store.rows.jobs.values.allSatisfy(\.state.isSettled)
    }

    private func plan(_ happening: Happening, after delay: Int) {
        // Never in the current step.
        let index = (now + max(delay, now == 0 ? 0 : Self.step)) / Self.step
        while agenda.count <= index { agenda.append([]) }
        agenda[index].append(happening)
    }

    private func say(_ text: @autoclosure () -> String) {
        if trace != nil { trace!.append("\(Double(now) / 1000) s  \(text())") }
    }

    // MARK: What happens

    private func take(_ happening: Happening) {
        switch happening {
        case .startCoordinator: startCoordinator()
        case .coordinatorTick(let life):
            guard life == coordinatorLife, isAwake(happening, until: coordinatorStopped) else { return }
            coordinator?.post(.tick)
            plan(.coordinatorTick(life: life), after: random.number(400...1000))
        case .toCoordinator(let message, let route, let life):
            guard life == coordinatorLife, isAwake(happening, until: coordinatorStopped) else { return }
            say("\(workers[route.worker].id) > \(message.summary)")
            coordinator?.receive(message, from: route, &store, isFull: now < diskFullUntil)
        case .toWorker(let message, let route):
            guard workers[route.worker].connection == route.connection, !workers[route.worker].hasExited,
                isAwake(happening, until: workersStopped[route.worker])
            else { return }
            say("\(workers[route.worker].id) < \(message.summary)")
            workers[route.worker].receive(message, at: now)
            attend(route.worker)
        case .startWorker(let index):
            workers[index].diesAtTraining = hasBrokenWorker && index == 0 && isStormy
            workers[index].begin(session: random.next() | 1, at: now)
            lives[index] = workers[index].life
            say("\(workers[index].id) starts")
            attend(index)
            plan(.workerTick(index, life: workers[index].life), after: Self.step)
        case .workerTick(let index, let life):
            guard workers[index].life == life, !workers[index].hasExited,
                isAwake(happening, until: workersStopped[index])
            else { return }
            workers[index].tick(at: now)
            plan(.workerTick(index, life: life), after: random.number(500...1000))
            attend(index)
        case .timer(let index, let life, let timer):
            guard workers[index].life == life, !workers[index].hasExited,
                isAwake(happening, until: workersStopped[index])
            else { return }
            workers[index].fire(timer, at: now, &random, faultRate: isStormy ? 0.01 : 0)
            attend(index)
        case .client(let index): submit(index)
        case .misfortune:
            if isStormy {
                misfortune()
                plan(.misfortune, after: 1000)
            }
        }
    }

    /// Postpones an event of a stopped process.
    private func isAwake(_ happening: Happening, until stopped: Int) -> Bool {
        guard stopped > now else { return true }
        plan(happening, after: stopped - now)
        return false
    }

    private func startCoordinator() {
        guard coordinator == nil else { return }
        coordinatorLife += 1
        coordinator = SimulatedCoordinator(restoring: store, at: now, sabotage: sabotage)
        say("the coordinator starts")
        plan(.coordinatorTick(life: coordinatorLife), after: Self.step)
    }

    private func killCoordinator() {
        guard coordinator != nil else { return }
        say("the coordinator dies")
        crashes += 1
        coordinator = nil
        // Connections end with their process.
        coordinatorLife += 1
        coordinatorStopped = 0
        store.crash()
        witness.crashed(store)
        plan(.startCoordinator, after: random.happens(0.8) ? random.number(100...5000) : random.number(5000...60_000))
    }

    /// Lets the coordinator handle everything that arrived in this step.
    private func runCoordinator() {
        guard coordinator != nil else { return }
        var death: SimulatedCoordinator.Death?
        if isStormy, random.happens(0.004 * weather.violence) {
            death = [.beforeFileSync, .beforeWrite, .beforeSync, .beforeEffects, .amidEffects][random.number(0...4)]
        }
        let survived = coordinator!.process(
            &store, at: now, isFull: now < diskFullUntil, death: death, witness)
        for (message, route) in coordinator!.takeOutbox() {
            send(.toWorker(message, route), message, isCut: cutTo[route.worker] > now)
        }
        for (token, reply) in witness.takeReplies() { answer(token, reply) }
        if !survived { killCoordinator() }
    }

    /// Collects a worker's output.
    private func attend(_ index: Int) {
        let route = Route(worker: index, connection: workers[index].connection)
        for message in workers[index].takeOutbox() {
            send(.toCoordinator(message, from: route, life: coordinatorLife), message, isCut: cutFrom[index] > now)
        }
        for (delay, timer) in workers[index].takeTimers() {
            plan(.timer(index, life: workers[index].life, timer), after: delay)
        }
        for job in workers[index].faults {
            say("\(workers[index].id): an attempt at \(job) fails or hangs")
            witness.faults[job, default: 0] += 1
        }
        workers[index].faults = []
        witness.damaged.formUnion(workers[index].torn)
        workers[index].torn = []
        if let complaint = workers[index].complaint { witness.violated(complaint) }
        if let refusal = workers[index].refusal { witness.violated("\(workers[index].id) is refused: \(refusal)") }
        if workers[index].hasExited {
            say("\(workers[index].id) exits or dies")
            if workers[index].life != lives[index] { crashes += 1 }
            // Sometimes its host is away for longer than a lease.
            let longest = random.happens(0.1) ? 60_000 : 20_000
            plan(.startWorker(index), after: random.number(100...longest))
        }
    }

    // MARK: Network

    private func send(_ parcel: Happening, _ message: WireMessage, isCut: Bool) {
        messages += 1
        if isSerialised {
            do {
                let arrived = try WireMessage(frames: message.frames())
                if arrived != message { witness.violated("\(message.summary) changes on its way through its bytes") }
            } catch {
                witness.violated("\(message.summary) is malformed: \(error)")
            }
        }
        guard isStormy else { return plan(parcel, after: Self.step) }
        guard !isCut, !random.happens(weather.loss) else { return }
        for _ in 0..<(random.happens(weather.duplication) ? 2 : 1) {
            plan(random.happens(0.02) ? damaged(parcel) : parcel, after: random.number(0...weather.maxDelay))
        }
    }

    /// Flips a bit of a chunk. TCP alone protects other messages, so they stay as they are.
    private func damaged(_ parcel: Happening) -> Happening {
        func flip(_ message: WireMessage) -> WireMessage {
            guard let payload = message.payload, !payload.isEmpty else { return message }
            var message = message
            message.payload![random.number(0...payload.count - 1)] ^= UInt8(1 << random.number(0...7))
            return message
        }
        return switch parcel {
        case .toCoordinator(let message, let from, let life): .toCoordinator(flip(message), from: from, life: life)
        case .toWorker(let message, let route): .toWorker(flip(message), route)
        default: parcel
        }
    }

    // MARK: People

    private func token(for client: Int) -> RequestToken {
        nextToken += 1
        let token = RequestToken(number: nextToken)
        askers[token] = client
        return token
    }

    /// Submits a client's job until an answer comes, and sometimes once more after it.
    private func submit(_ index: Int) {
        let isDone = !clients[index].jobs.isEmpty
        if !isDone || (isStormy && random.happens(0.3)) { plan(.client(index), after: random.number(2000...6000)) }
        guard coordinator != nil, coordinatorStopped <= now, !isDone || isStormy else { return }
        // The client uploads the exemplar first, or all maps. Each file is synced before its digest is returned.
        let submissions = clients[index].submissions
        for input in submissions[0].inputs {
            store.addFile(input.artifact.sha256)
            store.syncFile(input.artifact.sha256)
        }
        let salts = submissions.map { _ in UInt32(truncatingIfNeeded: random.next()) }
        coordinator?.post(.submit(token(for: index), submissions, salts: salts))
    }

    private func answer(_ token: RequestToken, _ reply: Reply) {
        guard let index = askers.removeValue(forKey: token), !(isStormy && random.happens(0.1)) else { return }
        switch reply {
        case .accepted(let jobs):
            say("\(clients[index].key) is \(jobs.map(\.id))")
            clients[index].jobs = jobs.map(\.id)
            for (job, submission) in zip(jobs, clients[index].submissions) {
                witness.clientHeard(accepted: job.id, key: submission.key ?? "")
            }
        case .job(let id, let state): say("\(id) is \(state)")
        case .changed(let ids): say("\(ids.count) jobs have changed")
        case .draining, .revoked, .refused: break
        }
    }

    // MARK: Misfortune

    private func misfortune() {
        let violence = weather.violence
        for index in workers.indices {
            if random.happens(0.012 * violence), !workers[index].hasExited {
                // Dies at once, or in the middle of its next work.
                if random.happens(0.5) {
                    workers[index].die()
                } else {
                    workers[index].effectsUntilDeath = random.number(0...30)
                }
                workersStopped[index] = 0
                attend(index)
            }
            if random.happens(0.02 * violence) { workersStopped[index] = now + random.number(1000...50_000) }
            if random.happens(0.005 * violence), !workers[index].hasExited, workersStopped[index] <= now {
                say("\(workers[index].id) is told to stop")
                workers[index].terminate(at: now)
                attend(index)
            }
            if random.happens(0.005 * violence) { workers[index].diskFullUntil = now + random.number(1000...40_000) }
            if random.happens(0.015 * violence) { cutTo[index] = now + random.number(1000...50_000) }
            if random.happens(0.015 * violence) { cutFrom[index] = now + random.number(1000...50_000) }
        }
        if random.happens(0.01 * violence) { killCoordinator() }
        if random.happens(0.005 * violence) { coordinatorStopped = now + random.number(1000...50_000) }
        if random.happens(0.005 * violence) { diskFullUntil = now + random.number(1000...20_000) }
        if random.happens(0.02 * violence), let files = store.inputs.randomElement(using: &random) {
            let sha256 = files.count == 1 ? files[0] : files.randomElement(using: &random)!
            say("\(sha256) rots on the coordinator's disk")
            witness.damaged.insert(sha256)
            store.rot(sha256)
        }
        if random.happens(0.02) { coordinator?.post(.unreferenced(store.unreferenced)) }
        guard coordinator != nil, coordinatorStopped <= now,
            let index = clients.indices.randomElement(using: &random),
            let job = clients[index].jobs.randomElement(using: &random)
        else { return }
        if random.happens(0.008) {
            say("\(job) is to be cancelled")
            coordinator?.post(.cancel(token(for: index), job, reason: "simulated"))
        }
        if random.happens(0.03) {
            say("\(job) is to be retried")
            witness.retryIsAsked(job)
            coordinator?.post(.retry(token(for: index), job))
        }
        if random.happens(0.006) {
            let jobs = clients.flatMap(\.jobs).filter { _ in random.happens(0.5) }
            let states = Set(JobState.allCases.filter { _ in random.happens(0.6) })
            if random.happens(0.1) {
                // The younger ones first: those that wait for others.
                let some = Array(jobs.prefix(3).reversed())
                say("\(some) are to be deleted")
                witness.deletionIsAsked(some)
                coordinator?.post(
                    .change(token(for: index), some, in: states, .delete(cancelsFirst: random.happens(0.5))))
            } else if random.happens(0.3) {
                say("\(jobs.count) jobs are to be cancelled")
                coordinator?.post(.change(token(for: index), jobs, in: states, .cancel(reason: "simulated")))
            } else {
                say("\(jobs.count) jobs are to be retried")
                for job in jobs { witness.retryIsAsked(job) }
                coordinator?.post(.change(token(for: index), jobs, in: states, .retry))
            }
        }
        if random.happens(0.004) {
            coordinator?.post(.drain(token(for: index), workerID: workers[index % workers.count].id))
        }
    }
}

extension WireMessage {
    /// One line for a trace.
    fileprivate var summary: String {
        guard let body else { return "empty" }
        return "\(body)".split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}
