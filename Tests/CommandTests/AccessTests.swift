import Foundation
import Protocol
import Testing

/// Tokens, TLS and stopping, with real processes.
@Suite(.timeLimit(.minutes(10)))
struct AccessTests {
    private let scratch: ScratchFolder
    private var folder: URL { scratch.url }

    init() throws { scratch = try ScratchFolder() }

    private func start(_ arguments: [String]) throws -> (process: TexloomProcess, address: String) {
        let process = try TexloomProcess(
            ["coordinator", "--data", scratch.path("data"), "--workers", "tcp://127.0.0.1:0"] + arguments,
            folder: folder,
            launcher: TinyCluster.heedingHangUps)
        var address = ""
        try eventually("the coordinator says where it listens") {
            guard let match = process.output.firstMatch(of: /(https?:\/\/\S+) for/) else {
                if !process.isRunning { throw Unmet(what: "a coordinator that starts: \(process.errors)") }
                return false
            }
            address = String(match.1)
            return true
        }
        return (process, address)
    }

    private func run(_ arguments: [String], _ environment: [String: String] = [:]) throws -> TexloomProcess.Result {
        try TexloomProcess.run(arguments, folder: folder, environment: environment)
    }

    /// Makes a token on the data folder and keeps it in a private file.
    private func tokenFile(_ name: String, role: String, _ options: [String] = []) throws -> String {
        let made = try run(["tokens", "create", name, "--role", role, "--data", scratch.path("data")] + options)
        #expect(made.status == 0 && made.output.hasPrefix("txl_"), "\(made.errors)")
        let path = scratch.path(name)
        try Data(made.output.utf8).write(to: URL(fileURLWithPath: path))
        chmod(path, 0o600)
        return path
    }

    @Test func aSharedMachineAsksForTokens() throws {
        let first = try tokenFile("root", role: "admin")
        let (coordinator, address) = try start(["--http", "127.0.0.1:0", "--require-auth"])
        defer { coordinator.killAndWait() }
        let api = ["TEXLOOM_API": address]
        let refused = try run(["list"], api)
        #expect(refused.status == 1 && refused.errors.contains("TEXLOOM_TOKEN_FILE"), "\(refused.errors)")
        #expect(try run(["list"], api.merging(["TEXLOOM_TOKEN_FILE": first]) { $1 }).status == 0)
        // A token that is made while the coordinator runs counts at once.
        let viewer = api.merging(["TEXLOOM_TOKEN_FILE": try tokenFile("ann", role: "viewer")]) { $1 }
        #expect(try run(["list"], viewer).status == 0)
        let forbidden = try run(["audit"], viewer)
        #expect(forbidden.status == 1 && forbidden.errors.contains("role viewer"), "\(forbidden.errors)")

        let admin = api.merging(["TEXLOOM_TOKEN_FILE": first]) { $1 }
        let list = try run(["tokens", "list"], admin)
        #expect(list.output.contains("ann") && list.output.contains("viewer") && !list.output.contains("txl_"))
        #expect(try run(["tokens", "revoke", "ann"], admin).status == 0)
        #expect(try run(["list"], viewer).errors.contains("revoked"))
        let audit = try run(["audit"], admin).output
        #expect(audit.contains("token.revoke") && audit.contains("local:"), "\(audit)")
    }

    @Test func aTokenEndsWhenItsTimeIsOver() throws {
        let (coordinator, address) = try start(["--http", "127.0.0.1:0", "--require-auth"])
        defer { coordinator.killAndWait() }
        func create(_ name: String, _ expires: String) throws -> [String: String] {
            let file = try tokenFile(name, role: "viewer", ["--expires", expires])
            return ["TEXLOOM_API": address, "TEXLOOM_TOKEN_FILE": file]
        }
        let (long, short) = (try create("ann", "90d"), try create("bob", "1s"))
        try eventually("the short one has ended") { try run(["list"], short).status == 1 }
        let refused = try run(["list"], short)
        #expect(refused.status == 1 && refused.errors.contains("expired"), "\(refused.errors)")
        #expect(try run(["list"], long).status == 0)
        let list = try run(["tokens", "list", "--data", scratch.path("data"), "--json"])
        let tokens = try APIFormat.decoder.decode([TokenSummary].self, from: Data(list.output.utf8))
        #expect(tokens.map { $0.expiresAt?.timeIntervalSince($0.createdAt) } == [90 * 86_400, 1], "\(list.output)")
        let shown = try run(["tokens", "list", "--data", scratch.path("data")]).output.split(separator: "\n")
        #expect(shown.contains { $0.hasPrefix("bob") && $0.contains("expired") }, "\(shown)")
        let end = try #require(tokens[0].expiresAt).formatted(.iso8601)
        #expect(shown.contains { $0.hasPrefix("ann") && $0.contains("valid") && $0.contains(end) }, "\(shown)")
    }

    @Test func aMistypedDataFolderStaysAsItIs() throws {
        let files = FileManager.default
        func mode(_ path: String) throws -> Int? {
            try files.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        let photos = scratch.path("photos")
        try files.createDirectory(atPath: photos, withIntermediateDirectories: false)
        chmod(photos, 0o755)
        for content in [[], ["wall.png"]] as [[String]] {
            for name in content { try Data([1]).write(to: URL(fileURLWithPath: "\(photos)/\(name)")) }
            var commands = [["list"], ["revoke", "ann"]]
            if !content.isEmpty { commands.append(["create", "ann", "--role", "admin"]) }
            for command in commands {
                let result = try run(["tokens"] + command + ["--data", photos])
                #expect(
                    result.status == 1 && result.errors.contains("no coordinator's store in \(photos)"),
                    "\(command): \(result.errors)")
                #expect(try mode(photos) == 0o755 && files.contentsOfDirectory(atPath: photos) == content)
            }
        }
        let missing = try run(["tokens", "list", "--data", scratch.path("none")])
        #expect(missing.status == 1 && !files.fileExists(atPath: scratch.path("none")), "\(missing.errors)")

        // An empty folder becomes the coordinator's, and its owner's.
        try files.createDirectory(atPath: scratch.path("data"), withIntermediateDirectories: false)
        _ = try tokenFile("ann", role: "admin")
        #expect(try mode(scratch.path("data")) == 0o700 && mode(scratch.path("data/jobs.sqlite")) == 0o600)
        let list = try run(["tokens", "list", "--data", scratch.path("data")])
        #expect(list.status == 0 && list.output.contains("ann"), "\(list.errors)")
        let revoked = try run(["tokens", "revoke", "ann", "--data", scratch.path("data"), "--json"])
        let tokens = try APIFormat.decoder.decode([TokenSummary].self, from: Data(revoked.output.utf8))
        #expect(tokens.map(\.name) == ["ann"] && tokens[0].revokedAt != nil, "\(revoked.output)")
    }

    /// A link to itself stands for a folder that may not be entered: root may enter all others.
    @Test func whatCannotBeLookedAtIsNotTakenForMissing() throws {
        try FileManager.default.createSymbolicLink(atPath: scratch.path("loop"), withDestinationPath: "loop")
        let data = scratch.path("loop/data")
        for command in [
            ["tokens", "list"], ["tokens", "create", "ann", "--role", "admin"], ["coordinator", "--check"],
        ] {
            let result = try run(command + ["--data", data])
            #expect(result.status == 1, "\(command)")
            #expect(
                result.errors.contains("the data folder \(data) cannot be read: Too many levels of symbolic links"),
                "\(command): \(result.errors)")
        }
        let recipe = try run(["train", "x.png", "--recipe", scratch.path("loop/r.yaml")])
        #expect(recipe.status == 2 && recipe.errors.contains("cannot be read: Too many levels"), "\(recipe.errors)")
    }

    @Test func aTokenStaysInPrivateFiles() throws {
        let path = try tokenFile("root", role: "admin")
        let token = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .newlines)
        chmod(path, 0o640)
        let shared = try run(["list"], ["TEXLOOM_TOKEN_FILE": path])
        #expect(shared.status == 2 && shared.errors.contains("chmod 600"), "\(shared.errors)")
        let missing = try run(["list"], ["TEXLOOM_TOKEN_FILE": scratch.path("none")])
        #expect(missing.status == 2 && missing.errors.contains("No such file"), "\(missing.errors)")
        let config = scratch.path("config.yaml")
        try Data("token: \(token)".utf8).write(to: URL(fileURLWithPath: config))
        chmod(config, 0o644)
        #expect(try run(["list"], ["TEXLOOM_CONFIG": config]).errors.contains("chmod 600"))
        chmod(config, 0o600)
        let alone = try run(["list", "--api", "http://127.0.0.1:9"], ["TEXLOOM_CONFIG": config])
        #expect(alone.status == 75, "\(alone.errors)")
        for address in ["http://192.0.2.1:9", "http://loom.example"] {
            let open = try run(["list", "--api", address], ["TEXLOOM_CONFIG": config])
            #expect(open.status == 2 && open.errors.contains("https://"), "\(open.errors)")
            #expect(!open.errors.contains(token.dropFirst(4)))
        }
        let proxied = try run(
            ["list", "--api", "http://127.0.0.1:9"],
            ["TEXLOOM_CONFIG": config, "TEXLOOM_PROXY": "http://192.0.2.1:3128"])
        #expect(proxied.status == 2)
    }

    @Test func aTokenIsNotSentWhereARedirectLeads() throws {
        let path = try tokenFile("root", role: "admin")
        // Answers every request with a redirect, and writes down what the second server sees.
        let script = """
            import http.server, threading, sys
            class Away(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(302); self.send_header("Location", f"http://localhost:{thief.server_port}/"); self.end_headers()
            class Thief(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    open(sys.argv[1], "w").write(str(self.headers)); self.send_response(200); self.end_headers()
            thief = http.server.HTTPServer(("127.0.0.1", 0), Thief)
            away = http.server.HTTPServer(("127.0.0.1", 0), Away)
            threading.Thread(target=thief.serve_forever, daemon=True).start()
            print(away.server_port, flush=True)
            away.serve_forever()
            """
        let server = try PythonServer(script, scratch.path("stolen"))
        let result = try run(["list", "--api", server.address], ["TEXLOOM_TOKEN_FILE": path])
        #expect(result.status == 1 && result.errors.contains("redirects to"), "\(result.errors)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("stolen")))
    }

    @Test func aFullDiskThatGetsSpaceAgainIsWorthAnotherTry() throws {
        // Says when to try again if the address does.
        let script = """
            import http.server
            class Full(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(507)
                    if self.path.startswith("/later/"): self.send_header("Retry-After", "60")
                    self.end_headers()
            server = http.server.HTTPServer(("127.0.0.1", 0), Full)
            print(server.server_port, flush=True)
            server.serve_forever()
            """
        let server = try PythonServer(script)
        for (place, status) in [("later", Int32(75)), ("never", 1)] {
            let result = try run(["list", "--api", "\(server.address)/\(place)"])
            #expect(result.status == status && result.errors.contains("507"), "\(result.errors)")
        }
    }

    @Test func otherMachinesNeedTLSAndAHangUpReadsTheCertificateAgain() throws {
        for name in ["old", "new"] { try scratch.makeCertificate(name) }
        func use(_ name: String) throws {
            for kind in ["pem", "key"] {
                let bytes = try Data(contentsOf: URL(fileURLWithPath: scratch.path("\(name).\(kind)")))
                try bytes.write(to: URL(fileURLWithPath: scratch.path("server.\(kind)")))
            }
        }
        try use("old")
        let (coordinator, address) = try start([
            "--http", "0.0.0.0:0", "--tls-certificate", scratch.path("server.pem"), "--tls-key",
            scratch.path("server.key"),
        ])
        defer { if coordinator.isRunning { coordinator.killAndWait() } }
        #expect(address.hasPrefix("https://"))
        let local = address.replacing("0.0.0.0", with: "localhost")
        let token = ["TEXLOOM_TOKEN_FILE": try tokenFile("ann", role: "viewer"), "TEXLOOM_API": local]
        func list(trusting name: String) throws -> TexloomProcess.Result {
            try run(["list"], token.merging(["TEXLOOM_API_CA": scratch.path("\(name).pem")]) { $1 })
        }
        let fine = try list(trusting: "old")
        #expect(fine.status == 0, "\(fine.errors)")
        #expect(try list(trusting: "new").status != 0, "a stranger's certificate")
        #expect(try run(["list"], ["TEXLOOM_API": local, "TEXLOOM_API_CA": scratch.path("old.pem")]).status == 1)
        #expect(try run(["list", "--api", local.replacing("https", with: "http")]).status != 0, "plain HTTP")

        // A key that does not belong to the certificate changes nothing.
        try Data(contentsOf: URL(fileURLWithPath: scratch.path("new.key")))
            .write(to: URL(fileURLWithPath: scratch.path("server.key")))
        coordinator.send(SIGHUP)
        try eventually("it refuses the pair") { coordinator.errors.contains("does not belong to the certificate") }
        #expect(try list(trusting: "old").status == 0)
        try use("new")
        coordinator.send(SIGHUP)
        try eventually("it uses the new certificate") { try list(trusting: "new").status == 0 }
        #expect(try list(trusting: "old").status != 0)
        coordinator.send(SIGTERM)
        #expect(coordinator.wait().status == 0)
    }

    @Test func anAddressThatOtherMachinesReachNeedsACertificateWithItsKey() throws {
        for arguments in [["--http", "0.0.0.0:0"], ["--tls-key", "x"]] {
            let result = try run(["coordinator", "--data", scratch.path("d")] + arguments)
            #expect(result.status == 2 && result.errors.contains("--tls-certificate"), "\(result.errors)")
        }
        #expect(!FileManager.default.fileExists(atPath: scratch.path("d")))
    }

    @Test func aRequestThatNeverEndsDoesNotKeepTheCoordinatorFromStopping() throws {
        let (coordinator, address) = try start(["--http", "127.0.0.1:0"])
        let script = """
            import socket, sys, time
            port = int(sys.argv[1].rsplit(":", 1)[1])
            def request(text):
                s = socket.create_connection(("127.0.0.1", port)); s.sendall(text.encode()); return s
            host = "Host: 127.0.0.1\\r\\n"
            held = [request("POST /api/v1/exemplars HTTP/1.1\\r\\n" + host + "Content-Length: 1000\\r\\n\\r\\nabc"),
                request("GET /api/v1/events HTTP/1.1\\r\\n" + host + "\\r\\n"), request("GET / HTTP/1.1\\r\\n")]
            time.sleep(1); print("held", flush=True); time.sleep(600)
            """
        let client = Process()
        let output = Pipe()
        client.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        client.arguments = ["python3", "-c", script, address]
        client.standardOutput = output
        client.standardError = FileHandle.nullDevice
        try client.run()
        // A child that lives on would hold the pipes of the tests.
        defer { kill(client.processIdentifier, SIGKILL) }
        _ = output.fileHandleForReading.availableData
        coordinator.send(SIGTERM)
        try eventually("it stops") { !coordinator.isRunning }
        let ended = coordinator.wait()
        #expect(ended.status == 0 && !ended.wasKilled, "\(ended.errors)")
        #expect(!ended.errors.contains("stopping takes too long"), "\(ended.errors)")
    }
}
