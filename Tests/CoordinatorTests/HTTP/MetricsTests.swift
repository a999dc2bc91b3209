import Base
import Foundation
import Protocol
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable import ClusterCore
@testable import Coordinator

@Suite("Metrics", .timeLimit(.minutes(10)))
struct MetricsTests {
    private func scrape(_ coordinator: RunningCoordinator) async throws -> MetricsPage {
        let answer = try await coordinator.get("/metrics")
        #expect(answer.status == 200 && answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
        return try MetricsPage(parsing: answer.text)
    }

    @Test func everyCounterIsThereFromTheStart() async throws {
        let before = Date()
        let coordinator = try await RunningCoordinator()
        let after = Date()
        let page = try await scrape(coordinator)
        #expect(page["texloom_build_info", ["version": texloomVersion]] == 1)
        for state in JobState.allCases { #expect(page["texloom_jobs", ["state": state.rawValue]] == 0) }
        for outcome in Attempt.Outcome.allCases {
            #expect(page["texloom_attempts_ended_total", ["outcome": outcome.rawValue]] == 0)
        }
        for kind in ArtifactRole.allCases {
            #expect(page["texloom_artifact_received_bytes_total", ["kind": kind.rawValue]] == 0)
            #expect(page["texloom_artifact_stored_bytes", ["kind": kind.rawValue]] == 0)
        }
        #expect(page["texloom_store_writable"] == 1 && page["texloom_lease_expiries_total"] == 0)
        #expect(page["texloom_job_queue_wait_seconds_count"] == 0 && page["texloom_iteration_seconds_count"] == 0)
        let free = try #require(page["texloom_data_free_bytes"])
        let resident = try #require(page["process_resident_memory_bytes"])
        let files = try #require(page["process_open_fds"])
        #expect(free > 0 && resident > 1e6 && files > 3)
        #expect(try #require(page["process_cpu_seconds_total"]) > 0)
        #expect(try #require(page["process_max_fds"]) >= files)
        let started = try #require(page["process_start_time_seconds"])
        // The coordinator's start: this process runs other tests, too.
        #expect(started >= before.timeIntervalSince1970 - 0.001 && started <= after.timeIntervalSince1970 + 0.001)
        #expect(try await scrape(coordinator)["process_start_time_seconds"] == started, "it does not restart")
        await coordinator.stop()
    }

    @Test func aWorkersJobIsSeenFromTheQueueToItsEnd() async throws {
        let coordinator = try await RunningCoordinator()
        let accepted = try await coordinator.submit("wood", "rings")
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 11)
        worker.hello(id: "forge1")
        _ = try await worker.welcome()
        let attempt = try await worker.askForWork().attempt
        worker.send(
            .heartbeat(
                .with {
                    $0.sequence = 1
                    $0.running = [
                        .with {
                            $0.attempt = attempt
                            $0.iteration = 40
                            $0.totalIterations = 100
                            $0.secondsPerIteration = 0.3
                        }
                    ]
                    $0.load = .with {
                        $0.coresBusy = 1.75
                        $0.residentBytes = 3 << 30
                        $0.spoolBytes = 12345
                        $0.loadAverage = 2.5
                    }
                }))
        try await worker.next("HEARTBEAT_REPLY") { if case .heartbeatReply? = $0.body { () } else { nil } }
        let checkpoint = (0..<Limits.chunkBytes + 77).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        _ = try await worker.upload(checkpoint, .checkpoint, iteration: 40, of: attempt)

        let page = try await scrape(coordinator)
        #expect(page["texloom_jobs", ["state": "running"]] == 1 && page["texloom_jobs", ["state": "queued"]] == 1)
        #expect(page["texloom_job_queue_wait_seconds_count"] == 1 && page["texloom_attempts_started_total"] == 1)
        #expect(page["texloom_iterations_total"] == 40 && page["texloom_iteration_seconds_count"] == 40)
        #expect(page["texloom_iteration_seconds_bucket", ["le": "0.2"]] == 0)
        #expect(page["texloom_iteration_seconds_bucket", ["le": "0.5"]] == 40)
        #expect(page["texloom_workers", ["state": "connected"]] == 1 && page["texloom_slots"] == 1)
        #expect(page["texloom_slots_busy"] == 1 && page["texloom_slots_wanted"] == 1)
        let label = ["worker": "forge1"]
        let info = label.merging(["name": "scripted", "version": "test", "cpu": "test"]) { $1 }
        #expect(page["texloom_worker_info", info] == 1)
        #expect(page["texloom_worker_cores_busy", label] == 1.75 && page["texloom_worker_load_average", label] == 2.5)
        #expect(page["texloom_worker_resident_bytes", label] == Double(3 << 30))
        #expect(page["texloom_worker_spool_bytes", label] == 12345)
        let image = Double(TestImages.png.count)
        #expect(page["texloom_artifact_received_bytes_total", ["kind": "exemplar"]] == image)
        #expect(page["texloom_artifact_received_bytes_total", ["kind": "checkpoint"]] == Double(checkpoint.count))
        #expect(try #require(page["texloom_messages_received_total"]) >= 4)
        #expect(try #require(page["texloom_messages_sent_total"]) >= 4)
        #expect(try #require(page["texloom_store_commit_seconds_count"]) >= 3)
        #expect(try #require(page["texloom_event_wait_seconds_count"]) >= 5)
        let submission = ["route": "/api/v1/jobs", "method": "POST", "code": "201"]
        #expect(page["texloom_http_requests_total", submission] == 1)
        #expect(page["texloom_http_request_seconds_count", ["route": "/api/v1/jobs"]] == 1)
        for series in page.values.keys {
            #expect(!series.labels.values.contains { value in accepted.contains { value.contains($0.id) } })
        }
        let listed = try await coordinator.get("/api/v1/workers").decoded(WorkerList.self).workers[0]
        #expect(listed.coresBusy == 1.75 && listed.residentBytes == 3 << 30 && listed.spoolBytes == 12345)

        try await worker.handBack(attempt)
        let resumed = try await worker.askForWork()
        _ = try await worker.download(resumed.checkpoint, of: resumed.attempt)
        worker.send(.goodbye(WireGoodbye()))
        var last = try await scrape(coordinator)
        while last["texloom_workers", ["state": "connected"]] != 0 { last = try await scrape(coordinator) }
        #expect(last["texloom_artifact_sent_bytes_total", ["to": "worker"]] == Double(checkpoint.count))
        #expect(last["texloom_attempts_ended_total", ["outcome": "handedBack"]] == 1)
        #expect(last["texloom_attempts_ended_total", ["outcome": "lost"]] == 1)
        #expect(last.series("texloom_worker_info").isEmpty && last.series("texloom_worker_cores_busy").isEmpty)
        let gone = try await coordinator.get("/api/v1/workers").decoded(WorkerList.self).workers[0]
        #expect(gone.coresBusy == nil && gone.residentBytes == nil && gone.spoolBytes == nil)
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func aWorkerThatDoesNotMeasureIsAWorkerAllTheSame() async throws {
        let coordinator = try await RunningCoordinator()
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 12)
        worker.hello()
        _ = try await worker.welcome()
        worker.send(.heartbeat(WireHeartbeat()))
        try await worker.next("HEARTBEAT_REPLY") { if case .heartbeatReply? = $0.body { () } else { nil } }
        let page = try await scrape(coordinator)
        #expect(page["texloom_workers", ["state": "connected"]] == 1)
        #expect(page.series("texloom_worker_info").count == 1 && page.series("texloom_worker_cores_busy").isEmpty)
        _ = try await coordinator.send("POST", "/api/v1/workers/worker-12/drain")
        let drained = try await scrape(coordinator)
        #expect(drained["texloom_workers", ["state": "connected"]] == 0)
        #expect(drained["texloom_workers", ["state": "draining"]] == 1 && drained["texloom_slots"] == 0)
        await worker.socket.close()
        await coordinator.stop()
    }

    @Test func bytesOnRecordAreThoseOfTheStore() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("a", "b")
        let page = try await scrape(coordinator)
        let stored = page["texloom_artifact_stored_bytes", ["kind": "exemplar"]]
        #expect(stored == Double(2 * TestImages.png.count))
        let detail = try await coordinator.get("/api/v1/jobs").decoded(JobPage.self).jobs[0]
        _ = try await coordinator.get("/api/v1/artifacts/\(detail.exemplarSHA256)")
        let later = try await scrape(coordinator)
        #expect(later["texloom_artifact_sent_bytes_total", ["to": "http"]] == Double(TestImages.png.count))
        await coordinator.stop()
    }

    @Test func whoeverAsksCannotAddSeriesAtWill() async throws {
        let coordinator = try await RunningCoordinator()
        for path in ["/a", "/b", "/api/v1/jobs/nonsense", "/api/v1/jobs/0000010000"] {
            #expect(try await coordinator.get(path).status == 404)
        }
        for method in ["PROPFIND", "PURGE"] { _ = try await coordinator.send(method, "/metrics") }
        let page = try await scrape(coordinator)
        let requests = page.series("texloom_http_requests_total")
        #expect(requests.count { $0.labels["route"] == "NotFound" && $0.labels["method"] == "GET" } == 1)
        #expect(
            page["texloom_http_requests_total", ["route": "/api/v1/jobs/{id}", "method": "GET", "code": "404"]] == 2)
        #expect(requests.allSatisfy { $0.labels["method"] != "PROPFIND" && $0.labels["method"] != "PURGE" })
        #expect(requests.contains { $0.labels["method"] == "other" })
        await coordinator.stop()
    }

    @Test func anOpenEventStreamIsCounted() async throws {
        let reader = try await RunningCoordinator()
        #expect(try await scrape(reader)["texloom_event_streams"] == 0)
        let stream = URLSession.shared.dataTask(with: URLRequest(to: reader.addresses.httpURL + "/api/v1/events"))
        stream.resume()
        var page = try await scrape(reader)
        while page["texloom_event_streams"] != 1 { page = try await scrape(reader) }
        stream.cancel()
        await reader.stop()
    }
}
