import ArgumentParser
import Base
import Coordinator
import Foundation

/// Whom the coordinator tells about ends of jobs and batches.
struct NotificationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Sends a signed request to this address when a job or a batch ends; may be repeated. Default: none.",
            valueName: "url"))
    var notify: [String] = []

    @Option(
        help: ArgumentHelp("A file of mode 600 with the secret that signs these requests.", valueName: "file"))
    var notifySecret: String?

    @Option(
        help: ArgumentHelp(
            "A program to run when a job or a batch ends, with the message on its standard input. Default: none.",
            valueName: "program"))
    var notifyCommand: String?

    @Option(
        help: ArgumentHelp(
            """
            Which ends, separated by commas: finished, failed, held, cancelled, blocked, batch. Default: all but blocked.
            """, valueName: "events"))
    var notifyOn: String?

    @Option(
        name: .customLong("public-url"),
        help: ArgumentHelp(
            "Where people reach the pages, for links in messages. Default: the HTTP address.", valueName: "url"))
    var publicURL: String?

    @Flag(help: "Send a test message to each receiver, say what became of it and end: 0 if all took it, 1 if not.")
    var notifyTest = false

    /// - Throws: `CommandFailure` if a value is none.
    func configuration(_ settings: Settings) throws -> NotificationConfiguration {
        var configuration = NotificationConfiguration()
        configuration.webhooks = try (notify.isEmpty ? settings.list(.notify) : notify).map { try url($0, "--notify") }
        configuration.secretFile = (notifySecret ?? settings[.notifySecret]).map { URL(fileURLWithPath: $0) }
        configuration.command = (notifyCommand ?? settings[.notifyCommand]).map { URL(fileURLWithPath: $0) }
        configuration.publicURL = try (publicURL ?? settings[.publicURL]).map { try url($0, "--public-url") }
        guard let events = notifyOn ?? settings[.notifyOn] else { return configuration }
        configuration.kinds = Set(
            try Settings.entries(of: events).map { word in
                guard let choice = NotificationKind.choices.first(where: { $0.word == word }) else {
                    let words = NotificationKind.choices.map(\.word)
                    let hint = suggestion(for: word, among: words).map { " (did you mean '\($0)'?)" } ?? ""
                    throw CommandFailure(
                        "--notify-on has '\(word)'\(hint); expected some of \(words.joined(separator: ", "))",
                        exit: .usage)
                }
                return choice.kind
            })
        return configuration
    }

    private func url(_ text: String, _ option: String) throws -> URL {
        guard let url = URL(string: text), url.scheme != nil else {
            throw CommandFailure(
                "\(option) '\(text)' is no address; expected one like https://hooks.example/texloom", exit: .usage)
        }
        return url
    }

    /// Sends a test message to each receiver and prints a line for each.
    /// - Throws: `CommandFailure` if there is no receiver, or one did not take it.
    func test(_ settings: Settings) async throws {
        let configuration = try configuration(settings)
        guard configuration.hasReceivers else {
            throw CommandFailure(
                "--notify-test: there is no receiver; --notify URL or --notify-command PROGRAM names one", exit: .usage)
        }
        let tests: [NotificationTest]
        do {
            tests = try await CoordinatorService.testNotifications(configuration)
        } catch let error as CoordinatorError {
            throw CommandFailure("\(error)", exit: .usage)
        }
        for test in tests { say("\(test.receiver): \(test.failure.map { "failed: \($0)" } ?? "took the message")") }
        guard tests.allSatisfy({ $0.failure == nil }) else {
            throw CommandFailure("a receiver did not take the message")
        }
    }
}
