import ClusterCore
import EventReader
import Foundation
import Protocol
import Testing

/// Whole clusters of real processes. Serialised, because each needs all the machine's cores.
@Suite(.serialized) struct ClusterTests {
    @Test func aJobGoesFromPhotographToGatheredFolder() throws {
        let cluster = try TinyCluster()
        try cluster.startWorker("one")
        let good = try cluster.writeExemplar("wall.png", seed: 3)
        let small = try cluster.writeExemplar("small.png", seed: 3, width: 12, height: 12)
        try Data("no image".utf8).write(to: cluster.scratch.folder.url.appendingPathComponent("notes.txt"))

        let submitted = try cluster.run(
            ["submit", good, small, cluster.scratch.folder.path("notes.txt")] + TinyCluster.recipe(iterations: 60))
        #expect(submitted.status == 1, "some were refused")
        #expect(submitted.output.contains("accepted  \(good)"))
        #expect(submitted.output.contains("refused   \(small)") && submitted.output.contains("12x12"))
        #expect(submitted.output.contains("notes.txt") && submitted.output.contains("neither PNG nor JPEG"))
        // The same submission again gives the same job.
        let again = try cluster.run(["submit", good] + TinyCluster.recipe(iterations: 60))
        #expect(again.status == 0 && again.output.contains("was submitted before"))

        let watched = try cluster.run(["watch", "--interval", "0.2"])
        #expect(watched.status == 0, "\(watched.output)\(watched.errors)")
        let out = cluster.scratch.folder.path("out")
        let gathered = try cluster.run(["gather", "--out", out])
        #expect(gathered.status == 0, "\(gathered.errors)")
        let folder = "\(out)/wall_result"
        for name in [
            "generator.safetensors", "discriminator.safetensors", "last_checkpoint.safetensors", "loss.svg",
            "log.jsonl",
            "metrics.jsonl", "recipe.yaml", "result.json", "img/itr00000050.png", "img/itr00000060.png",
        ] {
            let size = (try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.size] as? Int) ?? 0
            #expect(size > 0, "\(name) of the gathered folder")
        }
        try expectEventsOfEverything(in: folder)
        // A repeated gather writes nothing.
        let events = URL(fileURLWithPath: "\(folder)/events.out.tfevents.texloom")
        let before = try Data(contentsOf: events)
        #expect(try cluster.run(["gather", "--out", out]).status == 0)
        #expect(try Data(contentsOf: events) == before)
        // The cluster and this machine alone train the same networks.
        let alone = try cluster.run(
            ["train", good, "--out", cluster.scratch.folder.path("alone"), "--threads", "2"]
                + TinyCluster.recipe(iterations: 60))
        #expect(alone.status == 0, "\(alone.errors)")
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: "\(folder)/generator.safetensors"))
                == Data(
                    contentsOf: cluster.scratch.folder.url.appendingPathComponent(
                        "alone/wall_result/generator.safetensors")))
        try expectEventsOfEverything(in: cluster.scratch.folder.path("alone/wall_result"))

        let double = cluster.scratch.folder.path("double.png")
        let expanded = try cluster.run(["expand", "\(folder)/generator.safetensors", good, "-o", double])
        #expect(expanded.status == 0 && expanded.output.contains("80x72"), "\(expanded.errors)")
    }

    @Test func checkpointsGoWithTheirDays() throws {
        let cluster = try TinyCluster(options: ["--checkpoint-days", "0.0000001"])
        try cluster.startWorker("one")
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 60)).status == 0)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let id = try #require(try cluster.jobs().first).id
        func roles() throws -> Set<ArtifactRole> {
            let shown = try cluster.run(["show", id, "--json"])
            let artifacts = try APIFormat.decoder.decode(ArtifactList.self, from: Data(shown.output.utf8)).artifacts
            return Set(artifacts.map(\.role))
        }
        #expect(try roles().contains(.checkpoint))
        // A coordinator looks for files to give up when it starts, and again minutes later.
        try cluster.restartCoordinator()
        try eventually("the checkpoints are gone") { try !roles().contains(.checkpoint) }
        #expect(try roles().isSuperset(of: [.snapshot, .generator, .discriminator]))
        let continued = try cluster.run(["continue", "wall", "--iterations", "90"])
        let said = continued.output + continued.errors
        #expect(continued.status != 0 && said.contains("no longer stored"), "\(said)")
    }

    @Test func aWatchForeverOutlastsTheLastJob() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 60)).status == 0)
        let watch = try cluster.start(["watch", "--forever", "--interval", "0.1"])
        defer { watch.killAndWait() }
        #expect(try cluster.run(["cancel", "wall"]).status == 0)
        try eventually("it tells of the end") { watch.output.contains("cancelled") }
        // Without the flag, it would end there.
        let second = try cluster.writeExemplar("tile.png", seed: 4)
        #expect(try cluster.run(["submit", second] + TinyCluster.recipe(iterations: 60)).status == 0)
        try eventually("it tells of the next job") { watch.output.contains("tile") || !watch.isRunning }
        #expect(watch.isRunning, "\(watch.output)\(watch.errors)")
    }

    @Test func aKilledWorkersJobGoesOnElsewhereFromItsCheckpoint() throws {
        let cluster = try TinyCluster(lease: 8)
        let exemplar = try cluster.writeExemplar("bark.png", seed: 5)
        let recipe = TinyCluster.recipe(iterations: 1500, checkpointEvery: 25)
        let victim = try cluster.startWorker("victim")
        #expect(try cluster.run(["submit", exemplar] + recipe).status == 0)
        try eventually("the victim is past a checkpoint", stopping: victim) {
            (try cluster.jobs().first?.iteration ?? 0) > 60
        }
        victim.killAndWait()
        try cluster.startWorker("heir")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)

        let shown = try cluster.run(["show", "bark"])
        #expect(shown.output.contains("on victim") && shown.output.contains("on heir"), "\(shown.output)")
        #expect(
            shown.output.contains(/2  finished, iterations [1-9]\d* to 1500/),
            "the second attempt resumed: \(shown.output)")
        try cluster.expectUndisturbedBytes(exemplar, recipe, result: "bark")
    }

    @Test func aKilledCoordinatorLosesNothing() throws {
        let cluster = try TinyCluster(lease: 120)
        let exemplars = try (1...2).map { try cluster.writeExemplar("tile\($0).png", seed: $0) }
        let recipe = TinyCluster.recipe(iterations: 1200, checkpointEvery: 100)
        let worker = try cluster.startWorker("steady")
        #expect(try cluster.run(["submit"] + exemplars + recipe).status == 0)
        func iterations() throws -> Int { try cluster.jobs().reduce(0) { $0 + $1.iteration } }
        var before = 0
        for _ in 0..<2 {
            try eventually("training moves on", stopping: worker) { try iterations() > before + 30 }
            before = try iterations()
            // The worker trains when the coordinator dies, but not for as long as a start may take.
            worker.send(SIGCONT)
            cluster.coordinator.killAndWait()
            worker.send(SIGSTOP)
            try cluster.restartCoordinator()
        }
        worker.send(SIGCONT)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        #expect(worker.isRunning)
        let jobs = try cluster.jobs()
        #expect(jobs.count == 2 && jobs.allSatisfy { $0.state == .finished && $0.attempt == 1 }, "\(jobs)")
        try cluster.expectUndisturbedBytes(exemplars[0], recipe, result: "tile1")
    }

    @Test func aWorkerToldToStopHandsItsJobBackWithACheckpoint() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("sand.png", seed: 7)
        #expect(
            try cluster.run(
                ["submit", exemplar] + TinyCluster.recipe(iterations: 1_000_000, checkpointEvery: 1_000_000)
            )
            .status == 0)
        // A person, a closed terminal and batch systems send these signals.
        for signal in [SIGTERM, SIGHUP, SIGUSR1, SIGXCPU] {
            let before = try cluster.jobs().first?.iteration ?? 0
            let worker = try cluster.startWorker("leaver-\(signal)")
            try eventually("training moves") { (try cluster.jobs().first?.iteration ?? 0) > before + 30 }
            worker.send(signal)
            #expect(worker.wait().status == 85)
            let job = try #require(try cluster.jobs().first)
            #expect(job.state == .queued && job.iteration > before + 30 && job.failures == 0, "\(job)")
        }
        let job = try #require(try cluster.jobs().first)
        // Another worker resumes from there. Then a cancel ends the job.
        try cluster.startWorker("next")
        try eventually("the next worker goes on") { (try cluster.jobs().first?.iteration ?? 0) > job.iteration + 10 }
        #expect(try cluster.run(["cancel", "sand"]).status == 0)
        #expect(try cluster.jobs().first?.state == .cancelled)
    }

    @Test func aSecondCtrlCEndsAWorkerThatWaitsForItsCoordinator() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("sand.png", seed: 7)
        let worker = try cluster.startWorker("waiter")
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 1_000_000)).status == 0)
        try eventually("training has begun") { (try cluster.jobs().first?.iteration ?? 0) > 0 }
        cluster.coordinator.killAndWait()
        worker.send(SIGINT)
        try eventually("it says what another does") { worker.errors.contains("press Ctrl-C again to end at once") }
        #expect(worker.isRunning)
        worker.send(SIGINT)
        let ended = worker.wait()
        #expect(ended.wasKilled && ended.status == SIGINT)
    }

    @Test func aClosedTerminalEndsACoordinatorInOrder() throws {
        let cluster = try TinyCluster()
        cluster.coordinator.send(SIGHUP)
        let ended = cluster.coordinator.wait()
        #expect(!ended.wasKilled && ended.status == 0, "\(ended.errors)")
    }

    /// A short form of the storm that docs/reliability.md publishes.
    @Test func aShortStormLosesNothing() throws {
        let scratch = try ScratchFolder()
        let output = scratch.url.appendingPathComponent("storm.out")
        try Data().write(to: output)
        let storm = Process()
        storm.executableURL = Project.folder.appendingPathComponent("scripts/storm")
        storm.arguments = [
            "--texloom", TexloomProcess.executable.path, "--jobs", "4", "--workers", "2", "--kills", "12", "--seed",
            "4", "--iterations", "2500", "--pause", "1.5",
        ]
        storm.environment = TexloomProcess.environment(home: scratch.url)
        storm.standardOutput = try FileHandle(forWritingTo: output)
        storm.standardError = storm.standardOutput
        try storm.run()
        storm.waitUntilExit()
        let said = try String(contentsOf: output, encoding: .utf8)
        print(said)
        #expect(storm.terminationStatus == 0, "\(said)")
    }

    /// Expects every row of the metrics and every snapshot once in a result folder's event file.
    private func expectEventsOfEverything(in folder: String) throws {
        let url = URL(fileURLWithPath: folder)
        let events = ReadEvent.counting(
            try ReadEvent.all(in: url.appendingPathComponent("events.out.tfevents.texloom")))
        let lines = try String(contentsOf: url.appendingPathComponent("metrics.jsonl"), encoding: .utf8)
        let rows = try lines.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
        let measured = events.filter { !$0.scalars.isEmpty }
        #expect(measured.map(\.step) == rows.compactMap { $0["iteration"] as? Int } && rows.count > 5)
        // The seconds of one iteration differ between two trainings.
        for (tag, name) in [
            ("loss/l1", "l1"), ("training/seconds_per_iteration", "seconds_per_iteration"),
        ] {
            #expect(measured.map { $0.scalars[tag] } == rows.map { ($0[name] as? NSNumber)?.floatValue }, "\(tag)")
        }
        #expect(
            measured.allSatisfy { event in
                ["loss/style", "training/learning_rate", "gradient/l1"].allSatisfy {
                    event.scalars[$0] != nil
                }
            })
        let images = url.appendingPathComponent("img")
        let names = try FileManager.default.contentsOfDirectory(atPath: images.path).sorted()
        let pictures = events.compactMap { $0.images["snapshot"] }
        #expect(
            try pictures.map(\.encoded)
                == names.map { [UInt8](try Data(contentsOf: images.appendingPathComponent($0))) })
        #expect(pictures.allSatisfy { $0.width == 80 && $0.height == 72 })
    }

    @Test func aTrainingThatWasInterruptedGoesOnWithItsEventFile() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        let out = cluster.scratch.folder.path("alone")
        let arguments =
            ["train", exemplar, "--out", out, "--threads", "1"]
            + TinyCluster.recipe(iterations: 1500, checkpointEvery: 150)
        let folder = "\(out)/wall_result"
        // Killed without warning: the event file is then ahead of the checkpoint.
        let victim = try TexloomProcess(arguments, folder: cluster.scratch.folder.url)
        try eventually("it is past its first checkpoint", stopping: victim) {
            let metrics = (try? String(contentsOfFile: "\(folder)/metrics.jsonl", encoding: .utf8)) ?? ""
            return metrics.contains("\"iteration\":200,") || !victim.isRunning
        }
        victim.killAndWait()
        let stopped = try TexloomProcess(arguments, folder: cluster.scratch.folder.url)
        try eventually("it goes on", stopping: stopped) {
            stopped.output.contains("resumed at iteration") || !stopped.isRunning
        }
        stopped.send(SIGTERM)
        stopped.send(SIGCONT)
        #expect(stopped.wait().status == 85)
        let last = try cluster.run(arguments)
        #expect(last.status == 0, "\(last.errors)")
        try expectEventsOfEverything(in: folder)
    }
}
