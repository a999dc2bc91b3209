import Foundation
import Protocol
import Testing

@testable import texloom

/// Workers of an encrypted coordinator, as separate processes: invite, join, and everything that can be wrong.
@Suite("Joining", .timeLimit(.minutes(10)), .serialized)
struct JoiningTests {
    private let cluster: TinyCluster
    private let admin: [String: String]
    private var folder: ScratchFolder { cluster.scratch.folder }

    init() throws {
        cluster = try TinyCluster(options: ["--require-auth"])
        let created = try cluster.run(
            ["tokens", "create", "admin", "--role", "admin", "--data", cluster.scratch.folder.path("coordinator")])
        let file = cluster.scratch.folder.path("token")
        try Data(created.output.utf8).write(to: URL(fileURLWithPath: file))
        #expect(chmod(file, 0o600) == 0)
        admin = ["TEXLOOM_TOKEN_FILE": file]
    }

    private func ask(_ arguments: String...) throws -> TexloomProcess.Result {
        try cluster.run(arguments, environment: admin)
    }

    /// The string that the invitation's command ends with.
    private func invite() throws -> String {
        let result = try ask("invite")
        #expect(result.status == 0, "\(result.errors)")
        let line = result.output.trimmingCharacters(in: .newlines)
        #expect(line.hasPrefix("texloom worker --join txl-join-1-"), "\(line)")
        return String(line.split(separator: " ").last ?? "")
    }

    private func worker(_ name: String, _ options: String...) throws -> TexloomProcess {
        try TexloomProcess(
            ["worker", "--slots", "1", "--threads", "1", "--name", name, "--data", folder.path(name)] + options,
            folder: folder.url, launcher: TinyCluster.heedingHangUps)
    }

    private func waitUntilConnected(_ name: String, _ process: TexloomProcess) throws {
        try eventually("\(name) is connected") {
            if !process.isRunning { throw Unmet(what: "a worker that runs: \(process.errors)") }
            let workers = try APIFormat.decoder.decode(
                [WorkerSummary].self, from: Data(try ask("workers", "--json").output.utf8))
            return workers.contains { $0.name == name && $0.isConnected && $0.key != nil }
        }
    }

    private func stop(_ process: TexloomProcess) {
        process.send(SIGTERM)
        #expect(process.wait().status == 85)
    }

    /// The worker ends by itself and says this.
    private func expect(_ process: TexloomProcess, says text: String) {
        let result = process.wait()
        #expect(result.status != 0 && !result.wasKilled && result.errors.contains(text), "\(result.errors)")
    }

    @Test func oneCommandMakesAWorkerThatTrainsAndComesBackByItself() throws {
        let invitation = try invite()
        var process = try worker("guest", "--join", invitation)
        try waitUntilConnected("guest", process)
        let exemplar = try cluster.writeExemplar("stripes.png", seed: 1)
        let submitted = try cluster.run(
            ["submit", exemplar] + TinyCluster.recipe(iterations: 20), environment: admin)
        #expect(submitted.status == 0, "\(submitted.errors)")
        try eventually("the job is finished") {
            let listed = Data(try ask("list", "--json").output.utf8)
            return try APIFormat.decoder.decode([JobSummary].self, from: listed).map(\.state) == [.finished]
        }
        stop(process)
        for name in ["worker-key", "worker-secret", "cluster.json", "worker-id"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: folder.path("guest/\(name)"))
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
        }
        // Neither the string nor the address is needed again; a supervisor may repeat them.
        process = try worker("guest")
        try waitUntilConnected("guest", process)
        stop(process)
        process = try worker("guest", "--join", invitation)
        try waitUntilConnected("guest", process)

        // The string is used up.
        expect(try worker("second", "--join", invitation), says: "used by another worker")

        // The coordinator changes its key under the running worker. The string still stands for the same membership.
        let early = try ask("workers", "rotate-key", "--finish", "--force")
        #expect(early.errors.contains("no new key is being announced"))
        try eventually("the worker has saved the new key") {
            try ask("workers", "rotate-key").output.contains("1 of 1 workers have saved it")
        }
        let file = folder.url.appendingPathComponent("guest/cluster.json")
        let before = try Data(contentsOf: file)
        #expect(try ask("workers", "rotate-key", "--finish").status == 0)
        try eventually("the worker uses the new key") { try Data(contentsOf: file) != before }
        stop(process)
        process = try worker("guest", "--join", invitation)
        try waitUntilConnected("guest", process)

        // The coordinator keeps the list.
        try cluster.restartCoordinator()
        try waitUntilConnected("guest", process)

        let revoked = try ask(
            "workers", "revoke",
            try String(contentsOfFile: folder.path("guest/worker-id"), encoding: .utf8)
                .trimmingCharacters(in: .newlines))
        #expect(revoked.status == 0, "\(revoked.errors)")
        expect(process, says: "key was revoked")
        expect(try worker("guest"), says: "has revoked this worker's key")
    }

    @Test func anInvitationInAFileIsOnNoCommandLine() throws {
        let printed = try ask("invite")
        #expect(printed.status == 0, "\(printed.errors)")
        let file = folder.path("join")
        expect(try worker("guest", "--join", "@\(file)"), says: "the invitation cannot be used")
        try Data(printed.output.utf8).write(to: URL(fileURLWithPath: file))
        #expect(chmod(file, 0o644) == 0)
        expect(try worker("guest", "--join", "@\(file)"), says: "chmod 600")
        #expect(chmod(file, 0o600) == 0)
        let process = try worker("guest", "--join", "@\(file)")
        try waitUntilConnected("guest", process)
        let line = try String(contentsOfFile: "/proc/\(process.id)/cmdline", encoding: .utf8)
        #expect(line.contains("--join") && !line.contains("txl-join"), "\(line)")
        stop(process)
        // The file may also have the string alone. Without one, the invitation is damaged.
        try write("\(try invite())\n", to: file)
        let second = try worker("second", "--join", "@\(file)")
        try waitUntilConnected("second", second)
        stop(second)
        try write("", to: file)
        expect(try worker("third", "--join", "@\(file)"), says: "the invitation is damaged")
    }

    /// Keeps the file's mode.
    private func write(_ text: String, to file: String) throws {
        let handle = try #require(FileHandle(forWritingAtPath: file))
        try handle.truncate(atOffset: 0)
        try handle.write(contentsOf: Data(text.utf8))
        try handle.close()
    }

    @Test func eachMistakeIsNamed() throws {
        let invitation = try invite()
        expect(try worker("damaged", "--join", String(invitation.dropLast(3))), says: "the invitation is damaged")
        expect(
            try worker("plain", "--coordinator", cluster.endpoint), says: "speaks only with workers that it has invited"
        )

        let process = try worker("guest", "--join", invitation)
        try waitUntilConnected("guest", process)
        stop(process)
        let file = URL(fileURLWithPath: folder.path("guest/cluster.json"))
        let record = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: String])
        func point(to endpoint: String) throws {
            var changed = record
            changed["endpoint"] = endpoint
            try JSONSerialization.data(withJSONObject: changed).write(to: file)
        }
        // Another coordinator, with another key.
        let other = try TinyCluster(options: ["--require-auth"])
        try point(to: other.endpoint)
        expect(try worker("guest"), says: "has another key than the coordinator that invited this worker")
        // One that does not encrypt.
        let plain = try TinyCluster()
        try point(to: plain.endpoint)
        expect(try worker("guest"), says: "speaks without encryption")
        // A folder whose key is on no list.
        try point(to: cluster.endpoint)
        try FileManager.default.removeItem(atPath: folder.path("guest/worker-key"))
        expect(try worker("guest"), says: "does not know this worker's key")
        // An invitation to a plain coordinator.
        let needless = try plain.run(["invite"])
        #expect(needless.status == 1 && needless.errors.contains("needs no invitation"), "\(needless.errors)")
    }
}
