import Foundation
import HTTPTypes
import Hummingbird
import Protocol

/// `/api/v1/tokens`, for admins.
struct TokenRoutes: Sendable {
    private static let maxRequestBytes = 4 << 10

    let tokens: TokenStore

    func add(to router: Router<CallerContext>) {
        let api = router.group("api/v1/tokens")
        api.get("") { _, _ in try jsonResponse(TokenList(tokens: try await tokens.list())) }
        api.post("") { request, context in
            try JSONBody.requireType(request)
            let body = try await request.body.collect(upTo: Self.maxRequestBytes)
            let wanted = try APIFormat.decoder.decode(TokenRequest.self, from: Data(buffer: body))
            context.audited.name = "\(wanted.name) (\(wanted.role.rawValue))"
            return try jsonResponse(try await tokens.create(wanted), status: .created)
        }
        api.post(":name/revoke") { _, context in
            let name: String = try context.parameters.require("name")
            try await tokens.revoke(name)
            return try jsonResponse(TokenList(tokens: try await tokens.list().filter { $0.name == name }))
        }
    }
}

/// Bodies in JSON.
enum JSONBody {
    /// A browser sends application/json across sites only after it has asked (CORS), which is refused.
    /// - Throws: `Problem` (415).
    static func requireType(_ request: Request) throws {
        let type = request.headers[.contentType]?.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
        guard type == "application/json" else {
            throw Problem(
                .unsupportedMediaType,
                "the Content-Type is '\(request.headers[.contentType] ?? "")'; expected application/json")
        }
    }
}
