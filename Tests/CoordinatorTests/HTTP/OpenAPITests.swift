import ClusterFixtures
import Foundation
import Hummingbird
import Protocol
import Testing

@testable import ClusterCore
@testable import Coordinator
@testable import Transport

/// Compares openapi.json with the code, in both directions.
@Suite("OpenAPI document", .timeLimit(.minutes(10)))
struct OpenAPITests {
    private static let methods: Set = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]
    private let document: JSON
    private let schema: JSONSchema

    init() throws {
        document = try JSON(Data(OpenAPIDocument.bytes))
        schema = JSONSchema(document: document)
    }

    /// "GET /api/v1/jobs/{id}", ...
    private var operations: [String: JSON] {
        let pairs = (document["paths"] ?? .null).members.flatMap { path, item in
            item.members.filter { Self.methods.contains($0.key) }.map { ("\($0.key.uppercased()) \(path)", $0.value) }
        }
        return Dictionary(uniqueKeysWithValues: pairs)
    }

    // MARK: Without a coordinator

    @Test func itHasEveryRouteOfTheAPIAndNoOther() throws {
        let folder = TemporaryFolder()
        let dataFolder = try DataFolder(folder.url)
        let store = try JobStore(file: dataFolder.database, newCoordinatorID: "c")
        let artifacts = try ArtifactStore(dataFolder: folder.url)
        let disk = BlockingWork()
        let engine = ClusterEngine(store, artifacts, disk: disk)
        let reader = ClusterReader(
            store: store, engine: engine, startedAt: Date(), workerEndpoint: "")
        let service = try CoordinatorService(
            CoordinatorConfiguration(dataFolder: folder.url), logger: .silent)
        let router = try service.router(
            CoordinatorParts(
                folder: dataFolder, artifacts: artifacts, disk: disk, reader: reader,
                feed: EventFeed(reader: reader, logger: .silent)))

        for route in router.routes where ![.get, .head, .options].contains(route.method) {
            let entry = AccessTable.table["\(route.method) \(route.path)"]
            #expect(entry?.action != nil, "\(route.method) \(route.path): who may do it, and its name in the audit log")
        }
        let routes = Set(router.routes.map { "\($0.method.rawValue) \($0.path)" })
        let documented = Set(operations.keys)
        // openapi.json does not describe the pages, which are for people.
        let served = routes.filter { $0.contains(" /api/") || documented.contains($0) }
        #expect(documented.subtracting(served) == [], "described and not served")
        #expect(served.subtracting(documented) == [], "served and not described")
    }

    @Test func itsEnumerationsAreTheCodes() {
        func names(_ schema: String) -> [String]? {
            document["components"]?["schemas"]?[schema]?["enum"]?.elements.compactMap(\.text)
        }
        #expect(names("JobState") == JobState.allCases.map(\.rawValue))
        #expect(names("AccessRole") == AccessRole.allCases.map(\.rawValue))
        #expect(names("JobOrder") == JobOrder.allCases.map(\.rawValue))
        #expect(names("ArtifactRole") == ArtifactRole.allCases.map(\.rawValue))
        #expect(names("AttemptOutcome") == Attempt.Outcome.allCases.map(\.rawValue))
    }

    @Test func theDescriptionStatesTheLimitsOfTheCode() {
        let schemas = document["components"]?["schemas"]
        let submission = schemas?["JobSubmission"]?["properties"]
        #expect(submission?["fileName"]?["maxLength"] == .integer(Int64(Limits.maxNameBytes)))
        #expect(submission?["recipeYAML"]?["maxLength"] == .integer(Int64(Limits.maxSpecBytes)))
        for priority in [submission?["priority"], schemas?["Priority"]] {
            #expect(priority?["minimum"] == .integer(Int64(JobSubmission.priorities.lowerBound)))
            #expect(priority?["maximum"] == .integer(Int64(JobSubmission.priorities.upperBound)))
        }
        let jobs = schemas?["SubmitJobsRequest"]?["properties"]?["jobs"]
        #expect(jobs?["maxItems"] == .integer(Int64(APIRoutes.maxJobsPerRequest)))
        #expect(ExemplarIntake.maxBytes == 64 << 20 && APIRoutes.maxRequestBytes == 8 << 20)
    }

    @Test func everyReferenceAndEveryLinkLeadsSomewhere() {
        func walk(_ node: JSON) {
            if node["$ref"] != nil { #expect(schema.resolve(node) != .null, "\(node)") }
            for child in node.members.values { walk(child) }
            for child in node.elements { walk(child) }
        }
        walk(document)
        let ids = operations.values.compactMap { $0["operationId"]?.text }
        #expect(Set(ids).count == operations.count, "each has an id of its own")
        for operation in operations.values {
            for response in (operation["responses"] ?? .null).members.values {
                for link in (response["links"] ?? .null).members.values {
                    #expect(ids.contains(link["operationId"]?.text ?? ""), "\(link)")
                }
            }
        }
    }

    @Test func itsExamplesAreWhatTheirSchemasSay() {
        for (name, operation) in operations {
            for content in (operation["requestBody"]?["content"] ?? .null).members.values {
                for example in (content["examples"] ?? .null).members.values {
                    let found = schema.mistakes(in: example["value"] ?? .null, against: content["schema"] ?? .null)
                    #expect(found == [], "\(name)")
                }
            }
            for parameter in (operation["parameters"] ?? .null).elements {
                guard let example = parameter["example"] else { continue }
                #expect(schema.mistakes(in: example, against: parameter["schema"] ?? .null) == [], "\(name)")
            }
        }
    }

    // MARK: Against a coordinator

    /// Sends a request and finds parts of the answer that the document does not describe.
    private func check(
        _ coordinator: RunningCoordinator, _ operation: String, _ values: [String: String] = [:], query: String = "",
        body: Data? = nil, headers: [String: String] = [:], _ expected: Int,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> RunningCoordinator.Answer {
        let parts = operation.split(separator: " ").map(String.init)
        let path = values.reduce(parts[1]) { $0.replacing("{\($1.key)}", with: $1.value) }
        let answer = try await coordinator.send(parts[0], path + query, body: body, headers: headers)
        var mistakes: [String] = []
        if answer.status != expected { mistakes.append("the status is \(answer.status), not \(expected)") }
        let responses = operations[operation]?["responses"]
        let response = (responses?["\(answer.status)"] ?? responses?["\(answer.status / 100)XX"]).map(schema.resolve)
        if response == nil { mistakes.append("the status \(answer.status) is not described") }
        for (name, header) in (response?["headers"] ?? .null).members {
            let header = schema.resolve(header)
            if let value = answer.headers[name.lowercased()] {
                mistakes += schema.mistakes(in: .string(value), against: header["schema"] ?? .null, at: name)
            } else if header["required"] == .bool(true) {
                mistakes.append("the header \(name) is missing")
            }
        }
        let contents = (response?["content"] ?? .null).members
        if let type = answer.headers["content-type"], !answer.body.isEmpty {
            if let content = contents[type] {
                if type.hasSuffix("json") {
                    let value = try JSON(answer.body)
                    mistakes += schema.mistakes(in: value, against: content["schema"] ?? .null)
                }
            } else {
                mistakes.append("the content type \(type) is not described")
            }
        } else if !contents.isEmpty {
            mistakes.append("there is no content")
        }
        #expect(mistakes == [], "\(operation)\(query)", sourceLocation: sourceLocation)
        return answer
    }

    @Test func everyAnswerIsAsItSays() async throws {
        let coordinator = try await RunningCoordinator {
            $0.recipes = [NamedRecipe(name: "draft", abstract: "Fast", yaml: "recipe: draft")]
            $0.retries = 0
        }
        let jobs = try await coordinator.submit("finished", "failed", "running", "cancelled", "waiting").map(\.id)
        let worker = try ScriptedWorker(coordinator.addresses.workerEndpoint, session: 71)
        worker.hello()
        let files = try await worker.train(try await worker.askForWork().attempt)
        try await worker.fail(try await worker.askForWork().attempt)
        _ = try await worker.askForWork()

        var answered: Set<String> = []
        func ask(
            _ operation: String, _ values: [String: String] = [:], query: String = "", body: Data? = nil,
            headers: [String: String] = [:], _ expected: Int = 200, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            _ = try await check(
                coordinator, operation, values, query: query, body: body, headers: headers, expected,
                sourceLocation: sourceLocation)
            if expected < 300 { answered.insert(operation) }
        }
        let submission = JobSubmission(
            name: "a", fileName: "a.png", exemplarSHA256: ScriptedWorker.artifact([UInt8](TestImages.png)).sha256,
            recipeYAML: "r", key: "k")
        func request(_ submission: JobSubmission) throws -> Data {
            try APIFormat.encoder.encode(SubmitJobsRequest(jobs: [submission]))
        }
        for path in ["/api/v1/openapi.json", "/api/v1/summary", "/api/v1/recipes", "/healthz", "/readyz"] {
            try await ask("GET \(path)")
        }
        let admin = ["Authorization": "Bearer \(try await coordinator.token(.admin))"]
        try await ask("GET /api/v1/tokens")
        try await ask("GET /api/v1/audit", query: "?limit=10")
        try await ask("GET /api/v1/audit", query: "?limit=0", 400)
        let wanted = Data(#"{"name":"ann","role":"viewer","lifetimeSeconds":60}"#.utf8)
        try await ask("POST /api/v1/tokens", body: wanted, headers: admin, 201)
        try await ask("POST /api/v1/tokens", body: wanted, headers: admin, 409)
        try await ask("POST /api/v1/tokens", body: wanted, 403)
        try await ask("POST /api/v1/tokens", body: Data(#"{"name":"","role":"viewer"}"#.utf8), headers: admin, 422)
        let misspelt = Data(#"{"name":"eve","role":"viewer","lifetimeSecond":60}"#.utf8)
        try await ask("POST /api/v1/tokens", body: misspelt, headers: admin, 400)
        try await ask("POST /api/v1/tokens/{name}/revoke", ["name": "ann"], headers: admin)
        try await ask("POST /api/v1/tokens/{name}/revoke", ["name": "ann"], headers: admin, 404)
        try await ask("GET /api/v1/workers", headers: ["Authorization": "Bearer txl_guessed"], 401)
        try await ask("GET /api/v1/workers")
        try await ask("POST /api/v1/exemplars", body: TestImages.png, 201)
        try await ask("POST /api/v1/exemplars", body: Data("GIF89a".utf8), 422)
        try await ask("POST /api/v1/jobs", body: try request(submission), 201)
        try await ask("POST /api/v1/jobs", body: try request(submission), 200)
        var other = submission
        other.recipeYAML = "another"
        try await ask("POST /api/v1/jobs", body: try request(other), 409)
        other.name = "a\u{0}b"
        try await ask("POST /api/v1/jobs", body: try request(other), 422)
        try await ask("POST /api/v1/jobs", body: Data("[".utf8), 400)
        try await ask("POST /api/v1/jobs", body: Data("{}".utf8), headers: ["Content-Type": "text/plain"], 415)
        try await ask("POST /api/v1/jobs", headers: ["Origin": "http://elsewhere.example"], 403)
        for (job, action, status) in [
            (jobs[3], "cancel", 200), (jobs[3], "cancel", 200), (jobs[0], "cancel", 409), (jobs[1], "cancel", 409),
            (jobs[0], "retry", 409), (jobs[2], "retry", 200), ("0000000000", "retry", 404), ("x", "cancel", 404),
        ] {
            try await ask("POST /api/v1/jobs/{id}/\(action)", ["id": job], status)
        }
        try await ask("POST /api/v1/jobs/{id}/cancel", ["id": jobs[4]], query: "?raeson=none", 400)
        for (job, priority, status) in [
            (jobs[4], "7", 200), (jobs[0], "7", 409), (jobs[4], "101", 422), (jobs[4], "true", 400),
            (jobs[4], #"7,"job":"x""#, 400),
        ] {
            let body = Data("{\"priority\":\(priority)}".utf8)
            try await ask("POST /api/v1/jobs/{id}/priority", ["id": job], body: body, status)
        }
        try await ask("GET /api/v1/jobs")
        for state in JobState.allCases {
            try await ask("GET /api/v1/jobs", query: "?state=\(state.rawValue)&limit=1&sort=name")
        }
        for bad in ["state=", "sort=Name", "limit=%2B5", "limit=0", "cursor=*", "name=%FF", "name=a%00", "limt=5"] {
            try await ask("GET /api/v1/jobs", query: "?\(bad)", 400)
        }
        try await ask("GET /api/v1/jobs", query: "?limit=1&limit=2", 400)
        for (action, body, status) in [
            ("cancel", #"{"batch":"walls","reason":"r"}"#, 200),
            ("retry", #"{"jobs":["\#(jobs[3])"],"atMost":1}"#, 200),
            ("cancel", #"{"jobs":["\#(jobs[3])"]}"#, 200), ("retry", #"{"state":"cancelled","atMost":0}"#, 409),
            ("delete", #"{"name":"no such name"}"#, 200), ("delete", "{}", 422), ("cancel", "{}", 422),
            ("cancel", #"{"batch":"../x"}"#, 422), ("retry", #"{"labels":{"a b":"c"}}"#, 422),
            ("cancel", #"{"jobs":["0000000000"]}"#, 404), ("cancel", #"{"state":"odd"}"#, 400), ("retry", "[", 400),
        ] {
            try await ask("POST /api/v1/selection/\(action)", body: Data(body.utf8), status)
        }
        var grouped = submission
        (grouped.key, grouped.once, grouped.batch, grouped.labels) = (nil, true, "walls", ["seed": "1", "k": "3 2"])
        try await ask("POST /api/v1/jobs", body: try request(grouped), 201)
        grouped.labels = ["seed": "a\nb"]
        try await ask("POST /api/v1/jobs", body: try request(grouped), 422)
        try await ask("GET /api/v1/batches")
        try await ask("GET /api/v1/batches", query: "?before=0", 400)
        try await ask("GET /api/v1/batches/{name}", ["name": "walls"])
        try await ask("GET /api/v1/batches/{name}", ["name": "roofs"], 404)
        try await ask("GET /api/v1/jobs", query: "?batch=walls&label=seed=1&label=k%3D3+2")
        for bad in ["batch=", "batch=a/b", "label=seed", "label==1", "label=seed=", "label=a=1&label=a=2"] {
            try await ask("GET /api/v1/jobs", query: "?\(bad)", 400)
        }
        for job in jobs {
            try await ask("GET /api/v1/jobs/{id}", ["id": job])
            try await ask("GET /api/v1/jobs/{id}/seeds", ["id": job])
            for list in ["logs", "metrics", "artifacts"] { try await ask("GET /api/v1/jobs/{id}/\(list)", ["id": job]) }
        }
        try await ask("GET /api/v1/jobs/{id}/seeds", ["id": "0000000000"], 404)
        try await ask("GET /api/v1/jobs/{id}/logs", ["id": jobs[0]], query: "?after=0&limit=1")
        try await ask("GET /api/v1/jobs/{id}/metrics", ["id": jobs[0]], query: "?after=-2", 400)
        try await ask("GET /api/v1/jobs/{id}/events", ["id": jobs[0]], query: "?after=x", 400)
        for file in files + [submission.exemplarSHA256] {
            try await ask("GET /api/v1/artifacts/{sha256}", ["sha256": file])
        }
        let artifact = ["sha256": submission.exemplarSHA256]
        try await ask("GET /api/v1/artifacts/{sha256}", artifact, headers: ["Range": "bytes=0-1"], 206)
        try await ask("GET /api/v1/artifacts/{sha256}", artifact, headers: ["Range": "bytes=999-"], 416)
        try await ask("GET /api/v1/artifacts/{sha256}", artifact, headers: ["If-None-Match": "*"], 304)
        try await ask("GET /api/v1/artifacts/{sha256}", ["sha256": "0"], 404)
        try await ask("POST /api/v1/workers/{id}/drain", ["id": "worker-71"])
        try await ask("POST /api/v1/workers/{id}/drain", ["id": "nobody"], 404)
        let secured = try await WorkerKeyTests.Secured()
        let (joined, keys) = try await secured.joined(72)
        for (operation, values, status) in [
            ("POST /api/v1/invitations", [:], 201),
            ("POST /api/v1/workers/{id}/revoke", ["id": Z85.hexadecimalKey(keys.publicKey)], 200),
            ("GET /api/v1/server-key", [:], 200), ("POST /api/v1/server-key/rotate", [:], 200),
            ("POST /api/v1/server-key/finish", [:], 200), ("POST /api/v1/server-key/finish", [:], 409),
        ] as [(String, [String: String], Int)] {
            _ = try await check(
                secured.coordinator, operation, values, headers: secured.authorization, status)
            if status < 300 { answered.insert(operation) }
        }
        await joined.socket.close()
        await secured.coordinator.stop()
        let streams: Set = ["GET /api/v1/events", "GET /api/v1/jobs/{id}/events"]
        try await ask("POST /api/v1/workers/{id}/revoke", ["id": "worker-71"], 409)
        try await ask("POST /api/v1/invitations", [:], 409)
        #expect(Set(operations.keys).subtracting(answered) == streams, "EventStreamTests look at these")
        await worker.socket.close()
        await coordinator.stop()
    }
}

extension ScriptedWorker {
    /// Trains to the end and delivers everything that a worker delivers.
    /// - Parameters:
    ///   - report: The report of the finished run, as JSON text.
    ///   - figure: `quality_patches` of the snapshot, as in the metrics.
    /// - Returns: The digests of the files.
    @discardableResult
    func train(_ attempt: WireAttemptRef, report: String = "{}", figure: Float = .nan) async throws -> [String] {
        send(
            .metrics(
                .with {
                    $0.attempt = attempt
                    $0.requestID = id()
                    $0.columns = ["l1", "style", "quality_patches"]
                    $0.rows = [
                        .with {
                            $0.iteration = 5
                            $0.values = [0.5, .nan, figure]
                        }
                    ]
                }))
        _ = try await acknowledgement()
        send(
            .log(
                .with {
                    $0.attempt = attempt
                    $0.requestID = id()
                    $0.lines = [
                        .with {
                            $0.level = "info"
                            $0.message = "five"
                        }
                    ]
                }))
        _ = try await acknowledgement()
        let files: [(WireArtifactKind, [UInt8])] = [
            (.snapshot, [UInt8](TestImages.png) + [0]), (.checkpoint, [1, 2, 3]), (.generator, [4, 5]),
            (.discriminator, [6]),
        ]
        for (kind, bytes) in files { _ = try await upload(bytes, kind, iteration: 5, of: attempt, repeats: true) }
        let digests = files.map { Self.artifact($0.1).sha256 }
        send(
            .finish(
                .with {
                    $0.attempt = attempt
                    $0.requestID = id()
                    $0.iteration = 5
                    $0.checkpointSha256 = digests[1]
                    $0.generatorSha256 = digests[2]
                    $0.discriminatorSha256 = digests[3]
                    $0.trainingSeconds = 3
                    $0.reportJson = report
                }))
        _ = try await acknowledgement()
        return digests
    }

    func fail(_ attempt: WireAttemptRef) async throws {
        send(
            .fail(
                .with {
                    $0.attempt = attempt
                    $0.requestID = id()
                    $0.reason = "no recipe"
                    $0.code = "badRecipe"
                }))
        _ = try await acknowledgement()
    }
}
