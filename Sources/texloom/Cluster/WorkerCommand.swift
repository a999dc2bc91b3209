import ArgumentParser
import Foundation
import Logging
import Protocol
import TextureGAN
import Worker

struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Trains jobs for a coordinator.",
        discussion: """
            Each slot trains one job; by default there is a slot of one thread for each processor that the worker may \
            use (affinity and cgroups count), as far as there is 1 GiB of memory for each. A worker trains on while \
            the coordinator is away, and takes up what an earlier process left in its data folder and could not \
            deliver. On SIGTERM or Ctrl-C it checkpoints, hands its jobs back and exits with 85; the jobs go on \
            elsewhere from there. It exits with 78 if a copy of its data folder is in use, and with 75 if a trainer \
            hangs: then it may be started again.
            """)

    @Option(
        help: """
            The coordinator's ZeroMQ address, tcp://HOST:PORT: an IPv4 address, an IPv6 address in brackets, or a host \
            name. Default: TEXLOOM_COORDINATOR, or tcp://127.0.0.1:7741.
            """)
    var coordinator: String?

    @Option(help: "Jobs trained at the same time: a number, or auto. Default: auto.")
    var slots: String?

    @Option(help: "Threads of each: a number, or auto. Default: auto.")
    var threads: String?

    @Option(help: "What people see. Default: HOST:PID.")
    var name: String?

    @Option(help: "Where its id and files under way are kept. Default: ~/.local/state/texloom/worker.")
    var data: String?

    @OptionGroup var logging: LoggingOptions

    func run() async throws { try await logging.run("worker", work) }

    private func work(_ logger: Logger) async throws {
        let settings = try Settings.current.get()
        var configuration = WorkerConfiguration()
        if let address = coordinator ?? settings[.coordinator] { configuration.coordinator = address }
        if let folder = data ?? settings[.workerData] {
            configuration.dataFolder = URL(fileURLWithPath: folder, isDirectory: true)
        }
        configuration.name = name ?? settings[.name]
        configuration.slots = try count(slots ?? settings[.slots], "--slots")
        configuration.threadsPerSlot = try count(threads ?? settings[.threads], "--threads")
        do {
            let exit = try await Worker(configuration: configuration, logger: logger).run()
            switch exit {
            case .stopped: throw ExitCode(CommandExit.checkpointed.rawValue)
            case .refused(let reason): throw CommandFailure("the coordinator refused this worker: \(reason)")
            case .duplicate(let reason):
                throw CommandFailure("the coordinator refused this worker: \(reason)", exit: .duplicate)
            case .hung(let reason):
                throw CommandFailure("a trainer hangs: \(reason); start the worker again", exit: .tryAgain)
            }
        } catch let error as WorkerError {
            throw CommandFailure(error.message, exit: .usage)
        }
    }

    private func count(_ text: String?, _ flag: String) throws -> WorkerConfiguration.Count {
        guard let text, text != "auto" else { return .auto }
        guard let number = Int(text), number >= 1 else {
            throw CommandFailure("\(flag) '\(text)': expected a number from 1, or auto", exit: .usage)
        }
        return .exactly(number)
    }
}
