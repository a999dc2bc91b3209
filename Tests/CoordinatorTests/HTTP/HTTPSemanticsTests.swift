import Foundation
import Protocol
import Testing

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

@testable import Coordinator

/// The rules of RFC 9110 on methods, conditions and ranges.
@Suite("HTTP semantics", .timeLimit(.minutes(10)))
struct HTTPSemanticsTests {
    @Test func aMethodThatIsNotServedIsAnsweredWithThoseThatAre() async throws {
        let coordinator = try await RunningCoordinator()
        for (method, path, allow) in [
            ("DELETE", "/api/v1/jobs", "GET, HEAD, POST, OPTIONS"), ("GET", "/api/v1/exemplars", "POST, OPTIONS"),
            ("PUT", "/api/v1/jobs/0000000000", "GET, HEAD, OPTIONS"), ("PATCH", "/healthz", "GET, HEAD, OPTIONS"),
            ("QUERY", "/api/v1/events", "GET, HEAD, OPTIONS"), ("PUT", "/", "GET, HEAD, OPTIONS"),
        ] {
            let refused = try await coordinator.send(method, path)
            #expect(refused.status == 405 && refused.headers["allow"] == allow, "\(method) \(path)")
            #expect(refused.headers["content-type"] == "application/problem+json")
            #expect(try refused.decoded(ProblemDetails.self).detail.contains(allow))
            let options = try await coordinator.send("OPTIONS", path)
            #expect(options.status == 204 && options.headers["allow"] == allow)
        }
        let nowhere = try await coordinator.send("DELETE", "/api/v1/nowhere")
        #expect(try nowhere.status == 404 && nowhere.decoded(ProblemDetails.self).detail.contains("openapi.json"))
        await coordinator.stop()
    }

    @Test func anArtifactIsNotSentToThoseWhoHaveIt() async throws {
        let (coordinator, path, tag) = try await artifact()
        for known in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
            let answer = try await coordinator.get(path, headers: ["If-None-Match": known, "Range": "bytes=0-1"])
            #expect(answer.status == 304 && answer.body.isEmpty && answer.headers["etag"] == tag, "\(known)")
        }
        #expect(try await coordinator.get(path, headers: ["If-None-Match": "\"other\""]).status == 200)
        await coordinator.stop()
    }

    @Test func aRangeCountsOnlyForTheFileThatItWasMeantFor() async throws {
        let (coordinator, path, tag) = try await artifact()
        let size = TestImages.png.count
        for (range, condition, status) in [
            ("bytes=0-1", tag, 206), ("bytes=0-1", "\"other\"", 200), ("bytes=0-1", "W/\(tag)", 200),
            ("bytes=0-1,4-5", tag, 200), ("lines=0-1", tag, 200), ("bytes=\(size)-", tag, 416),
            ("bytes=\(size)-", "\"other\"", 200), ("bytes=99999999999999999999-", tag, 416), ("bytes=-0", tag, 416),
        ] {
            let answer = try await coordinator.get(path, headers: ["Range": range, "If-Range": condition])
            #expect(answer.status == status, "\(range) if \(condition)")
            if status == 200 { #expect(answer.body == TestImages.png) }
            if status == 206 { #expect(answer.body == TestImages.png.prefix(2)) }
            if status == 416 { #expect(answer.headers["content-range"] == "bytes */\(size)") }
        }
        let head = try await coordinator.send("HEAD", path, headers: ["Range": "bytes=0-1"])
        #expect(head.status == 200 && head.headers["content-length"] == "\(size)" && head.body.isEmpty)
        await coordinator.stop()
    }

    @Test func anUploadOfUnknownLengthIsRefusedOnceItIsTooLong() async throws {
        let coordinator = try await RunningCoordinator { $0.maxExemplarBytes = TestImages.png.count }
        func upload(_ body: Data) async throws -> RunningCoordinator.Answer {
            var request = URLRequest(to: coordinator.addresses.httpURL + "/api/v1/exemplars")
            request.httpMethod = "POST"
            request.httpBodyStream = InputStream(data: body)
            request.setValue("chunked", forHTTPHeaderField: "Transfer-Encoding")
            let (data, response) = try await URLSession.shared.data(for: request)
            return RunningCoordinator.Answer(
                status: (response as! HTTPURLResponse).statusCode, headers: [:], body: data)
        }
        #expect(try await upload(TestImages.png).decoded(ExemplarReceipt.self).sizeBytes == TestImages.png.count)
        let refused = try await upload(TestImages.png + Data(count: 1 << 20))
        #expect(refused.status == 413)
        let incoming = coordinator.folder.url.appendingPathComponent("incoming").path
        #expect(try FileManager.default.contentsOfDirectory(atPath: incoming).isEmpty)
        await coordinator.stop()
    }

    @Test func aQuerysSpacesMayBePluses() async throws {
        let coordinator = try await RunningCoordinator()
        _ = try await coordinator.submit("tree rings", "a+b")
        for (query, name) in [("tree+rings", "tree rings"), ("tree%20rings", "tree rings"), ("a%2Bb", "a+b")] {
            let jobs = try await coordinator.get("/api/v1/jobs?name=\(query)").decoded(JobPage.self).jobs
            #expect(jobs.map(\.name) == [name])
        }
        // A form sends every field, even empty ones.
        let page = try await coordinator.get("/jobs?state=&name=tree+rings&recipe=&sort=newest")
        #expect(page.status == 200 && page.text.contains("tree rings") && !page.text.contains("a+b"))
        await coordinator.stop()
    }

    /// The address and ETag of a stored artifact.
    private func artifact() async throws -> (RunningCoordinator, path: String, tag: String) {
        let coordinator = try await RunningCoordinator()
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        return (coordinator, "/api/v1/artifacts/\(receipt.sha256)", "\"\(receipt.sha256)\"")
    }
}
