import Crypto
import Foundation
import NNCore
import Testing

@testable import TextureGAN

/// Trainings that start from pretrained networks, and trainings with two discriminators.
@Suite struct StartWeightsTests {
    private static var recipe: Recipe {
        var recipe = Recipe.draft
        recipe.start = .drawn
        recipe.style = nil
        return recipe
    }

    private static func trainer(_ recipe: Recipe) throws -> Trainer {
        try Trainer(
            exemplar: Exemplar(TinyRun.image(width: 80, height: 72), name: "stripes.png"), recipe: recipe, threads: 1)
    }

    @Test func trainingBeginsWithTheFilesWeights() throws {
        let file = try Safetensors(StartWeights.embeddedFile, file: "drawn")
        let trainer = try Self.trainer(Self.recipe)
        for (prefix, parameters) in [
            ("generator.", trainer.generator.parameters), ("discriminator.", trainer.model.discriminatorParameters),
        ] {
            for parameter in parameters where parameter.isTrained {
                let expected = try file.halves(prefix + parameter.name, shape: parameter.layout.fileShape)
                #expect(parameter.fileOrder() == expected, "\(parameter.name)")
                #expect(expected.contains { $0 != 0 }, "\(parameter.name)")
            }
        }
        // The used generator and the averaged weights also start there.
        #expect(trainer.usedGenerator.parameters[0].fileOrder() == trainer.generator.parameters[0].fileOrder())
        #expect(trainer.model.discriminators.count == 2)
    }

    /// Other weights need another name, because a recipe with this name promises the same bytes.
    @Test func theNameHasTheFirstDigitsOfTheFilesDigest() throws {
        let file = try Data(
            contentsOf: projectFolder.appendingPathComponent("Sources/CStartWeights/drawn-16.safetensors"))
        let digest = SHA256.hash(data: file).map { String(format: "%02x", $0) }.joined()
        #expect(StartWeights.drawn.rawValue == "drawn-16-\(digest.prefix(8))")
        let isEmbedded = StartWeights.embeddedFile == file
        #expect(isEmbedded)
    }

    @Test func aRecipeOfAnotherShapeIsRefusedWithTheFieldThatDiffers() throws {
        let error = #expect(throws: TrainingError.self) {
            _ = try Recipe(named: "draft", overrides: ["start=\(StartWeights.drawn.rawValue)", "ngf=24"])
        }
        #expect(error?.message.contains("ngf=16") == true)
        #expect(error?.message.contains("ngf=24") == true)
        #expect(error?.message.contains("start=random") == true)
        _ = try Recipe(named: "draft", overrides: ["start=random", "ngf=24"])
    }

    /// Each discriminator learns, and both contribute to the generator's gradient.
    @Test(arguments: [Recipe.Adversarial.bce, .hinge, .relativistic])
    func twoDiscriminatorsTakePart(_ adversarial: Recipe.Adversarial) throws {
        var recipe = TinyRun.recipe
        recipe.norm = .without
        recipe.discriminatorNorm = .batch
        recipe.adversarial = adversarial
        recipe.l1Weight = 0
        recipe.style = nil
        func trained(_ change: (inout Recipe) -> Void) throws -> [[Float]] {
            var own = recipe
            change(&own)
            let trainer = try Trainer(exemplar: TinyRun.exemplar(), recipe: own, threads: 2)
            let before = trainer.model.discriminatorParameters.map { $0.fileOrder() }
            try trainer.advance()
            for (parameter, old) in zip(trainer.model.discriminatorParameters, before)
            where parameter.isTrained && parameter.name.hasSuffix(".weight") {
                #expect(parameter.fileOrder() != old, "\(parameter.name) has not moved")
            }
            return trainer.generator.parameters.map { $0.fileOrder() }
        }
        let alone = try trained { _ in }
        let both = try trained { $0.secondDiscriminatorNorm = .without }
        #expect(alone != both)
    }

    @Test func aRunWithTwoDiscriminatorsResumesBitForBit() throws {
        var recipe = TinyRun.recipe
        recipe.norm = .without
        recipe.discriminatorNorm = .batch
        recipe.secondDiscriminatorNorm = .without
        recipe.adversarial = .relativistic
        recipe.ema = 0.9
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("two-\(UUID()).safetensors")
        defer { try? FileManager.default.removeItem(at: url) }
        func make() throws -> Trainer {
            try Trainer(exemplar: TinyRun.exemplar(), recipe: recipe, features: TinyRun.features, threads: 1)
        }
        let (whole, first, second) = (try make(), try make(), try make())
        for _ in 0..<6 { try whole.advance() }
        for _ in 0..<3 { try first.advance() }
        try first.writeCheckpoint(to: url)
        try second.restore(from: url)
        for _ in 0..<3 { try second.advance() }
        for (a, b) in zip(
            whole.usedGenerator.parameters + whole.model.discriminatorParameters,
            second.usedGenerator.parameters + second.model.discriminatorParameters)
        {
            #expect(a.fileOrder() == b.fileOrder(), "\(a.name)")
        }
    }
}
