import ClusterCore
import Foundation
import Logging

/// Runs `ClusterState`: collects events into batches, commits their changes, and only then performs their effects.
///
/// One transaction takes everything that arrived during the previous commit (group commit). If it fails, the engine
/// restores the state before the batch and sends nothing. Peers repeat unanswered messages.
actor ClusterEngine {
    /// Upper limit on a batch. It bounds the time to the first answer.
    static let maxBatch = 512
    /// How often the engine tries to write the store during an outage.
    static let outageProbeInterval = Duration.seconds(1)
    /// Upper limit on waiting requests from people, whatever else waits from workers.
    static let maxWaitingRequests = 2_000
    /// How often the log mentions a store that cannot commit.
    static let outageLogInterval = Duration.seconds(60)

    private let store: JobStore
    private let artifacts: ArtifactStore
    private let disk: BlockingWork
    private let clock: @Sendable () -> Instant
    private let wallClock: @Sendable () -> Date
    private let logger: Logger
    /// What the gateway must do, in order.
    nonisolated let effects: AsyncStream<ClusterEffect>
    nonisolated let metrics: CoordinatorMetrics
    private let outlet: AsyncStream<ClusterEffect>.Continuation
    private let wake: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    /// Runs ahead of the store while a batch commits.
    private var state: ClusterState
    /// The state on disk, for readers.
    private(set) var committed: ClusterState
    /// Jobs that changed since the last `takeTouchedJobs`.
    private var touched: Set<JobID> = []
    /// Jobs with new records since the last `takeRecordedJobs`.
    private var recorded: Set<JobID> = []
    /// Files of deleted jobs that are still to be removed. A crash forgets them; the janitor then finds them.
    private var leftovers: Set<Leftover> = []
    private var pending: [(event: ClusterEvent, since: Instant)] = []
    private var queued = FairShare(
        maxCount: 20_000, maxCountPerOwner: 1_000, maxBytes: 128 << 20, maxBytesPerOwner: 8 << 20)
    private var hasPendingTick = false
    private var outage: Outage?
    private var waiters: [RequestToken: CheckedContinuation<Reply, Never>] = [:]
    private var nextToken: UInt64 = 0
    private var isStopped = false
    /// Worker messages dropped because the store was too slow or their sender sent too many.
    private(set) var droppedEvents = 0

    /// A time in which the store records nothing: the disk is full, or fails.
    private struct Outage {
        var reason: String
        let since: Instant
        var forgivenTo: Instant
        var loggedAt: Instant
        var probedAt: Instant
        var refused = 0
    }

    init(
        state: ClusterState, store: JobStore, artifacts: ArtifactStore, disk: BlockingWork,
        metrics: CoordinatorMetrics = CoordinatorMetrics(),
        clock: @escaping @Sendable () -> Instant, wallClock: @escaping @Sendable () -> Date = { Date() },
        logger: Logger
    ) {
        self.state = state
        committed = state
        self.store = store
        self.artifacts = artifacts
        self.disk = disk
        self.metrics = metrics
        self.clock = clock
        self.wallClock = wallClock
        self.logger = logger
        (effects, outlet) = AsyncStream.makeStream()
        (wake, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Queues an event. Events run in the order of the calls. The engine may drop a worker's event; the worker repeats
    /// it.
    func post(_ event: ClusterEvent) {
        if case .tick = event {
            // One waiting tick is enough.
            guard !hasPendingTick else { return }
            hasPendingTick = true
        }
        if let session = event.session, !queued.add(event.weight, of: session) {
            droppedEvents += 1
            if droppedEvents % 1000 == 1 {
                logger.warning(
                    "worker messages are dropped: the job store is slow, or a worker sends too many",
                    metadata: [
                        "dropped": .stringConvertible(droppedEvents), "waiting": .stringConvertible(pending.count),
                    ])
            }
            return
        }
        pending.append((event, clock()))
        waker.yield()
    }

    /// Number of events that wait for the engine.
    var waitingEvents: Int { pending.count }

    /// The time for decisions.
    nonisolated var now: Instant { clock() }

    /// Takes the jobs that changed since the last call: those with new records or new progress.
    func takeTouchedJobs() -> Set<JobID> {
        defer { touched = [] }
        return touched
    }

    /// Takes the jobs with new records since the last call.
    func takeRecordedJobs() -> Set<JobID> {
        defer { recorded = [] }
        return recorded
    }

    /// Takes some files of deleted jobs.
    func takeLeftovers(limit: Int) -> [Leftover] {
        let some = Array(leftovers.prefix(limit))
        leftovers.subtract(some)
        return some
    }

    /// Why the store cannot record at present; nil unless the last write failed.
    var storeProblem: String? { outage?.reason }

    /// Sends a request and waits until its answer is durable.
    func request(_ event: @Sendable (RequestToken) -> ClusterEvent) async -> Reply {
        nextToken += 1
        let token = RequestToken(number: nextToken)
        let event = event(token)
        return await withCheckedContinuation { continuation in
            guard !isStopped, waiters.count < Self.maxWaitingRequests else {
                continuation.resume(returning: .refused(.storeUnavailable))
                return
            }
            waiters[token] = continuation
            pending.append((event, clock()))
            waker.yield()
        }
    }

    /// Returns once every event that was posted before has been handled.
    func flush() async {
        // Changes nothing.
        _ = await request { .change($0, [], in: [], .cancel(reason: "")) }
    }

    /// Works until the task is cancelled. It then refuses the waiting requests.
    func run() async {
        for await _ in wake {
            while !pending.isEmpty {
                let batch = Array(pending.prefix(Self.maxBatch))
                pending.removeFirst(batch.count)
                for (event, _) in batch { release(event) }
                let now = clock()
                metrics.update { counts in
                    for (_, since) in batch { counts.eventWait.record(now.since(since).inSeconds) }
                }
                await process(batch.map(\.event))
            }
        }
        isStopped = true
        outlet.finish()
        for waiter in waiters.values { waiter.resume(returning: .refused(.storeUnavailable)) }
        waiters = [:]
    }

    private func release(_ event: ClusterEvent) {
        if case .tick = event { hasPendingTick = false }
        if let session = event.session { queued.remove(event.weight, of: session) }
    }

    private func process(_ batch: [ClusterEvent]) async {
        let now = clock()
        if let outage {
            // During the outage, workers could not report and got no answers. Deadlines must not count that time.
            state.forgive(now.since(outage.forgivenTo), at: now)
            self.outage!.forgivenTo = now
        }
        let before = state
        var handled: [(event: ClusterEvent, effects: [ClusterEffect])] = []
        for event in batch {
            guard let event = admitted(event) else { continue }
            handled.append((event, state.handle(event, at: now)))
        }
        let effects = handled.flatMap(\.effects)
        let changes = effects.compactMap { effect in
            if case .record(let change) = effect { change } else { nil }
        }
        do {
            leftovers.formUnion(try await store.apply(changes, at: wallClock()))
        } catch {
            metrics.update { $0.commitFailures += 1 }
            state = before
            if batch.count > 1 {
                // Heartbeats record nothing. One by one, events that need no disk still get through.
                for event in batch { await process([event]) }
            } else {
                noteOutage("\(error)", at: now)
                refuse(batch[0])
            }
            return
        }
        if !changes.isEmpty { endOutage(at: now) } else { await probeOutage(at: now) }
        committed = state
        metrics.update { counts in
            if !changes.isEmpty { counts.commit.record(clock().since(now).inSeconds) }
            for (event, effects) in handled { counts.cluster.note(event, effects, committed, at: now) }
        }
        for change in changes { change.log(to: logger, committed) }
        let changed = changes.compactMap(\.job)
        touched.formUnion(changed)
        recorded.formUnion(changed)
        // Only running attempts count: a heartbeat's ids are only the worker's claim.
        for event in batch {
            touched.formUnion(
                event.progress.map(\.attempt).filter { committed.leases[$0.job]?.attempt == $0 }.map(\.job))
        }
        for effect in effects { await perform(effect) }
    }

    private func noteOutage(_ reason: String, at now: Instant) {
        var current =
            outage
            ?? Outage(
                reason: reason, since: now, forgivenTo: now, loggedAt: now, probedAt: now)
        let isNew = outage == nil || current.reason != reason
        current.reason = reason
        current.refused += 1
        if isNew || now.since(current.loggedAt) >= Self.outageLogInterval {
            current.loggedAt = now
            logger.error(
                "the job store cannot be written; nothing was changed, and work continues once writes succeed",
                metadata: ["error": "\(reason)", "refused": .stringConvertible(current.refused)])
        }
        outage = current
    }

    /// Without requests, only this probe notices that the disk has space again.
    private func probeOutage(at now: Instant) async {
        guard let current = outage, now.since(current.probedAt) >= Self.outageProbeInterval else { return }
        outage!.probedAt = now
        guard (try? await store.tryWriting()) != nil else { return }
        endOutage(at: now)
    }

    private func endOutage(at now: Instant) {
        guard let ended = outage else { return }
        outage = nil
        logger.notice(
            "the job store can be written again",
            metadata: [
                "seconds": .stringConvertible(Int(now.since(ended.since).inSeconds)),
                "refused": .stringConvertible(ended.refused),
            ])
    }

    /// The event, with what only the artifact store knows; nil if its file is gone. This same loop also removes files,
    /// so the answer stays true until the commit.
    private func admitted(_ event: ClusterEvent) -> ClusterEvent? {
        switch event {
        case .received(.offer(let offer), let session):
            return .artifactOffered(session: session, offer, isStored: holds(offer))
        case .artifactStored(_, let offer):
            // The file is gone again. The worker gets no receipt and repeats its offer.
            return artifacts.contains(offer.artifact) ? event : nil
        case .submit(let token, let submissions, _):
            // The file existed when the request arrived. Since then the janitor may have removed it.
            let inputs = submissions.flatMap(\.inputs).map(\.artifact)
            guard let gone = inputs.first(where: { !artifacts.contains($0) }) else { return event }
            answer(token, .refused(.inputMissing(sha256: gone.sha256)))
            return nil
        default:
            return event
        }
    }

    /// Whether the store has the offered bytes, and the offering attempt's job had them before. Any other worker must send
    /// them: knowing a digest is no right to the file.
    private func holds(_ offer: ArtifactOffer) -> Bool {
        guard let job = state.job(offer.attempt.job) else { return false }
        let sha256 = offer.artifact.sha256
        let isKnown =
            job.checkpoints.contains { $0.artifact.sha256 == sha256 }
            || job.products.values.contains { $0.sha256 == sha256 }
        return isKnown && artifacts.contains(offer.artifact)
    }

    private func perform(_ effect: ClusterEffect) async {
        switch effect {
        case .record: break
        case .reply(let token, let reply): answer(token, reply)
        case .discard(let sha256): await discard(sha256)
        case .warn(let text): logger.warning("\(text)")
        case .send, .welcome, .receiveArtifact, .sendArtifact, .endTransfers, .closeSession, .refuse:
            outlet.yield(effect)
        }
    }

    private func discard(_ sha256: String) async {
        do {
            guard try await !store.isReferenced(sha256: sha256) else { return }
            try await disk.run(.engine) { [artifacts] in try artifacts.remove(sha256) }
        } catch {
            // The file only costs space.
            logger.warning("an artifact could not be removed", metadata: ["sha256": "\(sha256)", "error": "\(error)"])
        }
    }

    private func refuse(_ event: ClusterEvent) {
        let token: RequestToken
        switch event {
        case .submit(let asker, _, _), .cancel(let asker, _, _), .retry(let asker, _),
            .change(let asker, _, _, _), .prioritise(let asker, _, _),
            .drain(let asker, _), .revoke(let asker, _, _):
            token = asker
        default: return
        }
        answer(token, .refused(.storeUnavailable))
    }

    private func answer(_ token: RequestToken, _ reply: Reply) {
        waiters.removeValue(forKey: token)?.resume(returning: reply)
    }
}
