import Foundation
import Hummingbird
import Logging

/// For supervisors: `/healthz` says that the process answers, `/readyz` that it can accept work.
struct HealthRoutes: Sendable {
    let store: JobStore
    let engine: ClusterEngine
    let folder: DataFolder

    func add(to router: Router<CallerContext>) {
        router.get("healthz") { _, _ in try jsonResponse(["status": "ok"]) }
        router.get("readyz") { _, _ in
            // SQLite keeps writing to a deleted file, and the records vanish with the process.
            guard folder.isInPlace else {
                throw Problem(
                    .serviceUnavailable,
                    "the data folder \(folder.url.path) is gone or was replaced; put it back or mount it, then "
                        + "restart the coordinator")
            }
            do {
                try await store.ping()
            } catch {
                throw Problem(.serviceUnavailable, "the job store does not answer: \(error)")
            }
            if let problem = await engine.storeProblem {
                throw Problem(
                    .serviceUnavailable,
                    "the job store cannot be written: \(problem); work continues by itself once writes succeed")
            }
            return try jsonResponse(["status": "ready"])
        }
    }
}
