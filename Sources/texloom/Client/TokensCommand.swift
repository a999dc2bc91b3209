import ArgumentParser
import Base
import Coordinator
import Foundation
import OperatingSystem
import Protocol

struct TokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens", abstract: "Makes, lists and revokes the tokens that people and scripts log in with.",
        discussion: """
            By default these commands work on the coordinator's data folder, whether or not it runs: a user who may write \
            there is an admin. So the first token is made on the coordinator's machine, also before the \
            coordinator's first start:
              texloom tokens create ann --role admin
            With --api, TEXLOOM_API or the setting api, they ask a coordinator, which wants an admin's token. --data \
            names the folder all the same.
            """,
        subcommands: [CreateTokenCommand.self, ListTokensCommand.self, RevokeTokenCommand.self])
}

/// Where tokens are: `--data` or `--api`.
struct TokenOptions: ParsableArguments {
    @Option(help: "The coordinator's data folder. Default: ~/.local/state/texloom/coordinator.")
    var data: String?

    @Option(
        help: ArgumentHelp(
            "Ask this coordinator instead of the data folder. Default: TEXLOOM_API, or the setting api; without them, the "
                + "data folder.", valueName: "url"))
    var api: String?

    @Flag(help: "Print JSON.")
    var json = false

    func client() throws -> APIClient { try APIClient(address: api) }

    func validate() throws {
        if data != nil, api != nil { throw ValidationError("--data and --api are both given; expected one") }
    }

    /// The tokens in a data folder, or nil to ask a coordinator.
    /// - Parameter creates: whether a new or empty folder becomes a data folder.
    func folder(creates: Bool = false) throws -> TokenAdministration? {
        let settings = try Settings.current.get()
        if data == nil, api != nil || settings[.api] != nil { return nil }
        let folder = data ?? settings[.data]
        let url = folder.map { URL(fileURLWithPath: $0, isDirectory: true) }
        PrivateFile.keepNewFilesPrivate()
        do {
            return try TokenAdministration(
                dataFolder: url ?? CoordinatorConfiguration().dataFolder, creates: creates)
        } catch let error as CoordinatorError {
            throw CommandFailure(error.message)
        }
    }
}

struct CreateTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes a token and prints it, this once.",
        discussion: """
            Roles: viewer reads everything but tokens and the audit log; submitter also submits, cancels, \
            retries and reorders jobs; admin also deletes jobs, and manages workers and tokens.
            """)

    @Argument(help: "A name for lists and the audit log, such as ann or grafana.")
    var name: String

    @Option(help: "What it allows: \(AccessRole.allCases.map(\.rawValue).joined(separator: ", ")).")
    var role: AccessRole

    @Option(help: ArgumentHelp("Ends after this time: 12h, 90d. Default: never.", valueName: "time"))
    var expires: String?

    @OptionGroup var options: TokenOptions

    func run() async throws {
        let lifetime = try expires.map { text in
            guard let seconds = ShortTime.seconds(in: text) else {
                throw CommandFailure("--expires '\(text)': expected 90s, 15m, 12h or 90d", exit: .usage)
            }
            return seconds
        }
        let request = TokenRequest(name: name, role: role, lifetimeSeconds: lifetime)
        let created: CreatedToken
        if let folder = try options.folder(creates: true) {
            created = try await folder.create(request)
        } else {
            created = try await options.client().post("/api/v1/tokens", body: request)
        }
        if options.json { return try sayJSON(created) }
        say(created.secret)
        complain("this is the only time that the token is shown; keep it in a file of mode 600 (TEXLOOM_TOKEN_FILE)")
    }
}

struct ListTokensCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists tokens, without secrets.")

    @OptionGroup var options: TokenOptions

    func run() async throws {
        let tokens: [TokenSummary]
        if let folder = try options.folder() {
            tokens = try await folder.list()
        } else {
            tokens = try await options.client().get("/api/v1/tokens", as: TokenList.self).tokens
        }
        if options.json { return try sayJSON(tokens) }
        if tokens.isEmpty { return say("no tokens") }
        let table = TextTable(
            columns: ["NAME", "ROLE", "STATE", "CREATED", "EXPIRES"].map { TextTable.Column(title: $0) },
            rows: tokens.map { token in
                let state =
                    token.revokedAt != nil
                    ? "revoked" : token.expiresAt.map { $0 <= Date() } ?? false ? "expired" : "valid"
                return [
                    StyledText(token.name.printable), StyledText(token.role.rawValue), StyledText(state),
                    StyledText(token.createdAt.formatted(.iso8601)),
                    StyledText(token.expiresAt?.formatted(.iso8601) ?? "never"),
                ]
            })
        let features = TerminalFeatures(descriptor: STDOUT_FILENO)
        for line in table.lines() { say(line.text(paints: features.hasColours)) }
    }
}

struct RevokeTokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Ends a token and the browser sessions that it opened, at once.")

    @Argument(help: "The token's name.")
    var name: String

    @OptionGroup var options: TokenOptions

    func run() async throws {
        let tokens: [TokenSummary]
        if let folder = try options.folder() {
            try await folder.revoke(name)
            tokens = try await folder.list()
        } else {
            tokens = try await options.client().post("/api/v1/tokens/\(name)/revoke", as: TokenList.self).tokens
        }
        if options.json { return try sayJSON(tokens) }
        say("\(name.printable): revoked")
    }
}

extension AccessRole: ExpressibleByArgument {}
