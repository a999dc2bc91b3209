import ArgumentParser
import Foundation
import Protocol

/// `--api` and `--json`, which every command that asks a coordinator has.
struct ClientOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The coordinator's HTTP address. Default: TEXLOOM_API, or \(APIClient.standard).", valueName: "url"))
    var api: String?

    @Flag(help: "Print JSON.")
    var json = false

    func client() throws -> APIClient { try APIClient(address: api) }
}

extension APIClient {
    /// Every job that a filter lets through, newest first.
    func jobs(state: JobState? = nil) async throws -> [JobSummary] {
        var all: [JobSummary] = []
        var cursor: String?
        repeat {
            var query = ["limit": "1000"]
            query["state"] = state?.rawValue
            query["cursor"] = cursor
            let page = try await get("/api/v1/jobs", query: query, as: JobPage.self)
            all += page.jobs
            cursor = page.next
        } while cursor != nil
        return all
    }

    /// The job that a word means: its id, else its unique result name, else its name if only one has it.
    func job(_ word: String) async throws -> JobSummary {
        let jobs = try await jobs()
        if let job = jobs.first(where: { $0.id == word }) ?? jobs.first(where: { $0.resultName == word }) { return job }
        let named = jobs.filter { $0.name == word }
        guard let job = named.first else {
            throw CommandFailure("there is no job '\(word)'; 'texloom list' shows ids and names")
        }
        guard named.count == 1 else {
            let ids = named.map { "\($0.id) (\($0.state.rawValue))" }.joined(separator: ", ")
            throw CommandFailure("'\(word)' is the name of \(named.count) jobs; give an id: \(ids)")
        }
        return job
    }
}
