import Base
import ClusterCore
import Foundation
import Logging
import Synchronization
import Transport

/// All running artifact transfers. Each has its own task, so that a slow one does not hold up the others.
final class Transfers: Sendable {
    typealias Send = @Sendable (MessageToWorker) async -> Void

    private struct Key: Hashable {
        var session: UInt64
        var id: UInt64
    }

    private struct Entry {
        var attempt: AttemptReference
        /// Distinguishes a transfer from an earlier one with the same key.
        var serial: UInt64
        var upload: Upload.Commands?
        var download: AsyncStream<ArtifactCredit>.Continuation?

        func end() {
            upload?.finish()
            download?.finish()
        }
    }

    /// The chunks of all uploads of a session. They cross its line one after the other.
    struct Line: Sendable {
        var bytes = 0
        var lastArrival: Instant
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var lines: [UInt64: Line] = [:]
        var nextSerial: UInt64 = 0
        var failedUploads = RareNotice()
        var failedDownloads = RareNotice()
        var refusals = RareNotice()

        /// Why there is no room for another transfer of the session; nil if there is.
        func obstacle(to session: UInt64) -> Obstacle? {
            if entries.count >= Transfers.maxTransfers { return .total }
            let ofSession = entries.keys.count { $0.session == session }
            return ofSession >= Transfers.maxPerSession ? .ofSession : nil
        }
    }

    /// The limit that leaves no room for a transfer.
    private enum Obstacle {
        case total, ofSession

        var text: String {
            switch self {
            case .total: "too many transfers at once"
            case .ofSession: "too many transfers of one worker at once"
            }
        }
        var limit: Int { self == .total ? Transfers.maxTransfers : Transfers.maxPerSession }
    }

    private enum Addition {
        case added(serial: UInt64, replaced: Entry?)
        /// `count`: how many have been refused so far, if the log should say so.
        case refused(Obstacle, count: Int?)
    }

    /// Upper limit on the transfers of all workers. Each has a window of a few MiB.
    static let maxTransfers = 256
    /// Upper limit on the transfers of one worker process, so that a flood of offers leaves places for other workers.
    static let maxPerSession = 64
    /// Upper limit on the MiB that all uploads together may have in flight.
    static let maxChunks = 256

    private let artifacts: ArtifactStore
    private let disk: BlockingWork
    private let engine: ClusterEngine
    private let logger: Logger
    private let state = Mutex(State())
    /// Chunks that wait for the disk, by session. They need their own lock: a chunk may leave while another thread
    /// holds the other lock. Tests read its bytes.
    let arrived = Mutex(
        FairShare(
            maxCount: .max, maxCountPerOwner: .max, maxBytes: Transfers.maxChunks * Limits.chunkBytes,
            maxBytesPerOwner: .max))

    init(artifacts: ArtifactStore, disk: BlockingWork, engine: ClusterEngine, logger: Logger) {
        self.artifacts = artifacts
        self.disk = disk
        self.engine = engine
        self.logger = logger
    }

    /// Starts to receive an offered artifact. If the transfer already runs, it tells the worker again where to
    /// continue.
    func receive(_ offer: ArtifactOffer, session: UInt64, send: @escaping Send) {
        let key = Key(session: session, id: offer.transferID)
        let known = state.withLock { $0.entries[key] }
        if let known, known.attempt == offer.attempt, let upload = known.upload {
            upload.yield(.remind)
            return
        }
        // Holds 64 commands: a window of 8 MiB is 32 chunks of this version's size, and the rest is for reminders. A peer
        // that sends beyond its credit loses what is over.
        let windowBytes = Int(Limits.windowChunks) * Limits.chunkBytes
        let (commands, continuation) = AsyncStream<Upload.Command>.makeStream(
            bufferingPolicy: .bufferingOldest(2 * windowBytes / Limits.sentChunkBytes))
        let entry = Entry(attempt: offer.attempt, serial: 0, upload: continuation)
        guard let serial = add(entry, key, send) else { return }
        Task { [self] in
            let upload = Upload(
                offer: offer, session: session, artifacts: artifacts, disk: disk, engine: engine, send: send,
                windowChunks: { [self] in window() }, line: { [self] in state.withLock { $0.lines[session] } },
                onFailure: { [self] in await noteFailure($0, offer) })
            await upload.run(commands)
            remove(key, serial)
        }
    }

    /// Starts to send a stored artifact, or continues where the worker says.
    func send(_ artifact: Artifact, _ request: ArtifactRequest, session: UInt64, send: @escaping Send) {
        let key = Key(session: session, id: request.transferID)
        let start = ArtifactCredit(
            transferID: request.transferID, nextOffset: min(request.offset, UInt64(artifact.sizeBytes)),
            windowChunks: request.windowChunks, isRewind: true)
        let known = state.withLock { $0.entries[key] }
        if let known, known.attempt == request.attempt, let download = known.download {
            download.yield(start)
            return
        }
        // Grants are cumulative: only the newest few matter.
        let (commands, continuation) = AsyncStream<ArtifactCredit>.makeStream(bufferingPolicy: .bufferingNewest(64))
        let entry = Entry(attempt: request.attempt, serial: 0, download: continuation)
        guard let serial = add(entry, key, send) else {
            // The worker waits for other transfers, which is no standstill of its own.
            Task { [engine] in await engine.post(.transferProgressed(session: session, request.attempt)) }
            return
        }
        continuation.yield(start)
        Task { [self] in
            let download = Download(
                artifact: artifact, request: request, session: session, engine: engine, artifacts: artifacts,
                disk: disk, logger: logger, send: send, onFailure: { [self] in await noteFailure($0, request) })
            await download.run(commands)
            remove(key, serial)
        }
    }

    /// Drops a chunk beyond the sender's share of the memory. The receiver asks for the gap again.
    func receive(_ chunk: ArtifactChunk, _ payload: [UInt8], from session: UInt64) {
        let key = Key(session: session, id: chunk.transferID)
        let bytes = payload.count
        let upload = state.withLock { state -> Upload.Commands? in
            guard let upload = state.entries[key]?.upload else { return nil }
            state.lines[session] = Line(bytes: (state.lines[session]?.bytes ?? 0) + bytes, lastArrival: engine.now)
            return upload
        }
        guard let upload, arrived.withLock({ $0.add(bytes, of: session) }) else { return }
        let arrival = Upload.Arrival(chunk, payload) { [self] in arrived.withLock { $0.remove(bytes, of: session) } }
        upload.yield(.chunk(arrival))
    }

    func receive(_ credit: ArtifactCredit, from session: UInt64) {
        let key = Key(session: session, id: credit.transferID)
        state.withLock { $0.entries[key]?.download }?.yield(credit)
    }

    func end(_ attempt: AttemptReference) { end { _, entry in entry.attempt == attempt } }
    func end(session: UInt64) {
        end { key, _ in key.session == session }
        state.withLock { $0.lines[session] = nil }
    }
    func endAll() { end { _, _ in true } }

    private func end(where isEnding: (Key, Entry) -> Bool) {
        let ended = state.withLock { state in
            let ended = state.entries.filter { isEnding($0.key, $0.value) }
            for key in ended.keys { state.entries[key] = nil }
            return Array(ended.values)
        }
        for entry in ended { entry.end() }
    }

    /// - Returns: nil if there is no room. Then the worker is told to try later.
    private func add(_ entry: Entry, _ key: Key, _ send: @escaping Send) -> UInt64? {
        let addition = state.withLock { state -> Addition in
            if state.entries[key] == nil, let obstacle = state.obstacle(to: key.session) {
                return .refused(obstacle, count: state.refusals.occurred())
            }
            var entry = entry
            state.nextSerial += 1
            entry.serial = state.nextSerial
            return .added(serial: entry.serial, replaced: state.entries.updateValue(entry, forKey: key))
        }
        switch addition {
        case .added(let serial, let replaced):
            replaced?.end()
            return serial
        case .refused(let obstacle, let count):
            refuse(key, obstacle, count, send)
            return nil
        }
    }

    /// A full window for each of a few transfers, or at least 1 MiB for each of many.
    private func window() -> UInt32 {
        let count = state.withLock { $0.entries.count }
        return min(Limits.windowChunks, UInt32(max(1, Self.maxChunks / max(1, count))))
    }

    /// Logs few of the failures: a full disk fails every transfer.
    private func noteFailure(_ reason: String, _ offer: ArtifactOffer) async {
        guard let count = state.withLock({ $0.failedUploads.occurred() }) else { return }
        let about = await engine.metadata(
            offer.attempt,
            [
                "kind": "\(offer.role)", "iteration": .stringConvertible(offer.iteration), "reason": "\(reason)",
                "failures": .stringConvertible(count),
            ])
        logger.warning("an artifact was not accepted; its worker offers it again", metadata: about)
    }

    /// Logs few of the failures: the worker asks again and again.
    private func noteFailure(_ reason: String, _ request: ArtifactRequest) async {
        guard let count = state.withLock({ $0.failedDownloads.occurred() }) else { return }
        let about = await engine.metadata(
            request.attempt,
            [
                "sha256": "\(request.artifact.sha256)", "reason": "\(reason)", "failures": .stringConvertible(count),
            ])
        logger.warning("an artifact cannot be sent; its worker asks for it again", metadata: about)
    }

    private func remove(_ key: Key, _ serial: UInt64) {
        state.withLock { state in
            if state.entries[key]?.serial == serial { state.entries[key] = nil }
        }
    }

    /// - Parameter count: for the log; nil: not logged, because a worker repeats its offers.
    private func refuse(_ key: Key, _ obstacle: Obstacle, _ count: Int?, _ send: @escaping Send) {
        Task { [engine, logger] in
            if let count {
                let worker = await engine.workerName(key.session)
                logger.warning(
                    "\(obstacle.text)",
                    metadata: [
                        "limit": .stringConvertible(obstacle.limit), "refusals": .stringConvertible(count),
                        "worker": "\(worker)",
                    ])
            }
            await send(.acknowledge(id: key.id, .tryLater, message: "\(obstacle.text); try again"))
        }
    }
}
