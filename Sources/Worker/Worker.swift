import Base
import ClusterCore
import Foundation
import Logging
import Machine
import OperatingSystem
import Protocol
import Transport

/// A worker process: takes jobs from a coordinator, trains them and delivers the results.
public struct Worker: Sendable {
    let configuration: WorkerConfiguration
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
}
