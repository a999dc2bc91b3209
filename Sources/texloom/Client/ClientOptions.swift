import ArgumentParser
import ClusterCore
import Foundation
import Protocol

/// `--api` and `--json`, options of every command that asks a coordinator.
struct ClientOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The coordinator's HTTP address. Default: TEXLOOM_API, or \(APIClient.standard).", valueName: "url"))
    var api: String?

    @Flag(help: "Print JSON.")
    var json = false

    func client() throws -> APIClient { try APIClient(address: api) }
}

/// - Throws: `ValidationError` for a priority that no job may have.
func requirePriority(_ priority: Int) throws {
    let range = JobSubmission.priorities
    guard range.contains(priority) else {
        throw ValidationError("--priority \(priority): expected \(range.lowerBound) to \(range.upperBound)")
    }
}

/// Which jobs to list.
struct JobFilter {
    var state: JobState?
    /// Part of the name or of the result's name.
    var name: String?
    var recipe: String?
    var sort: JobOrder?
    var limit: Int?
    var tags = JobTags()
}

extension APIClient {
    /// The jobs that match a query, by default newest first.
    func jobs(_ query: JobFilter = JobFilter()) async throws -> [JobSummary] {
        var all: [JobSummary] = []
        var cursor: String?
        repeat {
            var parameters = ["limit": "\(min(1000, (query.limit ?? .max) - all.count))"]
            parameters.merge(query.parameters) { $1 }
            parameters["sort"] = query.sort?.rawValue
            parameters["cursor"] = cursor
            let page = try await get("/api/v1/jobs", query: parameters, labels: query.labelTexts, as: JobPage.self)
            all += page.jobs
            cursor = page.next
        } while cursor != nil && all.count < query.limit ?? .max
        return all
    }

    /// The jobs that a word names: the job of that id, or else the job of that result name and all jobs of that name.
    func jobs(meant word: String) async throws -> [JobSummary] {
        if JobID(word) != nil, let job = try await job(id: word) { return [job] }
        var found = try await jobs(JobFilter(name: word)).filter { $0.name == word || $0.resultName == word }
        // Older coordinators look for names alone, and bricks-2 is the result name of the second job named bricks.
        if found.isEmpty, let number = word.lastIndex(of: "-"), Int(word[word.index(after: number)...]) != nil {
            found = try await jobs(JobFilter(name: String(word[..<number]))).filter { $0.resultName == word }
        }
        // A result name lacks the characters that file systems refuse, so those may miss it.
        if found.isEmpty, word.contains("_") { found = try await jobs().filter { $0.resultName == word } }
        guard !found.isEmpty else {
            throw CommandFailure("there is no job '\(word)'; 'texloom list' shows ids and names")
        }
        return found
    }

    /// The one job that a word names: by id, or else by result name, or else by name if only one job has it.
    func job(_ word: String) async throws -> JobSummary {
        let jobs = try await jobs(meant: word)
        if let job = jobs.first(where: { $0.resultName == word }) { return job }
        guard jobs.count == 1 else {
            let ids = jobs.map { "\($0.id) (\($0.state.rawValue))" }.joined(separator: ", ")
            throw CommandFailure("'\(word)' is the name of \(jobs.count) jobs; give an id: \(ids)")
        }
        return jobs[0]
    }

    /// The job of an id; nil if none has it.
    func job(id: String) async throws -> JobSummary? {
        try await unlessGone { try await get("/api/v1/jobs/\(id)", as: JobDetail.self).job }
    }

    /// What the coordinator says of a job; nil if it has no such job, which another person may have deleted.
    func unlessGone<Answer>(_ ask: () async throws -> Answer) async throws -> Answer? {
        do {
            return try await ask()
        } catch let failure as CommandFailure where failure.status == 404 {
            return nil
        }
    }
}
