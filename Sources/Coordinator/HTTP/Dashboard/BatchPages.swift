import Base
import ClusterCore
import Hummingbird
import Protocol

// The pages of batches: all of them, and one with its pictures.
extension DashboardRoutes {
    static let batchesPerPage = 24
    static let tilesPerBatch = 4
    /// A label with more values is no choice for a menu.
    static let maxValuesInMenu = 40

    func addBatches(to router: Router<CallerContext>) {
        router.get("batches", use: batches)
        router.get("batches/:name", use: batch)
    }

    @Sendable private func batches(_ request: Request, _ context: CallerContext) async throws -> Response {
        let query = try QueryParameters(form: request)
        let page = try await reader.batches(
            before: Int64(try query.number("before", default: .max, in: 1...Int.max)), limit: Self.batchesPerPage)
        var cards: [[String: Any]] = []
        for batch in page.batches {
            let some = try await reader.jobs(JobQuery(batch: batch.name, order: .oldest, limit: Self.tilesPerBatch))
            cards.append(
                BatchView.progress(of: batch).merging(
                    ["tiles": some.jobs.map { $0.latestSnapshot ?? $0.exemplarSHA256 }]) { $1 })
        }
        return renderer.response(
            .init(template: "batches", title: "Batches"), for: context,
            [
                "isEmpty": cards.isEmpty, "batches": cards, "reloads": true,
                "next": page.next.map { "/batches?before=\($0)" },
            ])
    }

    @Sendable private func batch(_ request: Request, _ context: CallerContext) async throws -> Response {
        let name: String = try context.parameters.require("name")
        guard let batch = try await reader.batch(name) else {
            return renderer.response(
                .init(template: "answer", title: "Not found"), for: context, status: .notFound,
                ["message": "There is no batch '\(Readable.plain(name))'.", "isProblem": true, "back": "/batches"])
        }
        let query = try JobQuery.ofBatch(name, request)
        let page = try await reader.jobs(query)
        let shown = try await reader.store.selection(query, limit: ClusterCommands.maxSelected).map(\.state)
        var content: [String: Any?] = BatchView.progress(of: batch)
        content.merge(
            Item.pager(page, path: "/batches/\(name)", query.parametersWithinBatch, isFirst: query.after == nil)
        ) { $1 }
        let labels = try await reader.store.labels(ofBatch: name)
        // A label that all jobs share tells nothing about one of them.
        let telling = Set(labels.filter { $0.values.count > 1 }.map(\.key))
        content["jobs"] = page.jobs.map { BatchView.card($0, labels: telling) }
        content["cancellable"] = BatchView.some(shown.count(where: \.canBeCancelled))
        content["retriable"] = BatchView.some(shown.count(where: \.canBeRetried))
        content["deletable"] = BatchView.some(shown.count(where: \.isSettled))
        content["isPart"] = shown.count(where: \.isSettled) < batch.total
        let filter = BatchView.filter(query)
        content["isFiltered"] = !filter.isEmpty
        content["filter"] = filter
        content["submitted"] = Readable.minute(batch.submittedAt)
        content["ended"] = batch.endedAt.map(Readable.minute)
        content["reloads"] = batch.endedAt == nil
        content["states"] = JobState.allCases.map {
            ["name": $0.rawValue, "isChosen": $0 == query.state] as [String: Any]
        }
        content["partOfName"] = query.name
        content["keys"] = labels.filter { (2...Self.maxValuesInMenu).contains($0.values.count) }
            .map { BatchView.menu($0.key, $0.values, chosen: query.labels[$0.key]) }
        return renderer.response(
            .init(template: "batch", title: Readable.plain(name), menu: "batches"), for: context, content)
    }
}

extension JobQuery {
    /// The jobs of a batch that a page shows, or that one of its forms changes.
    static func ofBatch(_ name: String, _ request: Request) throws -> JobQuery {
        var query = try JobQuery(QueryParameters(form: request), limit: DashboardRoutes.picturesPerPage, in: 1...200)
        query.batch = name
        query.order = .oldest
        return query
    }
}
