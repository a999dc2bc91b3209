import ArgumentParser
import Foundation
import Protocol

struct WatchCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Watches the cluster, or some jobs, until every job has ended.",
        discussion: """
            On a terminal, it shows the cluster, or one job with its losses, attempts and log, and keeps the picture up \
            to date. Elsewhere, and with --json, it prints a line for each job and one for each change. Ctrl-C ends the \
            watch, not the jobs. Exits with 1 if a job did not finish, or was deleted before.
            """)

    @Argument(help: "Only these jobs, by id or name.")
    var jobs: [String] = []

    @OptionGroup var filter: FilterOptions

    @Option(help: "Seconds between two pictures.")
    var interval = 1.0

    @Flag(help: "Keep watching when every job has ended.")
    var forever = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        guard jobs.isEmpty || filter.isEmpty else {
            throw ValidationError("ids and names go without --batch and --label")
        }
        guard (0.1...3600).contains(interval) else { throw ValidationError("--interval: expected 0.1 to 3600 seconds") }
    }

    func run() async throws {
        let api = try client.client()
        let features = TerminalFeatures(descriptor: STDOUT_FILENO)
        var chosen: [String] = []
        var isAway = false
        while true {
            do {
                chosen = []
                for word in jobs { chosen += try await api.jobs(meant: word).map(\.id) }
                if !filter.isEmpty {
                    chosen = try await api.jobs(JobFilter(tags: try filter.tags())).map(\.id)
                    guard !chosen.isEmpty else { throw CommandFailure("no job matches") }
                }
                break
            } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
                if !isAway { complain("\(failure.message); looking again") }
                isAway = true
                try await Task.sleep(for: APIClient.retryInterval)
            }
        }
        let draws = features.canDraw && !client.json
        if draws, chosen.count == 1 {
            try await WatchedJob(api: api, id: chosen[0], features: features).watch(every: interval, forever: forever)
        } else {
            let watched = WatchedCluster(api: api, chosen: chosen, features: features, writesJSON: client.json)
            try await watched.watch(draws: draws, every: interval, forever: forever)
        }
    }
}

/// What a watch waits for.
enum WatchSignal: Sendable {
    case followed(Followed)
    /// It is time for another picture.
    case picture
}

extension APIClient {
    /// The events of a stream, and a signal for each picture.
    /// - Parameter pictures: requests a picture at once.
    func watch(_ path: String, pictures: AsyncStream<Void>, every seconds: Double) -> AsyncThrowingStream<
        WatchSignal, any Error
    > {
        let (stream, outlet) = AsyncThrowingStream.makeStream(of: WatchSignal.self)
        let tasks = [
            Task {
                do {
                    for try await followed in follow(path) { outlet.yield(.followed(followed)) }
                } catch {
                    outlet.finish(throwing: error)
                }
            },
            Task { for await _ in pictures { outlet.yield(.picture) } },
            Task {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .seconds(seconds))
                    outlet.yield(.picture)
                }
            },
        ]
        outlet.onTermination = { _ in for task in tasks { task.cancel() } }
        return stream
    }
}
