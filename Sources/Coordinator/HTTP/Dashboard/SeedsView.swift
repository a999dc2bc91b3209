import Base
import ClusterCore
import Foundation
import Hummingbird
import Protocol

/// What pages show of jobs that differ only in the seed.
struct SeedsView {
    let group: SeedGroup
    /// The job whose page shows the group; nil: the group's own page.
    var shownOn: String?

    /// A single seed has nothing to compare with.
    var content: [String: Any?] {
        let count = Set(group.jobs.map(\.seed)).count
        return ["hasSeeds": count > 1, "seedCount": count, "seeds": group.jobs.map(card)]
    }

    /// Every card needs every key: otherwise a template would find the key of the page's own job.
    private func card(_ member: SeedJob) -> [String: Any] {
        let job = member.job
        let figures = member.quality.sorted { $0.key < $1.key }.map { key, value in
            ["title": QualityColumn.title(key), "value": Readable.figure(value)]
        }
        let address = shownOn == nil ? "/api/v1/artifacts/" : "/thumbnails/"
        let moves = job.totalIterations > 0 && (job.state == .running || job.state == .queued)
        return [
            "id": job.id, "seed": member.seed.map(String.init) ?? "unknown",
            "resultName": Readable.plain(job.resultName), "state": job.state.rawValue,
            "snapshot": job.latestSnapshot ?? "", "hasSnapshot": job.latestSnapshot != nil,
            "image": job.latestSnapshot.map { address + $0 + (shownOn == nil ? "" : ".png") } ?? "",
            "at": job.latestSnapshotIteration ?? 0, "isBest": job.id == group.best, "isCurrent": job.id == shownOn,
            "moves": moves, "total": max(job.totalIterations, 1), "iteration": min(job.iteration, job.totalIterations),
            "hasVerdict": member.verdict != nil, "verdict": Readable.plain(member.verdict ?? ""),
            "hasReason": job.reason != nil, "reason": Readable.plain(job.reason ?? ""),
            "hasFigures": !figures.isEmpty, "figures": figures, "hasScore": member.score != nil,
            "score": member.score.map { String(format: "%.3f", $0) } ?? "",
        ]
    }
}

extension DashboardRoutes {
    /// The group of a job, with large pictures.
    @Sendable func seeds(_ request: Request, _ context: CallerContext) async throws -> Response {
        let text: String = try context.parameters.require("id")
        guard let id = JobID(text), let group = try await reader.seedGroup(of: id),
            let own = group.jobs.first(where: { $0.job.id == id.description })
        else { return noJob(text, context) }
        var content = SeedsView(group: group).content
        content["exemplar"] = own.job.exemplarSHA256
        content["fileName"] = Readable.plain(own.job.fileName)
        content["recipe"] = Readable.plain(own.job.recipe)
        content["name"] = Readable.plain(own.job.resultName)
        return renderer.response(
            .init(template: "seeds", title: "Seeds of \(Readable.plain(own.job.resultName))"), for: context, content)
    }
}
