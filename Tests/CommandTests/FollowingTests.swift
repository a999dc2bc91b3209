import Foundation
import Protocol
import Testing

/// Commands that follow a cluster, against real processes.
@Suite(.serialized) struct FollowingTests {
    /// Followers share the machine with the trainers. The test measures their own CPU time, which does not depend on
    /// other processes.
    /// - Parameter trains: Whether the job runs meanwhile, or waits for a worker.
    @Test(arguments: [false, true]) func followersTakeLessThanAHundredthOfACore(trains: Bool) throws {
        // The default heartbeat: the tests' own is 25 times as fast.
        let cluster = try TinyCluster(heartbeat: 5)
        let exemplar = try cluster.writeExemplar("tile.png", seed: 1)
        let recipe = TinyCluster.recipe(iterations: 1_000_000, checkpointEvery: 1_000_000)
        #expect(try cluster.run(["submit", exemplar] + recipe + ["--set", "snapshot_every=1000000"]).status == 0)
        if trains {
            try cluster.startWorker("one")
            try eventually("it is trained") { (try cluster.jobs().first?.iteration ?? 0) > 0 }
        }
        let followers = [
            try cluster.start(["logs", "-f", "tile"]), try cluster.start(["watch", "--json"]),
            try cluster.start(["watch", "tile"]),
        ]
        try eventually("all have begun") { followers.allSatisfy { !$0.output.isEmpty } }
        try eventually("the start is over") { try cores(of: followers, seconds: 2).allSatisfy { $0 < 0.01 } }
        for (follower, cores) in zip(followers, try cores(of: followers, seconds: 20)) {
            #expect(cores < 0.01, "\(follower.output)")
            follower.killAndWait()
        }
    }

    /// How much of a core each process takes on average.
    /// - Parameter seconds: How long that is measured, at least.
    private func cores(of processes: [TexloomProcess], seconds: Double) throws -> [Double] {
        let start = ContinuousClock.now
        let before = try processes.map { try $0.processorSeconds }
        Thread.sleep(forTimeInterval: seconds)
        let after = try processes.map { try $0.processorSeconds }
        let elapsed = (ContinuousClock.now - start) / .seconds(1)
        return zip(before, after).map { ($1 - $0) / elapsed }
    }

    @Test func followersGoOnWhenTheCoordinatorWasAway() throws {
        let cluster = try TinyCluster(lease: 120)
        let exemplars = try (1...2).map { try cluster.writeExemplar("tile\($0).png", seed: $0) }
        #expect(
            try cluster.run(["submit"] + exemplars + TinyCluster.recipe(iterations: 800, checkpointEvery: 100)).status
                == 0)
        let log = try cluster.start(["logs", "tile1", "--follow", "--json"])
        let one = try cluster.start(["watch", "tile1", "--json"])
        let all = try cluster.start(["watch"])
        try eventually("all have begun") { [log, one, all].allSatisfy { !$0.output.isEmpty } }
        let worker = try cluster.startWorker("steady")
        try eventually("the log is being followed", stopping: worker) { log.output.contains("given to steady") }
        try cluster.restartCoordinator()
        worker.send(SIGCONT)

        for process in [log, one, all] {
            let result = process.wait()
            #expect(result.status == 0, "\(result.errors)")
        }
        for process in [log, one, all] {
            #expect(process.errors.contains("looking again") && process.errors.contains("is back"), "\(process.errors)")
        }
        // The log loses no line and repeats none.
        let stored = try cluster.run(["logs", "tile1", "--json"])
        #expect(stored.status == 0 && stored.output == log.output, "\(log.output)\n\(stored.output)")
        let lines = log.output.split(separator: "\n").map(String.init)
        let first = try #require(try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any])
        #expect(first["message"] as? String == "accepted" && first["process"] as? String == "coordinator")
        let given = try #require(lines.first { $0.contains("given to steady") })
        #expect(given.contains(#""attempt":1,"worker":"steady""#), "\(given)")
        #expect(lines.allSatisfy { !$0.contains("tile2") })

        let states = try one.output.split(separator: "\n").map {
            try APIFormat.decoder.decode(JobSummary.self, from: Data($0.utf8))
        }
        #expect(states.allSatisfy { $0.name == "tile1" } && states.last?.state == .finished, "\(one.output)")
        for name in ["tile1", "tile2"] {
            #expect(all.output.contains("\(name): finished 800/800"), "\(all.output)")
        }

        let tail = try cluster.run(["logs", "tile1", "--json", "-n", "2"])
        #expect(tail.output == lines.suffix(2).map { $0 + "\n" }.joined())
        #expect(try cluster.run(["logs", "tile1", "--level", "error"]).output == "")
        #expect(try cluster.run(["logs", "tile1", "--level", "loud"]).status == 2)

        let shown = try cluster.run(["show", "tile1"]).output
        #expect(shown.contains(/progress +█+ 100%  800\/800/), "\(shown)")
        #expect(shown.contains(/l1 +[0-9.e-]+  [▁▂▃▄▅▆▇█]{20,}/), "the losses over the run: \(shown)")
        #expect(!shown.contains("\u{1B}"), "no colours in a file")
        #expect(try cluster.run(["list", "--limit", "1", "--sort", "name"]).output.contains("tile1"))
        #expect(!(try cluster.run(["list", "--name", "tile2", "--recipe", "draft"]).output.contains("tile1")))
    }

    @Test func whoFollowsADeletedJobIsTold() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("stone.png", seed: 9)
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 60)).status == 0)
        let followers = [
            try cluster.start(["watch", "stone"]), try cluster.start(["watch", "stone", "--json"]),
            try cluster.start(["logs", "stone", "--follow"]),
        ]
        try eventually("all have begun") { followers.allSatisfy { !$0.output.isEmpty } }
        // What is stored is printed before the stream is open.
        Thread.sleep(forTimeInterval: 2)
        #expect(try cluster.run(["delete", "stone", "--cancel", "--yes"]).status == 0)
        for follower in followers {
            let result = follower.wait()
            #expect(result.status == 1 && result.errors == "texloom: stone was deleted\n", "\(result)")
        }
    }

    @Test func whoFollowsAJobThatWasDeletedMeanwhileIsToldAndFollowsTheOthers() throws {
        let cluster = try TinyCluster()
        let exemplars = try ["stone", "moss"].map { try cluster.writeExemplar("\($0).png", seed: $0.count) }
        #expect(try cluster.run(["submit"] + exemplars + TinyCluster.recipe(iterations: 60)).status == 0)
        let both = try cluster.start(["watch", "stone", "moss"])
        let followers = [try cluster.start(["watch", "stone"]), try cluster.start(["logs", "stone", "--follow"])]
        try eventually("all have begun") {
            both.output.contains("moss: queued") && followers.allSatisfy { !$0.output.isEmpty }
        }
        // None of them sees the coordinator that deletes the job.
        for process in followers + [both] { process.send(SIGSTOP) }
        try cluster.restartCoordinator()
        #expect(try cluster.run(["delete", "stone", "--cancel", "--yes"]).status == 0)
        for process in followers + [both] { process.send(SIGCONT) }
        for follower in followers {
            let result = follower.wait()
            #expect(result.status == 1 && result.errors.hasSuffix("texloom: stone was deleted\n"), "\(result)")
        }
        try eventually("it is told") { both.errors.contains("texloom: stone was deleted\n") || !both.isRunning }
        #expect(try cluster.run(["cancel", "moss"]).status == 0)
        let result = both.wait()
        #expect(result.status == 1 && result.output.contains("moss: cancelled"), "\(result)")
        #expect(result.errors.contains("texloom: stone was deleted\n"), "\(result)")
    }

    @Test func aWatchOfWhatFailedFails() throws {
        let cluster = try TinyCluster()
        let empty = try cluster.run(["watch"])
        #expect(empty.status == 0 && empty.output == "no jobs; --forever waits for some\n", "\(empty)")
        let exemplar = try cluster.writeExemplar("stone.png", seed: 9)
        #expect(try cluster.run(["submit", exemplar] + TinyCluster.recipe(iterations: 60)).status == 0)
        #expect(try cluster.run(["cancel", "stone", "--reason", "enough"]).status == 0)
        for arguments in [["watch"], ["watch", "stone"]] {
            let result = try cluster.run(arguments)
            #expect(result.status == 1 && result.output.contains("stone: cancelled (enough)"), "\(result.output)")
            #expect(result.errors.contains("1 of 1 job did not finish"), "\(result.errors)")
        }
        let cancelled = try cluster.run(["cancel", "nosuch"])
        #expect(cancelled.status == 1 && cancelled.errors.hasPrefix("texloom: there is no job 'nosuch';"))
        let unknown = try cluster.run(["watch", "nosuch-7"])
        #expect(unknown.status == 1 && unknown.errors.contains("there is no job 'nosuch-7'"))
    }
}
