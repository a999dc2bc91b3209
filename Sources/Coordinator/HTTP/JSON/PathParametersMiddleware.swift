import Foundation
import Hummingbird

/// Decodes the parameters of a path, once for all routes and for the audit log: clients percent-encode what is in them.
struct PathParametersMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: CallerContext, next: (Request, CallerContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.coreContext.parameters = Parameters(
            try context.parameters.map { name, text in
                // SQLite would read the text only up to U+0000.
                guard let plain = text.removingPercentEncoding, !plain.utf8.contains(0) else {
                    throw Problem(
                        .notFound,
                        "nothing has this address: its '\(name)' is not percent-encoded UTF-8, or has the "
                            + "character U+0000")
                }
                return (key: name, value: plain[...])
            })
        return try await next(request, context)
    }
}
