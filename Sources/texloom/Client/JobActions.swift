import ArgumentParser
import ClusterCore
import Protocol

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancels jobs; a running one stops after its iteration.",
        discussion: """
            Takes ids and names, or options that select jobs. Jobs that options select change in one transaction. Before \
            several change, the command asks; in a script it needs --yes:

              texloom cancel --batch walls --label seed=3 --yes
            """)

    @OptionGroup var selection: SelectionOptions

    @Option(help: "Why; it is shown with the job.")
    var reason: String?

    @OptionGroup var client: ClientOptions

    func run() async throws {
        guard !selection.jobs.isEmpty else {
            return try await selection.change(
                "cancel", of: JobState.allCases.filter(\.canBeCancelled), done: "cancelled",
                reason: reason, client)
        }
        try selection.confirmNamed("cancel")
        try await act(on: selection.jobs, "cancel", query: reason.map { ["reason": $0] } ?? [:], client)
    }
}

struct RetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Puts failed, held or cancelled jobs back into the queue.",
        discussion: """
            They resume from their last checkpoint, with a new retry budget. Takes ids and names, or options that select \
            jobs. Jobs that options select change in one transaction. Before several change, the command asks; in a script \
            it needs --yes:

              texloom retry --batch walls --state failed --yes
            """)

    @OptionGroup var selection: SelectionOptions

    @OptionGroup var client: ClientOptions

    func run() async throws {
        guard !selection.jobs.isEmpty else {
            return try await selection.change(
                "retry", of: JobState.allCases.filter(\.canBeRetried), done: "put back into the queue:", client)
        }
        try selection.confirmNamed("retry")
        try await act(on: selection.jobs, "retry", query: [:], client)
    }
}

/// Does the same to several jobs; if one refuses, the others are still done. When the coordinator goes away, what was done
/// is still told.
private func act(on words: [String], _ action: String, query: [String: String], _ options: ClientOptions) async throws {
    let api = try options.client()
    var failures = 0
    var done: [JobSummary] = []
    var away: CommandFailure?
    for word in words where away == nil {
        do {
            let id = try await api.job(word).id
            let job = try await api.post("/api/v1/jobs/\(id)/\(action)", query: query, as: JobSummary.self)
            done.append(job)
            if !options.json { say("\(job.resultName) (\(job.id)): \(job.state.rawValue)") }
        } catch let failure as CommandFailure where failure.exitCode == .failed {
            complain(failure.message.contains("'\(word)'") ? failure.message : "\(word): \(failure.message)")
            failures += 1
        } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
            away = failure
        }
    }
    if options.json { try sayJSON(done) }
    if let away { throw away }
    if failures > 0 { throw ExitCode(CommandExit.failed.rawValue) }
}
