import ClusterCore
import HTTPTypes
import Hummingbird

/// Counts requests by route, and how long their answers take. Outermost, so that it sees what is really answered.
struct RequestMetricsMiddleware<Context: RequestContext>: RouterMiddleware {
    /// Label values that nobody outside can add to: routes are told by their patterns, other methods by this name.
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
