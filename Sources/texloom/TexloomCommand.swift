import ArgumentParser
import Foundation
import TextureGAN

/// The command line: parses, builds a configuration, runs.
@main
struct TexloomCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "texloom",
        abstract: "Trains a generator per texture photograph, and enlarges textures with it.",
        discussion: """
            On one machine:
              texloom train photo.jpg --recipe draft        trains, leaves out/photo_result/
              texloom expand out/photo_result/generator.safetensors photo.jpg -o large.png

            On several, with one coordinator and any number of workers:
              texloom coordinator
              texloom worker --coordinator tcp://HOST:7741
              texloom submit photos/ --recipe fast
              texloom watch
              texloom gather

            Options can also be set in the environment (TEXLOOM_API, TEXLOOM_RECIPE, ...) or in
            ~/.config/texloom/config.yaml (api: http://..., recipe: fast); flags win over the environment, the
            environment over the file.
            Exit codes: 0 done, 1 failed, 2 wrong usage, 75 try again, 85 stopped with a checkpoint.
            """,
        version: texloomVersion,
        groupedSubcommands: [
            CommandGroup(
                name: "Training here:",
                subcommands: [
                    TrainCommand.self, ExpandCommand.self, GeneratorCommand.self, EvaluateCommand.self,
                    RecipesCommand.self, WeightsCommand.self,
                    BenchCommand.self,
                ]),
            CommandGroup(name: "Serving a cluster:", subcommands: [CoordinatorCommand.self, WorkerCommand.self]),
            CommandGroup(
                name: "Using a cluster:",
                subcommands: [
                    SubmitCommand.self, ListCommand.self, ShowCommand.self, WatchCommand.self, LogsCommand.self,
                    CancelCommand.self, RetryCommand.self, GatherCommand.self,
                ]),
        ])

    static func main() async {
        // A reader that goes away (head, less) is the reader's right, not our death.
        signal(SIGPIPE, SIG_IGN)
        // A limit on file sizes is to be an error like a full disk, and not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
        do {
            requireInstructionSet()
            requireFittingBLAS()
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            complain(failure.message)
            Foundation.exit(failure.exitCode.rawValue)
        } catch let error as TrainingError {
            complain(error.message)
            Foundation.exit((error.code == .badRecipe ? CommandExit.usage : .failed).rawValue)
        } catch {
            let code = exitCode(for: error)
            let text = fullMessage(for: error)
            if code == .success {
                print(text)
                Foundation.exit(0)
            }
            if !text.isEmpty { try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8)) }
            Foundation.exit(code == .validationFailure ? CommandExit.usage.rawValue : code.rawValue)
        }
    }
}

/// What exit codes mean to scripts.
enum CommandExit: Int32 {
    case done = 0
    case failed = 1
    case usage = 2
    /// Nobody's fault, and it may work later: the coordinator is away, or a trainer hung.
    case tryAgain = 75
    /// Started again it would fare no better: a person has to give it another data folder.
    case duplicate = 78
    /// Interrupted, with everything saved to go on from.
    case checkpointed = 85
}

/// A failure whose message is all that a user needs: no usage text follows it.
struct CommandFailure: Error {
    let message: String
    let exitCode: CommandExit

    init(_ message: String, exit: CommandExit = .failed) {
        self.message = message
        exitCode = exit
    }
}

/// Writes a line to standard error.
func complain(_ message: String) {
    try? FileHandle.standardError.write(contentsOf: Data("texloom: \(message)\n".utf8))
}

/// Writes a line to standard output at once, also into a pipe.
func say(_ line: String = "") { show(line + "\n") }

/// Writes text to standard output as it is. A reader that has gone away is no reason to stop training.
func show(_ text: String) { try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8)) }

/// Writes a value as JSON with sorted keys.
func sayJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.dateEncodingStrategy = .iso8601
    say(String(decoding: try encoder.encode(value), as: UTF8.self))
}
