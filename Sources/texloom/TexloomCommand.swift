import ArgumentParser
import Base
import Coordinator
import Foundation
import NNCore
import OperatingSystem
import TextureGAN

/// The command line: parses, builds a configuration, runs.
@main
struct TexloomCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "texloom",
        abstract: "Trains a generator per texture photograph, and enlarges textures with it.",
        discussion: """
            On one machine, train leaves out/photo_result/:
              texloom train photo.jpg --recipe draft
              texloom expand out/photo_result/generator.safetensors photo.jpg

            On several, with one coordinator and any number of workers:
              texloom coordinator --workers tcp://0.0.0.0:7741
              texloom invite                  (once for each worker, also for one here)
              texloom worker --join STRING    (as texloom invite prints it)
              texloom submit photos/ --recipe fast
              texloom watch
              texloom gather

            Options can also be set in the environment (TEXLOOM_API, TEXLOOM_RECIPE, ...) or in \
            ~/.config/texloom/config.yaml (api: http://..., recipe: fast); flags override the environment, which \
            overrides the file. docs/settings.md lists all of them.

            Exit codes: 0 done, 1 failed, 2 wrong usage, 75 try again, 78 a worker's data folder is a copy that is in \
            use, 85 stopped with a checkpoint.
            """,
        version: "\(texloomVersion) (\(VectorInstructions.current))",
        groupedSubcommands: [
            CommandGroup(
                name: "Training here:",
                subcommands: [
                    TrainCommand.self, ExpandCommand.self, GeneratorCommand.self, ExportCommand.self,
                    EvaluateCommand.self,
                    RecipesCommand.self, WeightsCommand.self,
                    BenchCommand.self,
                ]),
            CommandGroup(
                name: "Serving a cluster:",
                subcommands: [
                    CoordinatorCommand.self, WorkerCommand.self, InviteCommand.self, WorkersCommand.self,
                    TokensCommand.self, AuditCommand.self,
                ]),
            CommandGroup(
                name: "Using a cluster:",
                subcommands: [
                    SubmitCommand.self, ListCommand.self, BatchesCommand.self, ShowCommand.self, WatchCommand.self,
                    LogsCommand.self, CancelCommand.self, RetryCommand.self, ContinueCommand.self, DeleteCommand.self,
                    GatherCommand.self,
                ]),
        ])

    static func main() async {
        // A reader may leave early (head, less); that must not end the process by a signal.
        signal(SIGPIPE, SIG_IGN)
        // A limit on file sizes becomes an error with a message, as on a full disk.
        signal(SIGXFSZ, SIG_IGN)
        ChildCommand.keepEnds()
        do {
            requireInstructionSet()
            let arguments = CommandLine.exactArguments
            if let failure = unknownCommand(in: arguments) { throw failure }
            var command = try parseAsRoot(arguments)
            if type(of: command) is any PrintsOnly.Type { StandardOutput.endWithReader() }
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            if StandardOutput.hasFailed { Foundation.exit(CommandExit.failed.rawValue) }
        } catch let failure as CommandFailure {
            complain(failure.message)
            Foundation.exit(failure.exitCode.rawValue)
        } catch let error as CoordinatorError {
            complain(error.message)
            Foundation.exit(CommandExit.failed.rawValue)
        } catch let shortage as MemoryShortage {
            complain("\(shortage)")
            Foundation.exit(CommandExit.usage.rawValue)
        } catch let failure as ExpansionFailure {
            complain(failure.message)
            Foundation.exit(CommandExit.usage.rawValue)
        } catch let error as TrainingError {
            complain(error.message)
            Foundation.exit((error.code == .badRecipe ? CommandExit.usage : .failed).rawValue)
        } catch {
            if let message = error.systemMessage {
                complain(message)
                Foundation.exit(CommandExit.failed.rawValue)
            }
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            if code == .success {
                StandardOutput.endWithReader()
                say(text)
                Foundation.exit(0)
            }
            if !text.isEmpty { try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8)) }
            Foundation.exit(code == .validationFailure ? CommandExit.usage.rawValue : code.rawValue)
        }
    }

    /// A failure that names the unknown command, and the one that was probably meant.
    static func unknownCommand(in arguments: [String]) -> CommandFailure? {
        var command: any ParsableCommand.Type = Self.self
        var path = "texloom"
        for word in arguments.first == "help" ? arguments.dropFirst() : arguments[...] {
            let names = command.configuration.subcommands.map { ($0.configuration.commandName ?? "", $0) }
            guard !names.isEmpty, !word.hasPrefix("-") else { return nil }
            guard let (name, next) = names.first(where: { $0.0 == word }) else {
                let hint = suggestion(for: word, among: names.map(\.0)).map { "; did you mean '\(path) \($0)'?" }
                return CommandFailure(
                    "there is no command '\(path) \(word)'\(hint ?? ";") '\(path) --help' lists the commands",
                    exit: .usage)
            }
            (command, path) = (next, "\(path) \(name)")
        }
        return nil
    }
}

/// Exit codes, for scripts.
enum CommandExit: Int32 {
    case done = 0
    case failed = 1
    case usage = 2
    /// A later try may succeed: the coordinator is away, or a trainer hung.
    case tryAgain = 75
    /// A restart would fail again: a person has to give the worker another data folder.
    case duplicate = 78
    /// Interrupted, with a checkpoint to resume from.
    case checkpointed = 85
}

/// A failure with a complete message: no usage text follows it.
struct CommandFailure: Error, CustomStringConvertible {
    let message: String
    let exitCode: CommandExit
    /// The HTTP status, if the failure is a coordinator's answer; nil for a proxy's.
    let status: Int?
    var description: String { message }

    init(_ message: String, exit: CommandExit = .failed, status: Int? = nil) {
        self.message = message
        exitCode = exit
        self.status = status
    }
}

/// Writes a message to standard error, with characters that a terminal would interpret written out: parts of the message
/// come from strangers.
func complain(_ message: String) {
    let text = FileName.readable(message).split(separator: "\n", omittingEmptySubsequences: false)
        .map { String($0).printable }.joined(separator: "\n")
    try? FileHandle.standardError.write(contentsOf: Data("texloom: \(text)\n".utf8))
}

/// Writes a value as JSON with sorted keys.
func sayJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    say(terminalSafe(json: try encoder.encode(value)))
}

/// JSON with every character escaped that a terminal would interpret: names come from strangers. Apart from line breaks
/// between values, only strings can hold such characters.
func terminalSafe(json: Data) -> String {
    let text = String(decoding: json, as: UTF8.self)
    guard text.unicodeScalars.contains(where: { $0.isObeyed && $0 != "\n" }) else { return text }
    return text.unicodeScalars.map { scalar in
        scalar.isObeyed && scalar != "\n" ? String(format: "\\u%04x", scalar.value) : String(scalar)
    }.joined()
}
