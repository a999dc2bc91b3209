import ArgumentParser
import Protocol

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancels jobs; a running one stops after its iteration.")

    @Argument(help: "Ids or names.")
    var jobs: [String]

    @Option(help: "Why; it is shown with the job.")
    var reason: String?

    @OptionGroup var client: ClientOptions

    func run() async throws {
        try await act(on: jobs, "cancel", query: reason.map { ["reason": $0] } ?? [:], client)
    }
}

struct RetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Puts failed, held or cancelled jobs back into the queue.",
        discussion: "They resume from their last checkpoint, with a new retry budget.")

    @Argument(help: "Ids or names.")
    var jobs: [String]

    @OptionGroup var client: ClientOptions

    func run() async throws { try await act(on: jobs, "retry", query: [:], client) }
}

/// Does the same to several jobs; if one refuses, the others are still done.
private func act(on words: [String], _ action: String, query: [String: String], _ options: ClientOptions) async throws {
    let api = try options.client()
    var failures = 0
    var done: [JobSummary] = []
    for word in words {
        do {
            let id = try await api.job(word).id
            let job = try await api.post("/api/v1/jobs/\(id)/\(action)", query: query, as: JobSummary.self)
            done.append(job)
            if !options.json { say("\(job.resultName) (\(job.id)): \(job.state.rawValue)") }
        } catch let failure as CommandFailure where failure.exitCode == .failed {
            complain("\(word): \(failure.message)")
            failures += 1
        }
    }
    if options.json { try sayJSON(done) }
    if failures > 0 { throw ExitCode(CommandExit.failed.rawValue) }
}
