import ArgumentParser
import Foundation
import Protocol

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Prints a job's log.")

    @Argument(help: "The job's id or name.")
    var job: String

    @Flag(name: .shortAndLong, help: "Keep printing what comes, until the job ends.")
    var follow = false

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let api = try client.client()
        let id = try await api.job(job).id
        var after: Int64 = 0
        while true {
            // The state is asked for first: what is logged before the end is then fetched after it.
            let isSettled = try await api.get("/api/v1/jobs/\(id)", as: JobDetail.self).job.state.isSettled
            var page: LogPage
            repeat {
                page = try await api.get("/api/v1/jobs/\(id)/logs", query: ["after": String(after)])
                for entry in page.entries { say(try line(entry)) }
                after = page.entries.last?.id ?? after
            } while page.next != nil
            if !follow || isSettled { return }
            try await Task.sleep(for: .seconds(1))
        }
    }

    private func line(_ entry: LogEntry) throws -> String {
        if client.json { return String(decoding: try APIFormat.encoder.encode(entry), as: UTF8.self) }
        let attempt = entry.attempt > 0 ? " attempt \(entry.attempt)" : ""
        return "\(entry.at.formatted(.iso8601)) \(entry.level) \(entry.source)\(attempt): \(entry.message)"
    }
}
