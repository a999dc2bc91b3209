import Base
import Foundation
import HTTPTypes
import Hummingbird
import Protocol

/// Handles the pages' forms. It answers with a page, or with JSON for the pages' script, which shows it in place.
struct DashboardActions: Sendable {
    static let maxFormBytes = 16 << 10

    let commands: ClusterCommands
    let renderer: PageRenderer

    func add(to router: Router<CallerContext>) {
        addBatches(to: router)
        router.post("jobs/:id/cancel") { request, context in
            try await answer(request, context, back: "/jobs/\(try context.parameters.require("id"))") { form in
                let job = try await commands.cancel(try context.parameters.require("id"), reason: form["reason"])
                return "“\(job.resultName)” is \(job.state.rawValue)."
            }
        }
        router.post("jobs/:id/retry") { request, context in
            try await answer(request, context, back: "/jobs/\(try context.parameters.require("id"))") { _ in
                let job = try await commands.retry(try context.parameters.require("id"))
                return "“\(job.resultName)” is \(job.state.rawValue) again."
            }
        }
        router.post("jobs/:id/priority") { request, context in
            try await answer(request, context, back: "/jobs/\(try context.parameters.require("id"))") { form in
                let priority = try Self.number(
                    "priority", form["priority"] ?? "", expected: "\(JobSubmission.priorities)")
                let job = try await commands.prioritise(try context.parameters.require("id"), priority)
                return "“\(job.resultName)” has priority \(job.priority)."
            }
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
        router.post("workers/:id/drain") { request, context in
            try await answer(request, context, back: "/workers") { _ in
                let worker = try await commands.drain(try context.parameters.require("id"))
                return "“\(worker.name)” gets no more work and hands its jobs back."
            }
        }
    }

    func answer(
        _ request: Request, _ context: CallerContext, back: String, _ act: ([String: String]) async throws -> String
    ) async throws -> Response {
        let wantsJSON = request.headers[.accept]?.contains("application/json") == true
        do {
            let message = Readable.plain(try await act(try await Self.form(request)))
            if wantsJSON { return try jsonResponse(["message": message]) }
            return renderer.response(
                .init(template: "answer", title: "Done"), for: context, ["message": message, "back": back])
        } catch {
            if wantsJSON { throw error }
            return renderer.response(to: Problem(error), for: context, back: back)
        }
    }

    /// The fields of an `application/x-www-form-urlencoded` body; of a repeated one the first.
    /// - Throws: `Problem` (400) for what is not percent-encoded UTF-8, and for U+0000.
    static func form(_ request: Request) async throws -> [String: String] {
        let body = try await request.body.collect(upTo: maxFormBytes)
        let fields = try QueryParameters.pairs(String(buffer: body), of: "form").map { ($0.name, $0.value) }
        return Dictionary(fields, uniquingKeysWith: { first, _ in first })
    }

    /// - Throws: `Problem` (422), which names the field, if its text is no whole number.
    static func number(_ field: String, _ text: String, expected: String) throws -> Int {
        guard let number = Int(text) else {
            throw Problem(.unprocessableContent, "\(field) is '\(text)'; expected \(expected)")
        }
        return number
    }
}
