import Foundation
import Testing

/// Messages about ends, with real processes: the receiver is the one in docs/operations.md.
@Suite("Notifications of a coordinator", .timeLimit(.minutes(10)))
struct NotificationTests {
    private let scratch: ScratchFolder

    init() throws { scratch = try ScratchFolder() }

    private func file(_ name: String, _ text: String, mode: mode_t = 0o600) throws -> String {
        let path = scratch.path(name)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        chmod(path, mode)
        return path
    }

    private func secret() throws -> String {
        try file("secret", "whsec_" + Data((1...32).map { UInt8($0) }).base64EncodedString() + "\n")
    }

    /// The program of the documentation.
    private func receiverScript() throws -> String {
        let text = try Project.text("docs/operations.md")
        let block = try #require(text.firstMatch(of: /```python\n(?<code>[\s\S]*?)```/))
        return try file("receiver.py", String(block.code))
    }

    private final class Receiver {
        let process = Process()
        let output: URL

        init(_ script: String, secret: String, port: Int, output: URL) throws {
            self.output = output
            if !FileManager.default.fileExists(atPath: output.path) { try Data().write(to: output) }
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["python3", "-u", script, secret, "\(port)"]
            let handle = try FileHandle(forWritingTo: output)
            try handle.seekToEnd()
            process.standardOutput = handle
            process.standardError = FileHandle.nullDevice
            try process.run()
        }

        var lines: [String] {
            let text = (try? String(contentsOf: output, encoding: .utf8)) ?? ""
            return text.split(separator: "\n").map(String.init)
        }

        deinit {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
    }

    /// A port on which nothing listens, kept from programs that ask the system for any port. One that wants this port and
    /// sets SO_REUSEADDR, as Python's servers do, gets it.
    private final class ReservedPort {
        private let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let number: Int

        init() throws {
            var (reuses, address, size) = (Int32(1), sockaddr_in(), socklen_t(MemoryLayout<sockaddr_in>.size))
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuses, socklen_t(MemoryLayout<Int32>.size))
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = inet_addr("127.0.0.1")
            let result = withUnsafeMutablePointer(to: &address) { [descriptor] pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
                }
            }
            try #require(result, "no port: \(String(cString: strerror(errno)))")
            number = Int(UInt16(bigEndian: address.sin_port))
        }

        deinit { close(descriptor) }
    }

    @Test func aMessageSurvivesTheDeathOfTheCoordinatorAndTheReceiverOfTheDocumentationTakesIt() throws {
        let secret = try secret()
        let reserved = try ReservedPort()
        defer { withExtendedLifetime(reserved) {} }
        let port = reserved.number
        let script = try receiverScript()
        let cluster = try TinyCluster(options: ["--notify", "http://127.0.0.1:\(port)/", "--notify-secret", secret])
        let exemplar = try cluster.writeExemplar("bricks.png", seed: 1)
        let submitted = try cluster.run(
            ["submit", "--batch", "walls"] + TinyCluster.recipe(iterations: 40) + [exemplar])
        #expect(submitted.status == 0, "\(submitted.errors)")
        #expect(try cluster.run(["cancel", "bricks"]).status == 0)
        // Nothing listens there; the coordinator is killed with the messages undelivered, and starts again.
        try cluster.restartCoordinator()
        let output = scratch.url.appendingPathComponent("received")
        var receiver: Receiver? = try Receiver(script, secret: secret, port: port, output: output)
        try eventually("both messages arrive") { receiver?.lines.count == 2 }
        let lines = try #require(receiver?.lines).sorted { $0.prefix(1) > $1.prefix(1) }
        #expect(lines[0].hasPrefix("job.cancelled") && lines[0].contains("bricks"), "\(lines)")
        #expect(lines[1].hasPrefix("batch.ended") && lines[1].contains("walls"), "\(lines)")
        receiver = nil

        // A receiver with another secret takes nothing.
        let other = try file("other", "whsec_" + Data(repeating: 9, count: 32).base64EncodedString())
        receiver = try Receiver(script, secret: other, port: port, output: output)
        #expect(try cluster.run(["retry", "bricks"]).status == 0)
        #expect(try cluster.run(["cancel", "bricks"]).status == 0)
        try eventually("the receiver refuses it") { cluster.coordinator.errors.contains("it answered 401") }
        #expect(receiver?.lines.count == 2)
        #expect(!cluster.coordinator.errors.contains("whsec_"))
    }

    @Test func aTestMessageSaysWhetherEachReceiverWorks() throws {
        let secret = try secret()
        let good = try file("good", "#!/bin/sh\ncat >'\(scratch.path("input"))'\n", mode: 0o700)
        let bad = try file("bad", "#!/bin/sh\necho 'no route' >&2; exit 4\n", mode: 0o700)
        func test(_ arguments: [String], _ environment: [String: String] = [:]) throws -> TexloomProcess.Result {
            try TexloomProcess.run(
                ["coordinator", "--notify-test"] + arguments, folder: scratch.url, environment: environment)
        }
        let fine = try test(["--notify-command", good])
        #expect(fine.status == 0 && fine.output == "\(good): took the message\n", "\(fine.errors)")
        #expect(try String(contentsOfFile: scratch.path("input"), encoding: .utf8).contains(#""type":"test""#))
        let failed = try test([], ["TEXLOOM_NOTIFY_COMMAND": bad])
        let failure = "\(bad): failed: it ended with status 4: no route\n"
        #expect(failed.status == 1 && failed.output == failure)
        // Some launchers ignore SIGCHLD, and every process below them inherits that.
        let launched = try TexloomProcess(
            ["coordinator", "--notify-test", "--notify-command", bad], folder: scratch.url,
            launcher: ["/usr/bin/env", "--ignore-signal=CHLD"]
        ).wait()
        #expect(launched.status == 1 && launched.output == failure, "\(launched.errors)")
        let reserved = try ReservedPort()
        defer { withExtendedLifetime(reserved) {} }
        let port = reserved.number
        let gone = try test(
            [],
            ["TEXLOOM_NOTIFY": "http://127.0.0.1:\(port)/x http://localhost:\(port)/", "TEXLOOM_NOTIFY_SECRET": secret])
        #expect(gone.status == 1 && gone.output.contains("http://127.0.0.1:\(port): failed: Connection refused\n"))
        #expect(gone.output.split(separator: "\n").count == 2 && !gone.output.contains("/x"))
        #expect(try test([]).status == 2)
    }

    @Test func settingsThatCannotBeAreRefused() throws {
        let open = try file("open", "whsec_" + Data(repeating: 1, count: 32).base64EncodedString(), mode: 0o644)
        for (arguments, reason) in [
            (["--notify", "https://hooks.example/"], "--notify-secret FILE"),
            (["--notify", "hooks.example", "--notify-secret", "x"], "expected one like https://"),
            (["--notify", "https://hooks.example/", "--notify-secret", open], "chmod 600"),
            (["--notify-command", "/none/tell"], "No such file or directory"),
            (["--notify-on", "finished,ended"], "expected some of finished, failed, held"),
            (["--notify-command", "/bin/true", "--public-url", "loom"], "--public-url 'loom' is no address"),
        ] {
            let result = try TexloomProcess.run(
                [
                    "coordinator", "--data", scratch.path("data"), "--http", "127.0.0.1:0", "--workers",
                    "tcp://127.0.0.1:0",
                ]
                    + arguments, folder: scratch.url)
            #expect(result.status == 2 && result.errors.contains(reason), "\(arguments): \(result.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: scratch.path("data/jobs.sqlite")))
    }

    @Test func aCertificateThatTheSystemDoesNotTrustIsRefused() throws {
        try scratch.makeCertificate("server")
        // Any server with TLS will do.
        let server = try TexloomProcess(
            [
                "coordinator", "--data", scratch.path("data"), "--workers", "tcp://127.0.0.1:0", "--http",
                "localhost:0", "--tls-certificate", scratch.path("server.pem"), "--tls-key",
                scratch.path("server.key"),
            ], folder: scratch.url)
        defer { server.killAndWait() }
        var address = ""
        try eventually("the server says where it listens") {
            guard let match = server.output.firstMatch(of: /(https:\/\/\S+) for/) else { return false }
            address = String(match.1)
            return true
        }
        let result = try TexloomProcess.run(
            ["coordinator", "--notify-test", "--notify", address, "--notify-secret", try secret()], folder: scratch.url)
        #expect(result.status == 1 && result.output.contains("certificate that is not trusted"), "\(result.output)")
    }
}
