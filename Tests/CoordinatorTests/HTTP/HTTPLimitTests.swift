import ClusterFixtures
import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator
@testable import Imaging

/// Clients that take more than their share: of time, connections, memory or disk.
@Suite("HTTP limits", .timeLimit(.minutes(10)))
struct HTTPLimitTests {
    private static let host = "Host: 127.0.0.1\r\n"

    private func coordinator(_ change: (inout HTTPLimits) -> Void) async throws -> RunningCoordinator {
        try await RunningCoordinator { change(&$0.httpLimits) }
    }

    @Test func theDocumentHasEveryNumber() throws {
        let document = try Project.text("docs/security.md")
        let limits = HTTPLimits()
        func share(_ part: Int) -> String {
            [2: "half of the connections", 8: "an eighth of the connections"][limits.connections / part] ?? "\(part)"
        }
        let rows = [
            "header of the first request, TLS handshake included | \(limits.headSeconds) s",
            "after the answer before | \(limits.idleSeconds) s", "pause within a body | \(limits.bodyStallSeconds) s",
            "whole body | \(limits.bodySeconds) s", "whose answer is sent | \(limits.drainSeconds) s",
            "nothing of an answer (less than 64 KiB) | \(limits.writeStallSeconds) s",
            "connections | \(limits.connections), at most half of the open files | closed",
            "connections of one address | \(share(limits.connectionsPerAddress)) | closed",
            "event streams | \(share(limits.streams)) | 503",
            "event streams of a caller | \(share(limits.streamsPerCaller)) | 429",
            "form of a page | \(DashboardActions.maxFormBytes >> 10) KiB",
            "JSON body | \(APIRoutes.maxRequestBytes >> 20) MiB",
            "JSON bodies under way | \(limits.jsonBytes >> 20) MiB",
            "JSON bodies of a caller under way | \(limits.jsonBytesPerCaller >> 20) MiB",
            "exemplar | \(ExemplarIntake.maxBytes >> 20) MiB, "
                + "\(Double(ImageLimits.exemplar.maxPixels / 100_000) / 10) megapixels",
            "exemplars without a job | \(ExemplarQuota.bytes >> 20) MiB, at most "
                + (ExemplarQuota.shareOfFree == 0.25 ? "a quarter" : "\(ExemplarQuota.shareOfFree)"),
            "A small exemplar counts as \(ExemplarQuota.leastBytes >> 10) KiB",
            "exemplars of a caller without a job | \(ExemplarQuota.bytesPerCaller >> 20) MiB",
            "without a job is removed after | \(Int(Janitor.orphanAge)) s",
            "page of metrics or log lines | about \(StoredPage<LogEntry>.maxBytes >> 20) MiB",
            "one at a time; interlaced PNG: \(ImageLimits.maxInterlacedPixels >> 20) Mi pixels | 422",
            "webhooks; time for an answer | \(NotificationConfiguration.maxWebhooks); "
                + "\(Int(Webhook.timeout.inSeconds)) s",
            "a notification's command | \(Int(NotificationCommand.timeout.inSeconds)) s",
            "answer's body is ignored after \(Webhook.maxAnswerBytes >> 10) KiB",
            "At \(AuditLog.maxBytes >> 20) MiB it becomes `audit.jsonl.1`; "
                + "\(AuditLog.filesKept == 4 ? "four" : "\(AuditLog.filesKept)") such files are kept",
            "a session of \(TokenStore.sessionLifetime == 7 * 86_400 ? "seven" : "other") days",
            "running requests after SIGTERM | \(limits.shutdownSeconds) s",
            "the whole stop after SIGTERM | \(limits.wholeShutdownSeconds) s",
        ]
        for row in rows { #expect(document.contains(row), "\(row)") }
    }

    // MARK: Deadlines

    @Test func aHeaderThatNeverEndsIsCutOff() async throws {
        let coordinator = try await coordinator { $0.headSeconds = 1 }
        for start in ["", "GET / HT", "GET / HTTP/1.1\r\n\(Self.host)X-A: "] {
            let connection = try RawConnection(coordinator.addresses.httpURL)
            await connection.send(start)
            #expect(await connection.untilClosed() != nil, "\(start)")
        }
        await coordinator.stop()
    }

    @Test func aBodyThatStopsOrTricklesIsCutOff() async throws {
        let head = "POST /api/v1/exemplars HTTP/1.1\r\n\(Self.host)Content-Length: 1000\r\n\r\nabc"
        let stalling = try await coordinator { $0.bodyStallSeconds = 1 }
        let connection = try RawConnection(stalling.addresses.httpURL)
        await connection.send(head)
        #expect(await connection.untilClosed() != nil)
        await stalling.stop()

        let trickling = try await coordinator { $0.bodySeconds = 2 }
        let slow = try RawConnection(trickling.addresses.httpURL)
        await slow.send(head)
        var sent = 0
        // Without the deadline, all of the body arrives, and the answer says that it is no image.
        while await slow.send("x"), sent < 997 {
            sent += 1
            try await Task.sleep(for: .milliseconds(50))
        }
        #expect(await slow.untilClosed()?.contains("HTTP/1.1 422") == false)
        let incoming = trickling.folder.url.appendingPathComponent("incoming").path
        // Soon; the time limit guards.
        while try !FileManager.default.contentsOfDirectory(atPath: incoming).isEmpty {
            try await Task.sleep(for: .milliseconds(10))
        }
        await trickling.stop()
    }

    @Test func aConnectionWithoutRequestsIsClosed() async throws {
        let coordinator = try await coordinator { $0.idleSeconds = 1 }
        let connection = try RawConnection(coordinator.addresses.httpURL)
        await connection.send("GET /healthz HTTP/1.1\r\n\(Self.host)\r\n")
        #expect(await connection.untilClosed()?.contains("200 OK") == true)
        await coordinator.stop()
    }

    @Test func theRestOfARefusedBodyIsNotAwaitedForLong() async throws {
        let coordinator = try await coordinator { $0.drainSeconds = 1 }
        let connection = try RawConnection(coordinator.addresses.httpURL)
        await connection.send("POST /api/v1/exemplars HTTP/1.1\r\n\(Self.host)Content-Length: 99999999999\r\n\r\nabc")
        #expect(await connection.untilClosed()?.contains("HTTP/1.1 413") == true)
        await coordinator.stop()
    }

    @Test func aClientThatTakesNothingOfItsAnswerIsCutOff() async throws {
        let coordinator = try await coordinator {
            $0.writeStallSeconds = 1
            $0.idleSeconds = 1
        }
        // 16 MiB, which fit no socket buffer.
        let store = try ArtifactStore(dataFolder: coordinator.folder.url)
        let artifact = try store.store(Data(count: 16 << 20))
        // On a busy machine it takes long until all buffers are full; then the next client waits longer.
        var isCutOff = false
        for seconds in [3, 10, 30, 100, 300] where !isCutOff {
            let connection = try RawConnection(coordinator.addresses.httpURL)
            await connection.send("GET /api/v1/artifacts/\(artifact.sha256) HTTP/1.1\r\n\(Self.host)\r\n")
            let beginning = try #require(await connection.next())
            try await Task.sleep(for: .seconds(seconds))
            let rest = try #require(await connection.untilClosed())
            isCutOff = beginning.utf8.count + rest.utf8.count < 16 << 20
        }
        #expect(isCutOff)
        await coordinator.stop()
    }

    /// The answers are one buffer each, over TLS one encrypted buffer, and none is taken within the time limits. While the
    /// client takes the last one, no request is left.
    @Test(arguments: [false, true])
    func aClientThatReadsSlowlyGetsItsAnswers(isSecure: Bool) async throws {
        let first = try await RunningCoordinator()
        let job = try await first.submit("wood")[0].id
        let worker = try ScriptedWorker(first.addresses.workerEndpoint, session: 92)
        worker.hello()
        try await reportLongColumns(worker, try await worker.askForWork().attempt, batches: 1)
        let path = "/api/v1/jobs/\(job)/metrics?limit=50000"
        let size = try await first.get(path).body.count
        #expect(size > 3 << 20)
        await worker.socket.close()
        await first.stop()
        // Together they fit no socket buffers. The buffers of `openssl` are not small.
        let answers = isSecure ? 6 : 3
        let tls = isSecure ? try TLSFiles(madeIn: first.folder.url) : nil
        var isWhole = false
        // On a busy machine the client itself pauses for too long; then there is more time for everything.
        for seconds in [1, 4, 16, 60] where !isWhole {
            let coordinator = try await RunningCoordinator(folder: first.folder) {
                $0.httpLimits.writeStallSeconds = seconds
                $0.httpLimits.idleSeconds = seconds
                $0.tls = tls
            }
            let url = coordinator.addresses.httpURL
            let connection = isSecure ? try RawConnection(secure: url) : try RawConnection(url)
            for _ in 0..<answers { await connection.send("GET \(path) HTTP/1.1\r\n\(Self.host)\r\n") }
            var taken = 0
            while taken < answers * size, let some = await connection.next(), !some.isEmpty {
                taken += some.utf8.count
                // An answer takes a quarter longer than the limits. Slower still, and the coordinator would hear of
                // nothing for too long: Linux tells it only when a third of a large send buffer is free.
                try await Task.sleep(for: .seconds(1.25 * Double(seconds) * Double(some.utf8.count) / Double(size)))
            }
            isWhole = taken >= answers * size
            await coordinator.stop()
        }
        #expect(isWhole)
    }

    // MARK: Connections and streams

    @Test func oneAddressDoesNotTakeAllConnections() async throws {
        let coordinator = try await coordinator { $0.connections = 16 }
        var greedy: [RawConnection] = []
        for _ in 0..<16 { greedy.append(try RawConnection(coordinator.addresses.httpURL, from: "127.0.0.2")) }
        var answers: [String?] = []
        for connection in greedy {
            await connection.send("GET /healthz HTTP/1.1\r\n\(Self.host)\r\n")
            answers.append(await connection.next())
        }
        #expect(answers.count { $0?.contains("200 OK") == true } == 8, "half of them")
        #expect(try await coordinator.get("/healthz").status == 200)
        await coordinator.stop()
    }

    @Test func connectionsBeyondAllAreClosed() async throws {
        let coordinator = try await coordinator { $0.connections = 16 }
        var open: [RawConnection] = []
        for source in 2...4 {
            for _ in 0..<8 { open.append(try RawConnection(coordinator.addresses.httpURL, from: "127.0.0.\(source)")) }
        }
        var answers: [String?] = []
        for connection in open {
            await connection.send("GET /healthz HTTP/1.1\r\n\(Self.host)\r\n")
            answers.append(await connection.next())
        }
        #expect(answers.count { $0?.contains("200 OK") == true } == 16 && answers.count { $0 == "" } == 8)
        await coordinator.stop()
    }

    @Test func allCallersTogetherLeaveConnectionsThatAreNoStreams() async throws {
        let coordinator = try await coordinator { $0.connections = 16 }
        var open: [RawConnection] = []
        var answers: [String?] = []
        for source in [2, 2, 3, 3, 4, 4, 5, 5, 6] {
            let connection = try RawConnection(coordinator.addresses.httpURL, from: "127.0.0.\(source)")
            await connection.send("GET /api/v1/events HTTP/1.1\r\n\(Self.host)\r\n")
            answers.append(await connection.next())
            open.append(connection)
        }
        #expect(answers.dropLast().allSatisfy { $0?.contains("200 OK") == true })
        #expect(answers.last??.contains("HTTP/1.1 503") == true)
        #expect(try await coordinator.get("/healthz").status == 200)
        await coordinator.stop()
    }

    @Test func oneCallerDoesNotTakeAllStreams() async throws {
        let coordinator = try await RunningCoordinator {
            $0.requiresAuthentication = true
            $0.httpLimits.connections = 64
            // The connection of a stream that has ended closes soon.
            $0.httpLimits.idleSeconds = 1
        }
        func stream(_ token: String) async throws -> (RawConnection, String?) {
            let connection = try RawConnection(coordinator.addresses.httpURL)
            await connection.send("GET /api/v1/events HTTP/1.1\r\n\(Self.host)Authorization: Bearer \(token)\r\n\r\n")
            return (connection, await connection.next())
        }
        let (greedy, other) = (
            try await coordinator.token(.viewer), try await coordinator.token(.viewer, name: "other")
        )
        var open: [RawConnection] = []
        for _ in 0..<8 {
            let (connection, answer) = try await stream(greedy)
            #expect(answer?.contains("200 OK") == true)
            open.append(connection)
        }
        #expect(try await stream(greedy).1?.contains("HTTP/1.1 429") == true)
        let theirs = try await stream(other)
        #expect(theirs.1?.contains("200 OK") == true)
        // Both tokens can still read pages, and a revoked token's streams end.
        #expect(try await coordinator.get("/jobs", headers: ["Authorization": "Bearer \(greedy)"]).status == 200)
        try await TokenAdministration(dataFolder: coordinator.folder.url).revoke("viewer")
        for connection in open { #expect(await connection.untilClosed() != nil) }
        await coordinator.stop()
    }

    @Test func fewOpenFilesMeanFewConnections() {
        #expect(HTTPLimits.standard(openFiles: 1 << 20).connections == 2048)
        let few = HTTPLimits.standard(openFiles: 256)
        #expect(few.connections == 128 && few.connectionsPerAddress == 64 && few.streams == 64)
        #expect(few.streamsPerCaller == 16)
    }

    // MARK: Memory

    /// - Parameters:
    ///   - all: MiB of all callers.
    ///   - own: MiB of the one that calls.
    @Test(arguments: [(all: 3, own: 2, status: 429), (all: 2, own: 3, status: 503)])
    func unfinishedJSONHoldsALimitedNumberOfBytes(all: Int, own: Int, status: Int) async throws {
        let coordinator = try await coordinator {
            $0.jsonBytes = all << 20
            $0.jsonBytesPerCaller = own << 20
        }
        let half = String(repeating: " ", count: 1 << 20)
        let head =
            "POST /api/v1/jobs HTTP/1.1\r\n\(Self.host)Content-Type: application/json\r\n"
            + "Content-Length: \((1 << 20) + 1)\r\n\r\n"
        var open: [RawConnection] = []
        for _ in 0..<4 {
            let connection = try RawConnection(coordinator.addresses.httpURL)
            await connection.send(head + half)
            open.append(connection)
        }
        // One byte more would complete each body. Those beyond the limit are answered without it.
        await withTaskGroup(of: String?.self) { group in
            for connection in open { group.addTask { await connection.next() } }
            for _ in 0..<2 {
                let answer = await group.next()!
                #expect(answer?.contains("HTTP/1.1 \(status)") == true, "\(answer ?? "none")")
            }
            for connection in open { await connection.send("]") }
        }
        // The bytes are free again.
        #expect(try await coordinator.submit("wood").count == 1)
        await coordinator.stop()
    }

    @Test func aBodyThatIsTooLargeIsNoFailureOfTheCoordinator() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let admin = ["Authorization": "Bearer \(try await coordinator.token(.admin))"]
        let large = Data(("token=" + String(repeating: "x", count: DashboardActions.maxFormBytes)).utf8)
        for (path, headers) in [
            ("/login", [:]), ("/jobs/0000000000/cancel", admin), ("/batches/walls/delete", admin),
            ("/api/v1/tokens", admin),
        ] as [(String, [String: String])] {
            let answer = try await coordinator.send("POST", path, body: large, headers: headers)
            #expect(answer.status == 413 && answer.text.contains("the body is larger than"), "\(path): \(answer.text)")
        }
        let token = try await coordinator.logIn(try await coordinator.token(.viewer))
        #expect(token.answer.status == 303, "a form of the usual size")
        await coordinator.stop()
    }

    @Test func aBudgetIsSharedAndGivenBack() throws {
        let budget = BodyBudget(all: 100, perCaller: 60)
        try budget.take(60, for: "a")
        let greedy = #expect(throws: Problem.self) { try budget.take(1, for: "a") }
        #expect(greedy?.status == .tooManyRequests)
        try budget.take(40, for: "b")
        let late = #expect(throws: Problem.self) { try budget.take(1, for: "c") }
        #expect(late?.status == .serviceUnavailable)
        budget.giveBack(60, of: "a")
        try budget.take(60, for: "c")
        budget.giveBack(40, of: "b")
        budget.giveBack(60, of: "c")
        #expect(budget.bytes == 0)
    }

    /// Reports batches of a thousand rows.
    private func reportLongColumns(_ worker: ScriptedWorker, _ attempt: WireAttemptRef, batches: Int) async throws {
        let names = (0..<64).map { "\($0)".padding(toLength: 200, withPad: "n", startingAt: 0) }
        for batch in 0..<batches {
            worker.send(
                .metrics(
                    .with {
                        $0.attempt = attempt
                        $0.requestID = worker.id()
                        $0.columns = names
                        $0.rows = (0..<1000).map { row in
                            .with {
                                $0.iteration = UInt64(batch * 1000 + row + 1)
                                $0.values = .init(repeating: 0.5, count: 64)
                            }
                        }
                    }))
            _ = try await worker.acknowledgement()
        }
    }

    @Test func longColumnNamesDoNotMakeAnAnswerLong() async throws {
        let coordinator = try await RunningCoordinator()
        let job = try await coordinator.submit("wood")[0].id
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 91)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        try await reportLongColumns(worker, attempt, batches: 2)
        struct Page: Decodable {
            var rows: [MetricsEntry]
            var next: Int?
        }
        var rows = 0
        var after: Int? = -1
        while let start = after {
            let answer = try await coordinator.get("/api/v1/jobs/\(job)/metrics?limit=50000&after=\(start)")
            #expect(answer.body.count < 8 << 20)
            let page = try answer.decoded(Page.self)
            rows += page.rows.count
            after = page.next
        }
        #expect(rows == 2000)
        #expect(try await coordinator.get("/jobs/\(job)/losses.svg").status == 200)
        await worker.socket.close()
        await coordinator.stop()
    }

    // MARK: Disk

    @Test func imagesWithoutAJobTakeALimitedShareOfTheDisk() async throws {
        let folder = TemporaryFolder()
        let artifacts = try ArtifactStore(dataFolder: folder.url, availableBytes: { _ in 1 << 40 })
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let disk = BlockingWork()
        let unit = ExemplarQuota.leastBytes
        func quota(free: Int = 1 << 40) throws -> ExemplarQuota {
            let artifacts = try ArtifactStore(dataFolder: folder.url, availableBytes: { _ in free })
            return ExemplarQuota(store: store, artifacts: artifacts, disk: disk, perCaller: 3 * unit, all: 5 * unit)
        }
        func status(_ body: () async throws -> Void) async -> Int? {
            do { try await body() } catch { return Problem(error).status.code }
            return nil
        }
        let counted = try quota()
        for index in 0..<3 {
            try await counted.take(2, for: "ann")
            let stored = try artifacts.store(Data("a\(index)".utf8))
            await counted.finish(2, for: "ann", stored: stored.sha256)
        }
        #expect(await status { try await counted.take(1, for: "ann") } == 429, "small files count, too")
        try await counted.take(2 * unit, for: "bob")
        #expect(await status { try await counted.take(1, for: "carl") } == 507)
        await counted.finish(2 * unit, for: "bob", stored: nil)
        try await counted.take(1, for: "carl")

        // Uploads that begin together share the space: two of four fit, although each waits for the disk before it looks.
        let crowd = try quota()
        let answers = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<4 { group.addTask { await status { try await crowd.take(unit, for: "dora") } } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.count { $0 == nil } == 2 && answers.count { $0 == 507 } == 2, "\(answers)")

        // The next process finds what is there, and a small disk has a small share.
        let next = try quota()
        #expect(await status { try await next.take(3 * unit, for: "ann") } == 507)
        let small = try quota(free: ArtifactStore.reservedBytes + 4 * unit)
        #expect(await status { try await small.take(1, for: "ann") } == 507)
    }

    @Test func aDiskWithoutRoomIsNotBlamedOnImagesThatAreNotThere() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        for (free, words) in [
            (0, "0 bytes left besides its reserve, too little for the image; free some space, and send the image"),
            (100_000, "97.7 KiB left besides its reserve, and images that no job uses may take a quarter of that"),
        ] {
            let artifacts = try ArtifactStore(
                dataFolder: folder.url, availableBytes: { _ in ArtifactStore.reservedBytes + free })
            let quota = ExemplarQuota(store: store, artifacts: artifacts, disk: BlockingWork())
            let problem = await #expect(throws: Problem.self) { try await quota.take(50_000, for: "ann") }
            #expect(problem?.status.code == 507 && problem?.detail.contains(words) == true, "\(problem?.detail ?? "")")
            #expect(problem?.headers[.retryAfter] == "600" && problem?.detail.contains(folder.url.path) == false)
        }
    }

    @Test func beyondTheQuotaNoJobIsAccepted() async throws {
        let first = try await RunningCoordinator()
        _ = try await first.submit("wood")
        let worker = try ScriptedWorker(first.addresses.workerEndpoint, session: 93)
        worker.hello()
        let attempt = try await worker.askForWork().attempt
        _ = try await worker.upload(randomBytes(2 << 20, seed: 1), .checkpoint, iteration: 5, of: attempt)
        await worker.socket.close()
        await first.stop()

        let full = try await RunningCoordinator(folder: first.folder) { $0.retention.quotaBytes = 1 << 20 }
        func send() async throws -> RunningCoordinator.Answer {
            try await full.send("POST", "/api/v1/exemplars", body: TestImages.png)
        }
        var answer = try await send()
        // It measures the folder soon after its start; the time limit guards.
        while answer.status == 201 {
            try await Task.sleep(for: .milliseconds(10))
            answer = try await send()
        }
        #expect(answer.status == 507 && answer.text.contains("the quota of 1.0 MiB"), "\(answer.text)")
        await full.stop()
    }

    /// As Amazon's EFS does.
    @Test func aDiskThatReportsAlmostUnlimitedSpaceTakesImages() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let artifacts = try ArtifactStore(dataFolder: folder.url, availableBytes: { _ in .max })
        let quota = ExemplarQuota(store: store, artifacts: artifacts, disk: BlockingWork())
        // Together more than the reserve, which is not part of the free space.
        for _ in 0..<3 { try await quota.take(ArtifactStore.reservedBytes / 2 + 1, for: "ann") }
    }

    @Test func anImageThatTheSystemCannotLookAtStillCounts() async throws {
        let folder = TemporaryFolder()
        let store = try JobStore(file: folder.url.appendingPathComponent("jobs.sqlite"), newCoordinatorID: "c")
        let artifacts = try ArtifactStore(dataFolder: folder.url)
        let unit = ExemplarQuota.leastBytes
        let quota = ExemplarQuota(store: store, artifacts: artifacts, disk: BlockingWork(), perCaller: unit)
        try await quota.take(2, for: "ann")
        let image = try artifacts.store(Data("image".utf8)).sha256
        await quota.finish(2, for: "ann", stored: image)
        let shelf = folder.artifact(image).deletingLastPathComponent()
        let elsewhere = folder.url.appendingPathComponent("elsewhere")
        try FileManager.default.moveItem(at: shelf, to: elsewhere)
        // Every look into it fails, also that of root.
        try FileManager.default.createSymbolicLink(atPath: shelf.path, withDestinationPath: shelf.path)
        let problem = await #expect(throws: Problem.self) { try await quota.take(2, for: "ann") }
        #expect(problem?.status == .tooManyRequests)
        #expect(unlink(shelf.path) == 0)
        try await quota.take(2, for: "ann")
    }

    @Test func anImageThatAJobUsesCountsNoMore() async throws {
        let stores = try Stores()
        let quota = ExemplarQuota(
            store: stores.jobs, artifacts: stores.artifacts, disk: BlockingWork(), perCaller: ExemplarQuota.leastBytes)
        try await quota.take(2, for: "ann")
        let image = try stores.artifacts.store(Data("image".utf8))
        await quota.finish(2, for: "ann", stored: image.sha256)
        let problem = await #expect(throws: Problem.self) { try await quota.take(2, for: "ann") }
        #expect(problem?.status == .tooManyRequests)
        let driver = ClusterDriver()
        let submission = Submission(
            name: "a", fileName: "a.png", exemplar: image, recipeYAML: "recipe: draft", priority: 0, key: nil)
        try await stores.jobs.play(.submit(driver.token(), [submission], salts: [1]), in: driver)
        try await quota.take(2, for: "ann")
    }
}
