import HTTPTypes
import Hummingbird

/// Stops other web sites from acting through a visitor's browser: cross-site requests, and DNS rebinding, where a
/// site's own name leads to this coordinator.
struct SameSiteMiddleware: RouterMiddleware {
    let access: HTTPAccess

    func handle(
        _ request: Request, context: CallerContext, next: (Request, CallerContext) async throws -> Response
    ) async throws -> Response {
        let authority = request.head.authority ?? ""
        let host = SameSite.host(of: authority)
        if !authority.isEmpty, !access.allows(host: host) {
            throw Problem(
                .misdirectedRequest,
                access.isLoopback
                    ? "this coordinator serves 127.0.0.1 and localhost only, not '\(authority)'; behind a reverse proxy, "
                        + "--allowed-host names the host that people use"
                    : "this coordinator does not go by the name '\(authority)'; --allowed-host \(host) makes it do so")
        }
        let isRead = request.method == .get || request.method == .head
        if !isRead, let origin = request.headers[.origin],
            origin != "http://\(authority)", origin != "https://\(authority)"
        {
            throw Problem(.forbidden, "requests from another site (\(origin)) are refused")
        }
        // Another port of the same host is another origin ("same-site"). A link from another site may open a page.
        if let site = request.headers[.secFetchSite], site != "same-origin", site != "none",
            !(isRead && request.headers[.secFetchMode] == "navigate")
        {
            throw Problem(.forbidden, "requests from another site (Sec-Fetch-Site: \(site)) are refused")
        }
        return try await next(request, context)
    }
}

/// Adds what every answer says, also one that refuses.
struct AnswerHeadersMiddleware: RouterMiddleware {
    /// Why the coordinator is open to others; nil if it is not.
    let insecurity: String?

    func handle(
        _ request: Request, context: CallerContext, next: (Request, CallerContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        response.headers[.xContentTypeOptions] = "nosniff"
        if let insecurity { response.headers[.texloomInsecure] = insecurity }
        return response
    }
}

extension HTTPField.Name {
    /// A sentence for people. `texloom`'s commands print it.
    static let texloomInsecure = HTTPField.Name("Texloom-Insecure")!
}

enum SameSite {
    /// The host of `host:port`, with its brackets.
    static func host(of authority: String) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") { return String(authority[...end]) }
        return String(authority.prefix { $0 != ":" })
    }
}
