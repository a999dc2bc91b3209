import Foundation
import Protocol
import Synchronization
import Testing

@testable import ClusterCore
@testable import Coordinator

/// A coordinator, its receivers, and what lies between them.
@Suite("Notifications", .timeLimit(.minutes(10)))
struct NotificationTests {
    private let secret = "whsec_" + Data((0..<32).map { UInt8($0) }).base64EncodedString()
    private let scratch = TemporaryFolder()

    private func secretFile() throws -> URL {
        let file = scratch.url.appendingPathComponent("secret")
        try Data(secret.utf8).write(to: file)
        chmod(file.path, 0o600)
        return file
    }

    private func coordinator(
        _ webhooks: [URL], command: URL? = nil, folder: TemporaryFolder = TemporaryFolder()
    ) async throws -> RunningCoordinator {
        let secret = try secretFile()
        return try await RunningCoordinator(folder: folder) { configuration in
            configuration.notifications.webhooks = webhooks
            configuration.notifications.webhookTimeout = .seconds(hangGuardSeconds)
            configuration.notifications.secretFile = secret
            configuration.notifications.command = command
            configuration.notifications.publicURL = URL(string: "https://loom.example/")
        }
    }

    private func cancel(_ coordinator: RunningCoordinator, _ jobs: [AcceptedJob]) async throws {
        for job in jobs {
            #expect(try await coordinator.send("POST", "/api/v1/jobs/\(job.id)/cancel").status == 200)
        }
    }

    /// The suite's time limit guards against what never comes.
    private func eventually(_ condition: () throws -> Bool) async throws {
        while try !condition() { try await Task.sleep(for: .milliseconds(50)) }
    }

    private func metric(_ coordinator: RunningCoordinator, _ name: String, to kind: String) async throws -> Double? {
        try MetricsPage(parsing: try await coordinator.get("/metrics").text)[
            "texloom_notifications_\(name)", ["to": kind]]
    }

    @Test func aSignedMessageArrivesAfterFailuresAndARestartWithTheSameIdAndBody() async throws {
        let folder = TemporaryFolder()
        let isRestarted = Mutex(false)
        let taken = Mutex(0)
        let receiver = try TestReceiver { _, before in
            switch before {
            case 0: return .status(500)
            case 1: return .closing
            default:
                // A coordinator that lives longer than expected tries more often.
                guard isRestarted.withLock({ $0 }) else { return .status(500) }
                taken.withLock { $0 += 1 }
                return .status(204)
            }
        }
        let first = try await coordinator([receiver.url], folder: folder)
        try await cancel(first, try await first.submit("bricks"))
        try await eventually { receiver.all.count >= 1 }
        await first.stop()
        isRestarted.withLock { $0 = true }
        let second = try await coordinator([receiver.url], folder: folder)
        try await eventually { taken.withLock { $0 } > 0 }
        let tries = receiver.all
        #expect(tries.count >= 3)
        #expect(Set(tries.map(\.id)).count == 1 && Set(tries.map(\.body)).count == 1)
        #expect(tries.allSatisfy { $0.isGenuine(secret: secret) })
        var forged = tries[0]
        forged.body += Data(" ".utf8)
        #expect(!forged.isGenuine(secret: secret))
        #expect(tries[0].headers[""] == "POST /hook/secret-path HTTP/1.1")
        #expect(tries[0].headers["content-type"] == "application/json")
        let message = try APIFormat.decoder.decode(NotificationMessage.self, from: tries[0].body)
        #expect(message.type == .jobCancelled && message.id == tries[0].id)
        #expect(message.data.job?.name == "bricks")
        #expect(message.data.job?.links?.page == "https://loom.example/jobs/\(message.data.job?.id ?? "")")
        while try await metric(second, "delivered_total", to: "webhook") != 1 {}
        #expect(try await metric(second, "waiting", to: "webhook") == 0)
        #expect(try await metric(second, "failed_total", to: "command") == 0)
        await second.stop()
        let count = taken.withLock { $0 }
        #expect(count == 1 && receiver.all.count == tries.count)
    }

    @Test func aReceiverThatNeverAnswersDelaysNeitherJobsNorOthersNorTheStop() async throws {
        let silent = try TestReceiver { _, _ in .silence }
        let good = try TestReceiver()
        let coordinator = try await coordinator([silent.url, good.url])
        let jobs = try await coordinator.submit("a", "b", "c", "d", "e", "f")
        try await cancel(coordinator, jobs)
        try await eventually { good.all.count == 6 && !silent.all.isEmpty }
        let names = try good.all.map {
            try APIFormat.decoder.decode(NotificationMessage.self, from: $0.body).data.job?.name
        }
        #expect(names == ["a", "b", "c", "d", "e", "f"])
        #expect(silent.all.count == 1, "it still waits for the first answer")
        // What the good one took leaves the store soon.
        while try await metric(coordinator, "waiting", to: "webhook") != 6 {}
        // Ends although a request is under way.
        await coordinator.stop()
    }

    @Test func anAnswerWithoutEndIsNotRead() async throws {
        let receiver = try TestReceiver { _, before in before == 0 ? .endless : .status(200) }
        let coordinator = try await coordinator([receiver.url])
        try await cancel(coordinator, try await coordinator.submit("a", "b"))
        try await eventually { receiver.all.count == 2 }
        #expect(receiver.all[0].id != receiver.all[1].id, "its status was good, so the message has arrived")
        await coordinator.stop()
    }

    @Test func aRedirectIsNotFollowed() async throws {
        let thief = try TestReceiver()
        let receiver = try TestReceiver { _, _ in .status(307, headers: "Location: http://127.0.0.1:\(thief.port)/\r\n")
        }
        let coordinator = try await coordinator([receiver.url])
        try await cancel(coordinator, try await coordinator.submit("a"))
        try await eventually { receiver.all.count >= 2 }
        #expect(thief.all.isEmpty)
        await coordinator.stop()
    }

    @Test func aCommandGetsTheMessageAndNoSecretAndIsRunAgainIfItFails() async throws {
        let folder = scratch.url.path
        let script = scratch.url.appendingPathComponent("tell")
        let text = """
            #!/bin/sh
            cat >>'\(folder)/input'; echo >>'\(folder)/input'
            echo "$1 $TEXLOOM_EVENT $TEXLOOM_JOB_NAME $TEXLOOM_STATE $TEXLOOM_BATCH $TEXLOOM_URL" >>'\(folder)/said'
            [ -e '\(folder)/ready' ] && exit 0
            echo useless >&2; echo 'not ready' >&2; exit 3
            """
        try Data(text.utf8).write(to: script)
        chmod(script.path, 0o700)
        let coordinator = try await coordinator([], command: script)
        let jobs = try await coordinator.submit("bricks")
        try await cancel(coordinator, jobs)
        func lines(_ name: String) -> [String] {
            let text = (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? ""
            return text.split(separator: "\n").map(String.init)
        }
        try await eventually { !lines("said").isEmpty }
        while try await metric(coordinator, "failed_total", to: "command") == 0 {}
        try Data().write(to: scratch.url.appendingPathComponent("ready"))
        while try await metric(coordinator, "delivered_total", to: "command") != 1 {}
        await coordinator.stop()
        #expect(
            Set(lines("said")) == [
                "job.cancelled job.cancelled bricks cancelled  https://loom.example/jobs/\(jobs[0].id)"
            ])
        let inputs = lines("input")
        #expect(inputs.count >= 2 && Set(inputs).count == 1)
        let message = try APIFormat.decoder.decode(NotificationMessage.self, from: Data(inputs[0].utf8))
        #expect(message.data.job?.id == jobs[0].id)
    }

    @Test func aCommandInheritsNoSecret() async throws {
        let script = scratch.url.appendingPathComponent("tell")
        let found = scratch.url.appendingPathComponent("environment")
        try Data("#!/bin/sh\nenv >'\(found.path)'\n".utf8).write(to: script)
        chmod(script.path, 0o700)
        let command = NotificationCommand(
            program: script, disk: BlockingWork(), timeout: .seconds(hangGuardSeconds),
            environment: [
                "PATH": "/usr/bin:/bin", "HOME": "/home/ann", "TEXLOOM_TOKEN": "txl_secret", "AWS_SECRET": "secret",
                "LD_PRELOAD": "secret.so",
            ])
        try await command.deliver(
            PendingNotification(.init(id: "x", type: .test, timestamp: Date(), data: .init())))
        let lines = Set(try String(contentsOf: found, encoding: .utf8).split(separator: "\n").map(String.init))
        #expect(
            lines.isSuperset(of: [
                "PATH=/usr/bin:/bin", "HOME=/home/ann", "TEXLOOM_EVENT=test", "TEXLOOM_EVENT_ID=x",
            ]))
        #expect(!lines.contains { $0.contains("secret") }, "\(lines)")
    }

    @Test func whatACommandSaysLastIsTheReasonOfItsFailure() async throws {
        func failure(_ script: String, timeout seconds: Int = hangGuardSeconds) async throws -> String {
            let file = scratch.url.appendingPathComponent("script-\(UUID().uuidString.prefix(6))")
            try Data("#!/bin/sh\n\(script)\n".utf8).write(to: file)
            chmod(file.path, 0o700)
            let command = NotificationCommand(program: file, disk: BlockingWork(), timeout: .seconds(seconds))
            do throws(DeliveryFailure) {
                try await command.deliver(
                    PendingNotification(.init(id: "x", type: .test, timestamp: Date(), data: .init())))
                return "none"
            } catch {
                return error.reason
            }
        }
        #expect(try await failure("exit 0") == "none")
        #expect(try await failure("echo first >&2; echo 'no route' >&2; exit 4") == "it ended with status 4: no route")
        #expect(try await failure("kill -9 $$") == "signal 9 ended it")
        // On a busy machine the command may not have begun within a second.
        for (seconds, text) in [(1, "1 s"), (10, "10 s"), (80, "80 s")] {
            let reason = try await failure("echo started >&2; exec sleep 1000", timeout: seconds)
            if seconds < 80, !reason.contains("started") { continue }
            #expect(reason == "it took more than \(text): started")
            break
        }
    }

    @Test func aTestMessageSaysWhatEachReceiverDid() async throws {
        var configuration = NotificationConfiguration()
        configuration.secretFile = try secretFile()
        configuration.webhookTimeout = .seconds(hangGuardSeconds)
        let good = try TestReceiver()
        let bad = try TestReceiver { _, _ in .status(403) }
        configuration.webhooks = [good.url, bad.url]
        let tests = try await CoordinatorService.testNotifications(configuration)
        #expect(tests.map(\.receiver) == [good, bad].map { "http://127.0.0.1:\($0.port)" }, "without the path")
        #expect(tests.map(\.failure) == [nil, "it answered 403"])
        #expect(good.all.count == 1 && good.all[0].isGenuine(secret: secret))
        let message = try APIFormat.decoder.decode(NotificationMessage.self, from: good.all[0].body)
        #expect(message.type == .test && message.data == .init())
    }

    @Test func receiversThatCannotWorkAreRefusedAtTheStart() throws {
        func problem(_ change: (inout NotificationConfiguration) -> Void) -> String {
            var configuration = NotificationConfiguration()
            change(&configuration)
            do {
                try configuration.validate()
                return "none"
            } catch {
                return "\(error)"
            }
        }
        let hook = URL(string: "https://hooks.example/x")!
        #expect(problem { $0.webhooks = [hook] }.contains("--notify-secret"))
        let file = URL(fileURLWithPath: "/dev/null")
        func address(_ text: String) -> String {
            problem {
                $0.webhooks = [URL(string: text)!]
                $0.secretFile = file
            }
        }
        #expect(address("https://hooks.example/x") == "none")
        #expect(address("ftp://hooks.example/token").contains("expected one like"))
        #expect(!address("ftp://hooks.example/token").contains("token"))
        #expect(address("https://ann:word@hooks.example/").contains("not supported"))
        #expect(!address("https://ann:word@hooks.example/").contains("word@"))
        #expect(address("https:///x").contains("expected one like"))
        #expect(
            problem {
                $0.webhooks = [hook, hook]
                $0.secretFile = file
            }.contains("each once"))
        #expect(problem { $0.command = URL(fileURLWithPath: "/none") }.contains("No such file"))
        #expect(problem { $0.command = URL(fileURLWithPath: "/etc/passwd") }.contains("Permission denied"))
        #expect(problem { $0.command = URL(fileURLWithPath: "/tmp") }.contains("Is a directory"))
        #expect(problem { $0.command = URL(fileURLWithPath: "/bin/sh") } == "none")
        #expect(problem { $0.kinds = [] }.contains("--notify-on"))
    }

    @Test func linksLeadToTheHTTPAddressUnlessItIsNone() {
        var configuration = CoordinatorConfiguration(dataFolder: scratch.url)
        #expect(configuration.pageURL == "http://127.0.0.1:7740")
        configuration.httpHost = "::1"
        #expect(configuration.pageURL == "http://[::1]:7740")
        configuration.httpHost = "0.0.0.0"
        #expect(configuration.pageURL == nil)
        configuration.httpHost = "loom.example"
        configuration.tls = TLSFiles(certificate: scratch.url, key: scratch.url)
        #expect(configuration.pageURL == "https://loom.example:7740")
        configuration.httpPort = 0
        #expect(configuration.pageURL == nil)
    }
}
