import Base
import ClusterCore
import Foundation
import HTTPTypes
import Hummingbird
import Protocol

// Many jobs at once: selections that change them, and batches.
extension APIRoutes {
    func addSelections(to api: RouterGroup<CallerContext>) {
        api.post("selection/cancel") { request, context in
            try await change(request, context) { .cancel(reason: ClusterCommands.reason($0.reason)) }
        }
        api.post("selection/delete") { request, context in
            try await change(request, context) { .delete(cancelsFirst: $0.cancelFirst == true) }
        }
        api.post("selection/retry") { request, context in try await change(request, context) { _ in .retry } }
    }

    func addBatches(to api: RouterGroup<CallerContext>) {
        api.get("batches") { request, _ in
            let query = try QueryParameters(request, known: "before", "limit")
            let page = try await reader.batches(
                before: Int64(try query.number("before", default: .max, in: 1...Int.max)),
                limit: try query.number("limit", default: 100, in: 1...1000))
            return try jsonResponse(page)
        }
        api.get("batches/:name") { _, context in
            let name: String = try context.parameters.require("name")
            guard let batch = try await reader.batch(name) else { throw Problem.noBatch(name) }
            return try jsonResponse(batch)
        }
    }

    private func change(
        _ request: Request, _ context: CallerContext, _ action: (JobSelection) -> JobChange
    ) async throws -> Response {
        let selection = try await decode(JobSelection.self, request, context)
        return try jsonResponse(
            try await commands.change(selection, action(selection), audited: context.audited))
    }
}

extension ClusterCommands {
    /// How many jobs one request may change.
    static let maxSelected = 10_000

    /// A deletion removes so many jobs in one transaction: each may have hundreds of thousands of rows, and workers wait
    /// for the answer to what they send meanwhile.
    static let deletedAtOnce = 8

    /// Changes the selected jobs in one transaction, or deletes them in several. Each job is deleted whole or not at all.
    /// - Parameter audited: Gets the number of jobs that have changed, also if not all of them could be deleted.
    /// - Throws: `Problem`: 422 for a selection that selects nothing or too much, 404 for an id of no job, 409 if too
    ///   many jobs match, or if more would change than the caller expects. If a transaction fails after others, the
    ///   problem says how many jobs are deleted.
    func change(
        _ selection: JobSelection, _ change: JobChange, audited: AuditedObject? = nil
    ) async throws -> SelectionChanges {
        let selected = try await jobs(of: selection)
        // Only those: a job that ends from here on is not among the ones that the caller was asked about.
        var ids = selected.filter { change.applies(to: $0.state) }.map(\.id)
        if let atMost = selection.atMost, ids.count > atMost {
            throw Problem(
                .conflict,
                "the change applies to \(counted(ids.count, "job")), and the request allows at most \(atMost); nothing "
                    + "was changed: look at the jobs again, then narrow the selection or allow more")
        }
        let states = selection.state.map { [$0] } ?? Set(JobState.allCases)
        var step = max(ids.count, 1)
        if case .delete = change {
            step = Self.deletedAtOnce
            // A job can be deleted once those that wait for it are, and they are younger.
            ids.reverse()
        }
        var isChanged: Set<JobID> = []
        var failure: Problem?
        do {
            for start in stride(from: 0, to: ids.count, by: step) {
                let some = Array(ids[start..<min(start + step, ids.count)])
                guard case .changed(let changed) = try await ask({ .change($0, some, in: states, change) }) else {
                    throw Problem(.internalServerError, "the coordinator gave no answer to a change")
                }
                isChanged.formUnion(changed)
            }
        } catch {
            failure = Problem(error)
        }
        let changed = selected.filter { isChanged.contains($0.id) }
        audited?.name =
            counted(changed.count, "job") + (selection.batch.map { " of batch \($0)" } ?? "")
            + (changed.first.map { ", the first \($0.id)" } ?? "")
        if var failure {
            if !changed.isEmpty {
                failure.detail =
                    "deleted \(changed.count) of \(counted(ids.count, "job")); for the others: \(failure.detail)"
            }
            throw failure
        }
        return SelectionChanges(
            matched: selected.count,
            changed: changed.map { SelectionChanges.Job(id: $0.id.description, resultName: $0.resultName) })
    }

    private func jobs(
        of selection: JobSelection
    ) async throws -> [(id: JobID, resultName: String, state: JobState)] {
        let query = try JobQuery(selection)
        let found = try await reader.store.selection(query, limit: Self.maxSelected + 1)
        if let ids = selection.jobs, found.count < Set(ids).count {
            // Among the ids, one belongs to no job, or to a job that another condition excludes.
            let existing = Set(
                try await reader.store.selection(JobQuery(ids: query.ids, limit: 0), limit: .max).map(\.id))
            if let lost = query.ids?.first(where: { !existing.contains($0) }) { throw Problem.noJob("\(lost)") }
        }
        guard found.count <= Self.maxSelected else {
            throw Problem(
                .conflict,
                "more than \(Self.maxSelected) jobs match; nothing was changed: narrow the selection")
        }
        return found
    }

    /// The reason for a cancellation, as far as the coordinator keeps it.
    static func reason(_ text: String?) -> String {
        let kept = text?.shortened(to: 500) ?? ""
        return kept.isEmpty ? "asked by a person" : kept
    }
}

extension JobQuery {
    /// - Throws: `Problem` (422), which names the field, what was found and what is expected.
    fileprivate init(_ selection: JobSelection) throws {
        let require = RequestCheck()
        let texts = [selection.name, selection.recipe].compactMap { $0 }
        try require(
            selection.jobs?.isEmpty == false || selection.batch != nil || selection.labels?.isEmpty == false
                || selection.state != nil || texts.contains { !$0.isEmpty },
            "the request selects no jobs; expected at least one of jobs, batch, labels, state, name and recipe")
        let tags = JobTags(batch: selection.batch, labels: selection.labels ?? [:])
        if let problem = tags.problem { throw Problem(.unprocessableContent, problem) }
        try require(texts.allSatisfy { !$0.utf8.contains(0) }, "name or recipe has the character U+0000; leave it out")
        try require(
            selection.reason.map { !$0.utf8.contains(0) } ?? true, "reason has the character U+0000; leave it out")
        try require(
            selection.atMost.map { $0 >= 0 } ?? true, "atMost is \(selection.atMost ?? 0); expected 0 or more")
        try require(
            selection.jobs?.count ?? 0 <= ClusterCommands.maxSelected,
            "jobs has \(selection.jobs?.count ?? 0) ids; expected at most \(ClusterCommands.maxSelected)")
        let ids = try selection.jobs?.map { text in
            guard let id = JobID(text) else { throw Problem.noJob(text) }
            return id
        }
        self.init(
            state: selection.state, name: selection.name.flatMap { $0.isEmpty ? nil : $0 },
            recipe: selection.recipe.flatMap { $0.isEmpty ? nil : $0 }, batch: selection.batch,
            labels: selection.labels ?? [:], ids: ids, limit: 0)
    }
}

extension Problem {
    static func noBatch(_ name: String) -> Problem { Problem(.notFound, "there is no batch '\(name.prefix(100))'") }
}
