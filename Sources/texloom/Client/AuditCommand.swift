import ArgumentParser
import Base
import Foundation
import Protocol

struct AuditCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Shows who changed what; needs an admin's token where tokens are asked for.")

    @Option(name: .shortAndLong, help: "At most so many entries, the newest.")
    var limit = 100

    @OptionGroup var client: ClientOptions

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit \(limit): expected 1 to 1000") }
    }

    func run() async throws {
        let page = try await client.client().get("/api/v1/audit", query: ["limit": "\(limit)"], as: AuditPage.self)
        if client.json { return try sayJSON(page.entries) }
        if page.entries.isEmpty { return say("nothing has been changed yet") }
        let table = TextTable(
            columns: ["TIME", "WHO", "ROLE", "FROM", "ACTION", "OBJECT", "RESULT"].map { TextTable.Column(title: $0) },
            rows: page.entries.map { entry in
                [
                    entry.time.formatted(.iso8601), entry.who, entry.role?.rawValue ?? "", entry.from, entry.action,
                    entry.object, entry.result,
                ].map { StyledText($0.printable) }
            })
        let features = TerminalFeatures(descriptor: STDOUT_FILENO)
        for line in table.lines() { say(line.text(paints: features.hasColours)) }
    }
}
