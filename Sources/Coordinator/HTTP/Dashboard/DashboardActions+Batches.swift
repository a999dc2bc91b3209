import Base
import ClusterCore
import Hummingbird
import Protocol

// The forms of the batches' pages, which change many jobs at once.
extension DashboardActions {
    func addBatches(to router: Router<CallerContext>) {
        router.post("batches/:name/cancel") { request, context in
            try await change(request, context, "cancelled") { .cancel(reason: ClusterCommands.reason($0["reason"])) }
        }
        router.post("batches/:name/delete") { request, context in
            try await change(request, context, "deleted") { _ in .delete(cancelsFirst: false) }
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
            let atMost = try form["atMost"].map { try Self.number("atMost", $0, expected: "a whole number") }
            let selection = JobSelection(
                batch: name, labels: query.labels, state: query.state, name: query.name, recipe: query.recipe,
                atMost: atMost)
            let changes = try await commands.change(selection, action(form), audited: context.audited)
            return
                "\(counted(changes.changed.count, "job")) of “\(name)” \(changes.changed.count == 1 ? "is" : "are") \(done)."
        }
    }
}
