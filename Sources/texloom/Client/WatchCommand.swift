import ArgumentParser
import Foundation
import Protocol

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Watches the cluster until every job has ended.",
        discussion:
            "A live table on a terminal; elsewhere a line for each change. Ctrl-C ends the watching, not the jobs.")

    @Argument(help: "Only these jobs, by id or name.")
    var jobs: [String] = []

    @Option(help: "Seconds between looks.")
    var interval = 1.0

    @Flag(help: "Keep watching when every job has ended.")
    var forever = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        guard (0.1...3600).contains(interval) else { throw ValidationError("--interval: expected 0.1 to 3600 seconds") }
    }

    func run() async throws {
        let api = try client.client()
        let isTerminal = isatty(STDOUT_FILENO) == 1 && !client.json
        var said: [String: String] = [:]
        var isAway = false
        var drawn = 0
        while true {
            do {
                let all = try await api.jobs()
                let shown =
                    jobs.isEmpty
                    ? all
                    : all.filter { jobs.contains($0.id) || jobs.contains($0.name) || jobs.contains($0.resultName) }
                if let unknown = jobs.first(where: { word in
                    !all.contains { [$0.id, $0.name, $0.resultName].contains(word) }
                }) {
                    throw CommandFailure("there is no job '\(unknown)'; 'texloom list' shows ids and names")
                }
                let summary = try await api.get("/api/v1/summary", as: ClusterSummary.self)
                if isAway { complain("the coordinator is back") }
                isAway = false
                if isTerminal {
                    drawn = draw(summary, shown, over: drawn)
                } else {
                    for job in shown.reversed() { report(job, &said) }
                }
                if !forever, shown.allSatisfy(\.state.isSettled) {
                    if isTerminal { say() }
                    let failed = shown.filter { $0.state != .finished }.count
                    if failed > 0 {
                        throw CommandFailure("\(failed) of \(shown.count) jobs did not finish; 'texloom list' tells")
                    }
                    return
                }
            } catch let failure as CommandFailure where failure.exitCode == .tryAgain {
                // The coordinator restarts; the jobs go on meanwhile.
                if !isAway { complain("\(failure.message); looking again") }
                isAway = true
            }
            try await Task.sleep(for: .seconds(interval))
        }
    }

    /// A line for each job whose state changed or which came a twentieth further.
    private func report(_ job: JobSummary, _ said: inout [String: String]) {
        let twentieth = job.totalIterations > 0 ? job.iteration * 20 / job.totalIterations : 0
        let mark = "\(job.state.rawValue) \(twentieth) \(job.attempt)"
        guard said.updateValue(mark, forKey: job.id) != mark else { return }
        if client.json {
            say((try? APIFormat.encoder.encode(job)).map { String(decoding: $0, as: UTF8.self) } ?? "")
        } else {
            let left = job.etaSeconds.map { ", \(duration($0)) left" } ?? ""
            let reason = job.reason.map { " (\($0))" } ?? ""
            say(
                "\(job.resultName): \(job.state.rawValue)\(reason) \(JobTable.progress(job)) \(JobTable.speed(job)) "
                    + "\(JobTable.losses(job))\(left)")
        }
    }

    /// Rewrites the table in place. - Returns: how many lines it takes.
    private func draw(_ summary: ClusterSummary, _ jobs: [JobSummary], over previous: Int) -> Int {
        var size = winsize()
        let known = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        let (columns, rows) = known ? (Int(size.ws_col), Int(size.ws_row)) : (100, 40)
        let counts = JobState.allCases.compactMap { state in
            summary.jobs[state.rawValue].flatMap { $0 > 0 ? "\($0) \(state.rawValue)" : nil }
        }
        var lines = [
            "\(summary.workersConnected) workers, \(summary.slots) slots, "
                + "\(String(format: "%.1f", summary.iterationsPerSecond)) it/s   " + counts.joined(separator: ", "), "",
        ]
        // What runs comes first, then what waits, then what has ended.
        let order: [JobState] = [.running, .queued, .held, .failed, .cancelled, .finished]
        let sorted = order.flatMap { state in jobs.filter { $0.state == state } }
        let room = max(1, rows - 4)
        lines += JobTable.lines(Array(sorted.prefix(room)))
        if sorted.count > room { lines.append("... and \(sorted.count - room) more") }
        let text = lines.map { String($0.prefix(columns - 1)) + "\u{1B}[K" }.joined(separator: "\n")
        let up = previous > 1 ? "\u{1B}[\(previous - 1)A" : ""
        show("\r\(up)\(text)\u{1B}[J")
        return lines.count
    }
}
