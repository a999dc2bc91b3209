import ArgumentParser
import Base
import ClusterCore
import Foundation
import Protocol

/// `--batch` and `--label`: jobs by how their submission grouped them.
struct FilterOptions: ParsableArguments {
    @Option(help: "Only jobs of this batch.")
    var batch: String?

    @Option(
        name: .customLong("label"),
        help: ArgumentHelp("Only jobs with this label; several: jobs with all of them.", valueName: "key=value"))
    var labels: [String] = []

    func validate() throws { _ = try JobTags(batch: batch, labels: labels) }

    var isEmpty: Bool { batch == nil && labels.isEmpty }

    func tags() throws -> JobTags { try JobTags(batch: batch, labels: labels) }
}

extension JobTags {
    /// - Throws: `ValidationError` if no job can have them.
    init(batch: String?, labels texts: [String]) throws {
        var labels: [String: String] = [:]
        for text in texts {
            guard let (key, value) = JobTags.label(text) else {
                throw ValidationError("--label '\(text.printable)': expected key=value, such as --label wall=north")
            }
            guard labels.updateValue(value, forKey: key) ?? value == value else {
                throw ValidationError("--label \(key.printable) is given with two values; a job has one")
            }
        }
        self.init(batch: batch, labels: labels)
        if let problem { throw ValidationError("\(problem.printable)") }
    }
}

/// The jobs that a command changes: some by id or name, or all that match a filter.
struct SelectionOptions: ParsableArguments {
    @Argument(help: "Ids or names. Without them, the jobs that match the options.")
    var jobs: [String] = []

    @OptionGroup var filter: FilterOptions

    @Option(help: "Only jobs in this state: \(JobState.allCases.map(\.rawValue).joined(separator: ", ")).")
    var state: JobState?

    @Option(help: "Only jobs with this in their name or their result's name.")
    var name: String?

    @Option(help: "Only jobs of this recipe.")
    var recipe: String?

    @Flag(name: .shortAndLong, help: "Do not ask before several jobs are changed.")
    var yes = false

    /// Whether the options say which jobs, apart from their state.
    private var namesJobs: Bool { !filter.isEmpty || name != nil || recipe != nil }
    private var hasFilter: Bool { namesJobs || state != nil }

    func validate() throws {
        if jobs.isEmpty, !hasFilter {
            throw ValidationError(
                "no jobs are named: expected ids or names, or --batch, --label, --state, --name or --recipe")
        }
        if !jobs.isEmpty, hasFilter {
            throw ValidationError("ids and names go without --batch, --label, --state, --name and --recipe")
        }
    }

    /// Changes the jobs that match the filter.
    /// - Parameters:
    ///   - action: The last part of the address, and what a person is asked.
    ///   - states: The states of jobs to which the action applies.
    ///   - done: What has happened to the jobs: "cancelled".
    ///   - send: Asks the coordinator for it; nil: in one request.
    /// - Throws: `CommandFailure` also if no job matches, whatever its state. That none is in the state is an answer.
    func change(
        _ action: String, of states: [JobState], done: String, reason: String? = nil, _ options: ClientOptions,
        send: ((APIClient, JobSelection) async throws -> SelectionChanges)? = nil
    ) async throws {
        let api = try options.client()
        let tags = try filter.tags()
        var query = JobFilter(state: state, name: name, recipe: recipe, tags: tags)
        let matching = try await api.count(query)
        var applicable = matching
        if state == nil {
            applicable = 0
            for state in states {
                query.state = state
                applicable += try await api.count(query)
            }
        }
        guard matching > 0 else {
            query.state = nil
            if namesJobs, try await api.count(query) == 0 { throw CommandFailure("no job matches") }
            if options.json { return try sayJSON(SelectionChanges(matched: 0, changed: [])) }
            let none = namesJobs ? "none of these jobs" : "no job"
            return say(state.map { "\(none) is \($0.rawValue)" } ?? "no job matches")
        }
        if applicable > 1, !yes { try confirm("\(action) \(applicable) jobs?") }
        let selection = JobSelection(
            batch: tags.batch, labels: tags.labels.isEmpty ? nil : tags.labels, state: state, name: name,
            recipe: recipe, atMost: yes ? nil : applicable, reason: reason)
        let changes =
            if let send {
                try await send(api, selection)
            } else {
                try await api.post("/api/v1/selection/\(action)", body: selection, as: SelectionChanges.self)
            }
        if options.json { return try sayJSON(changes) }
        let others = changes.matched - changes.changed.count
        say(
            "\(done) \(counted(changes.changed.count, "job"))"
                + (others > 0 ? "; \(others) more matched and stayed as they were" : ""))
    }

    /// Asks before an action changes several jobs that are named.
    func confirmNamed(_ action: String) throws {
        let count = Set(jobs).count
        if count > 1, !yes { try confirm("\(action) \(count) jobs?") }
    }

    private func confirm(_ question: String) throws {
        guard isatty(STDIN_FILENO) == 1 else {
            throw CommandFailure("\(question) Nothing was changed; --yes answers yes", exit: .usage)
        }
        FileHandle.standardError.write(Data("\(question) [y/N] ".utf8))
        guard ["y", "yes"].contains(readLine()?.lowercased() ?? "") else {
            throw CommandFailure("nothing was changed")
        }
    }
}

extension APIClient {
    /// How many jobs match.
    func count(_ filter: JobFilter) async throws -> Int {
        try await get(
            "/api/v1/jobs", query: ["limit": "1"].merging(filter.parameters) { $1 }, labels: filter.labelTexts,
            as: JobPage.self
        ).total
    }
}

extension JobFilter {
    /// The query of a request, without labels, order and page.
    var parameters: [String: String] {
        var parameters: [String: String] = [:]
        parameters["state"] = state?.rawValue
        parameters["name"] = name
        parameters["recipe"] = recipe
        parameters["batch"] = tags.batch
        return parameters
    }

    var labelTexts: [String] { JobTags.texts(ofLabels: tags.labels) }
}
