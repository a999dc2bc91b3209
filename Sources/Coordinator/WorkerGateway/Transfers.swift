import ClusterCore
import Foundation
import Logging
import Synchronization

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
        var upload: AsyncStream<Upload.Command>.Continuation?
        var download: AsyncStream<ArtifactCredit>.Continuation?

        func end() {
            upload?.finish()
            download?.finish()
        }
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var nextSerial: UInt64 = 0
        var failures = 0
    }

    /// Upper limit on the transfers of all workers. Each has a window of a few MiB.
    static let maxTransfers = 256
    /// Upper limit on the transfers of one worker process, so that a flood of offers leaves places for other workers.
    static let maxPerSession = 64
    /// Upper limit on the chunks that all uploads together may have in flight: 256 MiB.
    static let maxChunks = 256

    private let artifacts: ArtifactStore
    private let disk: BlockingWork
    private let engine: ClusterEngine
    private let logger: Logger
    private let state = Mutex(State())
    /// Chunks that wait for the disk, by session. They need their own lock: a chunk may leave while another thread
    /// holds the other lock.
    private let arrived = Mutex(
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
        // Holds a window of chunks and a reminder or two. A peer that sends beyond its credit loses the rest.
        let (commands, continuation) = AsyncStream<Upload.Command>.makeStream(
            bufferingPolicy: .bufferingOldest(2 * Int(Limits.windowChunks)))
        guard let serial = add(Entry(attempt: offer.attempt, serial: 0, upload: continuation), key) else {
            return refuse(offer.transferID, send)
        }
        Task { [self] in
            let upload = Upload(
                offer: offer, session: session, artifacts: artifacts, disk: disk, engine: engine, send: send,
                windowChunks: { [self] in window() }, onFailure: { [self] in await noteFailure($0, offer) })
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
        guard let serial = add(Entry(attempt: request.attempt, serial: 0, download: continuation), key) else {
            return refuse(request.transferID, send)
        }
        continuation.yield(start)
        Task { [self] in
            let download = Download(
                artifact: artifact, request: request, session: session, engine: engine, artifacts: artifacts,
                disk: disk, logger: logger, send: send)
            await download.run(commands)
            remove(key, serial)
        }
    }

    /// Drops a chunk beyond the sender's share of the memory. The receiver asks for the gap again.
    func receive(_ chunk: ArtifactChunk, _ payload: [UInt8], from session: UInt64) {
        let key = Key(session: session, id: chunk.transferID)
        let bytes = payload.count
        guard let upload = state.withLock({ $0.entries[key]?.upload }), arrived.withLock({ $0.add(bytes, of: session) })
        else { return }
        let arrival = Upload.Arrival(chunk, payload) { [self] in arrived.withLock { $0.remove(bytes, of: session) } }
        upload.yield(.chunk(arrival))
    }

    /// Bytes of received chunks that are not on disk yet.
    var arrivedBytes: Int { arrived.withLock { $0.bytes } }

    func receive(_ credit: ArtifactCredit, from session: UInt64) {
        let key = Key(session: session, id: credit.transferID)
        state.withLock { $0.entries[key]?.download }?.yield(credit)
    }

    func end(_ attempt: AttemptReference) { end { _, entry in entry.attempt == attempt } }
    func end(session: UInt64) { end { key, _ in key.session == session } }
    func endAll() { end { _, _ in true } }

    private func end(where isEnding: (Key, Entry) -> Bool) {
        let ended = state.withLock { state in
            let ended = state.entries.filter { isEnding($0.key, $0.value) }
            for key in ended.keys { state.entries[key] = nil }
            return Array(ended.values)
        }
        for entry in ended { entry.end() }
    }

    private func add(_ entry: Entry, _ key: Key) -> UInt64? {
        let (serial, replaced) = state.withLock { state -> (UInt64?, Entry?) in
            let ofSession = state.entries.keys.count { $0.session == key.session }
            let hasRoom = state.entries.count < Self.maxTransfers && ofSession < Self.maxPerSession
            guard hasRoom || state.entries[key] != nil else { return (nil, nil) }
            var entry = entry
            state.nextSerial += 1
            entry.serial = state.nextSerial
            return (entry.serial, state.entries.updateValue(entry, forKey: key))
        }
        replaced?.end()
        return serial
    }

    /// A full window for each of a few transfers, or at least one chunk for each of many.
    private func window() -> UInt32 {
        let count = state.withLock { $0.entries.count }
        return min(Limits.windowChunks, UInt32(max(1, Self.maxChunks / max(1, count))))
    }

    /// Logs the first failure, then the second, the fourth and so on: a full disk fails every transfer.
    private func noteFailure(_ reason: String, _ offer: ArtifactOffer) async {
        let count = state.withLock { state in
            state.failures += 1
            return state.failures
        }
        guard count & (count - 1) == 0 else { return }
        let about = await engine.metadata(
            offer.attempt,
            [
                "kind": "\(offer.role)", "iteration": .stringConvertible(offer.iteration), "reason": "\(reason)",
                "failures": .stringConvertible(count),
            ])
        logger.warning("an artifact was not accepted; its worker offers it again", metadata: about)
    }

    private func remove(_ key: Key, _ serial: UInt64) {
        state.withLock { state in
            if state.entries[key]?.serial == serial { state.entries[key] = nil }
        }
    }

    private func refuse(_ id: UInt64, _ send: @escaping Send) {
        logger.warning("too many transfers at once", metadata: ["limit": .stringConvertible(Self.maxTransfers)])
        Task { await send(.acknowledge(id: id, .tryLater, message: "too many transfers are under way; try again")) }
    }
}
