import ArgumentParser
import Base
import ClusterCore
import Coordinator
import Foundation
import Logging
import Protocol
import TextureGAN

struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Serves the cluster: hands jobs to workers, keeps what comes back.",
        discussion: """
            By default it listens on this machine only and asks for no tokens. A workers' address that other machines can \
            reach is encrypted, and lets in only workers with an invitation (texloom invite). An HTTP address that other machines can \
            reach needs --tls-certificate and --tls-key, and then asks for tokens (docs/security.md). Killing it loses \
            nothing that it has accepted; workers keep training while it is away.
            """)

    @Option(help: "Where jobs and artifacts are kept. Default: ~/.local/state/texloom/coordinator.")
    var data: String?

    @Option(help: "HTTP address for people and scripts, HOST:PORT; port 0 takes a free one. Default: 127.0.0.1:7740.")
    var http: String?

    @Option(
        help: """
            ZeroMQ address for workers, tcp://HOST:PORT: an IPv4 address, an IPv6 address in brackets, or a host name; port \
            0 takes a free one. Default: tcp://127.0.0.1:7741.
            """)
    var workers: String?

    @Option(
        help: ArgumentHelp(
            "Where workers elsewhere reach the workers' address, for invitations; may be repeated. Default: --workers; if "
                + "that is 0.0.0.0, every address of this machine.", valueName: "tcp://host:port"))
    var advertise: [String] = []

    @Flag(
        help: """
            Ask for tokens on this machine, too ('texloom tokens create' makes one), and let in only invited workers.
            """)
    var requireAuth = false

    @Option(help: ArgumentHelp("TLS certificate of the HTTP address, PEM with its chain.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's private key, PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp(
            "A name by which people reach the HTTP address, such as a reverse proxy's; may be repeated.",
            valueName: "name"))
    var allowedHost: [String] = []

    @Flag(
        help: """
            Leave addresses that other machines can reach plain and open: anyone there can read and change everything.
            """)
    var insecure = false

    @Option(help: "Seconds of a worker's silence after which its jobs go to other workers. Default: 20.")
    var lease: Double?

    @Option(help: "Seconds between a worker's heartbeats. Default: 5.")
    var heartbeat: Double?

    @Option(help: "Minutes without a new iteration after which a worker counts as hung. Default: 15.")
    var stall: Double?

    @Option(help: "Retries before a job is put on hold. Default: 2.")
    var retries: Int?

    @Option(
        help: ArgumentHelp(
            "Days after a job's end before its checkpoints are dropped; then it cannot be continued. Default: never.",
            valueName: "days"))
    var checkpointDays: Double?

    @Option(
        help: ArgumentHelp(
            "How many snapshots of a job stay a day after its end, spread over the run. Default: all.",
            valueName: "count"))
    var snapshotsKept: Int?

    @Option(
        help: ArgumentHelp(
            """
            Upper limit on the artifacts, in GiB. Beyond it, finished jobs lose checkpoints, then snapshots, the oldest \
            first; if that is not enough, no job is accepted. Default: none.
            """, valueName: "GiB"))
    var quota: Double?

    @OptionGroup var notifications: NotificationOptions

    @Flag(help: "Verify the data folder, say what is wrong with it and end: 0 if all is well, 1 if not.")
    var check = false

    @Flag(
        help: """
            With --check: remove files that no job refers to, set damaged exemplars aside, and give up damaged or missing \
            checkpoints of unfinished jobs.
            """)
    var repair = false

    @OptionGroup var logging: LoggingOptions

    func validate() throws {
        if repair, !check { throw ValidationError("--repair goes with --check") }
    }

    func run() async throws {
        if notifications.notifyTest { return try await notifications.test(Settings.current.get()) }
        CoordinatorConfiguration.useOpenFiles()
        let settings = try Settings.current.get()
        if check { return try await verify(standard(settings).dataFolder) }
        try await logging.run("coordinator") { logger in try await serve(configuration(settings), logger) }
    }

    private func standard(_ settings: Settings) -> CoordinatorConfiguration {
        CoordinatorConfiguration(
            dataFolder: (data ?? settings[.data]).map { URL(fileURLWithPath: $0, isDirectory: true) })
    }

    /// What the flags and the settings ask for.
    func configuration(_ settings: Settings) throws -> CoordinatorConfiguration {
        var configuration = standard(settings)
        configuration.endsProcess = true
        if let address = http ?? settings[.http] {
            guard let colon = address.lastIndex(of: ":"), let port = Int(address[address.index(after: colon)...]) else {
                throw CommandFailure("--http '\(address)': expected HOST:PORT, such as 127.0.0.1:7740", exit: .usage)
            }
            configuration.httpHost = address[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
            configuration.httpPort = port
        }
        if let endpoint = workers ?? settings[.workers] { configuration.workerEndpoint = endpoint }
        configuration.advertisedEndpoints = advertise.isEmpty ? settings.list(.advertise) : advertise
        try secure(&configuration, settings)
        if let value = try duration(heartbeat, .heartbeat, settings, unit: 1) { configuration.heartbeat = value }
        if let value = try duration(lease, .lease, settings, unit: 1) { configuration.lease = value }
        if let value = try duration(stall, .stall, settings, unit: 60) { configuration.stall = value }
        try retain(&configuration, settings)
        configuration.notifications = try notifications.configuration(settings)
        if let count = try retries ?? settings.value(.retries, as: Int.self) { configuration.retries = count }
        configuration.recipes = Recipe.named.map { recipe in
            NamedRecipe(name: recipe.name, abstract: recipe.abstract, yaml: recipe.yaml())
        }
        configuration.recipeValues = { Recipe.values(ofFile: $0) }
        configuration.workloadOfRecipe = { Recipe.workload(ofFile: $0) }
        configuration.measureRecipe = { recipe in
            RecipeTime.measureInChild(recipe.name)?.expected("on a core like the coordinator's")
        }
        configuration.seedOfRecipe = { yaml in
            (try? Recipe(yaml: yaml, source: "the recipe")).map { RecipeSeed(rest: $0.valuesButSeed, seed: $0.seed) }
        }
        configuration.qualityScores = { QualityVerdict.scores(of: $0.map(QualityFigures.init(columns:))) }
        let needs = RecipeNeeds()
        configuration.needsOfTraining = { needs.needs(of: $0) }
        configuration.needsOfFollower = { try JobNeeds(of: $0, after: $1) }
        return configuration
    }

    private func serve(_ configuration: CoordinatorConfiguration, _ logger: Logger) async throws {
        do {
            let service = try CoordinatorService(configuration, logger: logger)
            try await service.run { addresses in
                say("coordinator: \(addresses.httpURL) for people and scripts, \(addresses.workerEndpoint) for workers")
            }
        } catch let error as CoordinatorError {
            throw CommandFailure("\(error)", exit: error.code == .badConfiguration ? .usage : .failed)
        }
    }
}

extension CoordinatorCommand {
    /// Which files the coordinator gives up by itself.
    private func retain(_ configuration: inout CoordinatorConfiguration, _ settings: Settings) throws {
        configuration.retention.checkpointAge = try duration(checkpointDays, .checkpointDays, settings, unit: 86_400)
        configuration.retention.snapshots =
            try snapshotsKept ?? settings.value(.snapshotsKept, as: Int.self)
        if let size = try quota ?? settings.value(.quota, as: Double.self) {
            guard size.isFinite, (0.001...1e6).contains(size) else {
                throw CommandFailure("--quota \(size): expected 0.001 to 1,000,000 GiB", exit: .usage)
            }
            configuration.retention.quotaBytes = Int(size * 1_073_741_824)
        }
    }

    /// Who may reach the coordinator, and how.
    private func secure(_ configuration: inout CoordinatorConfiguration, _ settings: Settings) throws {
        configuration.isInsecure = try insecure || settings.value(.insecure, as: Bool.self) ?? false
        configuration.requiresAuthentication =
            try requireAuth || settings.value(.requireAuth, as: Bool.self) ?? false
        configuration.allowedHosts = allowedHost.isEmpty ? settings.list(.allowedHost) : allowedHost
        switch (tlsCertificate ?? settings[.tlsCertificate], tlsKey ?? settings[.tlsKey]) {
        case (let certificate?, let key?):
            configuration.tls = TLSFiles(
                certificate: URL(fileURLWithPath: certificate), key: URL(fileURLWithPath: key))
        case (nil, nil): break
        default: throw CommandFailure("--tls-certificate and --tls-key go together; expected both", exit: .usage)
        }
    }

    /// Reads everything and prints a line for each finding.
    private func verify(_ folder: URL) async throws {
        let report: StoreReport
        do {
            report = try await CoordinatorService.check(folder, repairs: repair)
        } catch let error as CoordinatorError {
            throw CommandFailure("\(error)")
        }
        say(
            "\(counted(report.jobs, "job")), \(counted(report.artifacts, "artifact")) of \(report.bytes >> 20) MiB read and "
                + "compared")
        if report.incomingBytes > 0 {
            say("\(report.incomingBytes >> 20) MiB of interrupted transfers that may resume")
        }
        if report.orphans > 0 {
            say(
                "\(counted(report.orphans, "file")) of \(report.orphanBytes >> 20) MiB that no job refers to"
                    + (repair ? "" : "; a running coordinator removes them after an hour, --repair removes them now"))
        }
        for problem in report.problems { say("problem: \(problem.text)") }
        for repair in report.repairs { say("repaired: \(repair)") }
        guard report.problems.isEmpty else {
            throw CommandFailure("\(counted(report.problems.count, "problem")) in \(folder.path)")
        }
        say("all is well")
    }

    /// A flag or its setting, in units of so many seconds; at most a hundred years.
    private func duration(
        _ flag: Double?, _ setting: Setting, _ settings: Settings, unit: Double
    ) throws -> Duration? {
        guard let value = try flag ?? settings.value(setting, as: Double.self) else { return nil }
        let most = min(1_000_000, 36_500 * 86_400 / unit)
        guard value.isFinite, (0...most).contains(value) else {
            throw CommandFailure("--\(setting.rawValue) \(value): expected 0 to \(Int(most))", exit: .usage)
        }
        return .seconds(value * unit)
    }
}
