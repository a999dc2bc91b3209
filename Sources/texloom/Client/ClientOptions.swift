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

/// Which jobs are asked for.
struct JobQuery {
    var state: JobState?
    /// Part of the name.
    var name: String?
    var recipe: String?
    var sort: JobOrder?
    var limit: Int?
}

extension APIClient {
    /// The jobs that a query lets through, newest first if it does not say otherwise.
    func jobs(_ query: JobQuery = JobQuery()) async throws -> [JobSummary] {
        var all: [JobSummary] = []
        var cursor: String?
        repeat {
            var parameters = ["limit": "\(min(1000, (query.limit ?? .max) - all.count))"]
            parameters["state"] = query.state?.rawValue
            parameters["name"] = query.name
            parameters["recipe"] = query.recipe
            parameters["sort"] = query.sort?.rawValue
            parameters["cursor"] = cursor
            let page = try await get("/api/v1/jobs", query: parameters, as: JobPage.self)
            all += page.jobs
            cursor = page.next
        } while cursor != nil && all.count < query.limit ?? .max
        return all
    }

    /// The jobs that a word means: the one of that id, else the one of that result name and all of that name.
    func jobs(meant word: String) async throws -> [JobSummary] {
        let idAlphabet = Set("0123456789abcdefghjkmnpqrstvwxyz")
        if word.count == 10, word.allSatisfy(idAlphabet.contains), let job = try await job(id: word) { return [job] }
        var found = try await jobs(JobQuery(name: word)).filter { $0.name == word || $0.resultName == word }
        // bricks-2 is what the second job named bricks is called in full.
        if found.isEmpty, let number = word.lastIndex(of: "-"), Int(word[word.index(after: number)...]) != nil {
            found = try await jobs(JobQuery(name: String(word[..<number]))).filter { $0.resultName == word }
        }
        // A result name has lost what file systems refuse; only a look at all tells.
        if found.isEmpty, word.contains("_") { found = try await jobs().filter { $0.resultName == word } }
        guard !found.isEmpty else {
            throw CommandFailure("there is no job '\(word)'; 'texloom list' shows ids and names")
        }
        return found
    }

    /// The one job that a word means: its id, else its unique result name, else its name if only one has it.
    func job(_ word: String) async throws -> JobSummary {
        let jobs = try await jobs(meant: word)
        if let job = jobs.first(where: { $0.resultName == word }) { return job }
        guard jobs.count == 1 else {
            let ids = jobs.map { "\($0.id) (\($0.state.rawValue))" }.joined(separator: ", ")
            throw CommandFailure("'\(word)' is the name of \(jobs.count) jobs; give an id: \(ids)")
        }
        return jobs[0]
    }

    /// nil if there is none of that id.
    private func job(id: String) async throws -> JobSummary? {
        do {
            return try await get("/api/v1/jobs/\(id)", as: JobDetail.self).job
        } catch let failure as CommandFailure where failure.exitCode == .failed {
            return nil
        }
    }
}
