import NNCore
import Testing

@testable import TextureGAN

/// Compares whole networks with differences of their outputs. NNCoreTests checks the layers one by one. These tests
/// check their order, their residuals, their dropout and what they overwrite.
@Suite struct NetworkGradientTests {
    /// Weights that keep every rectifier away from its kink: every other channel is far on, the others far off. So
    /// outputs are smooth in everything, and differences distinguish right gradients from wrong ones.
    private func spread(_ parameters: [Parameter]) {
        let hasNorms = parameters.contains { $0.name.contains("bn") || $0.name.contains("norms") }
        for (index, parameter) in parameters.enumerated() where parameter.isTrained {
            let shape = parameter.layout.fileShape
            let values = randomValues(parameter.count, seed: UInt64(index + 1))
            let fan = Float(shape.dropFirst().reduce(1, *))
            let isNorm = parameter.name.contains("bn") || parameter.name.contains("norms")
            let filled: [Float]
            if shape.count == 4 {
                filled = values.map { (hasNorms ? 1 : 0.4) * $0 / fan.squareRoot() }
            } else if parameter.name.hasSuffix("weight") {
                filled = values.map { 0.3 + 0.1 * $0 }
            } else if isNorm || parameter.name == "first.bias"
                || (!hasNorms && !["tail.bias", "last.bias"].contains(parameter.name)
                    && !parameter.name.hasSuffix("conv2.bias"))
            {
                let far: Float = hasNorms ? 2 : 3
                filled = values.enumerated().map { ($0.offset % 2 == 0 ? far : -far) + 0.3 * $0.element }
            } else {
                filled = values.map { 0.2 * $0 }
            }
            parameter.load(fileOrder: filled)
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
            Variant(upsample: .nearest, padding: .reflect, norm: .without, dropout: 0),
            Variant(upsample: .transposed, padding: .zero, norm: .without, dropout: 0.5),
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
                // The same masks in every pass.
                var dropout = RandomStream(seed: 5, purpose: 4)
                return body(generator.forward(input, dropout: &dropout, in: workspace))
            }
        }
        run { saved in
            let dOutput = Tensor(in: workspace.arena, like: saved.output)
            _ = dOutput.buffer.update(fromContentsOf: weights)
            generator.backward(saved, dOutput: dOutput, in: workspace)
        }
        let errors = differenceErrors(GradientClaim.of(generator.parameters), step: 1e-3) {
            run { dot(Array($0.output.buffer), weights) }
        }
        for (name, error) in errors { #expect(error < 0.03, "\(name)") }
    }

    /// A discriminator with `spread` weights and matching statistics.
    private func discriminator(_ recipe: Recipe) -> Discriminator {
        let discriminator = Discriminator(recipe)
        spread(discriminator.parameters)
        for (index, parameter) in discriminator.parameters.enumerated() where parameter.name.hasSuffix("_v") {
            parameter.load(fileOrder: randomValues(parameter.count, seed: UInt64(index + 1)))
        }
        for _ in 0..<3 { discriminator.prepareUpdate() }
        return discriminator
    }

    /// Without spectral norm, which makes weights so loud that rectifiers come near their kinks; see below.
    @Test(arguments: [Recipe.DiscriminatorNorm.batch, .instance, .without], [1, 1.5 as Float])
    func theDiscriminatorsGradientsPassDifferences(norm: Recipe.DiscriminatorNorm, gain: Float) {
        var recipe = TinyRun.recipe
        recipe.discriminatorLayers = 3
        recipe.discriminatorNorm = norm
        recipe.discriminatorGain = gain
        let discriminator = discriminator(recipe)
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
        let claims =
            [GradientClaim(name: "image", values: image.data, gradient: dImage)]
            + GradientClaim.of(discriminator.parameters)
        let errors = differenceErrors(claims, step: 1e-3) { run { dot(Array($0.logits.buffer), weights) } }
        for (name, error) in errors { #expect(error < 0.03, "\(name)") }
    }

    @Test("With spectral norm, gradients are those of the normalised weights, less what only scales them")
    func spectralGradientsAreThoseOfTheNormalisedWeights() {
        var recipe = TinyRun.recipe
        recipe.discriminatorLayers = 3
        recipe.discriminatorNorm = .spectral
        let spectral = discriminator(recipe)
        recipe.discriminatorNorm = .without
        let plain = Discriminator(recipe)
        let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
        let image = Tensor(in: workspace.arena, height: 36, width: 28, channels: 3)
        _ = image.buffer.update(fromContentsOf: randomValues(image.count, seed: 42))
        func differentiate(_ discriminator: Discriminator) -> [Float] {
            let saved = discriminator.forward(image, in: workspace)
            let logits = Array(saved.logits.buffer)
            let dLogits = Tensor(in: workspace.arena, like: saved.logits)
            _ = dLogits.buffer.update(fromContentsOf: randomValues(dLogits.count, seed: 43))
            discriminator.backward(saved, dLogits: dLogits, .parameters, in: workspace)
            return logits
        }
        let logits = differentiate(spectral)
        let convolutions = spectral.units.map { $0.convolution as! Convolution } + [spectral.last]
        let copies = plain.units.map { $0.convolution as! Convolution } + [plain.last]
        for (from, to) in zip(convolutions, copies) {
            to.weight.copy(from.spectralNorm!.normalised)
            to.bias!.copy(from.bias!)
        }
        #expect(differentiate(plain) == logits)
        for (layer, copy) in zip(convolutions, copies) {
            let norm = layer.spectralNorm!
            let (u, v) = (norm.left.fileOrder(), norm.right.fileOrder())
            let (weight, normalised) = (layer.weight.fileOrder(), norm.normalised.fileOrder())
            let gradient = copy.weight.fileOrder(copy.weight.gradient)
            let along = dot(gradient, normalised)
            let sigma = dot(weight, normalised) / dot(normalised, normalised)
            let expected = gradient.indices.map { index in
                (Double(gradient[index]) - along * Double(u[index / v.count]) * Double(v[index % v.count])) / sigma
            }
            let found = layer.weight.fileOrder(layer.weight.gradient)
            let scale = expected.map(abs).max()!
            let error = zip(found, expected).map { abs(Double($0) - $1) }.max()! / scale
            #expect(error < 1e-4, "\(layer.weight.name)")
            let (bias, other) = (layer.bias!.fileOrder(layer.bias!.gradient), copy.bias!.fileOrder(copy.bias!.gradient))
            #expect(bias == other, "\(layer.weight.name)")
        }
    }

    @Test(
        "Two images judged as a batch give what each gives by itself, batch norm included",
        arguments: [Recipe.DiscriminatorNorm.batch, .without, .spectral])
    func theDiscriminatorJudgesABatchImageByImage(norm: Recipe.DiscriminatorNorm) {
        func judge(_ batches: [[UInt64]]) -> (logits: [Float], parameters: [Parameter]) {
            var recipe = TinyRun.recipe
            recipe.discriminatorNorm = norm
            let discriminator = discriminator(recipe)
            let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
            let logits = batches.flatMap { seeds in
                let images = seeds.map { seed in
                    let image = Tensor(in: workspace.arena, height: 36, width: 28, channels: 3)
                    _ = image.buffer.update(fromContentsOf: randomValues(image.count, seed: seed))
                    return image
                }
                let input = images.count == 1 ? images[0] : Tensor(in: workspace.arena, images[0], images[1])
                let saved = discriminator.forward(input, in: workspace)
                let logits = Array(saved.logits.buffer)
                let dLogits = Tensor(in: workspace.arena, like: saved.logits)
                dLogits.buffer.update(repeating: 1)
                discriminator.backward(saved, dLogits: dLogits, .parameters, in: workspace)
                return logits
            }
            return (logits, discriminator.parameters)
        }
        let (together, apart) = (judge([[44, 45]]), judge([[44], [45]]))
        #expect(together.logits.count == apart.logits.count)
        for (one, other) in zip(together.logits, apart.logits) { #expect(abs(one - other) < 1e-4) }
        for (one, other) in zip(together.parameters, apart.parameters) {
            let name = one.name
            for (a, b) in zip(one.fileOrder(), other.fileOrder()) { #expect(abs(a - b) < 1e-5, "\(name)") }
            guard one.isTrained else { continue }
            let (a, b) = (one.fileOrder(one.gradient), other.fileOrder(other.gradient))
            let scale = b.reduce(1e-3) { max($0, abs($1)) }
            #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-3 * scale }, "\(name)")
        }
    }
}
