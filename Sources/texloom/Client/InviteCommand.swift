import ArgumentParser
import Foundation
import Protocol

struct InviteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "invite", abstract: "Prints the command with which another machine becomes a worker.",
        discussion: """
            Run it on the coordinator's machine, or name the coordinator with --api. Each invitation is good for one \
            worker, for an hour. Any machine that has the string can join in place of the intended one, so send it over \
            a channel that you trust.
            """)

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let created: CreatedInvitation = try await client.client().post("/api/v1/invitations")
        if client.json { return try sayJSON(created) }
        say("texloom worker --join \(created.invitation)")
        complain(
            "good for one worker until \(created.expiresAt.formatted(.iso8601)); the worker looks for the coordinator at "
                + created.endpoints.joined(separator: " or "))
    }
}
