import Base
import ClusterCore
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import Protocol

/// `/api/v1`: the JSON side of the coordinator. openapi.json beside this file describes it.
struct APIRoutes: Sendable {
    let configuration: CoordinatorConfiguration
    let commands: ClusterCommands
    let reader: ClusterReader
    let times: RecipeTimes
    let exemplars: ExemplarIntake
    let artifacts: ArtifactResponder
    let bodies: BodyBudget
    let quota: StorageQuota
    let randomSalt: @Sendable () -> UInt32

    /// Size limit of a JSON body: a thousand jobs with their recipes.
    static let maxRequestBytes = 8 << 20
    static let maxJobsPerRequest = 1_000

    func add(to router: Router<CallerContext>) {
        let api = router.group("api/v1")
        api.get("openapi.json") { _, _ in OpenAPIDocument.response }
        api.get("summary") { _, _ in try jsonResponse(try await reader.summary()) }
        api.get("recipes") { _, _ in try jsonResponse(try await times.offered()) }
        api.post("exemplars", use: receiveExemplar)
        api.post("jobs", use: submit)
        api.get("jobs", use: list)
        api.get("jobs/:id", use: show)
        api.get("jobs/:id/seeds", use: seeds)
        api.post("jobs/:id/cancel", use: cancel)
        api.post("jobs/:id/retry", use: retry)
        api.post("jobs/:id/priority", use: prioritise)
        api.get("jobs/:id/logs", use: logs)
        api.get("jobs/:id/metrics", use: metrics)
        api.get("jobs/:id/artifacts", use: listArtifacts)
        api.get("artifacts/:sha256") { request, context in
            try await artifacts.respond(to: request, sha256: try context.parameters.require("sha256"))
        }
        api.get("workers") { _, _ in try jsonResponse(WorkerList(workers: try await reader.workers())) }
        api.post("workers/:id/drain", use: drain)
        addSelections(to: api)
        addBatches(to: api)
    }

    // MARK: Submission

    @Sendable private func receiveExemplar(_ request: Request, _ context: CallerContext) async throws -> Response {
        let declared = request.headers[.contentLength].flatMap { Int($0) }
        if let declared, declared > exemplars.maxBytes { throw exemplars.tooLarge(declared) }
        try quota.requireRoom()
        return try jsonResponse(try await exemplars.receive(request.body, from: context.callerKey), status: .created)
    }

    @Sendable private func submit(_ request: Request, _ context: CallerContext) async throws -> Response {
        let body = try await decode(SubmitJobsRequest.self, request, context)
        guard (1...Self.maxJobsPerRequest).contains(body.jobs.count) else {
            throw Problem(
                .unprocessableContent,
                "the request has \(body.jobs.count) jobs; expected 1...\(Self.maxJobsPerRequest)")
        }
        try quota.requireRoom()
        var request = SubmissionRequest()
        for (index, job) in body.jobs.enumerated() {
            var submission = try submission(job, at: index)
            let isAsked = job.needs == nil || job.then?.isEmpty == false
            let training = isAsked ? try await training(of: job, at: index) : nil
            if let training, job.needs == nil { submission.needs = configuration.needsOfTraining(training) }
            try request.add(submission, job, at: index) { followUp in
                try training.map { try configuration.needsOfFollower(followUp, $0) } ?? JobNeeds()
            }
        }
        let submissions = request.submissions
        guard submissions.count <= Self.maxJobsPerRequest else {
            throw Problem(
                .unprocessableContent,
                "the request has \(submissions.count) jobs, with those in 'then'; expected 1...\(Self.maxJobsPerRequest)"
            )
        }
        let times = await expectedTimes(of: submissions)
        let salts = submissions.map { _ in randomSalt() }
        guard case .accepted(let jobs) = try await commands.ask({ .submit($0, submissions, salts: salts) }) else {
            throw Problem(.internalServerError, "the coordinator gave no answer to a submission")
        }
        let cluster = await reader.engine.committed
        let accepted = zip(jobs, submissions).map { job, submission in
            let waiting = cluster.job(job.id).flatMap {
                $0.state == .queued || $0.state == .waiting ? $0.demand : nil
            }
            return AcceptedJob(
                id: job.id.description, name: job.name, resultName: job.resultName, state: job.state,
                alreadyExisted: job.alreadyExisted, obstacle: waiting.flatMap(cluster.obstacle),
                expected: job.alreadyExisted ? nil : times[RecipeWork(submission)])
        }
        context.audited.name =
            (accepted.first.map { "\($0.id) \($0.resultName)" } ?? "")
            + (accepted.count > 1 ? " and \(accepted.count - 1) more" : "")
        let isNew = accepted.contains { !$0.alreadyExisted }
        return try jsonResponse(
            SubmitJobsResponse(jobs: request.grouped(accepted)), status: isNew ? .created : .ok)
    }

    private func training(of job: JobSubmission, at index: Int) async throws -> SubmittedTraining {
        do {
            let (width, height) = try await exemplars.pixels(of: job.exemplarSHA256, name: job.fileName)
            return SubmittedTraining(
                recipeYAML: job.recipeYAML, fileName: job.fileName, width: width, height: height,
                maps: (job.maps ?? []).map(\.map))
        } catch let error as CoordinatorError where error.code == .badExemplar {
            throw Problem(.unprocessableContent, "jobs[\(index)].exemplarSHA256: \(error.message)")
        }
    }

    /// Expected times by recipe. A job is accepted even if its time is unknown.
    private func expectedTimes(of submissions: [Submission]) async -> [RecipeWork: ExpectedTime] {
        var known: [RecipeWork: ExpectedTime] = [:]
        for work in Set(submissions.filter { $0.kind == .train }.map(RecipeWork.init)) {
            known[work] = try? await times.recorded(work.yaml, maps: work.maps)
        }
        return known
    }

    /// A recipe, and the maps of the material that it is for.
    private struct RecipeWork: Hashable {
        var yaml: String
        var maps: [String]

        init(_ submission: Submission) { (yaml, maps) = (submission.spec, submission.inputs.compactMap(\.map)) }
    }

    private func submission(_ job: JobSubmission, at index: Int) throws -> Submission {
        let require = RequestCheck(place: "jobs[\(index)].")
        let nameLimit = JobSubmission.maxNameBytes
        try require(
            (1...nameLimit).contains(job.name.utf8.count),
            "name has \(job.name.utf8.count) bytes; expected 1...\(nameLimit)")
        try require(
            (1...Limits.maxNameBytes).contains(job.fileName.utf8.count),
            "fileName has \(job.fileName.utf8.count) bytes; expected 1...\(Limits.maxNameBytes)")
        try require(
            (1...Limits.maxSpecBytes).contains(job.recipeYAML.utf8.count),
            "recipeYAML has \(job.recipeYAML.utf8.count) bytes; expected 1...\(Limits.maxSpecBytes)")
        try require(
            JobSubmission.priorities.contains(job.priority ?? 0),
            "priority is \(job.priority ?? 0); expected \(JobSubmission.priorities)")
        try require(
            job.key.map { (1...nameLimit).contains($0.utf8.count) } ?? true,
            "key is empty or longer than \(nameLimit) bytes")
        try require(job.key == nil || job.once != true, "key and once are both given; expected one of them")
        try require(
            SHA256Text.isValid(job.exemplarSHA256), "exemplarSHA256 is not 64 lower-case hexadecimal digits")
        if let needs = job.needs {
            try require(
                needs.weights.count <= JobNeeds.maxWeights && needs.weights.allSatisfy(Identifier.isValid),
                "needs.weights is invalid; expected at most \(JobNeeds.maxWeights) names of weights, such as vgg19")
            try require(
                (0...JobNeeds.maxMemoryBytes).contains(needs.memoryBytes),
                "needs.memoryBytes is \(needs.memoryBytes); expected 0...\(JobNeeds.maxMemoryBytes)")
        }
        let continued = job.continues.flatMap { JobID($0) }
        try require(
            job.continues == nil || continued != nil, "continues is '\(job.continues ?? "")'; expected the id of a job")
        let tags = JobTags(batch: job.batch, labels: job.labels ?? [:])
        if let problem = tags.problem { throw Problem(.unprocessableContent, "jobs[\(index)]: \(problem)") }
        for (field, text) in [
            ("name", job.name), ("fileName", job.fileName), ("recipeYAML", job.recipeYAML), ("key", job.key ?? ""),
        ] {
            // SQLite would read the text only up to this character.
            try require(!text.utf8.contains(0), "\(field) has the character U+0000; leave it out")
        }
        return Submission(
            name: job.name, inputs: try SubmittedFiles(exemplars).inputs(of: job, at: index), spec: job.recipeYAML,
            needs: job.needs ?? JobNeeds(), priority: job.priority ?? 0,
            key: job.once == true ? key(of: job) : job.key, tags: tags, continues: continued)
    }

    /// The key of a submission with `once`. It depends on the recipe's values, not on its text. A batch has jobs of its
    /// own, so that it is complete whatever was submitted before.
    private func key(of job: JobSubmission) -> String {
        var text = "\(job.name)\n\(job.exemplarSHA256)\n\(configuration.recipeValues(job.recipeYAML))"
        for file in (job.maps ?? []).sorted(by: { $0.map < $1.map }) { text += "\nmap \(file.map) \(file.sha256)" }
        if let source = job.continues { text += "\ncontinues \(source)" }
        if let batch = job.batch { text += "\nbatch \(batch)" }
        return hexadecimal(SHA256.hash(data: Data(text.utf8)))
    }

    // MARK: Jobs

    @Sendable private func list(_ request: Request, _ context: CallerContext) async throws -> Response {
        let query = try QueryParameters(
            request, known: "state", "name", "recipe", "batch", "label", "sort", "cursor", "limit")
        return try jsonResponse(try await reader.jobs(JobQuery(query, limit: 100, in: 1...1000)))
    }

    @Sendable private func show(_ request: Request, _ context: CallerContext) async throws -> Response {
        try jsonResponse(try await detail(context))
    }

    @Sendable private func seeds(_ request: Request, _ context: CallerContext) async throws -> Response {
        let id = try jobID(context)
        guard let group = try await reader.seedGroup(of: id) else { throw Problem.noJob(id.description) }
        return try jsonResponse(group)
    }

    private func detail(_ context: CallerContext) async throws -> JobDetail {
        let id = try jobID(context)
        guard let detail = try await reader.detail(id) else { throw Problem.noJob(id.description) }
        return detail
    }

    @Sendable private func cancel(_ request: Request, _ context: CallerContext) async throws -> Response {
        let reason = try QueryParameters(request, known: "reason").text("reason")
        return try jsonResponse(try await commands.cancel(try context.parameters.require("id"), reason: reason))
    }

    @Sendable private func retry(_ request: Request, _ context: CallerContext) async throws -> Response {
        try jsonResponse(try await commands.retry(try context.parameters.require("id")))
    }

    @Sendable private func prioritise(_ request: Request, _ context: CallerContext) async throws -> Response {
        let change = try await decode(PriorityChange.self, request, context)
        return try jsonResponse(
            try await commands.prioritise(try context.parameters.require("id"), change.priority))
    }

    @Sendable private func logs(_ request: Request, _ context: CallerContext) async throws -> Response {
        let id = try await existingJob(context)
        let query = try QueryParameters(request, known: "after", "limit")
        let after = try query.number("after", default: 0, in: 0...Int.max)
        let limit = try query.number("limit", default: 1000, in: 1...10_000)
        let page = try await reader.store.logs(of: id, after: Int64(after), limit: limit)
        return try jsonResponse(LogPage(entries: page.entries, next: page.hasMore ? page.entries.last?.id : nil))
    }

    @Sendable private func metrics(_ request: Request, _ context: CallerContext) async throws -> Response {
        let id = try await existingJob(context)
        let query = try QueryParameters(request, known: "after", "limit")
        let after = try query.number("after", default: -1, in: -1...Int.max)
        let limit = try query.number("limit", default: 5000, in: 1...50_000)
        let page = try await reader.store.metrics(of: id, after: after, limit: limit)
        return try jsonResponse(
            MetricsPage(rows: page.entries, next: page.hasMore ? page.entries.last?.iteration : nil))
    }

    @Sendable private func listArtifacts(_ request: Request, _ context: CallerContext) async throws -> Response {
        let id = try await existingJob(context)
        return try jsonResponse(ArtifactList(artifacts: try await reader.store.artifacts(of: id)))
    }

    @Sendable private func drain(_ request: Request, _ context: CallerContext) async throws -> Response {
        try jsonResponse(try await commands.drain(try context.parameters.require("id")))
    }

    // MARK: Requests

    func decode<Value: Decodable>(
        _ type: Value.Type, _ request: Request, _ context: CallerContext
    ) async throws -> Value {
        try JSONBody.requireType(request)
        let limit = Self.maxRequestBytes
        let tooLarge = Problem(.contentTooLarge, "the body is larger than \(limit) bytes; split the request")
        if let declared = request.headers[.contentLength].flatMap({ Int($0) }), declared > limit { throw tooLarge }
        var data = Data()
        defer { bodies.giveBack(data.count, of: context.callerKey) }
        for try await buffer in request.body {
            guard data.count + buffer.readableBytes <= limit else { throw tooLarge }
            try bodies.take(buffer.readableBytes, for: context.callerKey)
            data.append(contentsOf: buffer.readableBytesView)
        }
        return try JSONBody.decode(type, from: data)
    }

    private func jobID(_ context: CallerContext) throws -> JobID {
        let text: String = try context.parameters.require("id")
        guard let id = JobID(text) else { throw Problem.noJob(text) }
        return id
    }

    private func existingJob(_ context: CallerContext) async throws -> JobID {
        let id = try jobID(context)
        guard await reader.engine.committed.job(id) != nil else { throw Problem.noJob(id.description) }
        return id
    }
}
