import HTTPTypes
import Hummingbird
import Protocol

/// Refuses what `AccessTable` does not allow the caller. Within `AuditMiddleware`, which records these refusals.
struct AuthorizationMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: CallerContext, next: (Request, CallerContext) async throws -> Response
    ) async throws -> Response {
        switch AccessTable.entry(request.method, context.endpointPath ?? "").requirement {
        case .open: break
        case .role(let role): try require(role, of: context.principal)
        case .provenAdmin:
            guard context.principal?.tokenID != nil else {
                throw Problem(
                    .forbidden,
                    "this coordinator asks for no tokens, so it cannot know who makes or revokes one; on its machine: "
                        + "texloom tokens create NAME --role admin --data FOLDER")
            }
            try require(.admin, of: context.principal)
        }
        return try await next(request, context)
    }

    private func require(_ role: AccessRole, of principal: Principal?) throws {
        // `AuthenticationMiddleware` has refused strangers.
        guard let principal else { throw AuthenticationMiddleware.unauthorized("this needs a token") }
        guard principal.role >= role else {
            throw Problem(
                .forbidden,
                "'\(principal.name)' has the role \(principal.role.rawValue); this needs \(role.rawValue): ask an "
                    + "admin for a token with that role")
        }
    }
}
