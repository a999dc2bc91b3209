import ClusterCore
import Foundation
import HTTPTypes
import Hummingbird
import Protocol

/// People's commands to the cluster, for the API and the pages alike.
struct ClusterCommands: Sendable {
    let engine: ClusterEngine
    let reader: ClusterReader

    /// - Throws: `Problem`: 404, or 409 if the job has ended.
    func cancel(_ id: String, reason: String?) async throws -> JobSummary {
        let reason = Self.reason(reason)
        return try await job(id) { .cancel($0, $1, reason: reason) }
    }

    /// - Throws: `Problem`: 404, or 409 if the job has finished.
    func retry(_ id: String) async throws -> JobSummary { try await job(id) { .retry($0, $1) } }

    /// - Throws: `Problem`: 404, 409 if the job has finished, 422 for a priority out of range.
    func prioritise(_ id: String, _ priority: Int) async throws -> JobSummary {
        guard JobSubmission.priorities.contains(priority) else {
            throw Problem(
                .unprocessableContent, "priority is \(priority); expected \(JobSubmission.priorities)")
        }
        return try await job(id) { .prioritise($0, $1, priority: priority) }
    }

    /// - Throws: `Problem` (404).
    func drain(_ workerID: String) async throws -> WorkerSummary {
        _ = try await ask { .drain($0, workerID: workerID) }
        guard let worker = try await reader.workers().first(where: { $0.id == workerID }) else {
            throw Problem(.notFound, "no worker '\(workerID)' is connected")
        }
        return worker
    }

    private func job(
        _ text: String, _ event: @Sendable (RequestToken, JobID) -> ClusterEvent
    ) async throws -> JobSummary {
        guard let id = JobID(text) else { throw Problem.noJob(text) }
        _ = try await ask { event($0, id) }
        guard let detail = try await reader.detail(id) else { throw Problem.noJob(text) }
        return detail.job
    }

    /// Sends a command to the cluster and throws its refusal as a problem.
    func ask(_ event: @Sendable (RequestToken) -> ClusterEvent) async throws -> Reply {
        let reply = await engine.request(event)
        guard case .refused(let refusal) = reply else { return reply }
        switch refusal {
        case .noSuchJob: throw Problem(.notFound, "there is no such job")
        case .noSuchWorker: throw Problem(.notFound, "no worker of this id is connected")
        case .conflict(let reason): throw Problem(.conflict, reason)
        case .inputMissing(let sha256):
            throw Problem(
                .unprocessableContent, "the input \(sha256) is no longer stored; send the file again")
        case .storeUnavailable:
            let reason = await engine.storeProblem ?? "it is stopping, or too many requests wait"
            throw Problem.unwritable("the job store", reason)
        }
    }
}

extension Problem {
    static func noJob(_ id: String) -> Problem { Problem(.notFound, "there is no job '\(id)'") }

    /// The disk is full or fails. Once it does not, the same request is answered.
    static func unwritable(_ subject: String, _ reason: String) -> Problem {
        Problem(
            .serviceUnavailable, "\(subject) cannot be written (\(reason)); nothing was changed, try again",
            headers: [.retryAfter: "5"])
    }
}
