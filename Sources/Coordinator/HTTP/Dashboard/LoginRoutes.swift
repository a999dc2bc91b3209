import Foundation
import HTTPTypes
import Hummingbird

/// Logging in with a token: the browser then has a session of its own, and never keeps the token.
struct LoginRoutes: Sendable {
    let tokens: TokenStore
    let access: HTTPAccess
    let renderer: PageRenderer

    func add(to router: Router<CallerContext>) {
        router.get("login") { request, context in
            page(next: request.uri.queryParameters.get("next") ?? "/", context)
        }
        router.post("login", use: logIn)
        router.post("logout") { request, _ in
            if let session = access.cookie.value(in: request) { try await tokens.closeSession(session) }
            return redirect(to: access.asksForTokens ? "/login" : "/", session: nil, request)
        }
    }

    @Sendable private func logIn(_ request: Request, _ context: CallerContext) async throws -> Response {
        let form = try await DashboardActions.form(request)
        let next = form["next"] ?? "/"
        if access.isInTheClear(request) {
            return page(
                next: next, context, status: .badRequest,
                problem: "The token came over plain HTTP, where others can read it. Revoke it, and use https://.")
        }
        let token = (form["token"] ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
        guard let principal = try await tokens.principal(token: token), let id = principal.tokenID else {
            return page(
                next: next, context, status: .unauthorized,
                problem: "The token is unknown, expired or revoked. An admin makes one: texloom tokens create NAME")
        }
        context.audited.name = principal.name
        return redirect(to: Self.local(next), session: try await tokens.openSession(of: id), request)
    }

    private func page(
        next: String, _ context: CallerContext, status: HTTPResponse.Status = .ok, problem: String? = nil
    ) -> Response {
        renderer.response(
            .init(template: "login", title: "Log in"), for: context, status: status,
            ["next": Self.local(next), "hasProblem": problem != nil, "problem": problem])
    }

    /// A path of this server: a link to the login page must not lead elsewhere afterwards.
    static func local(_ next: String) -> String {
        let isPath = next.hasPrefix("/") && !next.hasPrefix("//") && !next.contains("\\")
        return isPath && next.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value < 0x7F } ? next : "/"
    }

    private func redirect(to target: String, session: Secret?, _ request: Request) -> Response {
        Response(
            status: .seeOther,
            headers: [
                .location: target, .cacheControl: "no-store",
                .setCookie: access.cookie.header(session, for: request),
            ])
    }
}
