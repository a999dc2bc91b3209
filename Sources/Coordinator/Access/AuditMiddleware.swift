import Base
import HTTPTypes
import Hummingbird
import Protocol

/// Writes every request that may have changed something into the audit log, also one that the caller's role does not
/// allow. Refusals of strangers are not in it: they could fill it.
struct AuditMiddleware: RouterMiddleware {
    let log: AuditLog
    let disk: BlockingWork

    func handle(
        _ request: Request, context: CallerContext, next: (Request, CallerContext) async throws -> Response
    ) async throws -> Response {
        let path = context.endpointPath ?? ""
        guard ![.get, .head, .options].contains(request.method),
            let action = AccessTable.entry(request.method, path).action,
            AccessTable.table["\(request.method.rawValue) \(path)"] != nil
        else { return try await next(request, context) }
        do {
            let response = try await next(request, context)
            await record(action, context, response.status.code < 400 ? "ok" : "\(response.status)")
            return response
        } catch let error as CancellationError {
            throw error
        } catch {
            let problem = Problem(error)
            await record(action, context, "\(problem.status): \(problem.detail)")
            throw error
        }
    }

    private func record(_ action: String, _ context: CallerContext, _ result: String) async {
        let principal = context.principal
        // A login names who it lets in; one that fails is a stranger's.
        guard principal != nil || context.audited.name != nil else { return }
        let object = context.audited.name ?? context.parameters.get("id") ?? context.parameters.get("name") ?? ""
        let entry = AuditEntry(
            who: principal?.name ?? object, role: principal?.role, from: context.address, action: action,
            object: object, result: result)
        try? await disk.run(.audit) { [log] in log.record(entry) }
    }
}

/// `/api/v1/audit` and the page `/audit`, for admins.
struct AuditRoutes: Sendable {
    static let entriesOnPage = 200

    let log: AuditLog
    let disk: BlockingWork
    let renderer: PageRenderer

    func add(to router: Router<CallerContext>) {
        router.get("api/v1/audit") { request, _ in
            let query = try QueryParameters(request, known: "limit")
            let limit = try query.number("limit", default: 100, in: 1...AuditLog.maxEntries)
            return try jsonResponse(AuditPage(entries: try await newest(limit)))
        }
        router.get("audit") { _, context in
            let entries = try await newest(Self.entriesOnPage).reversed().map { entry in
                [
                    "time": Readable.time(entry.time), "who": Readable.plain(entry.who),
                    "role": entry.role?.rawValue ?? "", "from": entry.from, "action": entry.action,
                    "object": Readable.plain(entry.object), "result": Readable.plain(entry.result),
                    "isRefused": entry.result != "ok",
                ] as [String: Any]
            }
            return renderer.response(
                .init(template: "audit", title: "Audit log"), for: context,
                ["entries": Array(entries), "isEmpty": entries.isEmpty])
        }
    }

    private func newest(_ limit: Int) async throws -> [AuditEntry] {
        try await disk.run(.audit) { [log] in try log.newest(limit) }
    }
}
