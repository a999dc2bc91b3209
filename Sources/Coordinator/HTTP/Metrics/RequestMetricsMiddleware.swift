import ClusterCore
import HTTPTypes
import Hummingbird

/// Counts requests by route, and measures their answers. It is the outermost middleware, so that it sees the real
/// answer.
struct RequestMetricsMiddleware<Context: RequestContext>: RouterMiddleware {
    /// Label values must not come from clients: a route's label is its pattern, and an unusual method gets this name.
    static var otherMethod: String { "other" }
    static var methods: Set<HTTPRequest.Method> { [.get, .head, .post, .put, .patch, .delete, .options] }

    let metrics: CoordinatorMetrics
    let now: @Sendable () -> Instant

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = now()
        let response = try await next(request, context)
        let route = context.endpointPath ?? "NotFound"
        let seconds = now().since(start).inSeconds
        let known = CoordinatorMetrics.RequestClass(
            route: route, method: Self.methods.contains(request.method) ? request.method.rawValue : Self.otherMethod,
            status: response.status.code)
        metrics.update { counts in
            counts.requests[known, default: 0] += 1
            counts.requestSeconds[route, default: .delays].record(seconds)
        }
        return response
    }
}
