import Foundation
import Hummingbird
import Logging

/// For supervisors: `/healthz` says that the process answers, `/readyz` that it can accept work.
struct HealthRoutes: Sendable {
    let store: JobStore

    func add(to router: Router<BasicRequestContext>) {
        router.get("healthz") { _, _ in try jsonResponse(["status": "ok"]) }
        router.get("readyz") { _, _ in
            do {
                try await store.ping()
            } catch {
                throw Problem(.serviceUnavailable, "the job store does not answer: \(error)")
            }
            return try jsonResponse(["status": "ready"])
        }
    }
}
