import ClusterFixtures
import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Batches and labels over HTTP: in submissions, filters, changes of many jobs, and on pages.
@Suite("Batches over HTTP", .timeLimit(.minutes(10)))
struct BatchTests {
    private func submit(
        _ coordinator: RunningCoordinator, batch: String?, _ labels: [[String: String]], once: Bool = false
    ) async throws -> [AcceptedJob] {
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        let jobs = labels.map { labels in
            let name = "wall " + labels.sorted { $0.key < $1.key }.map { "\($0.key)\($0.value)" }.joined()
            return JobSubmission(
                name: name, fileName: "wall.png", exemplarSHA256: receipt.sha256, recipeYAML: "recipe: draft",
                once: once, batch: batch, labels: labels)
        }
        let body = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: jobs))
        return try await coordinator.send("POST", "/api/v1/jobs", body: body).decoded(SubmitJobsResponse.self).jobs
    }

    private func change(
        _ coordinator: RunningCoordinator, _ action: String, _ selection: JobSelection
    ) async throws -> RunningCoordinator.Answer {
        try await coordinator.send(
            "POST", "/api/v1/selection/\(action)", body: try APIFormat.encoder.encode(selection))
    }

    private func detail(_ answer: RunningCoordinator.Answer) throws -> String {
        try answer.decoded(ProblemDetails.self).detail
    }

    @Test func aBatchIsAsCompleteAsItsSubmissionWhateverWasSubmittedBefore() async throws {
        let coordinator = try await RunningCoordinator()
        let alone = try await submit(coordinator, batch: nil, [["seed": "1"]], once: true)
        let walls = try await submit(coordinator, batch: "walls", [["seed": "1"]], once: true)
        #expect(walls[0].id != alone[0].id && !walls[0].alreadyExisted)
        let again = try await submit(coordinator, batch: "walls", [["seed": "1"]], once: true)
        #expect(again[0].id == walls[0].id && again[0].alreadyExisted)
        let job = try await coordinator.get("/api/v1/jobs/\(walls[0].id)").decoded(JobDetail.self).job
        #expect(job.batch == "walls" && job.labels == ["seed": "1"])
        await coordinator.stop()
    }

    @Test func manyJobsChangeInOneRequestThatSaysWhich() async throws {
        let coordinator = try await RunningCoordinator()
        let walls = try await submit(coordinator, batch: "walls", (0..<6).map { ["seed": "\($0 % 3)"] })
        _ = try await submit(coordinator, batch: "roofs", [["seed": "0"]])

        let guarded = try await change(
            coordinator, "cancel", JobSelection(batch: "walls", labels: ["seed": "0"], atMost: 1))
        #expect(guarded.status == 409)
        let reason = try detail(guarded)
        #expect(reason.contains("applies to 2 jobs") && reason.contains("nothing was changed"))
        let cancelled = try await change(
            coordinator, "cancel", JobSelection(batch: "walls", labels: ["seed": "0"], atMost: 2, reason: "blurred"))
        let changes = try cancelled.decoded(SelectionChanges.self)
        #expect(changes.matched == 2 && changes.changed.map(\.id) == [walls[0].id, walls[3].id])
        let job = try await coordinator.get("/api/v1/jobs/\(walls[3].id)").decoded(JobDetail.self).job
        #expect(job.state == .cancelled && job.reason == "blurred")
        let page = try await coordinator.get("/api/v1/jobs?batch=walls&state=queued").decoded(JobPage.self)
        #expect(page.total == 4 && page.jobs.allSatisfy { $0.batch == "walls" })

        let retried = try await change(coordinator, "retry", JobSelection(batch: "walls")).decoded(
            SelectionChanges.self)
        #expect(retried.matched == 6 && retried.changed.map(\.id) == [walls[0].id, walls[3].id])
        let none = try await change(coordinator, "cancel", JobSelection(batch: "cellars"))
        #expect(try none.decoded(SelectionChanges.self) == SelectionChanges(matched: 0, changed: []))
        await coordinator.stop()
    }

    @Test func aSelectionThatIsEmptyWrongOrTooLargeChangesNothing() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await submit(coordinator, batch: "walls", [["seed": "1"], ["seed": "2"]])
        for (selection, status, words) in [
            (JobSelection(), 422, "selects no jobs"), (JobSelection(jobs: []), 422, "selects no jobs"),
            (JobSelection(name: "", recipe: ""), 422, "selects no jobs"),
            (JobSelection(labels: [:], atMost: 5), 422, "selects no jobs"),
            (JobSelection(batch: "a b"), 422, "batch is 'a b'"),
            (JobSelection(labels: ["": "x"]), 422, "the label's key is ''"),
            (JobSelection(batch: "walls", atMost: -1), 422, "atMost is -1"),
            (JobSelection(name: "a\u{0}"), 422, "U+0000"),
            (JobSelection(batch: "walls", reason: "a\u{0}"), 422, "reason has the character U+0000"),
            (JobSelection(jobs: [jobs[0].id, "0000000000"]), 404, "0000000000"),
            (JobSelection(jobs: ["x' OR 1=1 --"]), 404, "there is no job"),
        ] {
            let answer = try await change(coordinator, "cancel", selection)
            #expect(answer.status == status, "\(selection)")
            let reason = try detail(answer)
            #expect(reason.contains(words), "\(reason)")
        }
        // Valid JSON that is no selection is not called broken JSON.
        for (body, words) in [
            (#"{"batch":"walls","atMost":1.5}"#, "too large or not whole"),
            (#"{"batch":"walls","atMost":28442259757722505314304}"#, "too large or not whole"),
            (#"{"batch":"walls","state":"lost"}"#, "state is invalid"),
            (#"{"batch":7}"#, "batch is not of type String"),
            (#"{"batch":"walls""#, "the body is not valid JSON"),
            (#"{"batch":"walls","lables":{"k":"32"}}"#, "the body has the unknown member 'lables'; expected jobs,"),
            (#"{"batch":"walls","State":"failed"}"#, "unknown member 'State'"),
            (#"{"batch":"walls","atmost":null}"#, "unknown member 'atmost'"),
        ] {
            let answer = try await coordinator.send("POST", "/api/v1/selection/cancel", body: Data(body.utf8))
            #expect(answer.status == 400, "\(body)")
            let reason = try detail(answer)
            #expect(reason.contains(words), "\(reason)")
        }
        let page = try await coordinator.get("/api/v1/jobs?state=queued").decoded(JobPage.self)
        #expect(page.total == 2)
        for (query, words) in [
            ("batch=..%2Fetc", "batch is '../etc'"), ("label=seed", "expected key=value"),
            ("label=%3D1", "the label's key is ''"), ("label=seed=1&label=seed=2", "two values"),
            ("labels=a=b", "unknown"),
        ] {
            let answer = try await coordinator.get("/api/v1/jobs?\(query)")
            #expect(answer.status == 400)
            let reason = try detail(answer)
            #expect(reason.contains(words), "\(reason)")
        }
        await coordinator.stop()
    }

    @Test func aReasonIsKeptUpToALimitInBytes() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await submit(coordinator, batch: "walls", [["seed": "1"], ["seed": "2"]])
        let accents = String(repeating: "\u{301}", count: 200_000)
        for (job, reason, kept) in [
            (jobs[0], "blurred " + accents, "blurred"), (jobs[1], "e" + accents, "asked by a person"),
        ] {
            let answer = try await change(coordinator, "cancel", JobSelection(jobs: [job.id], reason: reason))
            #expect(answer.status == 200)
            let found = try await coordinator.get("/api/v1/jobs/\(job.id)").decoded(JobDetail.self).job
            #expect(found.reason == kept, "\(found.reason?.utf8.count ?? 0) bytes")
        }
        await coordinator.stop()
    }

    @Test func noMoreJobsChangeThanThePersonWasAskedAbout() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await submit(coordinator, batch: "walls", (1...4).map { ["seed": "\($0)"] })
        _ = try await change(coordinator, "cancel", JobSelection(jobs: [jobs[0].id]))
        let page = try await coordinator.get("/batches/walls").text
        let form = /action="\/batches\/walls\/([a-z]+)"[^>]*><input type="hidden" name="atMost" value="(\d+)">/
        #expect(page.matches(of: form).map { "\($0.1) \($0.2)" } == ["cancel 3", "retry 1", "delete 1"])
        #expect(page.contains("Delete 1 job with pictures") && page.contains("Stop 3 jobs?"))

        // Another job ends while the menu is open.
        _ = try await change(coordinator, "cancel", JobSelection(jobs: [jobs[1].id]))
        for (form, status, words) in [
            ("atMost=1", 409, "applies to 2 jobs, and the request allows at most 1; nothing was changed"),
            ("atMost=one", 422, "atMost is 'one'"), ("atMost=-1", 422, "atMost is -1"),
        ] {
            let answer = try await coordinator.send(
                "POST", "/batches/walls/delete", body: Data(form.utf8), headers: ["Accept": "application/json"])
            #expect(answer.status == status, "\(form)")
            let reason = try detail(answer)
            #expect(reason.contains(words), "\(reason)")
        }
        #expect(try await change(coordinator, "delete", JobSelection(batch: "walls", atMost: 1)).status == 409)
        // Jobs that stay as they are do not count.
        let changes = try await change(coordinator, "delete", JobSelection(batch: "walls", atMost: 2))
            .decoded(SelectionChanges.self)
        #expect(changes.matched == 4 && changes.changed.map(\.id) == [jobs[0].id, jobs[1].id])
        await coordinator.stop()
    }

    @Test func anActionOnAFilteredBatchChangesOnlyWhatThePageShows() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await submit(coordinator, batch: "walls", [["k": "32"], ["k": "64"]])
        let filter = "?name=k32&recipe=\(RecipeName.unnamed)"
        let page = try await coordinator.get("/batches/walls\(filter)").text
        #expect(page.contains("Stop 1 job of those shown?"))
        let address = "/batches/walls/cancel\(filter)"
        #expect(page.contains("action=\"\(address.replacing("&", with: "&amp;"))\""), "\(page)")
        let answer = try await coordinator.send("POST", address, headers: ["Accept": "application/json"])
        #expect(answer.text.contains("1 job of “walls” is cancelled"), "\(answer.text)")
        let rest = try await coordinator.get("/api/v1/jobs?state=queued").decoded(JobPage.self)
        #expect(rest.jobs.map(\.id) == [jobs[1].id])
        await coordinator.stop()
    }

    @Test func theNextPageHasTheSameFilters() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await submit(
            coordinator, batch: "walls",
            [
                ["k": "1+1", "wall": "north"], ["k": "1+1", "wall": "north"], ["k": "1+1", "wall": "south"],
                ["k": "2", "wall": "north"],
            ])
        for (path, second) in [("/jobs", jobs[0]), ("/batches/walls", jobs[1])] {
            let query = "name=1%2B1&label=k%3D1%2B1&label=wall%3Dnorth&limit=1"
            let page = try await coordinator.get("\(path)?\(query)").text
            let link = try #require(page.firstMatch(of: /rel="next" href="([^"]+)"/)?.1, "\(page)")
            let next = try await coordinator.get(String(link).replacing("&amp;", with: "&")).text
            #expect(jobs.filter { next.contains("data-job=\"\($0.id)\"") }.map(\.id) == [second.id], "\(link)")
            if path == "/jobs" {
                for label in ["k=1+1", "wall=north"] {
                    #expect(next.contains("name=\"label\" value=\"\(label)\""), "\(label)")
                }
            }
        }
        await coordinator.stop()
    }

    @Test func aBatchHasAPageWithPicturesProgressAndActions() async throws {
        let coordinator = try await RunningCoordinator()
        let jobs = try await submit(
            coordinator, batch: "walls",
            [["seed": "1", "k": "32"], ["seed": "2", "k": "32"], ["seed": "1", "k": "64"]])
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 81)
        worker.hello()
        let files = try await worker.train(try await worker.askForWork().attempt)

        let batch = try await coordinator.get("/api/v1/batches/walls").decoded(BatchSummary.self)
        #expect(batch.total == 3 && batch.jobs["finished"] == 1 && batch.endedAt == nil && batch.progress >= 1 / 3)
        let list = try await coordinator.get("/batches").text
        #expect(list.contains("href=\"/batches/walls\"") && list.contains("/thumbnails/\(files[0]).png"))
        let page = try await coordinator.get("/batches/walls").text
        #expect(page.contains("/thumbnails/\(files[0]).png"), "the snapshot of the finished one")
        for job in jobs { #expect(page.contains("data-job=\"\(job.id)\"")) }
        #expect(page.contains("k=32 · seed=2") && page.contains("Cancel 2 jobs") && !page.contains("Retry…"))
        #expect(page.contains("value=\"seed=2\"") && page.contains("33\u{A0}%"))
        let some = try await coordinator.get("/batches/walls?label=k%3D32&label=seed%3D2&state=").text
        #expect(some.contains("Stop 1 job of those shown") && !some.contains("data-job=\"\(jobs[2].id)\""))
        #expect(
            some.contains("action=\"/batches/walls/cancel?label&#x3D;k%3D32")
                || some.contains("cancel?label=k%3D32&amp;label=seed%3D2"), "\(some)")
        #expect(try await coordinator.get("/batches/walls?state=odd").status == 400)
        #expect(try await coordinator.get("/batches/roofs").status == 404)

        let form = Data("reason=out+of+focus".utf8)
        let answer = try await coordinator.send(
            "POST", "/batches/walls/cancel?label=seed%3D2", body: form, headers: ["Accept": "application/json"])
        #expect(answer.status == 200 && answer.text.contains("1 job of “walls” is cancelled"), "\(answer.text)")
        let job = try await coordinator.get("/api/v1/jobs/\(jobs[1].id)").decoded(JobDetail.self).job
        #expect(job.reason == "out of focus")
        let rest = try await coordinator.send("POST", "/batches/walls/cancel", headers: ["Accept": "application/json"])
        #expect(rest.text.contains("1 job of “walls”"), "\(rest.text)")
        let ended = try await coordinator.get("/api/v1/batches/walls").decoded(BatchSummary.self)
        #expect(ended.endedAt != nil && ended.progress == 1 && ended.secondsLeft == 0)
        let jobPage = try await coordinator.get("/jobs?batch=walls&label=seed%3D2").text
        #expect(jobPage.contains("/jobs/\(jobs[1].id)") && !jobPage.contains("/jobs/\(jobs[0].id)"))
        #expect(try await coordinator.get("/jobs/\(jobs[1].id)").text.contains("href=\"/batches/walls\""))
        await worker.socket.close()
        await coordinator.stop()
    }
}
