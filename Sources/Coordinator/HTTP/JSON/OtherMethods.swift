import HTTPTypes
import Hummingbird

extension Router {
    private static var methods: [HTTPRequest.Method] {
        [.get, .head, .post, .put, .patch, .delete, .options, .trace, .connect] + [.init("QUERY")!]
    }

    /// Answers the methods that no route serves: OPTIONS with the list of methods, others with 405 and the same list.
    /// Call it after all routes are added. Without it, a router answers 404 to a wrong method.
    func answerOtherMethods() {
        for (path, routes) in Dictionary(grouping: routes, by: { "\($0.path)" }) {
            var served = Set(routes.map(\.method))
            if served.contains(.get) { served.insert(.head) }
            let list = Self.methods.filter(served.union([.options]).contains).map(\.rawValue).joined(separator: ", ")
            let allow: HTTPFields = [.allow: list]
            for method in Self.methods where !served.contains(method) {
                on(RouterPath(path), method: method) { _, _ in
                    if method == .options { return Response(status: .noContent, headers: allow) }
                    throw Problem(
                        .methodNotAllowed, "\(method.rawValue) is not served here; expected \(list)", headers: allow)
                }
            }
        }
    }
}
