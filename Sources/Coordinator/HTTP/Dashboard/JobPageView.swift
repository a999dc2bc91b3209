import Base
import Foundation
import Protocol

/// What the page of one job shows.
struct JobPageView {
    /// How many snapshots the strip shows, evenly spread over the run. It always shows the newest.
    static let snapshotsShown = 120
    static let logLinesShown = 200

    let detail: JobDetail
    let log: [LogEntry]
    private let files: [ArtifactSummary]
    private let links: PageLinks
    private let isTraining: Bool
    private let newestSnapshot: ArtifactSummary?
    private let snapshots: [ArtifactSummary]
    private let shownIndex: Int?

    /// - Parameters:
    ///   - shownIteration: The iteration of the snapshot beside the exemplar; nil: the newest.
    ///   - showsAll: Whether to show all pictures that the job has made, however many.
    init(
        detail: JobDetail, artifacts: [ArtifactSummary], log: [LogEntry], shownIteration: Int?, showsAll: Bool = false
    ) {
        self.detail = detail
        self.log = log
        let links = PageLinks(detail, artifacts: artifacts, showsAll: showsAll)
        self.links = links
        files = artifacts.filter { $0.role != .snapshot && links.isShown($0) }
        // Those of other work are previews of its pictures.
        isTraining = detail.job.isTraining
        let all = isTraining ? artifacts.filter { $0.role == .snapshot } : []
        newestSnapshot = all.last
        let step = (all.count + Self.snapshotsShown - 1) / Self.snapshotsShown
        snapshots = all.enumerated().filter { (all.count - 1 - $0.offset) % max(step, 1) == 0 }.map(\.element)
        shownIndex = snapshots.firstIndex { $0.iteration == shownIteration } ?? snapshots.indices.last
    }

    var shown: ArtifactSummary? { shownIndex.map { snapshots[$0] } }

    var content: [String: Any?] {
        let job = detail.job
        var content: [String: Any?] = Item.job(job).mapValues { Optional($0) }
        content["lastLog"] = log.last?.id ?? 0
        content["trained"] = detail.trainingSeconds.map(Readable.duration)
        content["verdict"] = detail.reportJSON.flatMap(TrainingReport.init)?.verdict.map(Readable.plain)
        content["recipeYAML"] = Readable.plain(detail.recipeYAML)
        content["recipeFields"] = recipeFields
        content["hasStrip"] = snapshots.count > 1
        content["lastIndex"] = snapshots.count - 1
        content["shownIndex"] = shownIndex
        content["shown"] = shown.map { ["sha256": $0.sha256, "iteration": $0.iteration] as [String: Any] }
        content["snapshots"] = snapshots.enumerated().map { index, snapshot in
            [
                "job": job.id, "sha256": snapshot.sha256, "iteration": snapshot.iteration,
                "isShown": index == shownIndex,
            ] as [String: Any]
        }
        content["log"] = log.map { ["level": $0.level, "text": line($0)] }
        content.merge(links.content) { $1 }
        content["hasMaps"] = detail.maps != nil
        content["maps"] = (detail.maps ?? []).map { file in
            ["mapName": Readable.plain(file.map), "mapFile": Readable.plain(file.fileName), "mapSHA256": file.sha256]
        }
        content["hasAttempts"] = !detail.attempts.isEmpty
        content["attempts"] = detail.attempts.reversed().map(attempt)
        content["files"] = (files + [newestSnapshot].compactMap { $0 }).map(file)
        return content
    }

    /// The figures of the snapshot on display.
    func quality(_ values: [String: Float]) -> [String: Any?] {
        let figures = values.filter { QualityColumn.isQuality($0.key) }.sorted { $0.key < $1.key }.map { key, value in
            ["key": key, "title": QualityColumn.title(key), "value": Readable.figure(value)] as [String: Any]
        }
        return ["hasQuality": !figures.isEmpty, "quality": figures]
    }

    /// The recipe without its comments.
    private var recipeFields: String {
        let lines = detail.recipeYAML.split(whereSeparator: \.isNewline)
        return Readable.plain(lines.filter { !$0.hasPrefix("#") }.joined(separator: "\n"))
    }

    private func line(_ entry: LogEntry) -> String {
        let attempt = entry.attempt > 0 ? " #\(entry.attempt)" : ""
        return Readable.plain("\(Readable.time(entry.at)) \(entry.level) \(entry.source)\(attempt): \(entry.message)")
    }

    private func attempt(_ attempt: AttemptSummary) -> [String: Any] {
        let end = attempt.endedAt.map { " to \(Readable.time($0))" } ?? ""
        var item: [String: Any] = [
            "number": attempt.number, "outcome": attempt.outcome ?? "running", "worker": Readable.plain(attempt.worker),
            // Every attempt needs this key: otherwise a template would find the job's.
            "hasReason": attempt.reason != nil,
            "span": isTraining ? ", iterations \(attempt.startIteration) to \(attempt.iteration)" : "",
            "times": "\(Readable.time(attempt.startedAt))\(end) UTC",
        ]
        item["reason"] = attempt.reason.map(Readable.plain)
        return item
    }

    private func title(of artifact: ArtifactSummary) -> String {
        switch artifact.role {
        case .exemplar, .model: artifact.role.rawValue
        case .picture: "picture \(artifact.number)"
        case .map: "map \(artifact.map(in: detail.maps).map { Readable.plain($0.map) } ?? "\(artifact.number)")"
        case .material: "MaterialX \(artifact.number)"
        // An input.
        case .generator where detail.job.kind != .train: "generator"
        default: "\(artifact.role.rawValue), iteration \(artifact.iteration)"
        }
    }

    private func file(_ artifact: ArtifactSummary) -> [String: Any] {
        let given = artifact.role == .map ? artifact.map(in: detail.maps)?.fileName : nil
        let albedo = detail.maps?.first { $0.sha256 == artifact.sha256 }?.fileName
        let own = artifact.role == .exemplar ? albedo ?? detail.job.fileName : given
        return [
            "sha256": artifact.sha256, "size": Readable.bytes(artifact.sizeBytes),
            "title": title(of: artifact),
            "download": own.map(Readable.plain)
                ?? "\(detail.job.resultName)-\(artifact.role.rawValue).\(artifact.role.fileExtension ?? "bin")",
        ]
    }
}
