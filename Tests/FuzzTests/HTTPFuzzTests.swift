import Foundation
import ImageFixtures
import Logging
import Protocol
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable import Coordinator

/// Requests that any program may send to a coordinator's HTTP address.
@Suite struct HTTPFuzzTests {
    @Test func noRequestTrapsTheCoordinator() async throws {
        let folder = try ScratchFolder()
        var configuration = CoordinatorConfiguration(dataFolder: folder.url)
        (configuration.httpPort, configuration.workerEndpoint) = (0, "tcp://127.0.0.1:0")
        // Hang guards. The coordinator and its client share their threads with all other tests of the run.
        let hangGuardSeconds = 1200
        configuration.httpLimits.headSeconds = hangGuardSeconds
        configuration.httpLimits.idleSeconds = hangGuardSeconds
        configuration.httpLimits.bodyStallSeconds = hangGuardSeconds
        configuration.httpLimits.drainSeconds = hangGuardSeconds
        var logger = Logger(label: "fuzz")
        logger.logLevel = .critical
        let service = try CoordinatorService(configuration, logger: logger)
        let (ready, signal) = AsyncStream.makeStream(of: CoordinatorService.Addresses.self)
        let running = Task {
            defer { signal.finish() }
            try await service.run { signal.yield($0) }
        }
        let base = try #require(await ready.first { _ in true }).httpURL

        func send(_ method: String, _ path: String, _ body: Data?) async throws -> (Int, Data) {
            guard let url = URL(string: base + path) else { return (0, Data()) }
            var request = URLRequest(url: url)
            request.httpMethod = method
            request.httpBody = body
            request.timeoutInterval = Double(hangGuardSeconds)
            if path == "/api/v1/jobs" { request.setValue("application/json", forHTTPHeaderField: "Content-Type") }
            let (data, response) = try await URLSession.shared.data(for: request)
            return ((response as! HTTPURLResponse).statusCode, data)
        }
        let image = JPEGFixture.oriented(6, littleEndian: true)
        let (status, receipt) = try await send("POST", "/api/v1/exemplars", image)
        #expect(status == 201)
        let digest = try APIFormat.decoder.decode(ExemplarReceipt.self, from: receipt).sha256
        let job = JobSubmission(
            name: "a", fileName: "a.jpg", exemplarSHA256: digest, recipeYAML: "base: draft", priority: 1, key: "k")
        let submission = try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [job, job]))
        let (accepted, answer) = try await send("POST", "/api/v1/jobs", submission)
        #expect(accepted == 201)
        let id = try APIFormat.decoder.decode(SubmitJobsResponse.self, from: answer).jobs[0].id

        let forms = [
            ("/login", "next=%2Fjobs%3Fstate%3Dheld&token=txl_a%2Bb"),
            ("/jobs/\(id)/cancel", "reason=not+sharp+%26+dark"), ("/jobs/\(id)/priority", "priority=-7"),
            ("/batches/walls/retry", "atMost=3"),
        ]
        let bodies =
            [("/api/v1/jobs", [UInt8](submission)), ("/api/v1/exemplars", [UInt8](image))]
            + forms.map { ($0, [UInt8]($1.utf8)) }
        let paths = [
            "/api/v1/jobs?state=queued&name=a&limit=10&sort=name&cursor=\(id)",
            "/api/v1/jobs/\(id)/logs?after=0&limit=5",
            "/api/v1/jobs/\(id)/metrics?after=-1&limit=5", "/api/v1/artifacts/\(digest)", "/api/v1/workers/w/drain",
            "/api/v1/jobs/\(id)/cancel?reason=none", "/jobs/\(id)", "/thumbnails/\(digest)",
        ].map { [UInt8]($0.utf8) }
        var statuses: [Int: Int] = [:]
        let executions = 600 * Fuzzer.factor
        for execution in 0..<executions {
            var mutator = Mutator(seed: UInt64(execution) &* 0x1_0000_0003)
            let found: Int
            if mutator.below(3) > 0 {
                let (path, body) = bodies[mutator.below(bodies.count)]
                found = try await send("POST", path, Data(mutator.mutate(body, with: bodies.map(\.1)))).0
            } else {
                let damaged = mutator.mutate(paths[mutator.below(paths.count)], with: paths).prefix(4000)
                let path = String(decoding: damaged, as: UTF8.self)
                let escaped = path.addingPercentEncoding(withAllowedCharacters: .urlQueryAllowed) ?? "/"
                let method = ["GET", "POST"][mutator.below(2)]
                found = try await send(method, escaped.hasPrefix("/") ? escaped : "/\(escaped)", nil).0
            }
            statuses[found, default: 0] += 1
        }
        print("fuzz: HTTP: \(executions) requests, answers by status \(statuses.sorted { $0.key < $1.key })")
        // A refusal is always the client's fault, never the server's.
        #expect(statuses.keys.allSatisfy { $0 < 500 })
        #expect(try await send("GET", "/readyz", nil).0 == 200)
        running.cancel()
        _ = await running.result
    }
}
