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
            let wanted = try JSONBody.decode(TokenRequest.self, from: Data(buffer: body))
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
