import Base
import ClusterCore
import Foundation
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
            Item.pager(page, path: "/batches/\(name)", query.parameters, isFirst: query.after == nil)
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

/// What the pages show of a batch.
enum BatchView {
    static func progress(of batch: BatchSummary) -> [String: Any] {
        let isOpen = batch.endedAt == nil
        let share = batch.shareDone
        return [
            "batch": Readable.plain(batch.name), "all": counted(batch.total, "job"),
            "share": Int(share * 1000), "percent": Readable.unbroken("\(Readable.wholePercent(share)) %"),
            "left": isOpen ? batch.secondsLeft.map { "about \(Readable.duration($0)) left" } ?? "" : "",
            "counts": JobState.allCases.filter { batch.count($0) > 0 }.map {
                ["state": $0.rawValue, "count": batch.count($0)] as [String: Any]
            },
        ]
    }

    /// Every card needs every key: otherwise a template would find the key of the page.
    /// - Parameter keys: Of the labels that the card shows.
    static func card(_ job: JobSummary, labels keys: Set<String>) -> [String: Any] {
        let labels = JobTags.texts(ofLabels: (job.labels ?? [:]).filter { keys.contains($0.key) })
        return Item.job(job).merging([
            "isExemplar": job.latestSnapshot == nil,
            "moves": job.totalIterations > 0 && !job.state.isSettled,
            "total": max(job.totalIterations, 1), "iteration": min(job.iteration, job.totalIterations),
            "hasLabels": !labels.isEmpty, "labels": Readable.plain(labels.joined(separator: " · ")),
            "hasReason": job.reason != nil, "reason": Readable.plain(job.reason ?? ""),
        ]) { $1 }
    }

    static func menu(_ key: String, _ values: [String], chosen: String?) -> [String: Any] {
        [
            "key": key,
            "values": values.map { value in
                [
                    "value": Readable.plain(value), "label": "\(key)=\(value)", "isChosen": value == chosen,
                ] as [String: Any]
            },
        ]
    }

    /// The query of an action on the jobs that are shown, with its question mark; empty for the whole batch.
    static func filter(_ query: JobQuery) -> String {
        var components = URLComponents()
        components.setQuery(query.parameters)
        return components.string ?? ""
    }

    /// What an action says that it changes, and sends along: "12 jobs" and 12; nil for none.
    static func some(_ count: Int) -> [String: Any]? {
        guard count > 0 else { return nil }
        return ["jobs": counted(count, "job"), "atMost": count]
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

extension DashboardActions {
    func addBatches(to router: Router<CallerContext>) {
        router.post("batches/:name/cancel") { request, context in
            try await change(request, context, "cancelled") { .cancel(reason: ClusterCommands.reason($0["reason"])) }
        }
        router.post("batches/:name/delete") { request, context in
            try await change(request, context, "deleted") { _ in .delete(cancelsFirst: false) }
        }
        router.post("jobs/:id/delete") { request, context in
            let id: String = try context.parameters.require("id")
            return try await answer(request, context, back: "/jobs") { _ in
                let changes = try await commands.change(JobSelection(jobs: [id]), .delete(cancelsFirst: false))
                guard let job = changes.changed.first else {
                    throw Problem(
                        .conflict,
                        "the job has not ended, or another waits for it; cancel it, or delete the other, first")
                }
                return "“\(job.resultName)” is deleted."
            }
        }
        router.post("batches/:name/retry") { request, context in
            try await change(request, context, "queued again") { _ in .retry }
        }
    }

    private func change(
        _ request: Request, _ context: CallerContext, _ done: String, _ action: ([String: String]) -> JobChange
    ) async throws -> Response {
        let name: String = try context.parameters.require("name")
        return try await answer(request, context, back: "/batches/\(name)") { form in
            let query = try JobQuery.ofBatch(name, request)
            let atMost = try form["atMost"].map { text -> Int in
                guard let count = Int(text) else {
                    throw Problem(.unprocessableContent, "atMost is '\(text)'; expected a whole number")
                }
                return count
            }
            let selection = JobSelection(
                batch: name, labels: query.labels, state: query.state, name: query.name, recipe: query.recipe,
                atMost: atMost)
            let changes = try await commands.change(selection, action(form), audited: context.audited)
            return
                "\(counted(changes.changed.count, "job")) of “\(name)” \(changes.changed.count == 1 ? "is" : "are") \(done)."
        }
    }
}
