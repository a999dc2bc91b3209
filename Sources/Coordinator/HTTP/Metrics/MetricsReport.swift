import Base
import ClusterCore
import Foundation
import Protocol
import Transport

/// The state of the coordinator at one moment, and its page for Prometheus.
///
/// No label names a job: there are as many series after a million jobs as after ten.
struct MetricsReport {
    var startedAt: Date
    var cluster: ClusterState
    var now: Instant
    var counts: CoordinatorMetrics.Counts
    var socket: SocketCounters
    var waitingEvents: Int
    var droppedEvents: Int
    var isStoreWritable: Bool
    var eventStreams: Int
    /// Messages that wait, by kind of receiver.
    var waitingNotifications: [NotificationReceiverKind: Int]
    var storedBytes: [ArtifactRole: Int]
    var freeBytes: Int?
    var process: ProcessStatistics

    private typealias Sample = Exposition.Sample

    var text: String {
        var page = Exposition()
        page.gauge(
            "texloom_build_info", "The running version; always 1.",
            [Sample(labels: [("version", texloomVersion)], value: 1)])
        addJobs(to: &page)
        addWorkers(to: &page)
        addArtifacts(to: &page)
        addDelays(to: &page)
        addRequests(to: &page)
        addNotifications(to: &page)
        addProcess(to: &page)
        return page.text
    }

    private func addJobs(to page: inout Exposition) {
        let tally = counts.cluster
        page.gauge("texloom_jobs", "Jobs by state.", .by("state", JobState.allCases) { cluster.counts[$0] ?? 0 })
        page.histogram(
            "texloom_job_queue_wait_seconds",
            "Time from submission, or return to the queue, to a worker. Excludes jobs that waited before the start.",
            tally.queueWait)
        page.counter("texloom_attempts_started_total", "Attempts given to workers.", Double(tally.attemptsStarted))
        page.counter(
            "texloom_attempts_ended_total", "Ended attempts, by outcome.",
            .by("outcome", Attempt.Outcome.allCases) { tally.attemptsEnded[$0] ?? 0 })
        page.counter(
            "texloom_lease_expiries_total", "Attempts lost because their workers fell silent.",
            Double(tally.leaseExpiries))
        page.counter(
            "texloom_iterations_total", "Training iterations; those trained again after a resume count again.",
            Double(tally.iterations))
        page.histogram(
            "texloom_iteration_seconds", "Time of a training iteration, as workers report its average.",
            tally.iterationSeconds)
    }

    private func addWorkers(to page: inout Exposition) {
        let all = cluster.sessions.values.sorted { $0.worker.id < $1.worker.id }
        let connected = all.filter(\.isAttached)
        page.gauge(
            "texloom_workers", "Workers by state. Awaited: they held an attempt when the coordinator restarted.",
            [
                Sample(labels: [("state", "connected")], value: Double(connected.count { !$0.isDraining })),
                Sample(labels: [("state", "draining")], value: Double(connected.count(where: \.isDraining))),
                Sample(labels: [("state", "awaited")], value: Double(all.count - connected.count)),
            ])
        page.gauge(
            "texloom_slots", "Attempts that connected workers can train at once; draining ones take no more.",
            Double(connected.filter { !$0.isDraining }.reduce(0) { $0 + $1.worker.slots }))
        page.gauge("texloom_slots_busy", "Running attempts.", Double(cluster.leases.count))
        page.gauge(
            "texloom_slots_wanted",
            "Slots that further workers could fill at once: queued jobs beyond the free slots that can run them.",
            Double(cluster.slotsWanted(at: now)))

        // By id, because workers may share a name. A worker has one current session.
        let current = connected.filter { cluster.sessionOfWorker[$0.worker.id] == $0.session }
        page.gauge(
            "texloom_worker_info", "Connected workers by id, with their names; always 1.",
            current.map { session in
                let worker = session.worker
                return Sample(
                    labels: [
                        ("worker", worker.id), ("name", worker.name), ("version", worker.softwareVersion),
                        ("cpu", worker.cpu),
                    ], value: 1)
            })
        func load(_ value: (WorkerLoad) -> Double) -> [Sample] {
            current.compactMap { session in
                session.load.map { Sample(labels: [("worker", session.worker.id)], value: value($0)) }
            }
        }
        page.gauge(
            "texloom_worker_cores_busy", "Cores that the worker's process keeps busy, on average over a heartbeat.",
            load(\.coresBusy))
        page.gauge(
            "texloom_worker_resident_bytes", "Memory of the worker's process.", load { Double($0.residentBytes) })
        page.gauge(
            "texloom_worker_spool_bytes", "Files that wait for delivery in the worker's folder.",
            load { Double($0.spoolBytes) })
        page.gauge(
            "texloom_worker_load_average", "Load average over a minute of the worker's machine.", load(\.loadAverage))
    }

    private func addArtifacts(to page: inout Exposition) {
        page.counter(
            "texloom_artifact_received_bytes_total", "Artifact bytes received, by kind.",
            .by("kind", ArtifactRole.allCases) { counts.receivedBytes[$0] ?? 0 })
        page.counter(
            "texloom_artifact_sent_bytes_total", "Artifact bytes sent, to workers and over HTTP.",
            .by("to", CoordinatorMetrics.Recipient.allCases) { counts.sentBytes[$0] ?? 0 })
        page.gauge(
            "texloom_artifact_stored_bytes",
            "Artifact bytes on record, by kind, up to a minute old. Equal files, which are stored once, count each time.",
            .by("kind", ArtifactRole.allCases) { storedBytes[$0] ?? 0 })
        if let freeBytes {
            page.gauge("texloom_data_free_bytes", "Free space of the data folder's disk.", Double(freeBytes))
        }
    }

    private func addDelays(to page: inout Exposition) {
        page.counter(
            "texloom_messages_received_total", "Valid messages from workers.", Double(socket.received))
        page.counter("texloom_messages_sent_total", "Messages to workers.", Double(socket.sent))
        page.counter(
            "texloom_messages_dropped_total", "Messages not sent because the worker was gone or did not read.",
            Double(socket.dropped))
        page.counter(
            "texloom_messages_malformed_total", "Invalid messages from workers.", Double(socket.malformed.count))
        page.counter(
            "texloom_peers_refused_total", "Messages refused because too many peers are connected.",
            Double(socket.refusedPeers.count))
        page.counter(
            "texloom_messages_discarded_total",
            "Messages from workers discarded unread because more arrived than were taken.",
            Double(socket.discarded))
        page.counter(
            "texloom_connections_ended_total", "Connections ended because what they had sent filled too much memory.",
            Double(socket.endedUnfinished))
        page.gauge("texloom_events_waiting", "Events that wait for the engine.", Double(waitingEvents))
        page.counter(
            "texloom_events_dropped_total", "Worker messages dropped because too many waited.", Double(droppedEvents))
        page.histogram(
            "texloom_event_wait_seconds", "Time an event waits for the engine.", counts.eventWait)
        page.gauge(
            "texloom_store_writable", "Whether the last write to the job store succeeded.", isStoreWritable ? 1 : 0)
        page.histogram(
            "texloom_store_commit_seconds", "Time of a job store transaction, with its wait for the database.",
            counts.commit)
        page.counter(
            "texloom_store_commit_failures_total", "Failed transactions; each was rolled back.",
            Double(counts.commitFailures))
        page.histogram(
            "texloom_event_loop_delay_seconds", "Delay of a timer of the HTTP server.", counts.loopDelay)
    }

    private func addRequests(to page: inout Exposition) {
        let requests = counts.requests.sorted {
            ($0.key.route, $0.key.method, $0.key.status) < ($1.key.route, $1.key.method, $1.key.status)
        }
        page.counter(
            "texloom_http_requests_total", "HTTP requests answered, by route.",
            requests.map { known, count in
                Sample(
                    labels: [("route", known.route), ("method", known.method), ("code", "\(known.status)")],
                    value: Double(count))
            })
        page.histograms(
            "texloom_http_request_seconds", "Time from a request to the head of its answer.", by: "route",
            counts.requestSeconds.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        page.gauge("texloom_event_streams", "Open streams of server-sent events.", Double(eventStreams))
    }

    private func addNotifications(to page: inout Exposition) {
        let kinds = NotificationReceiverKind.allCases
        page.gauge(
            "texloom_notifications_waiting", "Messages about ended jobs and batches that no receiver has taken yet.",
            .by("to", kinds) { waitingNotifications[$0] ?? 0 })
        page.counter(
            "texloom_notifications_delivered_total", "Messages that a receiver took.",
            .by("to", kinds) { counts.notifications[$0]?.delivered ?? 0 })
        page.counter(
            "texloom_notifications_failed_total", "Failed tries; each message is sent again.",
            .by("to", kinds) { counts.notifications[$0]?.failed ?? 0 })
        page.counter(
            "texloom_notifications_given_up_total", "Messages that no receiver took within a day.",
            .by("to", kinds) { counts.notifications[$0]?.givenUp ?? 0 })
    }

    /// Uses the standard names, as every client library does.
    private func addProcess(to page: inout Exposition) {
        page.gauge(
            "process_start_time_seconds", "Start of the process, in Unix time.", startedAt.timeIntervalSince1970)
        page.counter("process_cpu_seconds_total", "User and system CPU time.", process.cpuSeconds)
        page.gauge("process_resident_memory_bytes", "Resident memory.", Double(process.residentBytes))
        page.gauge("process_virtual_memory_bytes", "Virtual memory.", Double(process.virtualBytes))
        page.gauge("process_open_fds", "Open file descriptors.", Double(process.openFiles))
        page.gauge("process_max_fds", "Limit on open file descriptors.", Double(process.maxOpenFiles))
    }
}
