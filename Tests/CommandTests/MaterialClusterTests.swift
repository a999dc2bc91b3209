import Foundation
import Protocol
import Testing

/// Materials as jobs of a cluster, with real processes.
@Suite(.serialized) struct MaterialClusterTests {
    private func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    private func locally(_ arguments: [String], in folder: String, _ cluster: TinyCluster) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let result = try TexloomProcess(
            arguments, folder: cluster.scratch.folder.url, launcher: ["/usr/bin/env", "--chdir", folder]
        ).wait()
        #expect(result.status == 0, "\(arguments): \(result.errors)")
    }

    /// The commands on this machine give the bytes that the cluster gives, whatever happens to its processes.
    @Test func theClusterMakesWhatTheCommandsMake() throws {
        let cluster = try TinyCluster()
        let scratch = cluster.scratch.folder
        let folder = scratch.path("waves.1k")
        try WavesMaterial.write(to: folder)
        let recipe = TinyCluster.recipe(iterations: 400, checkpointEvery: 50)
        let work: [(then: String, flags: [String], results: [String])] = [
            ("expand", [], ["waves.1k_2x"]),
            (
                "expand:variations=2,seed=3,depth=16", ["--variations", "2", "--seed", "3", "--depth", "16"],
                ["waves.1k_2x-1", "waves.1k_2x-2"]
            ),
            ("expand:seamless,times=2", ["--seamless", "both", "--times", "2"], ["waves.1k_4x_tile"]),
        ]
        let submitted = try cluster.run(
            ["submit", folder] + recipe + work.flatMap { ["--then", $0.then] } + ["--then", "export:onnx"])
        #expect(submitted.status == 0, "\(submitted.errors)")
        #expect(
            submitted.output.contains("(waves.1k, maps albedo, normal-dx, roughness, displacement)"),
            "\(submitted.output)")
        #expect(submitted.output.contains("on a core like this machine's"), "how long it takes: \(submitted.output)")

        try cluster.finishThroughKills()
        let shown = try cluster.run(["show", "waves.1k"])
        #expect(shown.output.contains("map normal-dx"), "\(shown.output)")

        let out = scratch.path("out")
        let gathered = try cluster.run(["gather", "--out", out])
        #expect(gathered.status == 0, "\(gathered.errors)")
        try locally(["train", folder, "--out", "alone", "--threads", "1"] + recipe, in: scratch.url.path, cluster)
        for file in ["generator.safetensors", "discriminator.safetensors"] {
            let alone = try bytes(scratch.path("alone/waves.1k_result/\(file)"))
            #expect(try bytes("\(out)/waves.1k_result/\(file)") == alone, "\(file)")
        }
        let training = try GatheredManifest(in: "\(out)/waves.1k_result")
        #expect(
            training.paths("map") == [
                "exemplar/exemplar_Color.png", "exemplar/exemplar_Displacement.png", "exemplar/exemplar_NormalDX.png",
                "exemplar/exemplar_Roughness.png",
            ])
        #expect(training.paths("exemplar").isEmpty, "the albedo is a map")
        let generator = "\(out)/waves.1k_result/generator.safetensors"
        for (index, item) in work.enumerated() {
            let made = "\(out)/waves.1k-expand\(index == 0 ? "" : "-\(index + 1)")_result"
            let local = scratch.path("local-\(index)")
            try locally(["expand", generator, folder] + item.flags, in: local, cluster)
            #expect(try names(local) == item.results)
            for result in item.results {
                let files = try names("\(local)/\(result)")
                #expect(try names("\(made)/\(result)") == files && files.count == 5)
                for file in files {
                    let expected = try bytes("\(local)/\(result)/\(file)")
                    #expect(try bytes("\(made)/\(result)/\(file)") == expected, "\(item.then): \(file)")
                }
            }
            let manifest = try GatheredManifest(in: made)
            #expect(manifest.paths("picture").count == 4 * item.results.count)
            #expect(manifest.paths("material") == item.results.map { "\($0)/\($0).mtlx" })
        }
        // The maps that were gathered are those that were submitted.
        try locally(
            ["expand", generator, "\(out)/waves.1k_result/exemplar", "-o", "waves_2x"], in: scratch.path("again"),
            cluster)
        let again = try bytes(scratch.path("again/waves_2x/waves_2x_NormalDX.png"))
        #expect(try bytes(scratch.path("local-0/waves.1k_2x/waves.1k_2x_NormalDX.png")) == again)
        try locally(["export", generator, "-o", "local.onnx"], in: scratch.url.path, cluster)
        #expect(try bytes("\(out)/waves.1k-export_result/generator.onnx") == bytes(scratch.path("local.onnx")))
        let repeated = try cluster.run(["gather", "--out", out])
        #expect(repeated.output.matches(of: /finished, 0 files fetched/).count == 5, "\(repeated.output)")
    }

    @Test func aFolderOfMaterialsIsAJobForEachAndMapsCanBeNamedAndFramed() throws {
        let cluster = try TinyCluster()
        let scratch = cluster.scratch.folder
        let recipe = TinyCluster.recipe(iterations: 20)
        for (index, name) in ["rock", "sand"].enumerated() {
            try WavesMaterial.write(to: scratch.path("library/\(name)"), shift: Double(index + 1))
        }
        let albedo = scratch.path("library/rock/waves_diff.png")
        let maps = ["--map", "albedo=\(albedo)", "--map", "roughness=\(scratch.path("library/rock/waves_disp.png"))"]
        let both = try cluster.run(["submit", scratch.path("library"), "--json"] + recipe)
        #expect(both.status == 0, "\(both.errors)")
        let named = try cluster.run(["submit", "--name", "two", "--crop", "24x20"] + maps + recipe)
        #expect(named.status == 0 && named.output.contains("maps albedo, roughness"), "\(named.output)\(named.errors)")
        #expect(try cluster.jobs().map(\.resultName).sorted() == ["rock", "sand", "two"])
        // Once more: the same jobs. Another map is another job, although name and albedo are the same.
        let again = try cluster.run(["submit", scratch.path("library/rock")] + recipe)
        #expect(again.output.contains("was submitted before"), "\(again.output)")
        let other = try cluster.run(["submit", "--name", "rock"] + maps + recipe)
        #expect(other.status == 0 && !other.output.contains("before"), "\(other.output)\(other.errors)")
        let photograph = try cluster.run(["submit", "--name", "rock", albedo] + recipe)
        #expect(photograph.status == 0 && !photograph.output.contains("before"), "\(photograph.output)")
        try cluster.startWorker("one")
        let watched = try cluster.run(["watch", "--interval", "0.2"])
        #expect(watched.status == 0, "\(watched.output)\(watched.errors)")
        let out = scratch.path("out")
        #expect(try cluster.run(["gather", "--out", out]).status == 0)
        // A longer training of a material has its maps.
        let longer = try cluster.run(["continue", "sand", "--iterations", "30"])
        #expect(longer.status == 0, "\(longer.errors)")
        #expect(try cluster.run(["watch", "--interval", "0.2"]).status == 0)

        try locally(
            ["train", "library/sand", "--out", "alone", "--threads", "1"] + recipe, in: scratch.url.path, cluster)
        try locally(
            ["train", "--name", "two", "--crop", "24x20", "--out", "alone", "--threads", "1"] + maps + recipe,
            in: scratch.url.path, cluster)
        for name in ["sand", "two"] {
            let alone = try bytes(scratch.path("alone/\(name)_result/generator.safetensors"))
            #expect(try bytes("\(out)/\(name)_result/generator.safetensors") == alone, "\(name)")
        }
    }

    /// The same words as `texloom train`, before anything is sent.
    @Test func whatDoesNotFitIsRefusedInTheWordsOfTrain() throws {
        let cluster = try TinyCluster()
        let scratch = cluster.scratch.folder
        let folder = scratch.path("waves")
        try WavesMaterial.write(to: folder)
        try WavesMaterial.write(to: scratch.path("small"), width: 30)
        func refused(_ exemplar: [String], _ words: String) throws {
            let submitted = try cluster.run(["submit"] + exemplar)
            let trained = try cluster.run(["train"] + exemplar)
            #expect(submitted.status == 1 && submitted.output.contains(words), "\(submitted.output)\(submitted.errors)")
            #expect(trained.status != 0 && trained.errors.contains(words), "\(trained.errors)")
        }
        let albedo = "albedo=\(folder)/waves_diff.png"
        try refused(
            ["--map", albedo, "--map", "ao=\(scratch.path("small/waves_rough.png"))"],
            "the maps of a material have one size")
        try refused(["--map", albedo], "has no map besides the albedo")
        try FileManager.default.copyItem(atPath: "\(folder)/waves_rough.png", toPath: "\(folder)/waves_roughness.png")
        try refused([folder], "contain the same map; remove one")
        let both = try cluster.run(["submit", folder, "--map", albedo])
        #expect(both.status == 2 && both.errors.contains("expected one of them"), "\(both.errors)")
        #expect(try cluster.jobs().isEmpty)
        let stored = FileManager.default.enumerator(atPath: scratch.path("coordinator/artifacts"))?.allObjects ?? []
        #expect(!stored.contains { ("\($0)" as NSString).lastPathComponent.count == 64 }, "\(stored)")
    }
}
