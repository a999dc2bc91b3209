import Foundation
import Testing

@testable import OperatingSystem

@Suite("Child commands", .timeLimit(.minutes(10)))
struct ChildCommandTests {
    private func run(
        _ script: String, input: String = "", environment: [String: String] = [:], limit: Duration = .seconds(100),
        isCancelled: () -> Bool = { false }
    ) throws -> ChildCommand.Result {
        try ChildCommand(
            program: URL(fileURLWithPath: "/bin/sh"), arguments: ["-c", script, "sh", "first"],
            environment: environment, input: Data(input.utf8), limit: limit
        ).run(isCancelled: isCancelled)
    }

    @Test func itSaysHowAProgramEndedAndItsLastLine() throws {
        #expect(try run("exit 0") == .init(end: .exited(0), lastLine: ""))
        #expect(
            try run("echo one >&2; echo two >&2; echo >&2; echo shown >&1; exit 7")
                == .init(end: .exited(7), lastLine: "two"))
        #expect(try run("kill -TERM $$").end == .killed(SIGTERM))
        // More than a pipe holds.
        #expect(try run("yes 2>/dev/null | head -c 1000000 >&2; echo end >&2").lastLine == "end")
    }

    @Test func itGetsItsInputArgumentsAndEnvironmentAndNothingElse() throws {
        let input = String(repeating: "input ", count: 100_000)
        let result = try run(
            "echo $(wc -c) $1 $KEY $(env | grep -vcE '^(KEY|PWD|SHLVL|_|OLDPWD)=') >&2", input: input,
            environment: ["KEY": "value"])
        #expect(result == .init(end: .exited(0), lastLine: "600000 first value 0"))
        // A program that does not read its input neither waits nor fails.
        #expect(try run("exit 0", input: input).end == .exited(0))
    }

    @Test func itInheritsNoDescriptorAndNoIgnoredSignal() throws {
        // Not closed on exec, as libraries have them.
        let open = dup(STDERR_FILENO)
        defer { close(open) }
        #expect(fcntl(open, F_GETFD) == 0)
        let listed = try run("cd /proc/self/fd && echo * >&2")
        // Expanding * opens the folder itself for a moment.
        #expect(listed.lastLine.split(separator: " ").filter { $0 != "3" } == ["0", "1", "2"], "\(listed.lastLine)")
        let before = signal(SIGUSR2, SIG_IGN)
        defer { signal(SIGUSR2, before) }
        #expect(try run("kill -USR2 $$").end == .killed(SIGUSR2))
    }

    @Test func anEndThatTheSystemDidNotKeepIsNoSuccess() async {
        // In a process of its own: others of this one wait for their children.
        await #expect(processExitsWith: .success) {
            let command = ChildCommand(
                program: URL(fileURLWithPath: "/bin/sh"), arguments: ["-c", "echo said >&2; exit 7"], environment: [:],
                input: Data(), limit: .seconds(100))
            signal(SIGCHLD, SIG_IGN)
            let ignored = try command.run(isCancelled: { false })
            #expect(ignored == .init(end: .unknown, lastLine: "said"))
            ChildCommand.keepEnds()
            let kept = try command.run(isCancelled: { false })
            #expect(kept == .init(end: .exited(7), lastLine: "said"))
        }
    }

    @Test func aProgramThatTakesTooLongIsKilledWithItsChildren() throws {
        let mark = FileManager.default.temporaryDirectory.appendingPathComponent("texloom-mark-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: mark) }
        // The child writes its number and would live on.
        let script = "sleep 1000 & echo $! >'\(mark.path)'; echo waiting >&2; wait"
        var limit = Duration.milliseconds(1500)
        var result = try run(script, limit: limit)
        // On a busy machine the program may need longer to come that far.
        while result.lastLine.isEmpty, limit < .seconds(100) {
            limit *= 10
            result = try run(script, limit: limit)
        }
        #expect(result == .init(end: .tookTooLong, lastLine: "waiting"))
        let text = try String(contentsOf: mark, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
        let child = try #require(pid_t(text))
        // It may be a zombie until init has noticed.
        var state = ""
        for _ in 0..<2400 {
            let stat = (try? String(contentsOfFile: "/proc/\(child)/stat", encoding: .utf8)) ?? ") Z"
            state = String(stat[stat.lastIndex(of: ")")!...].dropFirst(2).prefix(1))
            if state == "Z" || state == "X" { break }
            usleep(50_000)
        }
        #expect(state == "Z" || state == "X", "the child lives")
        #expect(try run("sleep 1000", isCancelled: { true }).end == .cancelled)
    }

    @Test func aProgramThatIsNotThereIsSaidToBeMissing() {
        do {
            _ = try ChildCommand(
                program: URL(fileURLWithPath: "/none/such"), arguments: [], environment: [:], input: Data(),
                limit: .seconds(1)
            ).run(isCancelled: { false })
            Issue.record("it ran")
        } catch {
            #expect("\(error)" == "cannot run /none/such: No such file or directory")
        }
    }
}
