import Foundation
import Hummingbird
import Logging

/// For supervisors: `/healthz` says that the process answers, `/readyz` that it can accept work.
struct HealthRoutes: Sendable {
    let store: JobStore
    let engine: ClusterEngine

    func add(to router: Router<BasicRequestContext>) {
        router.get("healthz") { _, _ in try jsonResponse(["status": "ok"]) }
        router.get("readyz") { _, _ in
            do {
                try await store.ping()
            } catch {
                throw Problem(.serviceUnavailable, "the job store does not answer: \(error)")
            }
            if let problem = await engine.storeProblem {
                throw Problem(
                    .serviceUnavailable,
                    "the job store cannot be written: \(problem); work goes on by itself once it can be")
            }
            return try jsonResponse(["status": "ready"])
        }
    }
}
