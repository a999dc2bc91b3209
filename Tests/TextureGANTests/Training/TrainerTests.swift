import NNCore
import Testing

@testable import TextureGAN

/// A variant of the recipe. All variants must train.
struct RecipeVariant: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var change: @Sendable (inout Recipe) -> Void

    static let table: [RecipeVariant] = [
        RecipeVariant(testDescription: "as it is") { _ in },
        RecipeVariant(testDescription: "norm: instance") { $0.norm = .instance },
        RecipeVariant(testDescription: "norm: none") { $0.norm = .without },
        RecipeVariant(testDescription: "norm: none, discriminator_norm: batch, upsample: nearest") {
            $0.norm = .without
            $0.discriminatorNorm = .batch
            $0.upsample = .nearest
        },
        RecipeVariant(testDescription: "discriminator_norm: spectral, adversarial: hinge, discriminator_gain: 1.4") {
            $0.discriminatorNorm = .spectral
            $0.adversarial = .hinge
            $0.discriminatorGain = 1.4
        },
        RecipeVariant(testDescription: "ema: 0.9") { $0.ema = 0.9 },
        RecipeVariant(testDescription: "widths of 8, without norms") {
            $0.generatorWidth = 8
            $0.discriminatorWidth = 8
            $0.norm = .without
            $0.discriminatorNorm = .spectral
            $0.upsample = .nearest
            $0.ema = 0.9
        },
        RecipeVariant(testDescription: "padding: replicate") { $0.padding = .replicate },
        RecipeVariant(testDescription: "padding: zero") { $0.padding = .zero },
        RecipeVariant(testDescription: "upsample: nearest") { $0.upsample = .nearest },
        RecipeVariant(testDescription: "adversarial: lsgan") { $0.adversarial = .lsgan },
        RecipeVariant(testDescription: "style: off") { $0.style = nil },
        RecipeVariant(testDescription: "style: vgg19, all taps") {
            $0.style = .vgg19
            $0.styleTaps = 5
        },
        RecipeVariant(testDescription: "style_input: caffe") {
            $0.styleInput = .caffe
            $0.styleWeight = 2e-5
        },
        RecipeVariant(testDescription: "style_input: torchvision") { $0.styleInput = .torchvision },
        RecipeVariant(testDescription: "dropout: 0") { $0.dropout = 0 },
        RecipeVariant(testDescription: "k: auto") { $0.k = nil },
        RecipeVariant(testDescription: "discriminator_layers: 1") { $0.discriminatorLayers = 1 },
        RecipeVariant(testDescription: "without l1") { $0.l1Weight = 0 },
        // Wide enough for the kernels of real sizes, in all their directions.
        RecipeVariant(testDescription: "widths of 8") {
            $0.generatorWidth = 8
            $0.discriminatorWidth = 8
        },
        RecipeVariant(testDescription: "style_every: 4") { $0.styleEvery = 4 },
    ]

    var recipe: Recipe {
        var recipe = TinyRun.recipe
        change(&recipe)
        return recipe
    }
}

@Suite struct TrainerTests {
    @Test(
        "Every option trains: losses are finite, networks move, and each term has a gradient",
        arguments: RecipeVariant.table)
    func everyOptionTrains(_ variant: RecipeVariant) throws {
        let trainer = try TinyRun.trainer(variant.recipe, threads: 2)
        let start = trainer.state
        for _ in 0..<3 {
            let report = try trainer.advance().report
            #expect(report.columns.allSatisfy { $0.value.isFinite })
            #expect(report.adversarialGradient > 0)
            #expect((report.l1Gradient > 0) == (variant.recipe.l1Weight > 0))
            #expect((report.styleGradient > 0) == (variant.recipe.style != nil))
            #expect((report.style > 0) == (variant.recipe.style != nil))
        }
        #expect(trainer.iteration == 3)
        let parameters = trainer.generator.parameters + trainer.model.discriminators[0].parameters
        for parameter in parameters where parameter.isTrained {
            // Within hinge's margins, the two images' gradients of the last bias cancel.
            let cancels = variant.recipe.adversarial == .hinge && parameter.name == "last.bias"
            #expect(
                cancels || (0..<parameter.count).contains { parameter.firstMoment![$0] != 0 },
                "\(parameter.name) has no gradient")
            #expect(
                (0..<parameter.count).allSatisfy { parameter.gradient![$0] == 0 }, "\(parameter.name) keeps a gradient")
        }
        #expect(trainer.state != start)
    }

    @Test(arguments: Recipe.Norm.allCases)
    func trainingLearns(norm: Recipe.Norm) throws {
        var recipe = TinyRun.recipe
        recipe.norm = norm
        recipe.learningRate = 2e-3
        recipe.dropout = 0
        let trainer = try TinyRun.trainer(recipe, threads: 2)
        let losses = try (0..<40).map { _ in try trainer.advance().report.l1 }
        let (first, last) = (losses.prefix(5).reduce(0, +), losses.suffix(5).reduce(0, +))
        #expect(last < 0.9 * first, "\(first / 5) to \(last / 5)")
    }

    @Test(
        "The same seed gives the same bytes for 1, 2 and 3 threads",
        arguments: [0, 1, 2, 3, 4, 6, 9, 19, 20].map { RecipeVariant.table[$0] })
    func threadsDoNotMatter(_ variant: RecipeVariant) throws {
        let states = try (1...3).map { threads in
            let trainer = try TinyRun.trainer(variant.recipe, threads: threads)
            try trainer.advance(by: 4)
            return trainer.state
        }
        #expect(states[0] == states[1] && states[0] == states[2])
    }

    @Test func anotherSeedGivesOtherNetworksAndAnotherCropOrder() throws {
        var recipe = TinyRun.recipe
        recipe.seed = 8
        var (one, other) = (try TinyRun.trainer(), try TinyRun.trainer(recipe))
        #expect(one.state != other.state)
        #expect((0..<5).map { _ in one.crops.next() } != (0..<5).map { _ in other.crops.next() })
        // Neither network's initial weights depend on the other's size.
        recipe.seed = TinyRun.recipe.seed
        recipe.discriminatorWidth += 1
        (one, other) = (try TinyRun.trainer(), try TinyRun.trainer(recipe))
        #expect(one.generator.parameters.map { $0.fileOrder() } == other.generator.parameters.map { $0.fileOrder() })
    }

    @Test("Averaged weights follow the trained ones by min(ema, i / (i + 10)), and training does not depend on them")
    func averagedWeightsFollowTheTrainedOnes() throws {
        var recipe = TinyRun.recipe
        recipe.ema = 0.3
        let (trainer, plain) = (try TinyRun.trainer(recipe, threads: 2), try TinyRun.trainer(threads: 2))
        func weights(_ generator: Generator) -> [[Double]] {
            generator.parameters.filter { !$0.name.contains("running_") }.map { $0.fileOrder().map(Double.init) }
        }
        var expected = weights(trainer.generator)
        for iteration in 1...8 {
            try trainer.advance()
            try plain.advance()
            let memory = min(0.3, Double(iteration) / Double(iteration + 10))
            let trained = weights(trainer.generator)
            for (index, values) in trained.enumerated() {
                expected[index] = zip(expected[index], values).map { memory * $0 + (1 - memory) * $1 }
            }
        }
        #expect(weights(trainer.generator) == weights(plain.generator))
        let average = weights(trainer.usedGenerator)
        #expect(average != weights(trainer.generator))
        for (found, expected) in zip(average, expected) {
            #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-6 })
        }
        // The averaged generator has the trained generator's running averages.
        for (average, trained) in zip(trainer.usedGenerator.parameters, trainer.generator.parameters)
        where trained.name.contains("running_") {
            #expect(average.fileOrder() == trained.fileOrder(), "\(trained.name)")
        }
        // Pictures use the averaged weights.
        #expect(trainer.takeSnapshot().albedo != plain.takeSnapshot().albedo)
        #expect(
            trainer.takeSnapshot().albedo
                == Expansion.expand(trainer.exemplar.image, with: trainer.usedGenerator, in: Workspace(threads: 1)))
    }

    @Test("A run that diverges stops and says which loss and when")
    func divergenceIsNamed() throws {
        var recipe = TinyRun.recipe
        recipe.learningRate = 1e30
        let trainer = try TinyRun.trainer(recipe)
        let error = TinyRun.error { try trainer.advance(by: 10) }
        #expect(error?.code == .notFinite && error?.isRetryable == true)
        let message = error?.message ?? ""
        #expect(message.contains("at iteration \(trainer.iteration):"), "\(message)")
        #expect((1...10).contains(trainer.iteration))
        let names = StepReport().columns.map(\.name)
        #expect(names.contains { message.hasPrefix("\($0) is ") }, "\(message)")
    }

    @Test func aSteadyStepTakesNoNewMemory() throws {
        for variant in [RecipeVariant.table[0], RecipeVariant.table[6], RecipeVariant.table[9]] {
            let trainer = try TinyRun.trainer(variant.recipe, threads: 2)
            try trainer.advance(by: 1)
            let peak = trainer.workspace.arena.peakBytes
            try trainer.advance(by: 5)
            #expect(trainer.workspace.arena.peakBytes == peak && peak > 0)
            // Each step returns all its memory.
            let mark = trainer.workspace.arena.floats(0)
            try trainer.advance(by: 1)
            #expect(trainer.workspace.arena.floats(0) == mark)
        }
    }

    @Test func aLargeSnapshotIsComputedInPiecesAndLeavesNoMemoryBehind() throws {
        var recipe = TinyRun.recipe
        recipe.style = nil
        let large = Exemplar(TinyRun.image(width: 640, height: 512), name: "large.png")
        let trainer = try Trainer(exemplar: large, recipe: recipe, threads: 2)
        try trainer.advance(by: 1)
        let arena = trainer.workspace.arena
        let training = arena.peakBytes
        var shares: [Double] = []
        let whole = trainer.takeSnapshot { shares.append($0) }.albedo
        #expect(!shares.isEmpty && shares == shares.sorted() && shares.last == 1)
        let sharesOfWhole = shares.count
        shares = []
        let peak = arena.peakBytes
        #expect(peak > training + (32 << 20), "the test needs a picture that takes more than training")
        // The arena has returned what the snapshot took beyond the training's memory.
        let first = training / 4 + (16 << 20) / 4
        arena.scoped {
            let memory = arena.floats(peak / 4)
            #expect((first..<peak / 4).allSatisfy { memory[$0] == 0 })
        }
        let pieces = trainer.takeSnapshot(within: 0) { shares.append($0) }.albedo
        #expect(shares.count > max(10, sharesOfWhole) && shares == shares.sorted() && shares.last == 1)
        let differences = zip(whole.pixels, pieces.pixels).map { abs(Int($0) - Int($1)) }
        #expect(differences.max()! <= 1 && differences.count { $0 > 0 } < differences.count / 100)
        // Training continues as if nothing had happened.
        let other = try Trainer(exemplar: large, recipe: recipe, threads: 2)
        try other.advance(by: 3)
        try trainer.advance(by: 2)
        #expect(trainer.state == other.state)
    }

    @Test func theHistoryHasARowEveryFewIterationsAndAtBothEnds() throws {
        var recipe = TinyRun.recipe
        recipe.metricsEvery = 4
        recipe.iterations = 10
        let trainer = try TinyRun.trainer(recipe)
        while !trainer.isFinished { try trainer.advance() }
        #expect(trainer.history.map(\.iteration) == [1, 4, 8, 10])
        #expect(trainer.history.allSatisfy { $0.values.count == Trainer.columns.count })
        let rate = Trainer.columns.firstIndex(of: "learning_rate")!
        #expect(trainer.history.map { $0.values[rate] } == [1, 4, 8, 10].map { recipe.learningRate(at: $0) })
    }

    @Test func aStyleLossThatIsComputedNowAndThenCountsAsManyTimes() throws {
        func steps(_ change: (inout Recipe) -> Void) throws -> [(state: UInt64, style: Double, gradient: Double)] {
            var recipe = TinyRun.recipe
            change(&recipe)
            let trainer = try TinyRun.trainer(recipe)
            return try (0..<4).map { _ in
                let report = try trainer.advance().report
                return (trainer.state, report.style, report.styleGradient)
            }
        }
        let rare = try steps { $0.styleEvery = 3 }
        // The first iteration computes the loss with three times the weight. The third does so again.
        let heavy = try steps { $0.styleWeight *= 3 }
        #expect(rare[0] == heavy[0])
        #expect(rare[1].state != heavy[1].state)
        #expect(rare[2].style != rare[1].style && rare[3].style == rare[2].style)
        #expect(rare[1].style == rare[0].style && rare[1].gradient == rare[0].gradient, "what it was last")
    }

    @Test func exemplarsThatAreTooSmallAreRefused() {
        let small = Exemplar(TinyRun.image(width: 23, height: 40), name: "small.png")
        let error = TinyRun.error { _ = try Trainer(exemplar: small, recipe: TinyRun.recipe, threads: 1) }
        #expect(error?.code == .badExemplar && error?.message.contains("small.png") == true)
    }

    @Test func exemplarsAreToldApartBySizeAndPixels() {
        let image = TinyRun.image()
        var changed = image
        changed.pixels[100] ^= 1
        let wide = TinyRun.image(width: 40, height: 20)
        var prints: Set<String> = []
        for image in [image, changed, wide] { prints.insert(Exemplar(image, name: "x").fingerprint) }
        #expect(prints.count == 3)
        #expect(Exemplar(image, name: "x").fingerprint == Exemplar(image, name: "y").fingerprint)
    }
}
