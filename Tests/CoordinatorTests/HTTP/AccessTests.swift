import ClusterFixtures
import Foundation
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator

/// Who may do what over HTTP: every operation of openapi.json with every method and every kind of caller.
@Suite("Access", .timeLimit(.minutes(10)))
struct AccessTests {
    private static let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    /// The role that the document asks for, by "METHOD /path"; nil for none.
    private static func documented() throws -> [String: AccessRole?] {
        var roles: [String: AccessRole?] = [:]
        let document = try JSON(Data(OpenAPIDocument.bytes))
        for (path, item) in (document["paths"] ?? .null).members {
            for (method, operation) in item.members where methods.contains(method.uppercased()) {
                let text = try #require(operation["x-role"]?.text, "\(method) \(path) says who may use it")
                roles["\(method.uppercased()) \(path)"] = .some(AccessRole(rawValue: text))
                #expect(text == "none" || AccessRole(rawValue: text) != nil)
            }
        }
        return roles
    }

    @Test func everyOperationWithEveryMethodAsksForItsRole() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        var callers: [(name: String, role: AccessRole?, token: String?)] = [("no token", nil, nil)]
        for role in AccessRole.allCases { callers.append((role.rawValue, role, try await coordinator.token(role))) }
        callers.append(("expired", nil, try await coordinator.token(.admin, name: "expired", lifetimeSeconds: 1)))
        callers.append(("revoked", nil, try await coordinator.token(.admin, name: "revoked")))
        try await TokenAdministration(dataFolder: coordinator.folder.url).revoke("revoked")
        callers.append(("unknown", nil, Secret.random(prefix: CreatedToken.prefix).text))
        try await Task.sleep(for: .seconds(1.1))

        let roles = try Self.documented()
        // The pages and /metrics are not in the document.
        var paths = Set(roles.keys.map { String($0.split(separator: " ")[1]) })
        paths.formUnion(["/", "/jobs", "/jobs/{id}/cancel", "/workers/{id}/drain", "/metrics", "/nowhere"])
        var mistakes: [String] = []
        for path in paths.sorted() {
            // A stream that is allowed never ends. EventStreamTests read those.
            if path.hasSuffix("/events") { continue }
            let real = path.replacing("{id}", with: "0000000000").replacing("{name}", with: "nobody")
                .replacing("{sha256}", with: String(repeating: "0", count: 64))
            for method in Self.methods {
                let asked = method == "HEAD" || method == "OPTIONS" ? "GET" : method
                let isServed = roles["\(asked) \(path)"] != nil
                let needed: AccessRole? =
                    switch "\(asked) \(path)" {
                    case "GET /", "GET /jobs", "GET /metrics": .viewer
                    case "GET /audit": .admin
                    case "POST /jobs/{id}/cancel": .submitter
                    case let operation where isServed: roles[operation]!
                    // Only a viewer learns that a page does not exist; only an admin, that an operation does not.
                    default: asked == "GET" ? .viewer : .admin
                    }
                for caller in callers {
                    let headers = caller.token.map { ["Authorization": "Bearer \($0)"] } ?? [:]
                    let answer = try await coordinator.send(method, real, headers: headers)
                    // A wrong token is refused even where none is needed.
                    let isRefused =
                        if let needed {
                            caller.role.map { $0 < needed } ?? true
                        } else { caller.token != nil && caller.role == nil }
                    let expected = isRefused ? (caller.role == nil ? 401 : 403) : nil
                    let found = [401, 403].contains(answer.status) ? answer.status : nil
                    if found != expected {
                        mistakes.append("\(method) \(path), \(caller.name): \(answer.status), not \(expected ?? 200)")
                    }
                    if answer.status == 401, answer.headers["www-authenticate"] == nil {
                        mistakes.append("no challenge")
                    }
                    if answer.headers["x-content-type-options"] != "nosniff" {
                        mistakes.append("\(path) lacks nosniff")
                    }
                }
            }
        }
        #expect(mistakes == [])
        await coordinator.stop()
    }

    @Test func aTokenCountsAndEndsAtOnceWithoutARestart() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let token = try await coordinator.token(.submitter, name: "ann")
        let headers = ["Authorization": "bearer \(token)"]
        #expect(try await coordinator.get("/api/v1/jobs", headers: headers).status == 200)
        let administration = try TokenAdministration(dataFolder: coordinator.folder.url)
        await #expect(throws: CoordinatorError.self) {
            try await administration.create(TokenRequest(name: "ann", role: .admin))
        }
        try await administration.revoke("ann")
        #expect(try await coordinator.get("/api/v1/jobs", headers: headers).status == 401)
        // The name is free again, and the old token stays dead.
        _ = try await coordinator.token(.submitter, name: "ann")
        #expect(try await coordinator.get("/api/v1/jobs", headers: headers).status == 401)
        await coordinator.stop()
    }

    @Test func aNameInAPathMayBePercentEncoded() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let admin = ["Authorization": "Bearer \(try await coordinator.token(.admin))"]
        let token = try await coordinator.token(.viewer, name: "ann@host")
        for name in ["ann%FF", "ann%00", "ann%2540host"] {
            let answer = try await coordinator.send("POST", "/api/v1/tokens/\(name)/revoke", headers: admin)
            #expect(answer.status == 404, "\(name)")
        }
        let revoked = try await coordinator.send("POST", "/api/v1/tokens/ann%40host/revoke", headers: admin)
        #expect(revoked.status == 200, "\(revoked.text)")
        let by = ["Authorization": "Bearer \(token)"]
        #expect(try await coordinator.get("/api/v1/jobs", headers: by).status == 401)
        let audit = try await coordinator.get("/api/v1/audit", headers: admin).decoded(AuditPage.self)
        #expect(audit.entries.last?.object == "ann@host")
        await coordinator.stop()
    }

    @Test func noSecretIsStored() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let token = try await coordinator.token(.admin)
        let login = try await coordinator.logIn(token)
        let session = try #require(login.session)
        #expect(token.count == 47 && session.count == 43)
        await coordinator.stop()
        for file in ["jobs.sqlite", "jobs.sqlite-wal", "audit.jsonl"] {
            let url = coordinator.folder.url.appendingPathComponent(file)
            // The log of the database may have gone with its last connection.
            guard file != "jobs.sqlite-wal" || FileManager.default.fileExists(atPath: url.path) else { continue }
            let bytes = try Data(contentsOf: url)
            #expect(!bytes.isEmpty)
            for secret in [token, session] {
                #expect(bytes.range(of: Data(secret.utf8)) == nil, "\(file)")
                #expect(bytes.range(of: Data(secret.dropFirst(4).utf8)) == nil, "\(file)")
            }
        }
    }

    @Test func theDataFolderIsForItsOwnerOnly() throws {
        let folder = TemporaryFolder()
        chmod(folder.url.path, 0o755)
        let held = try DataFolder(folder.url)
        var status = stat()
        #expect(stat(held.url.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
    }

    @Test func secretsDiffer() {
        let secrets = Set((0..<1000).map { _ in Secret.random().text })
        #expect(secrets.count == 1000 && secrets.allSatisfy { $0.utf8.count == 43 })
        #expect(Set((0..<1000).map { _ in UUID.random() }).count == 1000)
    }

    // MARK: Browsers

    @Test func aBrowserLogsInAndOut() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let page = try await coordinator.get("/jobs?state=held", headers: ["Accept": "text/html"])
        #expect(page.status == 303 && page.headers["location"] == "/login?next=/jobs?state%3Dheld")
        let login = try await coordinator.get("/login?next=/jobs", headers: ["Accept": "text/html"])
        #expect(login.status == 200 && login.text.contains("name=\"token\"") && !login.text.contains("/gallery"))
        for wrong in ["", "txl_wrong"] { #expect(try await coordinator.logIn(wrong).answer.status == 401) }

        let (answer, session) = try await coordinator.logIn(try await coordinator.token(.viewer), next: "/jobs")
        #expect(answer.status == 303 && answer.headers["location"] == "/jobs")
        let cookie = try #require(answer.headers["set-cookie"])
        #expect(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("Secure"))
        let name = try #require(cookie.split(separator: "=").first)
        let headers = ["Cookie": "other=1; \(name)=\(try #require(session))"]
        let jobs = try await coordinator.get("/jobs", headers: headers)
        #expect(jobs.status == 200 && jobs.text.contains("viewer (viewer)") && jobs.text.contains("/logout"))
        #expect(try await coordinator.send("POST", "/jobs/0000000000/cancel", headers: headers).status == 403)
        #expect(try await coordinator.send("POST", "/logout", headers: headers).status == 303)
        #expect(try await coordinator.get("/api/v1/jobs", headers: headers).status == 401)
        await coordinator.stop()
    }

    @Test func aLoginOfAnyBytesIsAnswered() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let secret = "txl_abc"
        for (wrong, status) in [
            ("too dark", 401), ("<", 401), ("ü", 401), ("a+b", 401), ("a=b", 401), ("&&=&x", 401),
            ("%zz", 400), ("%", 400), ("%FF", 400), ("%00", 400),
        ] {
            let answer = try await coordinator.logIn(secret + wrong).answer
            #expect(answer.status == status, "\(wrong)")
            #expect(!answer.text.contains(secret), "\(wrong)")
        }
        let token = try await coordinator.token(.viewer)
        #expect(try await coordinator.logIn(token).session != nil)
        await coordinator.stop()
    }

    @Test func aRevokedTokenEndsItsSessions() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let (answer, _) = try await coordinator.logIn(try await coordinator.token(.admin, name: "ann"))
        let cookie = ["Cookie": String(try #require(answer.headers["set-cookie"]).prefix { $0 != ";" })]
        #expect(try await coordinator.get("/api/v1/jobs", headers: cookie).status == 200)
        try await TokenAdministration(dataFolder: coordinator.folder.url).revoke("ann")
        #expect(try await coordinator.get("/api/v1/jobs", headers: cookie).status == 401)
        await coordinator.stop()
    }

    @Test func aSessionEndsAfterSevenDays() async throws {
        let stores = try Stores()
        let clock = TestClock()
        let tokens = TokenStore(pool: stores.jobs.pool, now: { clock.now })
        let secret = try await tokens.create(TokenRequest(name: "ann", role: .viewer)).secret
        let id = try #require(try await tokens.principal(token: secret)?.tokenID)
        let session = try await tokens.openSession(of: id).text
        clock.now += 7 * 86_400 - 1
        #expect(try await tokens.principal(session: session)?.name == "ann")
        clock.now += 1
        #expect(try await tokens.principal(session: session) == nil)
        #expect(try await tokens.principal(token: secret) != nil, "the token itself does not end")
    }

    @Test func aLoginLeadsNowhereElse() {
        for next in [
            "https://evil.example", "//evil.example", "/\\evil.example", "javascript:1", "", "/a\r\nb: c", "/ü",
        ] {
            #expect(LoginRoutes.local(next) == "/")
        }
        #expect(LoginRoutes.local("/jobs?state=held") == "/jobs?state=held")
    }

    @Test func theCookieIsSecureBehindAProxyWithTLS() async throws {
        let coordinator = try await RunningCoordinator { $0.requiresAuthentication = true }
        let token = try await coordinator.token(.viewer)
        let safe = try await coordinator.logIn(token, headers: ["X-Forwarded-Proto": "https"])
        #expect(safe.answer.headers["set-cookie"]?.contains("; Secure") == true)
        let open = try await coordinator.logIn(token, headers: ["X-Forwarded-Proto": "http"])
        #expect(open.answer.status == 400 && open.session == nil)
        let headers = ["Authorization": "Bearer \(token)", "X-Forwarded-Proto": "http"]
        #expect(try await coordinator.get("/api/v1/jobs", headers: headers).status == 400)
        await coordinator.stop()
    }

    // MARK: Open coordinators

    @Test func loopbackAsksForNoTokenAndStillMakesNone() async throws {
        let coordinator = try await RunningCoordinator()
        #expect(try await coordinator.submit("wood").count == 1)
        #expect(try await coordinator.get("/metrics").status == 200)
        let body = Data(#"{"name":"ann","role":"admin"}"#.utf8)
        #expect(try await coordinator.send("POST", "/api/v1/tokens", body: body).status == 403)
        // A wrong token is an error, not a way to be anonymous.
        let wrong = ["Authorization": "Bearer txl_wrong"]
        #expect(try await coordinator.get("/api/v1/jobs", headers: wrong).status == 401)
        await coordinator.stop()
    }

    @Test func anInsecureCoordinatorSaysSoAndTakesNoToken() async throws {
        let coordinator = try await RunningCoordinator {
            $0.httpHost = "0.0.0.0"
            $0.isInsecure = true
        }
        let page = try await coordinator.get("/")
        #expect(page.status == 200 && page.text.contains("anyone who can reach 0.0.0.0"))
        let jobs = try await coordinator.get("/api/v1/jobs")
        #expect(jobs.headers["texloom-insecure"]?.contains("--insecure") == true)
        let token = try await coordinator.token(.admin)
        let refused = try await coordinator.get("/api/v1/jobs", headers: ["Authorization": "Bearer \(token)"])
        #expect(try refused.status == 400 && refused.decoded(ProblemDetails.self).detail.contains("plain HTTP"))
        #expect(try await coordinator.logIn(token).answer.status == 400)
        await coordinator.stop()
    }

    // MARK: Other sites

    @Test func otherSitesNeitherChangeNorRead() async throws {
        let coordinator = try await RunningCoordinator()
        for site in ["cross-site", "same-site"] {
            for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "GET", "HEAD"] {
                let answer = try await coordinator.send(method, "/api/v1/jobs", headers: ["Sec-Fetch-Site": site])
                #expect(answer.status == 403, "\(method) \(site)")
            }
            let link = ["Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"]
            #expect(try await coordinator.get("/jobs", headers: link).status == 200, "a link")
            #expect(
                try await coordinator.send("POST", "/jobs/0000000000/cancel", headers: link).status == 403, "a form")
        }
        for site in ["same-origin", "none"] {
            #expect(try await coordinator.get("/api/v1/jobs", headers: ["Sec-Fetch-Site": site]).status == 200)
        }
        for type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", ""]
        {
            let answer = try await coordinator.send(
                "POST", "/api/v1/jobs", body: Data("{}".utf8), headers: ["Content-Type": type])
            #expect(answer.status == 415, "\(type)")
        }
        await coordinator.stop()
    }

    @Test func aRequestToAnotherHostIsMisdirected() async throws {
        let coordinator = try await RunningCoordinator()
        for (host, status) in [("evil.example", 421), ("evil.example:80", 421), ("localhost", 200)] {
            for path in ["/", "/api/v1/jobs", "/healthz"] {
                let connection = try RawConnection(coordinator.addresses.httpURL)
                await connection.send("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                let answer = await connection.next()
                #expect(answer?.hasPrefix("HTTP/1.1 \(status) ") == true, "\(path) \(host): \(answer ?? "none")")
            }
        }
        await coordinator.stop()
    }

    @Test func rebindingIsRefusedWhereverTheCoordinatorListens() {
        var configuration = CoordinatorConfiguration()
        configuration.requiresAuthentication = true
        configuration.allowedHosts = ["Loom.example"]
        let local = HTTPAccess(configuration, coordinatorID: "c")
        for host in ["127.0.0.1", "localhost", "[::1]", "loom.example"] { #expect(local.allows(host: host), "\(host)") }
        for host in ["evil.example", "10.0.0.7", "loom.example.evil.example", "127.evil.example"] {
            #expect(!local.allows(host: host), "\(host)")
        }
        configuration.httpHost = "0.0.0.0"
        configuration.isInsecure = true
        let exposed = HTTPAccess(configuration, coordinatorID: "c")
        for host in ["127.0.0.1", "10.0.0.7", "[fd00::7]", "LOOM.example"] { #expect(exposed.allows(host: host)) }
        for host in ["evil.example", "0x7f.1.evil.example", "10.0.0.7.evil.example"] {
            #expect(!exposed.allows(host: host), "\(host)")
        }
    }
}

extension RunningCoordinator {
    /// Logs in as the login page does.
    func logIn(
        _ token: String, next: String = "/", headers: [String: String] = [:]
    ) async throws -> (answer: Answer, session: String?) {
        let form = "next=\(next)&token=\(token)"
        let type = ["Content-Type": "application/x-www-form-urlencoded"]
        let answer = try await send(
            "POST", "/login", body: Data(form.utf8), headers: headers.merging(type) { $1 })
        let cookie = answer.headers["set-cookie"]?.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1)
        return (answer, cookie.flatMap { $0.count == 2 ? String($0[1]) : nil })
    }
}
