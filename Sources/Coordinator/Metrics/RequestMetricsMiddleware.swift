import Hummingbird

/// Counts requests by route, and how long their answers take. Outermost, so that it sees what is really answered.
struct RequestMetricsMiddleware<Context: RequestContext>: RouterMiddleware {
    /// The route of a request that fits none, so that nobody outside can invent label values.
    static var noRoute: String { "none" }

    let metrics: CoordinatorMetrics
    let now: @Sendable () -> Instant

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = now()
        let response = try await next(request, context)
        let route = context.endpointPath ?? Self.noRoute
        let seconds = now().since(start).inSeconds
        let known = CoordinatorMetrics.RequestClass(
            route: route, method: context.endpointPath == nil ? "any" : request.method.rawValue,
            status: response.status.code)
        metrics.update { counts in
            counts.requests[known, default: 0] += 1
            counts.requestSeconds[route, default: .delays].record(seconds)
        }
        return response
    }
}
