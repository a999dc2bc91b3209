import Foundation
import Protocol
import Testing

@testable import Coordinator

/// What the server sends to browsers. `scripts/test-dashboard` checks the pages in a browser.
@Suite("Dashboard")
struct DashboardTests {
    /// A text for every name that strangers choose. HTML must not interpret it.
    private static let hostile = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"a\" 'b'"

    /// Expects a page that uses only this server's scripts and styles, and that escapes the hostile text.
    private func expectSafe(_ page: RunningCoordinator.Answer, _ path: String) throws {
        #expect(page.headers["content-type"] == "text/html; charset=utf-8", "\(path)")
        let policy = try #require(page.headers["content-security-policy"], "\(path)")
        let rules = policy.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
        #expect(rules.contains("default-src 'none'") && rules.contains("script-src 'self'"), "\(path)")
        #expect(rules.contains("style-src 'self'") && rules.contains("frame-ancestors 'none'"), "\(path)")
        #expect(!policy.contains("unsafe") && !policy.contains("http:") && !policy.contains("*"), "\(path)")
        #expect(page.headers["x-content-type-options"] == "nosniff", "\(path)")
        // The page has one script, its own. The server writes nothing into it.
        let scripts = page.text.matches(of: /<script[^>]*>(.?)/)
        #expect(
            scripts.count == 1
                && page.text.contains(/<script src="\/assets\/[0-9a-f]+\/texloom.js" type="module"><\/script>/))
        // An attribute's value may contain anything but the closing quote.
        let bare = page.text.replacing(/"[^"]*"/, with: "\"\"")
        #expect(!page.text.contains("<img src=x") && !bare.contains(/<[^>]*\son[a-z]+=/), "\(path)")
        #expect(!page.text.contains("style=\""), "\(path)")
        #expect(!page.text.contains(/(src|href|action)="(https?:|\/\/)/), "\(path)")
    }

    @Test func pagesShowTheJobsEscapedAndUnderAStrictPolicy() async throws {
        let coordinator = try await RunningCoordinator()
        let hostile = Self.hostile
        let receipt = try await coordinator.send("POST", "/api/v1/exemplars", body: TestImages.png)
            .decoded(ExemplarReceipt.self)
        let submission = JobSubmission(
            name: hostile, fileName: "\(hostile).png", exemplarSHA256: receipt.sha256,
            recipeYAML: "name: \(hostile)\nk: 8")
        let job = try #require(
            try await coordinator.send(
                "POST", "/api/v1/jobs", body: try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [submission]))
            )
            .decoded(SubmitJobsResponse.self).jobs.first)
        let reason = try #require(hostile.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
        let cancel = try await coordinator.send("POST", "/api/v1/jobs/\(job.id)/cancel?reason=\(reason)")
        #expect(cancel.status == 200)

        let escaped = "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt; &amp; &quot;a&quot;"
        // The minimum number of occurrences on each page: name, file name, recipe, reason and log.
        for (path, times) in [("/jobs", 3), ("/jobs/\(job.id)", 6), ("/jobs?name=\(reason)", 4)] {
            let page = try await coordinator.get(path)
            #expect(page.status == 200, "\(path)")
            try expectSafe(page, path)
            #expect(page.text.components(separatedBy: escaped).count > times, "\(path)")
        }
        for path in ["/", "/gallery", "/gallery?name=\(reason)", "/workers", "/submit"] {
            let page = try await coordinator.get(path)
            #expect(page.status == 200, "\(path)")
            try expectSafe(page, path)
        }
        let missing = try await coordinator.get("/jobs/\(reason)")
        #expect(missing.status == 404 && missing.text.contains("There is no job"))
        try expectSafe(missing, "a job that is not there")
        await coordinator.stop()
    }

    @Test func pagesWithoutWorkersSayHowAMachineBecomesOne() async throws {
        let plain = try await RunningCoordinator()
        let encrypted = try await RunningCoordinator { $0.workerEndpoint = "tcp://0.0.0.0:0" }
        let open = try await RunningCoordinator {
            $0.workerEndpoint = "tcp://0.0.0.0:0"
            $0.isInsecure = true
            $0.advertisedEndpoints = ["tcp://loom.example:7741"]
        }
        for path in ["/", "/workers"] {
            let here = try await plain.get(path).text
            let command = "texloom worker --coordinator \(plain.addresses.workerEndpoint)"
            #expect(here.contains("<pre>\(command)</pre>"), "\(path)")
            #expect(!here.contains("texloom invite"), "\(path)")
            let invited = try await encrypted.get(path).text
            #expect(invited.contains("<pre>texloom invite</pre>") && !invited.contains("--coordinator"), "\(path)")
            let elsewhere = try await open.get(path).text
            #expect(elsewhere.contains("<pre>texloom worker --coordinator tcp://loom.example:7741</pre>"), "\(path)")
        }
        for coordinator in [plain, encrypted, open] { await coordinator.stop() }
    }

    @Test func aBrowserGetsAPageAboutAnErrorAndAProgramGetsJSON() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let token = try await coordinator.token(.viewer)
        let login = try await coordinator.logIn(token).answer
        let cookie = try #require(login.headers["set-cookie"]?.split(separator: ";").first)
        let browser = ["Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Cookie": String(cookie)]
        let program = ["Authorization": "Bearer \(token)"]
        for (path, status, detail, back) in [
            ("/jobs?label=foo", 400, "label is &#39;foo&#39;", "/jobs"),
            ("/jobs?batch=a%20b", 400, "batch is &#39;a b&#39;", "/jobs"),
            ("/gallery?label=foo", 400, "label is &#39;foo&#39;", "/gallery"),
            ("/jobs/%FF?label=foo", 404, "not percent-encoded", "/"),
            ("/audit", 403, "this needs admin", "/"), ("/none", 404, "nothing is served", "/"),
        ] {
            let page = try await coordinator.get(path, headers: browser)
            #expect(page.status == status, "\(path)")
            try expectSafe(page, path)
            #expect(page.text.contains(detail), "\(path): \(page.text)")
            #expect(page.text.contains("class=\"button\" href=\"\(back)\"") && page.text.contains("href=\"/gallery\""))
            let plain = try await coordinator.get(path, headers: program)
            #expect(plain.status == status && plain.headers["content-type"] == "application/problem+json", "\(path)")
        }
        let form = try await coordinator.send(
            "POST", "/jobs/0000000000/cancel", body: Data("reason=x".utf8), headers: browser)
        #expect(form.status == 403 && form.text.contains("this needs submitter"))
        try expectSafe(form, "a form that is refused")
        let stranger = try await coordinator.send(
            "POST", "/jobs/0000000000/cancel", body: Data(), headers: ["Accept": "text/html"])
        #expect(stranger.status == 401 && stranger.headers["www-authenticate"] != nil)
        try expectSafe(stranger, "a form of a stranger")
        let api = try await coordinator.get("/api/v1/jobs?label=foo", headers: browser)
        #expect(api.status == 400 && api.headers["content-type"] == "application/problem+json")
        await coordinator.stop()
    }

    @Test func aJobsPageSaysWhenItEndedAndWarnsOnlyOfFaults() async throws {
        let coordinator = try await RunningCoordinator()
        let job = try await coordinator.submit("wood")[0]
        #expect(try await !coordinator.get("/jobs/\(job.id)").text.contains("ended <time"))
        #expect(try await coordinator.send("POST", "/api/v1/jobs/\(job.id)/cancel?reason=dark").status == 200)
        let page = try await coordinator.get("/jobs/\(job.id)").text
        #expect(page.contains(/ended <time datetime="[-0-9T:]+Z">[-0-9 :]+ UTC<\/time>/))
        // The style sheet marks failed, held and blocked ones.
        #expect(page.contains("<p class=\"card because cancelled\">"))
        #expect(page.contains("<h2>Log (UTC)</h2>"))
        let overview = try await coordinator.get("/").text
        #expect(overview.contains(/<li><a href="\/jobs\?state=cancelled"><b data-count="cancelled">1</))
        #expect(overview.contains(/<li class="none"><a href="\/jobs\?state=held"><b data-count="held">0</))
        // A browser that comes back would otherwise fill in filters that the list does not have.
        for path in ["/jobs", "/gallery"] {
            #expect(
                try await coordinator.get(path).text.contains(/<form class="filters"[^>]* autocomplete="off">/),
                "\(path)")
        }
        await coordinator.stop()
    }

    @Test func theVerdictOfAReportIsShownAndAnythingElseIsNot() async throws {
        let coordinator = try await RunningCoordinator()
        let job = try await coordinator.submit("wood")[0]
        var detail = try await coordinator.get("/api/v1/jobs/\(job.id)").decoded(JobDetail.self)
        func verdict(_ report: String?) -> String? {
            detail.reportJSON = report
            return JobPageView(detail: detail, artifacts: [], log: [], shownIteration: nil).content["verdict"]
                as? String
        }
        #expect(verdict(#"{"quality":{},"verdict":"good"}"#) == "good")
        for report in [nil, "", "[]", #"{"verdict":1}"#, "{}"] { #expect(verdict(report) == nil) }
        await coordinator.stop()
    }

    @Test func pagesBringTheirOwnFilesAndSmallPictures() async throws {
        let coordinator = try await RunningCoordinator()
        let accepted = try await coordinator.submit("wood")
        let page = try await coordinator.get("/").text
        let files = page.matches(of: /(?:src|href)="(\/assets\/[^"]+)"/).map { String($0.1) }
        #expect(files.count == 3)
        let script = try #require(files.first { $0.hasSuffix("texloom.js") })
        let imports = try await coordinator.get(script).text.matches(of: /"\.\/([a-z]+\.js)"/).map { String($0.1) }
        #expect(imports.count >= 6)
        let folder = script.dropLast("texloom.js".count)
        for path in files + imports.map({ folder + $0 }) {
            let file = try await coordinator.get(path)
            #expect(file.status == 200 && !file.body.isEmpty, "\(path)")
            #expect(file.headers["cache-control"]?.contains("immutable") == true, "\(path)")
        }
        #expect(try await coordinator.get(folder + "other.js").status == 404)
        let detail = try await coordinator.get("/api/v1/jobs/\(accepted[0].id)").decoded(JobDetail.self)
        let thumbnail = try await coordinator.get("/thumbnails/\(detail.job.exemplarSHA256).png")
        #expect(thumbnail.status == 200 && thumbnail.body.starts(with: [0x89, 0x50, 0x4E, 0x47]))
        #expect(try await coordinator.get("/thumbnails/\(String(repeating: "0", count: 64)).png").status == 404)
        await coordinator.stop()
    }

    @Test func formsActAndAnswerWithAPageOrInPlace() async throws {
        let coordinator = try await RunningCoordinator()
        let job = try await coordinator.submit("wood <b>")[0]
        func post(_ path: String, _ form: String, _ accept: String = "text/html") async throws
            -> RunningCoordinator.Answer
        {
            try await coordinator.send("POST", path, body: Data(form.utf8), headers: ["Accept": accept])
        }
        let path = "/jobs/\(job.id)"
        let raised = try await post(path + "/priority", "priority=7")
        #expect(raised.status == 200 && raised.text.contains("wood _b_") && raised.text.contains("priority 7"))
        try expectSafe(raised, "an answer")
        let wrong = try await post(path + "/priority", "priority=many")
        #expect(wrong.status == 422 && wrong.text.contains("priority is &#39;many&#39;; expected -100...100"))
        let cancelled = try await post(path + "/cancel", "reason=not+sharp+%26+dark", "application/json")
        #expect(cancelled.status == 200 && cancelled.text.contains("“wood _b_” is cancelled."))
        let shown = try await coordinator.get("/api/v1/jobs/\(job.id)").decoded(JobDetail.self).job
        #expect(shown.priority == 7 && shown.state == .cancelled && shown.reason?.contains("not sharp & dark") == true)
        #expect(try await post(path + "/priority", "priority=1", "application/json").status == 200)
        #expect(try await post(path + "/retry", "").status == 200)
        #expect(try await post("/workers/nobody/drain", "").status == 404)
        #expect(try await post("/jobs/none/retry", "").status == 404)
        await coordinator.stop()
    }
}
