import Base
import ClusterCore
import Foundation
import HTTPTypes
import Hummingbird
import Plots
import Protocol
import Transport

/// The pages for people: complete without JavaScript, live with it.
struct DashboardRoutes: Sendable {
    /// Jobs on a page of the list, and pictures on a page of the gallery.
    static let jobsPerPage = 50
    static let picturesPerPage = 60
    /// Jobs of each kind on the overview.
    static let jobsOnOverview = 12
    static let rowsOfPlot = 50_000

    let reader: ClusterReader
    let thumbnails: ThumbnailCache
    let times: RecipeTimes
    let assets: DashboardAssets
    let renderer: PageRenderer
    /// Whether each worker needs an invitation.
    let invitesWorkers: Bool
    /// Where workers elsewhere reach the workers' address; empty: at that address itself.
    let advertised: [String]

    init(
        reader: ClusterReader, thumbnails: ThumbnailCache, times: RecipeTimes, insecurity: String? = nil,
        invitesWorkers: Bool, advertised: [String]
    ) throws {
        self.reader = reader
        self.thumbnails = thumbnails
        self.times = times
        self.invitesWorkers = invitesWorkers
        self.advertised = advertised
        assets = DashboardAssets()
        renderer = try PageRenderer(assets: assets.version, insecurity: insecurity)
    }

    func add(to router: Router<CallerContext>) {
        router.get("", use: overview)
        router.get("jobs", use: jobs)
        router.get("jobs/:id", use: job)
        router.get("jobs/:id/seeds", use: seeds)
        router.get("jobs/:id/losses.svg", use: lossPlot)
        router.get("gallery", use: gallery)
        router.get("workers", use: workers)
        router.get("submit", use: submit)
        addBatches(to: router)
        router.get("thumbnails/:file", use: thumbnail)
        router.get("assets/:version/:file") { _, context in
            try assets.respond(to: try context.parameters.require("file"))
        }
    }

    // MARK: Pages

    /// A job at its last iteration still needs time for the last snapshot, its figures and the upload.
    private func queueTime(_ summary: ClusterSummary) -> String {
        let hasWork = JobState.allCases.contains { !$0.isSettled && summary.count($0) > 0 }
        guard hasWork else { return "none" }
        guard let seconds = summary.queueSeconds else { return "unknown" }
        return seconds < 1 && summary.count(.running) > 0 ? "finishing" : Readable.duration(seconds)
    }

    /// What to run on a machine that is to become a worker; nil if each worker needs an invitation.
    private var workerCommand: String? {
        guard !invitesWorkers else { return nil }
        let address = advertised.first ?? Endpoint.reachable(reader.workerEndpoint).first ?? reader.workerEndpoint
        return "texloom worker --coordinator \(address)"
    }

    @Sendable private func overview(_ request: Request, _ context: CallerContext) async throws -> Response {
        let summary = try await reader.summary()
        func some(_ state: JobState, _ order: JobOrder) async throws -> [JobSummary] {
            guard summary.count(state) > 0 else { return [] }
            return try await reader.jobs(JobQuery(state: state, order: order, limit: Self.jobsOnOverview)).jobs
        }
        let running = try await some(.running, .priority)
        let attention = try await some(.held, .ended) + some(.failed, .ended)
        let finished = try await some(.finished, .ended)
        let workers = try await reader.workers(others: 0).filter(\.isConnected)
        let names = try await names(of: workers)
        return renderer.response(
            .init(template: "overview", title: "Overview"), for: context,
            [
                "reloads": true,
                "counts": JobState.allCases.map {
                    let count = summary.count($0)
                    return ["state": $0.rawValue, "count": count, "isNone": count == 0] as [String: Any]
                },
                "throughput": String(format: "%.2f", summary.iterationsPerSecond),
                "queueTime": queueTime(summary), "slots": summary.slots,
                "workerCount": counted(workers.count, "worker"),
                "isEmpty": summary.jobs.values.allSatisfy { $0 == 0 }, "noWorkers": workers.isEmpty,
                "workerCommand": workerCommand,
                "hasAttention": !attention.isEmpty, "attention": attention.map(Item.job),
                "hasRunning": !running.isEmpty, "running": running.map(Item.job),
                "hasFinished": !finished.isEmpty, "finished": finished.map(Item.job),
                "hasWorkers": !workers.isEmpty,
                "workers": workers.prefix(Self.jobsOnOverview).map { Item.worker($0, names: names) },
            ])
    }

    @Sendable private func jobs(_ request: Request, _ context: CallerContext) async throws -> Response {
        let query = try JobQuery(QueryParameters(form: request), limit: Self.jobsPerPage, in: 1...200)
        let page = try await reader.jobs(query)
        func choices(_ names: [String], _ chosen: String?) -> [[String: Any]] {
            names.map { ["name": $0, "isChosen": $0 == chosen] }
        }
        var content = Item.pager(
            page, path: "/jobs",
            query.parameters
                + [URLQueryItem(name: "sort", value: query.order == .newest ? nil : query.order.rawValue)],
            isFirst: query.after == nil)
        let seeds = try await reader.seeds(of: page.jobs)
        content["jobs"] = page.jobs.map { job in
            let seed: [String: Any] =
                seeds[job.id].map { ["hasSeeds": true, "seed": String($0.seed), "seedCount": $0.count] }
                ?? ["hasSeeds": false]
            return Item.job(job).merging(seed) { $1 }
        }
        content["name"] = query.name ?? ""
        content["batchName"] = query.batch ?? ""
        let labels = query.labelTexts
        content["labels"] = labels.isEmpty ? [""] : labels
        content["states"] = choices(JobState.allCases.map(\.rawValue), query.state?.rawValue)
        content["recipes"] = choices(try await reader.store.recipeNames(), query.recipe)
        content["orders"] = JobOrder.allCases.map { order in
            ["name": order.rawValue, "title": order.title, "isChosen": order == query.order] as [String: Any]
        }
        return renderer.response(.init(template: "jobs", title: "Jobs"), for: context, content)
    }

    @Sendable private func gallery(_ request: Request, _ context: CallerContext) async throws -> Response {
        var query = try JobQuery(QueryParameters(form: request), limit: Self.picturesPerPage, in: 1...200)
        let parameters = query.parameters
        query.state = .finished
        query.kind = .train
        query.order = .ended
        let page = try await reader.jobs(query)
        var content = Item.pager(page, path: "/gallery", parameters, isFirst: query.after == nil)
        content["pictures"] = page.jobs.map(Item.job)
        content["name"] = query.name ?? ""
        content["hasName"] = query.name != nil
        return renderer.response(.init(template: "gallery", title: "Gallery"), for: context, content)
    }

    @Sendable private func workers(_ request: Request, _ context: CallerContext) async throws -> Response {
        let workers = try await reader.workers(others: ClusterReader.departedShown)
        let names = try await names(of: workers)
        return renderer.response(
            .init(template: "workers", title: "Workers"), for: context,
            [
                "hasWorkers": !workers.isEmpty, "workerCommand": workerCommand,
                "workers": workers.map { Item.worker($0, names: names) },
            ])
    }

    /// The page's script asks again for times that are not known yet.
    @Sendable private func submit(_ request: Request, _ context: CallerContext) async throws -> Response {
        let recipes = try await times.offered().recipes.map { recipe in
            [
                "name": recipe.name, "abstract": recipe.abstract,
                "time": recipe.expected.map { ", \(ExpectedTime.about($0.seconds))" } ?? "",
            ]
        }
        return renderer.response(
            .init(template: "submit", title: "Submit"), for: context,
            ["recipes": recipes, "nameBytes": JobSubmission.maxNameBytes] as [String: Any])
    }

    private func names(of workers: [WorkerSummary]) async throws -> [String: String] {
        let jobs = try await reader.jobs(Set(workers.flatMap(\.jobs).compactMap { JobID($0) }))
        return Dictionary(jobs.map { ($0.id, $0.resultName) }, uniquingKeysWith: { first, _ in first })
    }

    @Sendable private func job(_ request: Request, _ context: CallerContext) async throws -> Response {
        let text: String = try context.parameters.require("id")
        guard let id = JobID(text), let detail = try await reader.detail(id) else { return noJob(text, context) }
        let artifacts = try await reader.store.artifacts(of: id)
        let shown = request.uri.queryParameters.get("snapshot").flatMap { Int($0) }
        let showsAll = request.uri.queryParameters.get("pictures") == "all"
        let view = JobPageView(
            detail: detail, artifacts: artifacts,
            log: try await reader.store.newestLogs(of: id, limit: JobPageView.logLinesShown), shownIteration: shown,
            showsAll: showsAll)
        var content = view.content
        if let iteration = view.shown?.iteration {
            let row = try await reader.store.metrics(of: id, after: iteration - 1, limit: 1).entries.first
            content.merge(view.quality(row?.iteration == iteration ? row?.values ?? [:] : [:])) { $1 }
        }
        if let group = try await reader.seedGroup(of: id) {
            content.merge(SeedsView(group: group, shownOn: detail.job.id).content) { $1 }
        }
        return renderer.response(
            .init(template: "job", title: Readable.plain(detail.job.resultName)), for: context, content)
    }

    func noJob(_ text: String, _ context: CallerContext) -> Response {
        renderer.response(
            .init(template: "answer", title: "Not found"), for: context, status: .notFound,
            ["message": "There is no job '\(Readable.plain(text))'.", "isProblem": true, "back": "/jobs"])
    }

    /// For browsers without JavaScript.
    @Sendable private func lossPlot(_ request: Request, _ context: CallerContext) async throws -> Response {
        let text: String = try context.parameters.require("id")
        guard let id = JobID(text), let detail = try await reader.detail(id) else {
            throw Problem(.notFound, "there is no job '\(text)'")
        }
        // Page by page, and only what is drawn: names come from workers and may be long.
        var rows: [(iteration: Int, values: [String: Float])] = []
        var after: Int? = -1
        while let start = after, rows.count < Self.rowsOfPlot {
            let page = try await reader.store.metrics(of: id, after: start, limit: Self.rowsOfPlot - rows.count)
            rows += page.entries.map { ($0.iteration, $0.values.filter { LossPlot.columns.contains($0.key) }) }
            after = page.hasMore ? page.entries.last?.iteration : nil
        }
        let plot = LossPlot.svg(rows, title: Readable.plain(detail.job.resultName))
        return Response(
            status: .ok,
            headers: [
                .contentType: "image/svg+xml", .cacheControl: "no-store", .xContentTypeOptions: "nosniff",
                .contentSecurityPolicy: "default-src 'none'",
            ],
            body: ResponseBody(byteBuffer: ByteBuffer(string: plot)))
    }

    @Sendable private func thumbnail(_ request: Request, _ context: CallerContext) async throws -> Response {
        let file: String = try context.parameters.require("file")
        guard file.hasSuffix(".png"), case let sha256 = String(file.dropLast(4)), SHA256Text.isValid(sha256),
            let role = try await reader.store.role(ofArtifact: sha256),
            role == .snapshot || role == .exemplar || role == .picture || role == .map
        else {
            throw Problem(.notFound, "there is no picture '\(file)'")
        }
        let tag = "\"thumbnail-\(sha256)\""
        var headers: HTTPFields = [
            .eTag: tag, .cacheControl: "private, max-age=31536000, immutable", .xContentTypeOptions: "nosniff",
        ]
        if request.headers[.ifNoneMatch] == tag { return Response(status: .notModified, headers: headers) }
        let png = try await thumbnails.png(of: sha256)
        headers[.contentType] = "image/png"
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: png)))
    }
}

extension JobOrder {
    /// The name in the list's form.
    fileprivate var title: String {
        switch self {
        case .newest: "newest first"
        case .oldest: "oldest first"
        case .name: "by name"
        case .priority: "by priority"
        case .ended: "latest ended first"
        }
    }
}
