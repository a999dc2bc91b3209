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
            Each slot trains one job. By default a worker has a slot of one thread for each processor that it may use \
            (affinity and cgroups count), if each slot gets 1 GiB of memory. A worker keeps training while the \
            coordinator is away, and delivers what an earlier process left undelivered in its data folder. On SIGTERM \
            or Ctrl-C it checkpoints, hands its jobs back and exits with 85; other workers resume the jobs from there. \
            It exits with 0 when --lifetime or --idle-exit ended it and everything was delivered. It exits with 78 if \
            a copy of its data folder is in use, and with 75 if a trainer hangs: then start it again.
            """)

    @Option(
        help: """
            The coordinator's ZeroMQ address, tcp://HOST:PORT: an IPv4 address, an IPv6 address in brackets, or a host \
            name. Default: TEXLOOM_COORDINATOR, or the cluster that this worker has joined, or tcp://127.0.0.1:7741.
            """)
    var coordinator: String?

    @Option(
        help: ArgumentHelp(
            """
            Join the cluster of a coordinator that other machines can reach: the string that 'texloom invite' printed \
            there, or @FILE for a file of mode 600 with what it printed. Other accounts of this machine may read \
            command lines. Needed once; the data folder keeps the keys.
            """, valueName: "string"))
    var join: String?

    @Option(help: "Jobs trained at the same time: a number, or auto. Default: auto.")
    var slots: String?

    @Option(help: "Threads of each slot: a number, or auto. Default: auto.")
    var threads: String?

    @Option(help: "The worker's name, for people. Default: HOST:PID.")
    var name: String?

    @Option(help: "Where the worker keeps its id and the files of its jobs. Default: ~/.local/state/texloom/worker.")
    var data: String?

    @Option(
        help: ArgumentHelp(
            """
            The worker ends after this time: it checkpoints, hands its jobs back and exits with 0. 90s, 30m, 2h or 1d. \
            Default: it does not.
            """, valueName: "duration"))
    var lifetime: String?

    @Option(
        help: ArgumentHelp(
            "Shortens the lifetime by a random part of this time, so that not all workers end together.",
            valueName: "duration"))
    var lifetimeStagger: String?

    @Option(
        help: ArgumentHelp(
            "The worker exits with 0 after this time without a job. Default: it does not.", valueName: "duration"))
    var idleExit: String?

    @OptionGroup var logging: LoggingOptions

    func run() async throws { try await logging.run("worker", work) }

    private func work(_ logger: Logger) async throws {
        let configuration = try configuration(Settings.current.get())
        do {
            let exit = try await Worker(configuration: configuration, logger: logger).run()
            switch exit {
            case .stopped: throw ExitCode(CommandExit.checkpointed.rawValue)
            case .retired: return
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

    /// What the flags and the settings ask for.
    func configuration(_ settings: Settings) throws -> WorkerConfiguration {
        var configuration = WorkerConfiguration()
        if let address = coordinator ?? settings[.coordinator] { configuration.coordinator = address }
        if let folder = data ?? settings[.workerData] {
            configuration.dataFolder = URL(fileURLWithPath: folder, isDirectory: true)
        }
        configuration.invitation = try invitation()
        configuration.name = name ?? settings[.name]
        configuration.slots = try count(slots ?? settings[.slots], "--slots")
        configuration.threadsPerSlot = try count(threads ?? settings[.threads], "--threads")
        configuration.limits.lifetime = try duration(lifetime, .lifetime, settings)
        configuration.lifetimeStagger = try duration(lifetimeStagger, .lifetimeStagger, settings) ?? .zero
        configuration.limits.idle = try duration(idleExit, .idleExit, settings)
        return configuration
    }

    /// The string of the invitation, from the command line or from the file that it names.
    private func invitation() throws -> String? {
        guard let join, join.hasPrefix("@") else { return join }
        let text = try SecretFile.text(of: URL(fileURLWithPath: String(join.dropFirst())), "invitation")
        // The string alone, or the whole command.
        return text.split(whereSeparator: \.isWhitespace).last.map(String.init) ?? ""
    }

    private func duration(_ flag: String?, _ setting: Setting, _ settings: Settings) throws -> Duration? {
        guard let text = flag ?? settings[setting] else { return nil }
        guard let duration = Duration(timeSpan: text) else {
            throw CommandFailure(
                "--\(setting.rawValue) '\(text)': expected a number with a unit, as in 90s, 30m, 2h or 1d", exit: .usage
            )
        }
        return duration
    }

    private func count(_ text: String?, _ flag: String) throws -> WorkerConfiguration.Count {
        guard let text, text != "auto" else { return .auto }
        guard let number = Int(text), number >= 1 else {
            throw CommandFailure("\(flag) '\(text)': expected a number from 1, or auto", exit: .usage)
        }
        return .exactly(number)
    }
}
