import Base
import ClusterCore
import Foundation
import Logging
import Machine
import NNCore
import OperatingSystem
import Protocol
import Transport

/// A worker process: takes jobs from a coordinator, trains them and delivers the results.
public struct Worker: Sendable {
    private let configuration: WorkerConfiguration
    private let trainer: any AttemptTrainer
    private let logger: Logger

    public init(configuration: WorkerConfiguration, logger: Logger) {
        self.init(configuration: configuration, trainer: TextureTrainer(), logger: logger)
    }

    init(configuration: WorkerConfiguration, trainer: any AttemptTrainer, logger: Logger) {
        self.configuration = configuration
        self.trainer = trainer
        self.logger = logger
    }

    /// Works until a stop signal (``StopSignals``), cancellation of the task or the coordinator stops it. Then
    /// checkpoints its running attempts and hands them back.
    /// - Throws: ``WorkerError`` if the worker cannot start.
    public func run() async throws -> WorkerExit {
        // A limit on file sizes must cause an error, like a full disk, and not end the process.
        signal(SIGXFSZ, SIG_IGN)
        PrivateFile.keepNewFilesPrivate()
        let allowance = MachineAllowance.current
        let (slots, threads) = try configuration.resolvedCounts(within: allowance)
        let limits = try configuration.staggeredLimits(.random(in: 0...1))
        let lock = try Self.lock(configuration.dataFolder)
        defer { withExtendedLifetime(lock) {} }
        let spool = try Spool(folder: configuration.dataFolder)
        let identity = try identity(slots: slots, threads: threads, spool)
        // Distinguishes the log lines of several workers in one place.
        var logger = logger
        logger[metadataKey: "worker"] = "\(identity.name)"
        let (link, membership) = try await link(as: identity.name, logger)
        let socket = try connect(link, logger)
        let (events, source) = AsyncStream.makeStream(of: WorkerState.Event.self)
        let executor = ThreadExecutor(name: "texloom-worker")
        let loop = WorkerLoop(
            state: WorkerState(
                worker: identity, secret: try Membership.secret(of: configuration.dataFolder),
                session: UInt64.random(in: 1...UInt64.max),
                versions: ProtocolVersion.oldest...ProtocolVersion.newest,
                drainPatience: configuration.drainPatience, limits: limits, breach: WireMessage.breach, at: .origin),
            spool: spool, socket: socket, trainer: trainer, threadsPerSlot: threads, logger: logger, executor: executor,
            post: { source.yield($0) })
        let recovered = spool.recover { folder, reason in
            logger.error(
                "the record of an earlier process's attempt cannot be read; its files are kept",
                metadata: ["folder": "\(folder.path)", "error": "\(reason)"])
        }
        if !recovered.isEmpty {
            logger.notice("claims \(counted(recovered.count, "attempt")) of an earlier process")
        }
        _ = await loop.handle(.recovered(recovered))
        let signals = StopSignals { [logger] isInterruption in
            logger.notice(
                """
                worker stops: it checkpoints its running attempts and hands them back\
                \(isInterruption ? "; press Ctrl-C again to end at once, without new checkpoints" : "")
                """)
            source.yield(.drain)
        }
        defer { withExtendedLifetime(signals) {} }
        logger.info(
            "worker starts",
            metadata: [
                "coordinator": "\(socket.endpoint)", "slots": .stringConvertible(slots),
                "threads": .stringConvertible(threads), "processors": .stringConvertible(allowance.processors),
                "memory_mib": .stringConvertible(allowance.memoryBytes >> 20),
            ])

        // Not a child task: it must deliver checkpoints after this task has been cancelled.
        let work = Task { [logger] in await Self.handle(events, socket, membership, by: loop, logger) }
        let exit = await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            source.yield(.drain)
        }
        await loop.abandonAll()
        await socket.close()
        executor.stop()
        logger.info("worker ends: \(exit)")
        return exit
    }

    /// What this worker announces: the kinds of work that it does, and those that it does on materials.
    static let kinds: Set<JobKind> = {
        let kinds = ProductRunner.kinds.union([.train])
        return kinds.union(kinds.filter { WorkContract.table[$0]?.takesMaps == true }.map(\.onMaterials))
    }()

    /// How this worker introduces itself.
    private func identity(slots: Int, threads: Int, _ spool: Spool) throws(WorkerError) -> WorkerIdentity {
        let defaultName = "\(ProcessInfo.processInfo.hostName):\(ProcessInfo.processInfo.processIdentifier)"
        return WorkerIdentity(
            id: try spool.workerID(), name: (configuration.name ?? defaultName).shortened(to: Limits.maxNameBytes),
            softwareVersion: texloomVersion, slots: slots, threadsPerSlot: threads,
            cpu: Self.cpuType().shortened(to: Limits.maxNameBytes),
            kinds: Self.kinds, equipment: .found(slots: slots))
    }

    /// Where the coordinator is and how to encrypt. Joins its cluster first if there is an invitation to a new one.
    private func link(
        as name: String, _ logger: Logger
    ) async throws(WorkerError) -> (DealerSocket.Configuration, MembershipFile?) {
        let folder = configuration.dataFolder
        var membership = try Membership(of: folder)
        var hasInvitation = false
        if let text = configuration.invitation {
            var invitation: Invitation
            do {
                invitation = try Invitation(text)
            } catch {
                throw WorkerError(error.message)
            }
            // An address on the command line is how this machine reaches the coordinator: a tunnel, for example.
            if let coordinator = configuration.coordinator { invitation.endpoints = [coordinator] }
            hasInvitation = true
            // A supervisor repeats the command line at every start, also when the coordinator has changed its key.
            if membership?.invitation != invitation.keys.publicKey {
                let joining = Joining(
                    invitation: invitation, keys: try Membership.keys(of: folder), name: name, logger: logger)
                membership = try await joining.run()
                try membership?.save(in: folder)
                logger.notice("joined the coordinator's cluster", metadata: ["coordinator": "\(membership!.endpoint)"])
            }
        }
        let endpoint = configuration.coordinator ?? membership?.endpoint ?? WorkerConfiguration.standardCoordinator
        var socket = DealerSocket.Configuration(endpoint: endpoint)
        if let patience = configuration.closingPatience { socket.closingPatience = patience }
        // A worker that has joined a cluster elsewhere can still work for a plain coordinator on this machine.
        if let membership, hasInvitation || endpoint == membership.endpoint || !Endpoint.isLoopback(endpoint) {
            socket.curve = Curve.Client(keys: try Membership.keys(of: folder), serverKey: membership.serverKey)
            socket.curve?.nextServerKey = membership.nextServerKey
            let file = MembershipFile(membership, in: folder)
            socket.onNextServerKey = {
                do {
                    try file.promote()
                    logger.notice("the coordinator has taken its new key into use")
                } catch {
                    logger.error("\(error)")
                }
            }
            return (socket, file)
        }
        return (socket, nil)
    }

    private func connect(
        _ socket: DealerSocket.Configuration, _ logger: Logger
    ) throws(WorkerError) -> DealerSocket {
        do {
            return try DealerSocket(socket, logger: logger)
        } catch {
            throw WorkerError(error.message)
        }
    }

    /// Feeds events, messages and ticks to the loop until it has an exit.
    private static func handle(
        _ events: AsyncStream<WorkerState.Event>, _ socket: DealerSocket, _ membership: MembershipFile?,
        by loop: WorkerLoop, _ logger: Logger
    ) async -> WorkerExit {
        await withTaskGroup(of: WorkerExit?.self) { group in
            group.addTask {
                for await event in events { if let exit = await loop.handle(event) { return exit } }
                return nil
            }
            group.addTask {
                // One by one, so that a full inbox holds the coordinator back.
                for await message in socket.incoming {
                    if case .nextKey(let next)? = message.body {
                        save(next, in: membership, answering: message, socket, logger)
                        continue
                    }
                    guard let content = MessageToWorker(message) else {
                        logger.warning("the coordinator sent a message that is not for workers")
                        continue
                    }
                    if let exit = await loop.handle(.received(content, session: message.session)) { return exit }
                }
                return nil
            }
            group.addTask {
                for await failure in socket.failures {
                    let reason = failure.reason(endpoint: socket.endpoint, isInvited: false)
                    if let exit = await loop.handle(.unwelcome(reason: reason, isFinal: failure == .endedKey)) {
                        return exit
                    }
                }
                return nil
            }
            group.addTask {
                while !Task.isCancelled {
                    if let exit = await loop.handle(.tick) { return exit }
                    try? await Task.sleep(for: .milliseconds(200))
                }
                return nil
            }
            for await case let exit? in group {
                group.cancelAll()
                return exit
            }
            return .stopped
        }
    }

    /// Saves the key that the coordinator will use, and says so.
    private static func save(
        _ next: WireNextKey, in membership: MembershipFile?, answering message: WireMessage, _ socket: DealerSocket,
        _ logger: Logger
    ) {
        // A plain coordinator has no key to announce.
        guard let membership else { return }
        let key = Z85.text(of: [UInt8](next.serverKey))
        do {
            try membership.announce(key)
        } catch {
            // The coordinator repeats its announcement.
            return logger.error("\(error)")
        }
        socket.learn(nextServerKey: key)
        var saved = WireKeySaved()
        saved.serverKey = next.serverKey
        socket.send(WireMessage(.keySaved(saved), session: message.session, version: message.envelope.version))
    }

    /// Keeps a second worker out of a data folder. It would remove the first worker's attempts and take its id.
    /// - Throws: ``WorkerError`` if the folder cannot be used, or if another worker uses it.
    static func lock(_ folder: URL) throws(WorkerError) -> LockFile {
        let lock: LockFile
        do {
            try PrivateFile.createFolder(folder)
            lock = try LockFile(folder.appendingPathComponent("worker.lock"))
        } catch {
            throw WorkerError("cannot use the data folder \(folder.path): \(error.systemReason)")
        }
        switch lock.state {
        case .held: return lock
        case .taken:
            throw WorkerError("another worker is using \(folder.path); give this one a folder of its own with --data")
        case .unsupported(let failure):
            throw WorkerError("\(failure); name a folder on a local disk with --data")
        }
    }

    /// The CPU's model as the system names it, and the vector instructions that the kernels use on it.
    private static func cpuType() -> String { "\(cpuModel()), \(VectorInstructions.current)" }

    private static func cpuModel() -> String {
        guard let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8),
            let line = text.split(separator: "\n").first(where: { $0.hasPrefix("model name") }),
            let colon = line.firstIndex(of: ":")
        else { return "unknown" }
        return line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
}
