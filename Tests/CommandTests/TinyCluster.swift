import Foundation
import Imaging
import Protocol
import Testing

/// Real coordinator and worker processes on loopback, with trainings that take seconds.
final class TinyCluster {
    let scratch = ScratchFolderBox()
    private(set) var coordinator: TexloomProcess
    private(set) var workers: [TexloomProcess] = []
    /// The address of the HTTP API.
    private(set) var address = ""
    /// The workers' address.
    private(set) var endpoint = ""

    /// Restores the default action of SIGHUP, because the tests' parent process may ignore it.
    static let heedingHangUps = ["/usr/bin/env", "--default-signal=HUP"]

    /// A recipe that trains for some seconds. It has no style loss, so tests do not depend on installed weights.
    static func recipe(iterations: Int, checkpointEvery: Int = 20) -> [String] {
        [
            "--recipe", "draft", "--set", "style=off", "--set", "start=random", "--set", "k=8", "--set", "ngf=4",
            "--set", "ndf=4",
            "--set", "blocks=1", "--set", "discriminator_layers=1", "--set", "dropout=0.5",
            "--set", "iterations=\(iterations)", "--set", "metrics_every=5", "--set", "snapshot_every=50",
            "--set", "checkpoint_every=\(checkpointEvery)",
        ]
    }

    private let heartbeat: Double
    private let lease: Double
    private let options: [String]

    /// - Parameters:
    ///   - heartbeat: In seconds.
    ///   - lease: In seconds; nil: ten heartbeats. A test that stops a worker, but not its job, needs a long one.
    ///   - options: Further ones of the coordinator.
    init(heartbeat: Double = 0.2, lease: Double? = nil, options: [String] = []) throws {
        self.heartbeat = heartbeat
        self.lease = lease ?? 10 * heartbeat
        self.options = options
        coordinator = try Self.startCoordinator(
            scratch.folder, http: "127.0.0.1:0", workers: "tcp://127.0.0.1:0", heartbeat, self.lease, options)
        try findAddresses()
    }

    deinit {
        for process in workers + [coordinator] where process.isRunning { process.killAndWait() }
    }

    private static func startCoordinator(
        _ scratch: ScratchFolder, http: String, workers: String, _ heartbeat: Double, _ lease: Double,
        _ options: [String]
    ) throws -> TexloomProcess {
        try TexloomProcess(
            [
                "coordinator", "--data", scratch.path("coordinator"), "--http", http, "--workers", workers,
                "--heartbeat", "\(heartbeat)", "--lease", "\(lease)",
            ] + options, folder: scratch.url, launcher: heedingHangUps)
    }

    private func findAddresses() throws {
        try eventually("the coordinator says where it listens") {
            guard let match = coordinator.output.firstMatch(of: /(http:\/\/\S+) .* (tcp:\/\/\S+)/) else {
                if !coordinator.isRunning { throw Unmet(what: "a coordinator that starts: \(coordinator.errors)") }
                return false
            }
            (address, endpoint) = (String(match.1), String(match.2))
            return true
        }
    }

    /// Kills the coordinator without warning, if it still runs, and restarts it with the same data and addresses.
    func restartCoordinator() throws {
        if coordinator.isRunning { coordinator.killAndWait() }
        coordinator = try Self.startCoordinator(
            scratch.folder, http: String(address.dropFirst("http://".count)), workers: endpoint, heartbeat,
            lease, options)
        try findAddresses()
    }

    @discardableResult
    func startWorker(_ name: String) throws -> TexloomProcess {
        let worker = try TexloomProcess(
            [
                "worker", "--coordinator", endpoint, "--slots", "1", "--threads", "1", "--name", name,
                "--data", scratch.folder.path(name),
            ], folder: scratch.folder.url, launcher: Self.heedingHangUps)
        workers.append(worker)
        return worker
    }

    /// Finishes a training and the work that follows it, although processes die: a worker while it trains, the coordinator
    /// while jobs wait, and a worker while it does what follows.
    func finishThroughKills() throws {
        let first = try startWorker("first")
        try eventually("it is past a checkpoint") { (try jobs().map(\.iteration).max() ?? 0) > 60 }
        first.killAndWait()
        try restartCoordinator()
        let second = try startWorker("second")
        try eventually("work that follows has begun") {
            try jobs().contains { $0.kind == .expand && $0.state != .waiting && $0.state != .queued }
        }
        second.killAndWait()
        try startWorker("third")
        let watched = try run(["watch", "--interval", "0.2"])
        #expect(watched.status == 0, "\(watched.output)\(watched.errors)")
    }

    func run(_ arguments: [String], environment: [String: String] = [:]) throws -> TexloomProcess.Result {
        try start(arguments, environment: environment).wait()
    }

    /// Starts a command that talks to the coordinator.
    func start(_ arguments: [String], environment: [String: String] = [:]) throws -> TexloomProcess {
        try TexloomProcess(
            arguments, folder: scratch.folder.url, environment: ["TEXLOOM_API": address].merging(environment) { $1 })
    }

    func jobs() throws -> [JobSummary] {
        let result = try run(["list", "--json"])
        guard result.status == 0 else { return [] }
        return try APIFormat.decoder.decode([JobSummary].self, from: Data(result.output.utf8))
    }

    /// Expects the same generator in the cluster's result as from an undisturbed run on this machine.
    /// - Parameter threads: Of the undisturbed run.
    func expectUndisturbedBytes(_ exemplar: String, _ recipe: [String], result: String, threads: Int = 1) throws {
        let (out, alone) = (scratch.folder.path("out"), scratch.folder.path("alone"))
        #expect(try run(["gather", "--out", out]).status == 0)
        #expect(try run(["train", exemplar, "--out", alone, "--threads", "\(threads)"] + recipe).status == 0)
        let file = "\(result)_result/generator.safetensors"
        #expect(try bytes("\(out)/\(file)") == bytes("\(alone)/\(file)"), "generators differ")
    }

    /// Writes a noisy stripe pattern as a PNG file.
    func writeExemplar(_ name: String, seed: Int, width: Int = 40, height: Int = 36) throws -> String {
        let path = scratch.folder.path(name)
        try Self.exemplar(seed: seed, width: width, height: height).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// The same picture as the bytes of a PNG file.
    static func exemplar(seed: Int, width: Int = 40, height: Int = 36) throws -> Data {
        var pixels: [UInt8] = []
        var state = UInt64(seed &+ 1)
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<3 {
                    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    let wave = 128 + 90 * sin(Double(x * (channel + 1) + y * seed) / 4)
                    pixels.append(UInt8(min(255, max(0, wave + Double(state >> 59)))))
                }
            }
        }
        return try Image(width: width, height: height, pixels: pixels).png()
    }
}

/// Keeps the scratch folder as long as the cluster.
struct ScratchFolderBox {
    let folder: ScratchFolder
    init() {
        do { folder = try ScratchFolder() } catch { fatalError("no temporary folder: \(error)") }
    }
}
