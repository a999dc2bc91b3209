import ClusterCore
import Foundation
import OperatingSystem
import Protocol
import Transport

/// All settings of a coordinator. The defaults serve one machine.
public struct CoordinatorConfiguration: Sendable {
    /// Jobs, artifacts and thumbnails. Default: the XDG state folder, because the data must outlive caches and is no
    /// setting.
    public var dataFolder: URL
    /// Where workers connect, as a ZeroMQ TCP endpoint: tcp://HOST:PORT with an IPv4 address, an IPv6 address in
    /// brackets, or a host name. Port 0 takes a free port. Default: loopback, where it is plain. On other addresses
    /// it speaks CURVE, and workers need an invitation.
    public var workerEndpoint: String {
        get { workerSocket.endpoint }
        set { workerSocket.endpoint = newValue }
    }
    /// Everything else that the workers' socket is told.
    var workerSocket = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:7741")
    /// Where people and scripts connect. Default: loopback, where the API asks for no token.
    public var httpHost = "127.0.0.1"
    /// 0 takes a free port.
    public var httpPort = 7740
    /// Certificate and key of the HTTP address. Default: none, plain HTTP.
    public var tls: TLSFiles?
    /// Whether callers on loopback must prove who they are, too. Default: no, for a machine of one person. Off loopback
    /// they always must, except with `isInsecure`.
    public var requiresAuthentication = false
    /// Whether addresses other than loopback may be plain and open: anyone who can reach them can read and change
    /// everything. Default: no.
    public var isInsecure = false
    /// Where workers elsewhere reach the workers' address, as invitations say it. Default: that address itself; if it is
    /// 0.0.0.0 or ::, every address of this machine.
    public var advertisedEndpoints: [String] = []
    /// Names by which people reach the HTTP address, besides the address itself: of a reverse proxy, or of this machine.
    /// Requests that address another name are refused. Default: none.
    public var allowedHosts: [String] = []

    /// How often workers report, 0.1...60 s. Default 5 s: often enough to look alive, rare enough for a thousand
    /// workers.
    public var heartbeat: Duration = .seconds(5)
    /// How long an attempt survives its worker's silence, at least two heartbeats. Default 20 s: four heartbeats.
    public var lease: Duration = .seconds(20)
    /// How long an attempt may stay at one iteration. Default 15 min, but never less than 20 of the attempt's own
    /// iterations, so that the coordinator does not end slow work.
    public var stall: Duration = .seconds(15 * 60)
    /// How many failed attempts beyond the first a job may have before the coordinator holds it. Default 2.
    public var retries = 2

    /// Which files the coordinator gives up by itself. Default: none.
    public var retention = RetentionPolicy()

    /// Whom the coordinator tells about ends of jobs and batches. Default: no one.
    public var notifications = NotificationConfiguration()

    /// Whether the process may end when stopping takes too long: for a program that has no other task. Default: no.
    public var endsProcess = false

    /// Size limit of an exemplar, in bytes: 64 MiB, a 16-bit PNG of some ten megapixels. No option; tests lower it.
    var maxExemplarBytes = ExemplarIntake.maxBytes
    /// No options; tests lower them.
    var httpLimits = HTTPLimits.standard()
    /// Recipes on offer in the browser, the default first. The coordinator itself knows no recipes.
    public var recipes: [NamedRecipe] = []
    /// The values of a recipe's YAML, as text: two recipes with equal values are the same recipe. Default: the YAML.
    public var recipeValues: @Sendable (String) -> String = { $0 }
    /// Splits a recipe's YAML into the seed and the rest. Pages compare jobs of one exemplar that differ only in the
    /// seed. Default: nil, which means unknown.
    public var seedOfRecipe: @Sendable (String) -> RecipeSeed? = { _ in nil }
    /// Scores that compare jobs by their quality figures. The lowest score is the best; nil for a job without figures.
    /// Default: no scores.
    public var qualityScores: @Sendable ([[String: Float]]) -> [Float?] = { $0.map { _ in nil } }
    /// What a training needs of its worker, if its submission does not say. Default: nothing.
    public var needsOfTraining: @Sendable (SubmittedTraining) -> JobNeeds = { _ in JobNeeds() }
    /// What a job that follows a training needs of its worker. It throws what a person reads if the job cannot be done.
    /// Default: nothing.
    public var needsOfFollower: @Sendable (FollowUp, SubmittedTraining) throws -> JobNeeds = { _, _ in JobNeeds() }
    /// The work of a recipe's YAML, as text: jobs with the same workload take the same time. Nil: the recipe compares
    /// with no other. Default: the YAML.
    public var workloadOfRecipe: @Sendable (String) -> String? = { $0 }
    /// Measures how long a job of an offered recipe takes on this machine. The coordinator calls it once for each
    /// recipe, on a separate thread; it may take seconds. It returns nil if it cannot measure. Default: nil, no
    /// measurements.
    public var measureRecipe: (@Sendable (NamedRecipe) -> ExpectedTime?)?

    public init(dataFolder: URL? = nil, environment: [String: String] = ProcessInfo.processInfo.environment) {
        self.dataFolder = dataFolder ?? Self.defaultDataFolder(environment: environment)
    }

    /// `$XDG_STATE_HOME/texloom/coordinator`, or under `~/.local/state`.
    public static func defaultDataFolder(environment: [String: String]) -> URL {
        UserFolder.state.url(environment: environment).appendingPathComponent("coordinator", isDirectory: true)
    }

    /// Checks every value.
    /// - Throws: `CoordinatorError.badConfiguration`, which names the option, its value and the allowed values.
    public func validate() throws {
        try requireSetting(
            heartbeat >= .milliseconds(100) && heartbeat <= .seconds(60),
            "heartbeat is \(heartbeat); allowed: 0.1...60 s")
        try requireSetting(
            lease >= heartbeat * 2, "lease is \(lease); allowed: at least two heartbeats (\(heartbeat * 2))")
        try requireSetting(stall >= lease, "stall is \(stall); allowed: at least the lease (\(lease))")
        try requireSetting((0...1000).contains(retries), "retries is \(retries); allowed: 0...1000")
        try requireSetting((0...65535).contains(httpPort), "HTTP port is \(httpPort); allowed: 0...65535")
        try requireSetting(
            workerEndpoint.hasPrefix("tcp://"),
            "the worker endpoint is '\(workerEndpoint)'; expected tcp://HOST:PORT, such as tcp://127.0.0.1:7741")
        do {
            try Endpoint.validate(workerEndpoint)
        } catch {
            throw CoordinatorError(.badConfiguration, error.message)
        }
        for endpoint in advertisedEndpoints {
            do {
                try Endpoint.validate(endpoint)
            } catch {
                throw CoordinatorError(.badConfiguration, error.message)
            }
        }
        try retention.validate()
        try notifications.validate()
        try validateAccess()
    }

    static func isLoopback(_ host: String) -> Bool {
        let bare = host.trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
        if bare == "localhost" || bare == "::1" { return true }
        let parts = bare.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    var cluster: ClusterState.Configuration {
        var cluster = ClusterState.Configuration()
        cluster.lease = lease
        cluster.stall = stall
        cluster.retries = retries
        cluster.workRequestWait = heartbeat * 2
        return cluster
    }
}
