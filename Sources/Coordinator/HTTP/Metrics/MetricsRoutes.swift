import ClusterCore
import Foundation
import Hummingbird
import OperatingSystem
import Transport

/// `/metrics`, for Prometheus. A scrape reads counts that the process keeps anyway, and iterates over no jobs.
struct MetricsRoutes: Sendable {
    let reader: ClusterReader
    let feed: EventFeed
    let socket: RouterSocket
    let storedBytes: StoredBytes
    let folder: DataFolder

    func add(to router: Router<CallerContext>) {
        router.get("metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: Exposition.contentType, .cacheControl: "no-store"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: try await report().text)))
        }
    }

    /// By kind of receiver; nothing while the store cannot be read.
    private func waitingNotifications() async -> [NotificationReceiverKind: Int] {
        let counts = (try? await reader.store.waitingNotifications()) ?? [:]
        return counts.reduce(into: [:]) { sums, entry in
            if let kind = NotificationReceiverKind(ofReceiver: entry.key) { sums[kind, default: 0] += entry.value }
        }
    }

    private func report() async throws -> MetricsReport {
        let engine = reader.engine
        return MetricsReport(
            startedAt: reader.startedAt, cluster: await engine.committed,
            now: engine.now, counts: engine.metrics.current, socket: socket.counters,
            waitingEvents: await engine.waitingEvents,
            droppedEvents: await engine.droppedEvents, isStoreWritable: await engine.storeProblem == nil,
            eventStreams: await feed.openStreams, waitingNotifications: await waitingNotifications(),
            storedBytes: await storedBytes.byKind(at: engine.now),
            freeBytes: Disk.freeBytes(at: folder.url), process: .read())
    }
}

/// Artifact bytes on record. The sum reads every artifact record, so it is computed at most once a minute.
actor StoredBytes {
    static let lifetime = Duration.seconds(60)

    private let store: JobStore
    private var known: (sums: [ArtifactRole: Int], at: Instant)?

    init(_ store: JobStore) { self.store = store }

    /// Returns the last sums while the store cannot be read: the other metrics say what is wrong.
    func byKind(at now: Instant) async -> [ArtifactRole: Int] {
        if let known, now.since(known.at) < Self.lifetime { return known.sums }
        guard let sums = try? await store.artifactBytes() else { return known?.sums ?? [:] }
        known = (sums, now)
        return sums
    }
}
