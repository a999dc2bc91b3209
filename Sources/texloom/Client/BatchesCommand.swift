import ArgumentParser
import Base
import ClusterCore
import Foundation
import Protocol

struct BatchesCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "batches", abstract: "Lists the batches of 'texloom submit --batch', newest first.",
        discussion: """
            The time left counts as if every slot of the cluster worked on that batch alone. The jobs of a batch:

              texloom list --batch walls
            """)

    @Option(name: .shortAndLong, help: "At most so many batches. Default: all.")
    var limit: Int?

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit \(limit): expected 1 or more") }
    }

    func run() async throws {
        let batches = try await client.client().batches(limit: limit ?? .max)
        if client.json { return say(terminalSafe(json: try APIFormat.encoder.encode(batches))) }
        if batches.isEmpty { return say("no batches") }
        let features = TerminalFeatures(descriptor: STDOUT_FILENO)
        let isUnicode = features.isUnicode || !features.isTerminal
        for line in Self.table(batches, isUnicode: isUnicode).lines() { say(line.text(paints: features.hasColours)) }
    }

    static func table(_ batches: [BatchSummary], isUnicode: Bool) -> TextTable {
        let states = JobState.allCases
        return TextTable(
            columns: [
                TextTable.Column(title: "BATCH"), TextTable.Column(title: "JOBS", alignsRight: true),
                TextTable.Column(title: "PROGRESS"), TextTable.Column(title: "LEFT", importance: 8),
            ] + states.map { TextTable.Column(title: $0.rawValue.uppercased(), importance: 5, alignsRight: true) },
            rows: batches.map { batch in
                let share = batch.shareDone
                let left = batch.endedAt == nil ? batch.secondsLeft.map(Readable.duration) ?? "" : ""
                return [
                    StyledText(batch.name.printable), StyledText("\(batch.total)"),
                    StyledText("\(progressBar(share, width: 10, unicode: isUnicode)) \(percent(share))"),
                    StyledText(left),
                ]
                    + states.map { state in
                        let count = batch.count(state)
                        return StyledText(count > 0 ? "\(count)" : "", state.colour)
                    }
            })
    }
}

extension APIClient {
    func batches(limit: Int = .max) async throws -> [BatchSummary] {
        var all: [BatchSummary] = []
        var before: Int?
        repeat {
            var query = ["limit": "\(min(1000, limit - all.count))"]
            query["before"] = before.map(String.init)
            let page = try await get("/api/v1/batches", query: query, as: BatchPage.self)
            all += page.batches
            before = page.next
        } while before != nil && all.count < limit
        return all
    }
}
