import Foundation
import NNCore
import Testing

@testable import TextureGAN

@Suite struct RecipeTests {
    private func refusal(_ yaml: String) -> String {
        guard let error = TinyRun.error({ _ = try Recipe(yaml: yaml, source: "my.yaml") }) else { return "accepted" }
        return error.code == .badRecipe && !error.isRetryable ? error.message : "another error: \(error)"
    }

    private func refusal(overrides: [String], of name: String = "paper") -> String {
        guard let error = TinyRun.error({ _ = try Recipe(named: name, overrides: overrides) }) else {
            return "accepted"
        }
        return error.code == .badRecipe && !error.isRetryable ? error.message : "another error: \(error)"
    }

    /// The values stay the same when a release adds a field or explains one in other words.
    @Test func valuesAreWhatDiffersFromThePaper() throws {
        #expect(Recipe.paper.values == "")
        let recipe = try Recipe(named: "paper", overrides: ["seed=7", "k=64", "style=off"])
        #expect(recipe.values == "k=64\nseed=7\nstyle=off\n")
        #expect(Recipe.values(ofFile: recipe.yaml()) == recipe.values)
        #expect(Recipe.values(ofFile: "style: off\n\nk:   64 # small\nseed: 7\n") == recipe.values)
        #expect(Recipe.values(ofFile: "base: draft") == Recipe.draft.values && Recipe.draft.values != "")
        #expect(Recipe.values(ofFile: "nonsense") == "nonsense" && Recipe.values(ofFile: "k: 3") == "k: 3")
    }

    @Test func recipesThatDifferInTheSeedAloneHaveTheSameOtherValues() throws {
        let recipe = try Recipe(named: "draft", overrides: ["k=64"])
        for seed in ["1", "2", "18446744073709551615"] {
            let variation = try Recipe(named: "draft", overrides: ["seed=\(seed)", "k=64"])
            #expect(variation.valuesButSeed == recipe.valuesButSeed)
            #expect((variation.values == recipe.values) == (seed == "1"))
        }
        #expect(try Recipe(named: "draft", overrides: ["k=32"]).valuesButSeed != recipe.valuesButSeed)
    }

    @Test(arguments: Recipe.named)
    func namedRecipesAreValidAndSurviveTheirFile(recipe: Recipe) throws {
        #expect(try Recipe(named: recipe.name) == recipe)
        #expect(try Recipe(yaml: recipe.yaml(), source: "file") == recipe)
    }

    @Test func everyFieldSurvivesTheFile() throws {
        var recipe = Recipe()
        recipe.name = "a \"quoted\" \\ name: #1 é"
        recipe.seed = .max
        // These start weights require the networks' shape that follows.
        recipe.start = .drawn
        recipe.k = nil
        recipe.generatorWidth = 16
        recipe.residualBlocks = 4
        recipe.discriminatorWidth = 16
        recipe.discriminatorLayers = 3
        recipe.norm = .without
        recipe.discriminatorNorm = .batch
        recipe.secondDiscriminatorNorm = .without
        recipe.discriminatorGain = 1.25
        recipe.padding = .replicate
        recipe.upsample = .nearest
        recipe.dropout = 0.1
        recipe.adversarial = .lsgan
        recipe.adversarialWeight = 0.3
        recipe.l1Weight = 1e-5
        recipe.style = nil
        recipe.styleInput = .torchvision
        recipe.styleWeight = 2e-5
        recipe.styleTaps = 2
        recipe.styleEvery = 3
        recipe.iterations = 77
        recipe.constantShare = 0.143
        recipe.learningRate = 1.2345678e-4
        recipe.beta1 = 0.9
        recipe.beta2 = 0.99
        recipe.ema = 0.998
        recipe.metricsEvery = 3
        recipe.snapshotEvery = 4
        recipe.checkpointEvery = 5
        let again = try Recipe(yaml: recipe.yaml(), source: "file")
        #expect(again == recipe)
        // No field above has its default value, so a lost field shows.
        let defaults = Recipe.paper
        for field in Recipe.fields { #expect(field.read(recipe) != field.read(defaults), "\(field.key)") }
    }

    @Test func filesWithoutADiscriminatorNormMeanBothNetworks() throws {
        for (norm, both) in [("batch", Recipe.DiscriminatorNorm.batch), ("instance", .instance), ("none", .without)] {
            #expect(try Recipe(yaml: "norm: \(norm)", source: "x").usedDiscriminatorNorm == both)
            #expect(
                try Recipe(yaml: "discriminator_norm: spectral\nnorm: \(norm)", source: "x").usedDiscriminatorNorm
                    == .spectral)
        }
        // Files from before these fields existed.
        let old = Recipe.paper.yaml().split(separator: "\n")
            .filter { line in !["discriminator_", "second_", "start", "ema"].contains { line.hasPrefix($0) } }
        #expect(old.count < Recipe.paper.yaml().split(separator: "\n").count)
        #expect(try Recipe(yaml: old.joined(separator: "\n"), source: "x") == .paper)
    }

    @Test func filesStartFromPaperOrTheirBase() throws {
        var expected = Recipe.draft
        expected.seed = 3
        expected.k = 24
        #expect(try Recipe(yaml: "seed: 3\nbase: draft\nk: 24\n", source: "x") == expected)
        var paper = Recipe.paper
        paper.residualBlocks = 9
        #expect(try Recipe(yaml: "blocks: 9", source: "x") == paper)
        #expect(
            refusal("base: sketch")
                .contains("unknown recipe 'sketch'; the named recipes are draft, study, fast, paper"))
        #expect(refusal("base: [draft]").contains("base must be the name of a recipe"))
    }

    @Test(
        arguments: [
            ("k: 12\nngf: 8\nwidth: 3\n", "my.yaml, line 3: unknown recipe field 'width'"),
            ("\n\nngf: many\n", "my.yaml, line 3: ngf cannot be 'many'; expected a whole number from 1 to 512"),
            ("ngf: 0", "line 1: ngf cannot be '0'"), ("ngf: 1.5", "ngf cannot be '1.5'"),
            ("blocks: -1", "blocks cannot be '-1'"), ("k: 30", "expected a multiple of 4, or auto"),
            ("k: 4100", "k cannot be '4100'"), ("seed: -1", "seed cannot be '-1'"),
            ("dropout: 1", "dropout cannot be '1'"), ("dropout: .nan", "dropout cannot be '.nan'"),
            ("learning_rate: nan", "learning_rate cannot be 'nan'"),
            ("learning_rate: .inf", "learning_rate cannot be '.inf'"),
            ("learning_rate: 0", "learning_rate cannot be '0'"), ("l1_weight: 1e39", "l1_weight cannot be '1e39'"),
            ("norm: group", "norm cannot be 'group'; expected batch, instance or none"),
            (
                "discriminator_norm: group",
                "discriminator_norm cannot be 'group'; expected same, batch, instance, none or spectral"
            ),
            ("adversarial: wgan", "expected bce, lsgan, hinge or relativistic"), ("ema: 1", "ema cannot be '1'"),
            ("start: drawn", "start cannot be 'drawn'; expected random or \(StartWeights.drawn.rawValue)"),
            (
                "second_discriminator: same",
                "second_discriminator cannot be 'same'; expected off, batch, instance, none or spectral"
            ),
            ("padding: circular", "expected zero, reflect or replicate"),
            ("style: vgg11", "style cannot be 'vgg11'; expected vgg16, vgg19 or off"),
            ("style_taps: 6", "style_taps cannot be '6'"),
            ("constant_share: 1.1", "constant_share cannot be '1.1'; expected a number from 0.0 to 1.0"),
            ("k: 20\ndiscriminator_layers: 4", "k (20) is too small for 4 discriminator layers"),
            ("adversarial_weight: 0\nl1_weight: 0\nstyle: off", "every loss has weight 0"),
            ("k: [1, 2]", "k must be a single value"), ("[k]: 1", "line 1: a key is not text"),
            ("- k\n- 1", "expected a mapping"), ("", "expected a mapping"), ("just text", "expected a mapping"),
            ("k: 8\n k: [", "my.yaml is not YAML"), ("name: \"\"", "name cannot be ''"),
            ("name: \"two\\nlines\"", "name cannot be"), ("name: \"a\\u2028  b\"", "name cannot be"),
            ("name: \"a\\uFFFFb\"", "name cannot be"),
        ])
    func impossibleFilesAreRefusedWithTheReason(yaml: String, reason: String) {
        let refusal = refusal(yaml)
        #expect(refusal.contains(reason), "\(refusal)")
    }

    /// As keys that contain each other, 45 aliases are 2^22 nodes.
    @Test func aliasesThatMultiplyAreRefusedAtOnce() {
        let lines = (1..<22).map { "n\($0): &n\($0) [*n\($0 - 1), *n\($0 - 1)]\n" }
        #expect(refusal("n0: &n0 [a]\n" + lines.joined() + "? *n21\n: 1\n").contains("my.yaml has many aliases"))
        #expect(refusal(overrides: ["name=" + String(repeating: "*a", count: 20)]).contains("name cannot be"))
    }

    @Test func aNameMayHaveStars() throws {
        let recipe = try Recipe(named: "draft", overrides: ["name=*new* **bold** * 3"])
        #expect(try Recipe(yaml: recipe.yaml(), source: "x") == recipe)
    }

    @Test func aFieldGivenTwiceIsRefused() {
        let refusal = refusal("k: 32\nk: 64\n")
        #expect(refusal.contains("my.yaml") && refusal != "accepted", "\(refusal)")
    }

    @Test func overridesAreAppliedInOrderAndChecked() throws {
        let recipe = try Recipe(
            named: "draft", overrides: ["k=24", "k=auto", "style=off", "learning_rate=1e-3", "iterations=1_000_000"])
        #expect(recipe.k == nil && recipe.style == nil && recipe.learningRate == 1e-3)
        #expect(recipe.iterations == 1_000_000)
        #expect(try Recipe(named: "draft", overrides: ["name=a=b"]).name == "a=b")
        #expect(refusal(overrides: ["k"]).contains("--set k: expected key=value"))
        #expect(refusal(overrides: ["kk=3"]).contains("--set kk=3: unknown recipe field 'kk'"))
        #expect(refusal(overrides: ["k=big"]).contains("--set k=big: k cannot be 'big'"))
        let swept = TinyRun.error {
            var recipe = Recipe.draft
            try recipe.apply(["k=5"], from: "--sweep")
        }
        #expect(swept?.message.hasPrefix("--sweep k=5: k cannot be '5'") == true)
        #expect(refusal(overrides: [], of: "drft").hasSuffix("; did you mean 'draft'?"))
        #expect(refusal(overrides: ["=1"]).contains("unknown recipe field ''"))
        #expect(refusal(overrides: [], of: "Paper").contains("unknown recipe 'Paper'"))
    }

    @Test(
        arguments: zip(
            [Recipe.draft, .study, .fast, .paper], [(6000, 667), (4000, 667), (16_000, 667), (50_000, 500)]))
    func theConstantPartOfTheScheduleFollowsTheNumberOfIterations(recipe: Recipe, counts: (whole: Int, short: Int))
        throws
    {
        #expect(recipe.constantIterations == counts.whole)
        let short = try Recipe(named: recipe.name, overrides: ["iterations=1000"])
        #expect(short.constantIterations == counts.short && short.learningRate(at: 1000) < recipe.learningRate / 300)
    }

    @Test func theLearningRateIsConstantThenFallsLinearlyToNothing() {
        var recipe = Recipe()
        recipe.iterations = 100
        recipe.constantShare = 0.6
        recipe.learningRate = 0.4
        for iteration in [1, 2, 60, 61] { #expect(recipe.learningRate(at: iteration) == 0.4) }
        #expect(abs(recipe.learningRate(at: 81) - 0.2) < 1e-7)
        #expect(abs(recipe.learningRate(at: 100) - 0.01) < 1e-7)
        #expect(abs(recipe.learningRate(at: 70) - recipe.learningRate(at: 71) - 0.01) < 1e-7)
        recipe.constantShare = 1
        #expect(recipe.learningRate(at: 100) == 0.4)
        recipe.constantShare = 0
        #expect(recipe.learningRate(at: 1) == 0.4 && recipe.learningRate(at: 51) == 0.2)
    }

    @Test func autoTakesTheLargestCropThatFitsAndTooLargeOnesNameIt() throws {
        var recipe = Recipe.paper
        recipe.discriminatorLayers = 3
        recipe.k = nil
        #expect(try recipe.cropSize(forWidth: 200, height: 131, exemplar: "x.png") == 64)
        #expect(try recipe.cropSize(forWidth: 128, height: 900, exemplar: "x.png") == 64)
        #expect(try recipe.cropSize(forWidth: 24, height: 24, exemplar: "x.png") == 12)
        recipe.k = 64
        #expect(try recipe.cropSize(forWidth: 128, height: 128, exemplar: "x.png") == 64)
        let tooSmall = TinyRun.error { _ = try recipe.cropSize(forWidth: 192, height: 127, exemplar: "x.png") }
        #expect(tooSmall?.code == .badExemplar && tooSmall?.isRetryable == false)
        #expect(tooSmall?.message.contains("x.png is 192x127 pixels") == true)
        #expect(tooSmall?.message.contains("k=60") == true)
        let tiny = TinyRun.error { _ = try recipe.cropSize(forWidth: 23, height: 500, exemplar: "x.png") }
        #expect(tiny?.message.contains("at least 24") == true)
    }

    /// The smallest crop of every discriminator depth trains: no reflection or convolution runs out of pixels.
    @Test(arguments: 1...4)
    func theSmallestCropTrains(layers: Int) throws {
        var recipe = TinyRun.recipe
        recipe.discriminatorLayers = layers
        recipe.generatorWidth = 1
        recipe.discriminatorWidth = 1
        recipe.style = nil
        recipe.k = nil
        let k = Recipe.smallestCrop(discriminatorLayers: layers)
        #expect(k >= 8 && k % 4 == 0)
        let exemplar = Exemplar(TinyRun.image(width: 2 * k, height: 2 * k), name: "least.png")
        let trainer = try Trainer(exemplar: exemplar, recipe: recipe, threads: 1)
        #expect(trainer.k == k)
        try trainer.advance(by: 2)
    }
}

@Suite struct RecipeDocumentationTests {
    @Test func docsExplainEveryFieldWithTheValuesOfEveryNamedRecipe() throws {
        let page = try String(contentsOf: projectFolder.appendingPathComponent("docs/recipes.md"), encoding: .utf8)
        for field in Recipe.fields where field.key != "name" {
            let values = [Recipe.paper, .fast, .study, .draft].map(field.read).joined(separator: " | ")
            let row = "| `\(field.key)` | \(values) | \(field.summary) |"
            #expect(page.contains(row), "docs/recipes.md should have the row: \(row)")
        }
    }

    /// Peak MiB of `texloom train --threads 1` with an exemplar of 256x256 (of `paper`: of `bench step`). A worker with
    /// this much memory can train.
    @Test(arguments: [
        ("draft", [], 119.7),
        ("study", [], 119.7),
        ("fast", [], 231.5),
        ("fast", ["ngf=64", "ndf=64"], 613),
        ("fast", ["k=24", "ngf=16", "ndf=192", "style=off"], 2278),
        ("draft", ["ndf=128", "start=random", "discriminator_norm=spectral", "second_discriminator=off"], 382),
        ("paper", [], 646),
    ])
    func theMemoryOfATrainingIsKnownBeforeIt(_ name: String, _ overrides: [String], _ measured: Double) throws {
        let recipe = try Recipe(named: name, overrides: overrides)
        let bytes = try recipe.trainingBytes(width: 256, height: 256, exemplar: "a.png")
        #expect((0.75...1).contains(Double(bytes) / 1_048_576 / measured), "\(bytes >> 20) MiB")
    }

    @Test(arguments: ["draft", "fast", "paper"])
    func theMemoryOfATrainingGrowsWithItsExemplar(_ name: String) throws {
        let recipe = try Recipe(named: name)
        let bytes = try recipe.trainingBytes(width: 256, height: 256, exemplar: "a.png")
        let large = try recipe.trainingBytes(width: 2000, height: 2000, exemplar: "a.png")
        #expect(large > bytes + 256 << 20, "the snapshots of a large photograph")
        #expect(large < 4 << 30, "are made in pieces")
        let layout = try #require(MapLayout([.albedo, .normalGL, .roughness, .ambientOcclusion, .displacement]))
        let material = try recipe.trainingBytes(width: 256, height: 256, layout: layout, exemplar: "a")
        // Nine channels of 14 bytes for each pixel instead of three of 9, and weights of the first and last layers.
        let more = material - bytes
        #expect(more >= 65_536 * 99 && more < 16 << 20, "\(more)")
    }

    /// Resident MiB of `texloom train --set ngf=1 --set style=off` with an exemplar of 2000x1500: pictures and figures.
    @Test func theMemoryOfALargeExemplarCounts() throws {
        var recipe = Recipe.draft
        (recipe.start, recipe.generatorWidth, recipe.style) = (.random, 1, nil)
        let bytes = try recipe.trainingBytes(width: 2000, height: 1500, exemplar: "a.png")
        #expect((0.75...1).contains(Double(bytes) / 1_048_576 / 643), "\(bytes >> 20) MiB")
    }
}
