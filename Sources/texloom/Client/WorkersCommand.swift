import ArgumentParser
import Base
import Foundation
import Protocol

struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "Lists, drains and revokes the workers of a cluster.",
        subcommands: [
            ListWorkersCommand.self, DrainWorkerCommand.self, RevokeWorkerCommand.self, RotateKeyCommand.self,
        ],
        defaultSubcommand: ListWorkersCommand.self)
}

struct ListWorkersCommand: AsyncParsableCommand, PrintsOnly {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists workers, connected ones first (the default).")

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let workers = try await client.client().get("/api/v1/workers", as: WorkerList.self).workers
        if client.json { return try sayJSON(workers) }
        if workers.isEmpty { return say("no workers") }
        let table = TextTable(
            columns: ["ID", "NAME", "STATE", "SLOTS", "JOBS", "KEY", "LAST SEEN"].map { TextTable.Column(title: $0) },
            rows: workers.map { worker in
                [
                    StyledText(worker.id.printable), StyledText(worker.name.printable),
                    StyledText(worker.standing.rawValue),
                    StyledText("\(worker.slots)"), StyledText("\(worker.jobs.count)"),
                    // As many digits as tell keys apart; 'workers revoke' takes them.
                    StyledText(worker.key.map { String($0.prefix(16)) } ?? "none"),
                    StyledText(worker.lastSeenAt.formatted(.iso8601)),
                ]
            })
        let features = TerminalFeatures(descriptor: STDOUT_FILENO)
        for line in table.lines() { say(line.text(paints: features.hasColours)) }
    }
}

struct DrainWorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Asks a worker to checkpoint its jobs, hand them back and end.")

    @Argument(help: "The worker's id.")
    var id: String

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let worker: WorkerSummary = try await client.client().post("/api/v1/workers/\(id)/drain")
        if client.json { return try sayJSON(worker) }
        say("\(worker.name.printable): draining")
    }
}

struct RevokeWorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Takes a worker's key off the list, at once; its jobs go to other workers.")

    @Argument(help: "The worker's id, its key, or at least eight digits of the key.")
    var worker: String

    @OptionGroup var client: ClientOptions

    func run() async throws {
        let revoked: RevokedKeys = try await client.client().post("/api/v1/workers/\(worker)/revoke")
        if client.json { return try sayJSON(revoked) }
        for key in revoked.keys { say("\(key): revoked") }
    }
}

struct RotateKeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-key", abstract: "Replaces the coordinator's key for workers.",
        discussion: """
            The first call makes a new key, which the coordinator announces to its workers; further calls show who has \
            saved it. With --finish the coordinator takes it into use: workers connect again and keep their jobs. \
            Unused invitations end then.
            """)

    @Flag(help: "Take the announced key into use.")
    var finish = false

    @Flag(help: "With --finish: also if some workers have not saved the key. Those must join again.")
    var force = false

    @OptionGroup var client: ClientOptions

    func validate() throws {
        if force, !finish { throw ValidationError("--force is given without --finish") }
    }

    func run() async throws {
        let status: ServerKeyStatus = try await client.client().post(
            "/api/v1/server-key/\(finish ? "finish" : "rotate")", query: force ? ["force": "true"] : [:])
        if client.json { return try sayJSON(status) }
        guard let next = status.nextKey else {
            return say("workers now know this coordinator by the key \(status.key)")
        }
        let count = status.saved.count + status.waiting.count
        say("the next key is \(next); \(status.saved.count) of \(count) workers have saved it")
        for worker in status.waiting { say("  not yet: \(worker.name.printable) (\(worker.key.prefix(16)))") }
        complain("'texloom workers rotate-key --finish' takes it into use")
    }
}
