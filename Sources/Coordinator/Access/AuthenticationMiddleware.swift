import Foundation
import HTTPTypes
import Hummingbird
import Protocol

/// Finds out who sends a request, and refuses strangers what is not open to all.
struct AuthenticationMiddleware: RouterMiddleware {
    let tokens: TokenStore
    let access: HTTPAccess

    func handle(
        _ request: Request, context: CallerContext, next: (Request, CallerContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.principal = try await caller(of: request) ?? (access.asksForTokens ? nil : .anonymous)
        let requirement = AccessTable.entry(request.method, context.endpointPath ?? "").requirement
        if context.principal == nil, requirement != .open { return try refuseUnknown(request) }
        return try await next(request, context)
    }

    /// - Returns: nil without a token or session. Also for a session that has ended: it must not keep a browser from
    ///   logging in again.
    /// - Throws: `Problem` (401) for a token that does not count.
    private func caller(of request: Request) async throws -> Principal? {
        if let token = Self.bearerToken(request) {
            try access.requirePrivacy(of: request)
            guard let principal = try await tokens.principal(token: token) else {
                throw Self.unauthorized(
                    "the token is unknown, expired or revoked; ask an admin for another: texloom tokens create")
            }
            return principal
        }
        guard let session = access.cookie.value(in: request) else { return nil }
        return try await tokens.principal(session: session)
    }

    static func bearerToken(_ request: Request) -> String? {
        guard let header = request.headers[.authorization] else { return nil }
        let parts = header.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        return String(parts[1])
    }

    /// Shows people the login page, and tells programs what is missing.
    private func refuseUnknown(_ request: Request) throws -> Response {
        guard request.method == .get, request.wantsPage else {
            throw Self.unauthorized(
                "this coordinator asks for a token; send it as 'Authorization: Bearer TOKEN', or set TEXLOOM_TOKEN_FILE "
                    + "for texloom's commands. An admin makes one: texloom tokens create NAME --role viewer")
        }
        var target = URLComponents()
        target.path = "/login"
        target.setQuery([URLQueryItem(name: "next", value: request.uri.description)])
        return Response(
            status: .seeOther, headers: [.location: target.string ?? "/login", .cacheControl: "no-store"])
    }

    static func unauthorized(_ detail: String) -> Problem {
        Problem(.unauthorized, detail, headers: [.wwwAuthenticate: "Bearer realm=\"texloom\""])
    }
}
