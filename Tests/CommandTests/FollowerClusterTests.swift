import Foundation
import Protocol
import Testing

/// Work after a training, with real processes.
@Suite(.serialized) struct FollowerClusterTests {
    /// The commands on this machine give the bytes that the cluster gives, whatever happens to its processes.
    @Test func theClusterMakesWhatTheCommandsMake() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3, width: 72, height: 64)
        let work: [(then: String, flags: [String])] = [
            ("expand:size=301x150", ["--size", "301x150"]),
            ("expand:seamless,depth=16", ["--seamless", "both", "--depth", "16"]),
            ("expand:variations=3,seed=7,input=tiles", ["--variations", "3", "--seed", "7", "--input", "tiles"]),
            ("expand:times=2", ["--times", "2"]),
        ]
        let submitted = try cluster.run(
            ["submit", exemplar] + TinyCluster.recipe(iterations: 400, checkpointEvery: 50)
                + work.flatMap { ["--then", $0.then] } + ["--then", "export:onnx"])
        #expect(submitted.status == 0, "\(submitted.errors)")
        #expect(submitted.output.contains("then      wall-expand as "), "\(submitted.output)")
        #expect(try cluster.jobs().count { $0.state == .waiting } == 5)
        let shown = try cluster.run(["show", "wall-export"])
        #expect(shown.output.contains("after") && shown.output.contains("waits for wall"), "\(shown.output)")

        try cluster.finishThroughKills()
        let jobs = try cluster.jobs()
        #expect(jobs.count == 6 && jobs.allSatisfy { $0.state == .finished }, "\(jobs)")
        // Lists show what was made.
        #expect(jobs.allSatisfy { ($0.latestSnapshot != nil) == ($0.kind != .export) }, "\(jobs)")

        let out = cluster.scratch.folder.path("out")
        let gathered = try cluster.run(["gather", "--out", out, "--licence", "CC0-1.0"])
        #expect(gathered.status == 0, "\(gathered.errors)")
        let generator = "\(out)/wall_result/generator.safetensors"
        for (index, item) in work.enumerated() {
            let folder = "\(out)/wall-expand\(index == 0 ? "" : "-\(index + 1)")_result"
            let local = cluster.scratch.folder.path("local-\(index)")
            try FileManager.default.createDirectory(atPath: local, withIntermediateDirectories: true)
            let alone = try TexloomProcess(
                ["expand", generator, exemplar] + item.flags, folder: cluster.scratch.folder.url,
                launcher: ["/usr/bin/env", "--chdir", local]
            ).wait()
            #expect(alone.status == 0, "\(alone.errors)")
            let names = try FileManager.default.contentsOfDirectory(atPath: local).sorted()
            #expect(names.count == (index == 2 ? 3 : 1))
            for name in names {
                #expect(try bytes("\(folder)/\(name)") == bytes("\(local)/\(name)"), "\(item.then): \(name)")
            }
            let manifest = try GatheredManifest(in: folder)
            #expect(manifest.paths("picture") == names)
            #expect(manifest.made_from?.map(\.id) == [try #require(jobs.first { $0.resultName == "wall" }).id])
            #expect(manifest.licence == "CC0-1.0")
            // The seams of pictures that tile.
            #expect(manifest.figures.keys.sorted() == (index == 1 ? ["seam_x", "seam_y"] : []), "\(item.then)")
        }
        let model = cluster.scratch.folder.path("local.onnx")
        #expect(try cluster.run(["export", generator, "-o", model]).status == 0)
        #expect(try bytes("\(out)/wall-export_result/generator.onnx") == bytes(model))

        let training = try GatheredManifest(in: "\(out)/wall_result")
        #expect(training.recipe.contains("iterations: 400") && training.made_from == nil)
        for file in training.files {
            #expect(try bytes("\(out)/wall_result/\(file.path)").count == file.bytes, "\(file.path)")
        }
        #expect(training.files.contains { $0.path == "generator.safetensors" && $0.role == "generator" })
        // A repeated gather fetches nothing.
        let repeated = try cluster.run(["gather", "--out", out])
        #expect(repeated.output.matches(of: /finished, 0 files fetched/).count == 6, "\(repeated.output)")
        // More work on the job that is there needs no new training.
        let more = try cluster.run(
            ["submit", exemplar] + TinyCluster.recipe(iterations: 400, checkpointEvery: 50)
                + ["--then", "expand:input=noise", "--json"])
        #expect(more.status == 0, "\(more.errors)")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        #expect(try cluster.jobs().count == 7)
    }

    @Test func everySeedHasItsOwnFollowersAndACancelBlocksThem() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        let submitted = try cluster.run(
            ["submit", exemplar, "--seeds", "2", "--then", "expand"] + TinyCluster.recipe(iterations: 60))
        #expect(submitted.status == 0, "\(submitted.errors)")
        #expect(
            try cluster.jobs().map(\.resultName).sorted() == ["wall", "wall-expand", "wall-seed2", "wall-seed2-expand"])
        #expect(try cluster.run(["cancel", "wall-seed2"]).status == 0)
        try cluster.startWorker("one")
        let watched = try cluster.run(["watch", "--interval", "0.2"])
        #expect(watched.status == 1, "two jobs do not finish: \(watched.output)")
        let states = Dictionary(uniqueKeysWithValues: try cluster.jobs().map { ($0.resultName, $0.state) })
        #expect(
            states == [
                "wall": .finished, "wall-expand": .finished, "wall-seed2": .cancelled, "wall-seed2-expand": .blocked,
            ])
        let listed = try cluster.run(["show", "wall-seed2-expand"])
        #expect(listed.output.contains("blocked: waits for wall-seed2"), "\(listed.output)")
        #expect(try cluster.run(["retry", "wall-seed2-expand"]).errors.contains("retry that job instead"))
        #expect(try cluster.run(["retry", "wall-seed2"]).status == 0)
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        #expect(try cluster.jobs().allSatisfy { $0.state == .finished })
        // Only what was made of the best one is gathered, under the name of the first seed, whichever was the best.
        let out = cluster.scratch.folder.path("out")
        #expect(try cluster.run(["gather", "--best", "--out", out]).status == 0)
        let folders = try FileManager.default.contentsOfDirectory(atPath: out)
        #expect(folders.sorted() == ["wall-expand_result", "wall_result"], "\(folders)")
    }

    /// The names of a second batch's jobs end in numbers, so none begins with the name of another.
    @Test func whatIsMadeOfTheBestOneOfASecondBatchIsCalledAfterTheBatchesFirst() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        for batch in ["walls-1", "walls-2"] {
            let submitted = try cluster.run(
                ["submit", exemplar, "--batch", batch, "--seeds", "2", "--then", "expand"]
                    + TinyCluster.recipe(iterations: 30))
            #expect(submitted.status == 0, "\(submitted.errors)")
        }
        try cluster.startWorker("one")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)
        let jobs = try cluster.jobs().filter { $0.batch == "walls-2" }
        let first = try #require(jobs.filter { $0.kind == .train }.min { $0.id < $1.id }).resultName
        let work = jobs.filter { $0.kind == .expand }
        #expect(first != "wall" && work.count == 2, "\(jobs.map(\.resultName))")

        let out = cluster.scratch.folder.path("out")
        func gather() throws -> [String] {
            let gathered = try cluster.run(["gather", "--batch", "walls-2", "--best", "--out", out])
            #expect(gathered.status == 0, "\(gathered.errors)")
            return try FileManager.default.contentsOfDirectory(atPath: out).sorted()
        }
        #expect(try gather() == ["\(first)-expand_result", "\(first)_result"])
        // Pretends that the other seed was the best one at the earlier gather.
        let marker = URL(fileURLWithPath: "\(out)/\(first)-expand_result/.job")
        let best = try String(contentsOf: marker, encoding: .utf8)
        let other = try #require(work.first { $0.id != best })
        try Data(other.id.utf8).write(to: marker)
        let folders = try gather()
        #expect(folders.count == 3 && folders.contains { $0.wholeMatch(of: /.*-seed[12]-expand_result/) != nil })
        #expect(try String(contentsOf: marker, encoding: .utf8) == best)
    }

    @Test func workThatCannotBeIsRefusedBeforeItIsSubmitted() throws {
        let cluster = try TinyCluster()
        let exemplar = try cluster.writeExemplar("wall.png", seed: 3)
        for (then, wanted) in [
            ("paint", "expected expand or export"), ("expand:size=9", "expected WxH"),
            ("export:usd", "'usd' is not a format of export; expected onnx"),
        ] {
            let refused = try cluster.run(["submit", exemplar, "--then", then])
            #expect(refused.status == 2 && refused.errors.contains(wanted), "\(refused.errors)")
        }
        let small = try cluster.run(
            ["submit", exemplar, "--then", "expand:size=40000x40000"] + TinyCluster.recipe(iterations: 60))
        #expect(
            small.status == 1 && small.output.contains("the result of --size has 40000x40000 pixels"), "\(small.output)"
        )
        for (then, wanted) in [
            ("expand:variations=300", "a job makes at most 256 pictures"),
            ("expand:variations=250,times=8,depth=16", "a job makes at most 16.0 GiB"),
        ] {
            let refused = try cluster.run(["submit", exemplar, "--then", then] + TinyCluster.recipe(iterations: 60))
            #expect(refused.status == 1 && refused.output.contains(wanted), "\(refused.output)")
        }
        #expect(try cluster.jobs().isEmpty)
    }
}
