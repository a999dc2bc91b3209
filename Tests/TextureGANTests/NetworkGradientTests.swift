import NNCore
import Testing

@testable import TextureGAN

/// Whole networks against differences of their outputs. Layers are checked one by one in NNCoreTests; here it is their
/// order, their residuals, their dropout and what they overwrite.
@Suite struct NetworkGradientTests {
    /// The error of a gradient along random directions, relative to its norm.
    ///
    /// The rectifiers' kinks and float32's rounding both cost: with a step relative to the values moved, the error is
    /// near 1e-2 for a right gradient, and near 1 for one with a missing or doubled part.
    private func projectionError(
        _ values: UnsafeMutablePointer<Float>, gradient: [Float], step: Float, _ function: () -> Double
    ) -> Double {
        let start = (0..<gradient.count).map { values[$0] }
        let norm = dot(gradient, gradient).squareRoot()
        var worst = 0.0
        for seed in 1...2 {
            let signs = randomValues(gradient.count, seed: UInt64(seed + 500)).map { $0 < 0 ? -1 : 1 as Float }
            for index in start.indices { values[index] = start[index] + step * signs[index] }
            let above = function()
            for index in start.indices { values[index] = start[index] - step * signs[index] }
            let below = function()
            for index in start.indices { values[index] = start[index] }
            worst = max(worst, abs((above - below) / (2 * Double(step)) - dot(gradient, signs)) / norm)
        }
        return worst
    }

    /// Weights of the size that trained networks have: at the initial 0.02 gradients would drown in rounding.
    private func spread(_ parameters: [Parameter]) {
        for (index, parameter) in parameters.enumerated() where parameter.isTrained {
            let shape = parameter.layout.fileShape
            let values = randomValues(parameter.count, seed: UInt64(index + 1))
            let fan = Float(shape.dropFirst().reduce(1, *))
            parameter.load(
                fileOrder: shape.count == 4
                    ? values.map { $0 * (6 / fan).squareRoot() / 2 }
                    : parameter.name.hasSuffix("weight") ? values.map { 1 + 0.2 * $0 } : values.map { 0.2 * $0 })
        }
    }

    struct Variant: CustomTestStringConvertible {
        var upsample: Recipe.Upsample
        var padding: PaddingMode
        var norm: Recipe.Norm
        var dropout: Float
        var testDescription: String { "\(upsample), \(padding), \(norm), dropout \(dropout)" }
    }

    @Test(
        arguments: [
            Variant(upsample: .transposed, padding: .reflect, norm: .batch, dropout: 0.5),
            Variant(upsample: .nearest, padding: .replicate, norm: .instance, dropout: 0.25),
            Variant(upsample: .transposed, padding: .zero, norm: .batch, dropout: 0),
        ])
    func theGeneratorsGradientsPassDifferences(_ variant: Variant) {
        var recipe = TinyRun.recipe
        recipe.residualBlocks = 2
        recipe.upsample = variant.upsample
        recipe.padding = variant.padding
        recipe.norm = variant.norm
        recipe.dropout = variant.dropout
        let generator = Generator(recipe)
        spread(generator.parameters)
        let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
        let source = randomValues(16 * 12 * 3, seed: 40)
        let weights = randomValues(32 * 24 * 3, seed: 41)

        func run<Result>(_ body: (Generator.Saved) -> Result) -> Result {
            workspace.arena.scoped {
                let input = Tensor(in: workspace.arena, height: 16, width: 12, channels: 3)
                _ = input.buffer.update(fromContentsOf: source)
                // The same masks every time.
                var dropout = RandomStream(seed: 5, purpose: 4)
                return body(generator.forward(input, dropout: &dropout, in: workspace))
            }
        }
        run { saved in
            let dOutput = Tensor(in: workspace.arena, like: saved.output)
            _ = dOutput.buffer.update(fromContentsOf: weights)
            generator.backward(saved, dOutput: dOutput, in: workspace)
        }
        for parameter in generator.parameters {
            guard let gradient = parameter.gradient else { continue }
            let values = (0..<parameter.count).map { gradient[$0] }
            let error = projectionError(parameter.value, gradient: values, step: 1e-3) {
                run { dot(Array($0.output.buffer), weights) }
            }
            #expect(error < 0.05, "\(parameter.name)")
        }
    }

    @Test(arguments: [Recipe.Norm.batch, .instance])
    func theDiscriminatorsGradientsPassDifferences(norm: Recipe.Norm) {
        var recipe = TinyRun.recipe
        recipe.discriminatorLayers = 3
        recipe.norm = norm
        let discriminator = Discriminator(recipe)
        spread(discriminator.parameters)
        let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
        let image = Tensor(in: workspace.arena, height: 36, width: 28, channels: 3)
        _ = image.buffer.update(fromContentsOf: randomValues(image.count, seed: 42))
        func run<Result>(_ body: (Discriminator.Saved) -> Result) -> Result {
            workspace.arena.scoped { body(discriminator.forward(image, in: workspace)) }
        }
        let weights = run { randomValues($0.logits.count, seed: 43) }
        func gradients(_ wanted: Gradients) -> [Float] {
            run { saved in
                let dLogits = Tensor(in: workspace.arena, like: saved.logits)
                _ = dLogits.buffer.update(fromContentsOf: weights)
                let dImage = Tensor(in: workspace.arena, like: image)
                dImage.buffer.update(repeating: .nan)
                discriminator.backward(saved, dLogits: dLogits, wanted, dInput: dImage, in: workspace)
                return Array(dImage.buffer)
            }
        }
        let dImage = gradients(.input)
        for parameter in discriminator.parameters where parameter.isTrained {
            let untouched = (0..<parameter.count).allSatisfy { parameter.gradient![$0] == 0 }
            #expect(untouched, "a step through a frozen network leaves \(parameter.name) alone")
        }
        #expect(gradients([.input, .parameters]) == dImage)
        func function() -> Double { run { dot(Array($0.logits.buffer), weights) } }
        #expect(projectionError(image.data, gradient: dImage, step: 1e-3, function) < 0.05)
        for parameter in discriminator.parameters {
            guard let gradient = parameter.gradient else { continue }
            let values = (0..<parameter.count).map { gradient[$0] }
            #expect(
                projectionError(parameter.value, gradient: values, step: 1e-3, function) < 0.05, "\(parameter.name)")
        }
    }
}
