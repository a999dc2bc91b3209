import Base
import ClusterCore
import Foundation
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import OperatingSystem
import Protocol
import ServiceLifecycle
import Transport

/// The coordinator's process: opens the data folder, serves workers and people, and runs until it is told to stop.
public struct CoordinatorService: Sendable {
    /// Where a running coordinator listens, with the actual ports.
    public struct Addresses: Sendable, Equatable {
        /// For browsers and `texloom --api`.
        public var httpURL: String
        /// For `texloom worker`.
        public var workerEndpoint: String
    }

    let configuration: CoordinatorConfiguration
    let logger: Logger

    /// - Throws: `CoordinatorError.badConfiguration`.
    public init(_ configuration: CoordinatorConfiguration, logger: Logger) throws {
        try configuration.validate()
        self.configuration = configuration
        self.logger = logger
    }

    /// Serves until SIGTERM, SIGINT, SIGHUP or cancellation. Everything that it has accepted is on disk at every
    /// moment.
    /// - Parameter onReady: Called once, when both addresses answer.
    /// - Throws: `CoordinatorError` if the data folder or an address is not available.
    public func run(onReady: @escaping @Sendable (Addresses) async -> Void = { _ in }) async throws {
        // A file size limit must cause an error, like a full disk, and must not end the process.
        signal(SIGXFSZ, SIG_IGN)
        PrivateFile.keepNewFilesPrivate()
        let certificate = try configuration.tls.map(ServerCertificate.init)
        let disk = BlockingWork()
        let notifier = try Notifier(configuration.notifications, publicURL: configuration.pageURL, disk: disk)
        let (folder, store, artifacts) = try openData(notifier)
        // Holds the lock on the folder until everything has stopped.
        defer { withExtendedLifetime(folder) {} }
        let engine = try engine(store, artifacts, disk)
        let keys = try workerKeys(store, folder)
        let socket = try bind(keys)
        let reader = ClusterReader(
            store: store, engine: engine, startedAt: Date(), workerEndpoint: socket.endpoint,
            seeds: RecipeSeeds(configuration.seedOfRecipe), qualityScores: configuration.qualityScores)
        let tokens = TokenStore(pool: store.pool)
        let feed = EventFeed(
            reader: reader, logger: logger, limits: configuration.httpLimits,
            isValid: { (try? await tokens.isValid($0)) ?? true })
        let parts = CoordinatorParts(
            folder: folder, artifacts: artifacts, disk: disk, reader: reader, feed: feed, keys: keys, socket: socket)
        let router = try router(parts)
        MetricsRoutes(
            reader: reader, feed: feed, socket: socket, storedBytes: StoredBytes(store), folder: folder
        ).add(to: router)
        router.answerOtherMethods()
        let deadline = ShutdownDeadline(
            seconds: configuration.httpLimits.wholeShutdownSeconds, endsProcess: configuration.endsProcess,
            logger: logger)
        defer { deadline.end() }
        let pages = HTTPService(
            responder: router.buildResponder(), host: configuration.httpHost, port: configuration.httpPort,
            certificate: certificate, connections: HTTPConnections(limits: configuration.httpLimits),
            deadline: deadline, logger: logger,
            onRunning: { port in
                let addresses = Addresses(
                    httpURL: configuration.httpURL(port: port), workerEndpoint: socket.endpoint)
                let jobs = await engine.committed.jobs.count
                logger.notice(
                    "coordinator is ready",
                    metadata: [
                        "http": "\(addresses.httpURL)", "workers": "\(addresses.workerEndpoint)",
                        "data": "\(folder.url.path)", "jobs": .stringConvertible(jobs),
                    ])
                if let insecurity = configuration.insecurity { logger.warning("\(insecurity)") }
                await onReady(addresses)
            })
        do {
            try await group(services(parts, notifier, socket) + [pages]).run()
        } catch {
            await socket.close()
            throw error
        }
        await socket.close()
        try? store.close()
    }

    /// Verifies a data folder that no coordinator uses: the database, and every artifact by its digest.
    /// - Parameter repairs: Whether to repair; see ``StoreReport/repairs``. A repair removes nothing that anyone could
    ///   need.
    /// - Throws: `CoordinatorError` if the folder is in use, has no job store, or has one of a newer texloom; with
    ///   `repairs` also if `artifacts/` is not there.
    public static func check(_ dataFolder: URL, repairs: Bool) async throws -> StoreReport {
        guard try DataFolder.hasDatabase(dataFolder) else {
            throw CoordinatorError(
                .fileSystem, "\(dataFolder.path) holds no job store (jobs.sqlite); name a coordinator's data folder")
        }
        let folder = try DataFolder(dataFolder)
        defer { withExtendedLifetime(folder) {} }
        defer { DataFolder.giveToOwner(folder.url) }
        let store =
            try repairs
            ? JobStore(file: folder.database, newCoordinatorID: UUID.random().uuidString.lowercased())
            : JobStore(reading: folder.database)
        defer { try? store.close() }
        if repairs { try StoreCheck.requireArtifacts(of: store, in: folder.url) }
        let artifacts = try ArtifactStore(dataFolder: folder.url, isReadOnly: !repairs)
        return try await StoreCheck(store: store, artifacts: artifacts).run(repairs: repairs)
    }

    /// Sends a message of the type `test` to each receiver, once. Needs no data folder.
    /// - Throws: `CoordinatorError.badConfiguration`.
    public static func testNotifications(_ configuration: NotificationConfiguration) async throws -> [NotificationTest]
    {
        try configuration.validate()
        return try await Notifier(configuration, publicURL: nil, disk: BlockingWork()).test()
    }

    private func openData(_ notifier: Notifier) throws -> (DataFolder, JobStore, ArtifactStore) {
        let folder = try DataFolder(configuration.dataFolder)
        let store = try JobStore(
            file: folder.database, newCoordinatorID: UUID.random().uuidString.lowercased(),
            notifications: notifier.policy)
        try StoreCheck.requireArtifacts(of: store, in: folder.url)
        let artifacts = try ArtifactStore(dataFolder: folder.url)
        try verify(StoreCheck(store: store, artifacts: artifacts))
        return (folder, store, artifacts)
    }

    /// The engine, with the cluster as the last process left it.
    private func engine(_ store: JobStore, _ artifacts: ArtifactStore, _ disk: BlockingWork) throws -> ClusterEngine {
        let clock = MonotonicClock()
        var state = ClusterState(configuration: configuration.cluster, restoring: try store.load(), at: clock.now)
        state.specValues = configuration.recipeValues
        return ClusterEngine(
            state: state, store: store, artifacts: artifacts, disk: disk, clock: { clock.now }, logger: logger)
    }

    /// Logs what is damaged. Unfinished jobs continue without it, and the coordinator serves all the same.
    /// - Throws: `CoordinatorError.notStored` if everything is missing.
    private func verify(_ check: StoreCheck) throws {
        do {
            for problem in try check.quick() {
                logger.error("the data folder is damaged", metadata: ["problem": "\(problem)"])
            }
        } catch let error as CoordinatorError where error.code == .notStored {
            throw error
        } catch {
            logger.error("the data folder could not be verified", metadata: ["error": "\(error)"])
        }
    }

    /// The keys of the workers' address; nil if it is plain.
    private func workerKeys(_ store: JobStore, _ folder: DataFolder) throws -> WorkerKeys? {
        guard configuration.encryptsWorkers else { return nil }
        do {
            return try WorkerKeys(
                WorkerKeyStore(pool: store.pool), rotation: ServerKeyRotation(folder))
        } catch let error as TransportError {
            throw CoordinatorError(.fileSystem, error.message)
        }
    }

    private func bind(_ keys: WorkerKeys?) throws -> RouterSocket {
        var socket = configuration.workerSocket
        if socket.endpoint.hasSuffix(":0") { socket.endpoint = socket.endpoint.dropLast(1) + "*" }
        socket.isInsecure = configuration.isInsecure
        socket.curve = keys.map { keys in Curve.Server(keys: keys.serverKeys, admit: { keys.admission(of: $0) }) }
        do {
            return try RouterSocket(socket, logger: logger)
        } catch {
            throw CoordinatorError(.addressUnavailable, error.message)
        }
    }

    /// Everything but the HTTP server. Services stop in reverse order: first people, then workers, then the engine, when
    /// nothing asks it any more.
    private func services(
        _ parts: CoordinatorParts, _ notifier: Notifier, _ socket: RouterSocket
    ) -> [any Service] {
        let (engine, store, artifacts, disk) = (parts.engine, parts.store, parts.artifacts, parts.disk)
        let gateway = WorkerGateway(
            socket: socket, keys: parts.keys, engine: engine, artifacts: artifacts, disk: disk,
            greeting: { [id = store.coordinatorID, configuration] version in
                Greeting(
                    version: version, coordinatorID: id, softwareVersion: texloomVersion,
                    heartbeat: configuration.heartbeat, lease: configuration.lease)
            }, logger: logger)
        let probe = EventLoopProbe(
            loops: MultiThreadedEventLoopGroup.singleton, metrics: engine.metrics, now: { engine.now })
        let janitor = Janitor(
            store: store, artifacts: artifacts, engine: engine, keys: parts.keys, disk: disk,
            thumbnails: parts.folder.thumbnails, logger: logger)
        let retention = Retention(
            policy: configuration.retention, store: store, engine: engine, quota: parts.quota, logger: logger)
        let leftovers = LeftoverRemover(engine: engine, artifacts: artifacts, disk: disk)
        let events = EventFileWriter(
            folder: parts.folder.eventFiles, store: store, artifacts: artifacts, engine: engine, disk: disk,
            logger: logger)
        return [
            BackgroundService { await engine.run() },
            BackgroundService {
                await gateway.run()
                await socket.close()
            },
            BackgroundService { await tick(engine) },
            BackgroundService { await parts.feed.run() },
            BackgroundService { await probe.run() },
            BackgroundService { await janitor.run() },
            BackgroundService { await retention.run() },
            BackgroundService { await notifier.run(store, engine.metrics, startedAt: Date(), logger: logger) },
            BackgroundService { await leftovers.run() },
            BackgroundService { await events.run() },
        ]
    }

    /// The services until the first one fails or a signal stops them all.
    private func group(_ services: [any Service]) -> ServiceGroup {
        // With TLS, SIGHUP reads the certificate again.
        let hangUpStops = configuration.tls == nil && !StopSignals.isIgnored(SIGHUP)
        return ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map {
                    .init(
                        service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .cancelGroup)
                }, gracefulShutdownSignals: [.sigterm, .sigint] + (hangUpStops ? [.sighup] : []),
                logger: quiet(logger)))
    }

    /// Makes the cluster check its deadlines.
    private func tick(_ engine: ClusterEngine) async {
        let interval = min(.milliseconds(250), configuration.heartbeat / 4)
        while !Task.isCancelled {
            await engine.post(.tick)
            try? await Task.sleep(for: interval)
        }
    }

    private func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        return quiet
    }
}

/// Monotonic time since the process started. It stops while the machine sleeps: a laptop that wakes up has not lost its
/// workers.
private struct MonotonicClock: Sendable {
    private let origin = SuspendingClock.now

    var now: Instant { .origin + origin.duration(to: SuspendingClock.now) }
}

/// Runs work that ends on cancellation as a service that ends on shutdown.
private struct BackgroundService: Service {
    let work: @Sendable () async -> Void

    func run() async throws {
        await cancelWhenGracefulShutdown { await work() }
    }
}
