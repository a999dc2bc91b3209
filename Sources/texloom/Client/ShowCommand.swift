import ArgumentParser
import Foundation
import Protocol

struct ShowCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one job: state, losses over the run, attempts, files, recipe.")

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
        let features = TerminalFeatures(descriptor: STDOUT_FILENO)
        let view = JobScreen(
            columns: terminalSize(STDOUT_FILENO)?.columns ?? 100, isUnicode: features.isUnicode || !features.isTerminal)
        let history = try await api.history(of: id)
        var lines = view.header(detail)
        func add(_ title: String, _ part: [StyledText]) {
            if !part.isEmpty { lines += [StyledText(title, .bold)] + part }
        }
        add("measured", view.terms(history, latest: detail.job.lossLatest, isQuality: false))
        add("quality", view.terms(history, latest: detail.job.lossLatest, isQuality: true))
        add("attempts", view.attempts(detail.attempts, isTraining: detail.job.isTraining))
        add("files", view.files(artifacts, of: detail))
        let recipe = detail.recipeYAML.split(separator: "\n").filter { !$0.hasPrefix("#") }
        add("recipe", recipe.map { StyledText("  " + String($0).printable) })
        for line in lines { say(line.text(paints: features.hasColours)) }
    }
}

extension APIClient {
    /// A job's measurements so far.
    func history(of id: String) async throws -> LossHistory {
        var history = LossHistory()
        var after: Int? = -1
        while let start = after {
            let page = try await get(
                "/api/v1/jobs/\(id)/metrics", query: ["after": "\(start)"], as: MetricsPage.self)
            for row in page.rows { history.add(iteration: row.iteration, row.values) }
            after = page.next
        }
        return history
    }
}
