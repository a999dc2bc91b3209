import ArgumentParser
import Foundation
import Protocol

struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one job: state, attempts, files, recipe.")

    @Argument(help: "The job's id or name.")
    var job: String

    @OptionGroup var client: ClientOptions

    private struct Everything: Encodable {
        var detail: JobDetail
        var artifacts: [ArtifactSummary]
    }

    func run() async throws {
        let api = try client.client()
        let id = try await api.job(job).id
        let detail = try await api.get("/api/v1/jobs/\(id)", as: JobDetail.self)
        let artifacts = try await api.get("/api/v1/jobs/\(id)/artifacts", as: ArtifactList.self).artifacts
        if client.json { return try sayJSON(Everything(detail: detail, artifacts: artifacts)) }
        let summary = detail.job
        say("\(summary.name)  (\(summary.id), \(summary.fileName))")
        say("  state      \(summary.state.rawValue)\(summary.reason.map { ": \($0)" } ?? "")")
        say("  progress   \(JobTable.progress(summary)) \(JobTable.speed(summary))")
        if let eta = summary.etaSeconds { say("  left       \(duration(eta))") }
        say("  submitted  \(summary.submittedAt.formatted(.iso8601))")
        if let seconds = detail.trainingSeconds { say("  trained    \(duration(seconds))") }
        for (name, value) in summary.lossLatest.sorted(by: { $0.key < $1.key }) {
            say("  \(name.padding(toLength: 22, withPad: " ", startingAt: 0)) \(value)")
        }
        if !detail.attempts.isEmpty { say("attempts") }
        for attempt in detail.attempts {
            let outcome = attempt.outcome ?? "running"
            say(
                "  \(attempt.number)  \(outcome), iterations \(attempt.startIteration) to \(attempt.iteration), on \(attempt.worker)"
                    + (attempt.reason.map { ": \($0)" } ?? ""))
        }
        if !artifacts.isEmpty { say("files") }
        for artifact in artifacts where artifact.kind != .snapshot {
            say(
                "  \(artifact.kind.rawValue), iteration \(artifact.iteration), \(artifact.sizeBytes) bytes, \(artifact.sha256)"
            )
        }
        let snapshots = artifacts.filter { $0.kind == .snapshot }
        if let last = snapshots.last { say("  \(snapshots.count) snapshots, the last at iteration \(last.iteration)") }
        say("recipe")
        for line in detail.recipeYAML.split(separator: "\n") where !line.hasPrefix("#") { say("  \(line)") }
    }
}
