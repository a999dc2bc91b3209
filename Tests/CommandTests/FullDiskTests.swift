import Foundation
import Protocol
import Testing

@testable import texloom

/// Real processes under a file size limit, which works like a full disk. Lifting the limit frees the space.
@Suite(
    .serialized,
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/prlimit"), "prlimit is not installed"))
struct FullDiskTests {
    private static let limiter = "/usr/bin/prlimit"

    /// - Parameter bytes: The size limit for files; nil: none.
    private func limitFiles(of process: TexloomProcess, to bytes: Int?) throws {
        let limiter = Process()
        limiter.executableURL = URL(fileURLWithPath: Self.limiter)
        limiter.arguments = ["--pid", "\(process.id)", "--fsize=\(bytes.map(String.init) ?? "unlimited"):unlimited"]
        try limiter.run()
        limiter.waitUntilExit()
        try #require(limiter.terminationStatus == 0, "prlimit failed")
    }

    @Test func aCoordinatorWithoutSpaceSaysSoStaysUpAndGoesOnWhenThereIsSome() throws {
        let cluster = try TinyCluster(lease: 120)
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        let recipe = TinyCluster.recipe(iterations: 1500, checkpointEvery: 50)
        let worker = try cluster.startWorker("one")
        #expect(try cluster.run(["submit", exemplar] + recipe).status == 0)
        try eventually("training moves", stopping: worker) { (try cluster.jobs().first?.iteration ?? 0) > 60 }
        try limitFiles(of: cluster.coordinator, to: 32 << 10)
        try eventually("it says what is wrong", stopping: worker) {
            cluster.coordinator.errors.contains("the job store cannot be written")
        }
        let second = try cluster.writeExemplar("tile.png", seed: 4)
        let refused = try cluster.run(["submit", second] + recipe)
        #expect(refused.status != 0, "\(refused.output)")
        let before = try cluster.jobs().first?.iteration ?? 0
        try eventually("training goes on meanwhile", stopping: worker) {
            (try cluster.jobs().first?.iteration ?? 0) > before + 50
        }
        worker.send(SIGCONT)
        #expect(cluster.coordinator.isRunning)

        try limitFiles(of: cluster.coordinator, to: nil)
        #expect(try cluster.run(["submit", second] + TinyCluster.recipe(iterations: 30)).status == 0)
        let watched = try cluster.run(["watch", "--interval", "0.2"])
        #expect(watched.status == 0, "\(watched.output)\(watched.errors)")
        let jobs = try cluster.jobs()
        #expect(jobs.count == 2 && jobs.allSatisfy { $0.state == .finished && $0.attempt == 1 && $0.failures == 0 })
        try cluster.expectUndisturbedBytes(exemplar, recipe, result: "wall", threads: 2)
        cluster.coordinator.killAndWait()
        let check = try cluster.check()
        #expect(check.status == 0, "\(check.output)\(check.errors)")
    }

    @Test func aWorkerWithoutSpaceTrainsOnAndDeliversWhenThereIsSome() throws {
        let cluster = try TinyCluster(lease: 120)
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        let recipe = TinyCluster.recipe(iterations: 400, checkpointEvery: 50)
        let worker = try cluster.startWorker("one")
        #expect(try cluster.run(["submit", exemplar] + recipe).status == 0)
        try eventually("training has begun", stopping: worker) { (try cluster.jobs().first?.iteration ?? 0) > 0 }
        try limitFiles(of: worker, to: 12 << 10)
        worker.send(SIGCONT)
        try eventually("all iterations are done, and it waits to write the result") {
            try cluster.run(["logs", "wall"]).output.contains("waiting for the disk")
        }
        #expect(worker.isRunning && cluster.coordinator.isRunning)
        #expect(try cluster.jobs().first?.state == .running)
        try limitFiles(of: worker, to: nil)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let job = try #require(try cluster.jobs().first)
        #expect(job.state == .finished && job.attempt == 1 && job.failures == 0)
        try cluster.expectUndisturbedBytes(exemplar, recipe, result: "wall", threads: 2)
    }

    @Test func aWorkerThatCannotEvenFetchAJobHandsItBackAndFetchesItWhenThereIsSpace() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        let worker = try cluster.startWorker("one")
        try eventually("it has greeted") {
            let listed = Data(try cluster.run(["workers", "--json"]).output.utf8)
            return try APIFormat.decoder.decode([WorkerSummary].self, from: listed).contains { $0.isConnected }
        }
        try limitFiles(of: worker, to: 512)
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 30)).status == 0)
        try eventually("the job is handed back with its reason") {
            try cluster.run(["logs", "wall"]).output.contains("the disk of its worker")
        }
        #expect(worker.isRunning)
        try limitFiles(of: worker, to: nil)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let job = try #require(try cluster.jobs().first)
        #expect(job.state == .finished && job.failures == 0)
    }

    @Test func aTrainingWithoutSpaceTrainsOnAndHasAllItsRowsWhenThereIsSome() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        let recipe = TinyCluster.recipe(iterations: 1500, checkpointEvery: 50)
        let out = cluster.scratch.folder.path("out")
        let training = try cluster.start(["train", exemplar, "--out", out, "--threads", "1"] + recipe)
        let snapshot = { (iteration: String) in
            FileManager.default.fileExists(atPath: "\(out)/wall_result/img/itr\(iteration).png")
        }
        try eventually("training moves", stopping: training) { snapshot("00000100") }
        // The error message itself still fits.
        try limitFiles(of: training, to: 4096)
        try eventually("it says what is wrong", stopping: training) {
            training.errors.contains("metrics.jsonl cannot be written")
        }
        try limitFiles(of: training, to: nil)
        training.send(SIGCONT)
        let ended = training.wait()
        #expect(ended.status == 0 && snapshot("00001500"), "\(ended.errors)")
        let rows = try ResultFolder(in: URL(fileURLWithPath: out), name: "wall").readMetrics()
        #expect(rows.map(\.iteration) == [1] + Array(stride(from: 5, through: 1500, by: 5)))
    }

    @Test func theCheckOfADataFolderFindsDamageAndSaysWhatToDo() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        try cluster.startWorker("one")
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 30)).status == 0)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let busy = try cluster.check()
        #expect(busy.status == 1 && busy.errors.contains("another coordinator is using"))
        cluster.coordinator.killAndWait()
        let sound = try cluster.check()
        #expect(sound.status == 0 && sound.output.contains("all is well"), "\(sound.output)\(sound.errors)")

        let artifacts = cluster.scratch.folder.url.appendingPathComponent("coordinator/artifacts")
        let files = try FileManager.default.subpathsOfDirectory(atPath: artifacts.path).filter { $0.contains("/") }
        for file in files {
            let url = artifacts.appendingPathComponent(file)
            var data = try Data(contentsOf: url)
            data[data.count - 1] ^= 1
            try data.write(to: url)
        }
        let orphan = artifacts.appendingPathComponent("ab/\(String(repeating: "c", count: 62))")
        try FileManager.default.createDirectory(
            at: orphan.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data([1]).write(to: orphan)
        let damaged = try cluster.check("--repair")
        #expect(damaged.status == 1)
        #expect(damaged.output.count { $0 == "\n" } >= files.count + 1)
        #expect(damaged.output.contains("generator") && damaged.output.contains("restore it from a copy"))
        #expect(damaged.output.contains("repaired: removed 1 file that no job refers to"))
        #expect(!FileManager.default.fileExists(atPath: orphan.path))
        let alone = try cluster.run(["coordinator", "--repair"])
        #expect(alone.status != 0 && alone.errors.contains("--repair goes with --check"))
    }
}

extension TinyCluster {
    /// Runs `texloom coordinator --check` on this cluster's folder.
    func check(_ flags: String...) throws -> TexloomProcess.Result {
        try run(["coordinator", "--check", "--data", scratch.folder.path("coordinator")] + flags)
    }
}
