import ArgumentParser
import Foundation
import Testing

@testable import texloom

@Suite struct HelpTests {
    private static func commands(
        _ command: any ParsableCommand.Type = TexloomCommand.self
    ) -> [any ParsableCommand.Type] {
        [command] + command.configuration.subcommands.flatMap { commands($0) }
    }

    /// ArgumentParser wraps lines at the terminal's width. Lines that already have breaks would come out in pieces.
    @Test func helpIsBrokenOnce() {
        for command in Self.commands() {
            let lines = command.configuration.discussion.split(separator: "\n", omittingEmptySubsequences: false)
            for (line, next) in zip(lines, lines.dropFirst()) where !line.isEmpty && !next.isEmpty {
                #expect(
                    line.hasPrefix(" ") || next.hasPrefix(" "),
                    "\(command.configuration.commandName ?? ""): a paragraph is one line: \(line)")
            }
            for line in lines where line.hasPrefix(" ") { #expect(line.count <= 80, "\(line)") }
        }
    }

    @Test func helpNamesEveryExitCode() throws {
        let lines = TexloomCommand.configuration.discussion.split(separator: "\n")
        let codes = try #require(lines.first { $0.hasPrefix("Exit codes:") })
        for code in [CommandExit.done, .failed, .usage, .tryAgain, .duplicate, .checkpointed] {
            #expect(codes.contains(" \(code.rawValue) "), "\(code)")
        }
    }

    @Test func tokensSayThatWithoutAnAddressTheyUseTheDataFolder() {
        for command in TokensCommand.configuration.subcommands {
            let help = TexloomCommand.helpMessage(for: command, columns: 1000)
            #expect(
                help.contains("Ask this coordinator instead of the data folder") && !help.contains(APIClient.standard))
        }
    }

    @Test func everyLineOfHelpFitsEightyColumns() {
        for command in Self.commands() {
            let help = TexloomCommand.helpMessage(for: command, columns: 80)
            for line in help.split(separator: "\n") where !line.hasPrefix("USAGE") {
                #expect(line.count <= 80, "\(line)")
            }
        }
    }

    @Test(arguments: [
        (["trian", "photo.jpg"], "did you mean 'texloom train'?"),
        (["help", "gahter"], "did you mean 'texloom gather'?"),
        (["bench", "stpe"], "did you mean 'texloom bench step'?"), (["LIST"], nil), (["zzzzzz"], "there is no command"),
    ])
    func aMistypedCommandIsTold(arguments: [String], expected: String?) throws {
        let failure = try #require(TexloomCommand.unknownCommand(in: arguments))
        #expect(failure.exitCode == .usage)
        if let expected { #expect(failure.message.contains(expected), "\(failure.message)") }
    }

    @Test func whatIsACommandIsNotTold() {
        for arguments in [["train", "trian"], ["--version"], ["list", "--recpie"], [], ["bench", "--help"]] {
            #expect(TexloomCommand.unknownCommand(in: arguments) == nil)
        }
    }

    @Test func aMistypedOptionIsTold() throws {
        let scratch = try ScratchFolder()
        let result = try TexloomProcess.run(["list", "--staet", "held"], folder: scratch.url)
        #expect(result.status == 2 && result.errors.contains("Did you mean '--state'?"))
    }
}
