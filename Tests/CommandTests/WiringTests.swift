import Base
import Coordinator
import Foundation
import Logging
import Protocol
import Testing
import TextureGAN
import Worker

@testable import ClusterCore
@testable import texloom

/// A flag's or a setting's value reaches what it configures. Where both are given, the flag counts.
@Suite struct WiringTests {
    /// Without a configuration file.
    private func given(_ environment: [String: String] = [:]) throws -> Settings {
        try Settings(environment: environment.merging(["HOME": "/none"]) { $1 })
    }

    private func coordinator(
        _ flags: [String], _ settings: [String: String] = [:]
    ) throws -> CoordinatorConfiguration {
        try CoordinatorCommand.parse(flags).configuration(given(settings))
    }

    private func worker(_ flags: [String], _ settings: [String: String] = [:]) throws -> WorkerConfiguration {
        try WorkerCommand.parse(flags).configuration(given(settings))
    }

    @Test func theCoordinatorsPatience() throws {
        let flags = try coordinator(["--retries", "5", "--stall", "1.5", "--lease", "30", "--heartbeat", "7"])
        #expect(flags.retries == 5 && flags.stall == .seconds(90))
        #expect(flags.lease == .seconds(30) && flags.heartbeat == .seconds(7))
        let settings = try coordinator(["--retries", "5"], ["TEXLOOM_RETRIES": "6", "TEXLOOM_STALL": "20"])
        #expect(settings.retries == 5 && settings.stall == .seconds(1200))
        let standard = try coordinator([])
        #expect(standard.retries == 2 && standard.stall == .seconds(900))
    }

    @Test func theCoordinatorsAddresses() throws {
        let flags = try coordinator([
            "--advertise", "tcp://a:1", "--advertise", "tcp://b:2", "--http", "[::1]:80", "--workers", "tcp://c:3",
        ])
        #expect(flags.advertisedEndpoints == ["tcp://a:1", "tcp://b:2"] && flags.workerEndpoint == "tcp://c:3")
        #expect(flags.httpHost == "::1" && flags.httpPort == 80)
        let settings = try coordinator([], ["TEXLOOM_ADVERTISE": "tcp://a:1,tcp://b:2"])
        #expect(settings.advertisedEndpoints == ["tcp://a:1", "tcp://b:2"])
    }

    @Test func whatTheCoordinatorGivesUp() throws {
        let flags = try coordinator(["--checkpoint-days", "7", "--snapshots-kept", "3", "--quota", "0.5"])
        #expect(flags.retention.checkpointAge == .seconds(7 * 86_400))
        #expect(flags.retention.snapshots == 3 && flags.retention.quotaBytes == 1 << 29)
        let settings = try coordinator(
            ["--quota", "2"],
            ["TEXLOOM_CHECKPOINT_DAYS": "1", "TEXLOOM_SNAPSHOTS_KEPT": "4", "TEXLOOM_QUOTA": "1"])
        #expect(settings.retention.checkpointAge == .seconds(86_400))
        #expect(settings.retention.snapshots == 4 && settings.retention.quotaBytes == 2 << 30)
        #expect(try coordinator([]).retention == RetentionPolicy())
    }

    @Test func theWorkersLifetime() throws {
        let flags = try worker(["--lifetime", "2h", "--lifetime-stagger", "15m", "--idle-exit", "90s"])
        #expect(flags.limits.lifetime == .seconds(7200) && flags.limits.idle == .seconds(90))
        #expect(flags.lifetimeStagger == .seconds(900))
        let settings = try worker(["--lifetime", "2h"], ["TEXLOOM_LIFETIME": "1d", "TEXLOOM_IDLE_EXIT": "1d"])
        #expect(settings.limits.lifetime == .seconds(7200) && settings.limits.idle == .seconds(86_400))
        let standard = try worker([])
        #expect(standard.limits.lifetime == nil && standard.limits.idle == nil)
    }

    @Test func theLogsLevel() throws {
        let (none, debug) = (try given(), try given(["TEXLOOM_LOG_LEVEL": "debug"]))
        for (flags, settings, level) in [
            ([], none, .info), ([], debug, .debug), (["--log-level", "error"], debug, .error),
        ] as [([String], Settings, Logger.Level)] {
            #expect(try CoordinatorCommand.parse(flags).logging.level(settings) == level)
            #expect(try WorkerCommand.parse(flags).logging.level(settings) == level)
        }
        #expect(throws: CommandFailure.self) { try WorkerCommand.parse(["--log-level", "loud"]).logging.level(none) }
    }

    @Test func whatOfALogIsPrinted() throws {
        let now = Date(timeIntervalSince1970: 1_000_000)
        let filter = try LogsCommand.parse(["wall", "--since", "2m", "--level", "warning"]).filter(now: now)
        #expect(try filter == LogFilter(level: "warning", since: "2m", now: now))
        #expect(try filter != LogFilter(level: "warning", since: nil, now: now))
        #expect(try filter != LogFilter(level: nil, since: "2m", now: now))
    }

    @Test func pixelValuesOfVGG() throws {
        func input(_ options: String..., of network: FeatureNetwork) throws -> FeatureInput {
            try EvaluateCommand.parse(["a.png", "b.png"] + options).input(of: network)
        }
        #expect(try input(of: .vgg16) == .caffe && input(of: .vgg19) == .torchvision)
        for network in [FeatureNetwork.vgg16, .vgg19] {
            #expect(try input("--style-input", "raw", of: network) == .raw)
        }
    }

    @Test func commandsSpeakTLS12OrNewer() throws {
        let scratch = try ScratchFolder()
        try scratch.makeCertificate("authority")
        for authority in [nil, scratch.path("authority.pem")] {
            #expect(try APIClient.tls(authority: authority).minimumTLSVersion == .tlsv12)
        }
    }
}
