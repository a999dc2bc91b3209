import NNCore

/// The networks, their losses and their optimisers. `update` is the method: one update of the discriminators, then one
/// of the generator against the updated discriminators.
///
/// An update computes only what it needs: VGG ends at its last tap, frozen networks have no weight gradients, the
/// target's features have no gradients, and the generator has a single backward pass. Generated image and target pass
/// shared weights as a batch of two.
struct AdversarialModel {
    let recipe: Recipe
    let generator: Generator
    /// One, or two with different norms. The generator's adversarial loss and the reported losses are means over them.
    let discriminators: [Discriminator]
    /// Nil without a style loss.
    let features: VGGFeatures?
    var generatorOptimiser: Adam
    var discriminatorOptimiser: Adam

    /// The style loss and the norm of its gradient, of the last iteration that computed them.
    var lastStyle = (loss: 0.0, gradient: 0.0)

    /// The running average of the generator; nil if the recipe has none.
    let average: AveragedGenerator?

    private let generatorParameters: [Parameter]
    /// The parameters of all discriminators.
    let discriminatorParameters: [Parameter]

    init(
        recipe: Recipe, generator: Generator, discriminators: [Discriminator], features: VGGFeatures?
    ) {
        self.recipe = recipe
        self.generator = generator
        self.discriminators = discriminators
        self.features = features
        generatorOptimiser = Adam(beta1: recipe.beta1, beta2: recipe.beta2)
        discriminatorOptimiser = Adam(beta1: recipe.beta1, beta2: recipe.beta2)
        generatorParameters = generator.parameters
        discriminatorParameters = discriminators.flatMap(\.parameters)
        average = recipe.ema > 0 ? AveragedGenerator(of: generator, recipe) : nil
    }

    /// One update of each network.
    /// - Parameters:
    ///   - source: `[k, k, channels]`, the generator's input.
    ///   - target: `[2k, 2k, channels]`, the crop around the source.
    ///   - dropout: the stream of dropout masks.
    ///   - clock: measures each phase.
    mutating func update(
        source: Tensor, target: Tensor, rate: Float, dropout: inout RandomStream, clock: inout PhaseClock,
        in workspace: Workspace
    ) -> StepReport {
        let start = workspace.arena.mark
        defer { workspace.arena.release(to: start) }
        clock.start()
        var report = StepReport()
        let generated = generator.forward(source, dropout: &dropout, in: workspace)
        let fake = generated.output
        clock.mark(.generatorForward)

        for index in discriminators.indices {
            let losses = discriminatorGradients(
                of: discriminators[index], fake: fake, real: target, &clock, workspace)
            report.discriminatorFake += losses.fake
            report.discriminatorReal += losses.real
        }
        report.discriminatorFake /= Double(discriminators.count)
        report.discriminatorReal /= Double(discriminators.count)
        discriminatorOptimiser.step(discriminatorParameters, rate: rate, in: workspace)
        clock.mark(.discriminatorAdam)

        // Each loss is differentiated down to the generated image before the next begins, so that their activations
        // share memory.
        let dFake = Tensor(in: workspace.arena, like: fake)
        let term = Tensor(in: workspace.arena, like: fake)
        report.l1 = Loss.absoluteDifference(
            fake, target, weight: recipe.l1Weight, gradient: dFake, in: workspace)
        report.l1Gradient = norm(of: dFake, in: workspace)
        if let features, recipe.styleWeight > 0, recipe.hasStyle(at: generatorOptimiser.steps + 1) {
            let weight = recipe.styleWeight * Float(recipe.styleEvery)
            lastStyle.loss =
                features.styleLoss(
                    ofAlbedoIn: fake, target: target, weight: weight, gradient: term, in: workspace,
                    afterForward: { clock.mark(.vggForward) }) / Double(weight)
            clock.mark(.vggBackward)
            lastStyle.gradient = norm(of: term, in: workspace)
            add(term, to: dFake, in: workspace)
        }
        (report.style, report.styleGradient) = lastStyle
        report.adversarial = adversarialGradient(
            of: fake, beside: target, by: discriminators[0], into: term, &clock, workspace)
        for index in 1..<discriminators.count {
            workspace.arena.scoped {
                let other = Tensor(in: workspace.arena, like: fake)
                report.adversarial += adversarialGradient(
                    of: fake, beside: target, by: discriminators[index], into: other, &clock, workspace)
                add(other, to: term, in: workspace)
            }
        }
        report.adversarial /= Double(discriminators.count)
        report.adversarialGradient = norm(of: term, in: workspace)
        add(term, to: dFake, in: workspace)

        generator.backward(generated, dOutput: dFake, in: workspace)
        clock.mark(.generatorBackward)
        generatorOptimiser.step(generatorParameters, rate: rate, in: workspace)
        average?.follow(iteration: generatorOptimiser.steps, in: workspace)
        clock.mark(.generatorAdam)
        return report
    }

    /// Adds half the gradient of the discriminator's loss on each image.
    ///
    /// The images form a batch so that each layer prepares its weights once; norms treat each image by itself.
    private func discriminatorGradients(
        of discriminator: Discriminator, fake: Tensor, real: Tensor, _ clock: inout PhaseClock, _ workspace: Workspace
    ) -> (fake: Double, real: Double) {
        workspace.arena.scoped {
            discriminator.prepareUpdate()
            let judged = discriminator.forward(Tensor(in: workspace.arena, fake, real), in: workspace)
            clock.mark(.discriminatorForward)
            let dLogits = Tensor(in: workspace.arena, like: judged.logits)
            let losses =
                recipe.adversarial == .relativistic
                ? pairedLosses(judged.logits, gradient: dLogits)
                : (
                    fake: discriminatorLoss(
                        judged.logits.image(0), isReal: false, weight: 0.5, gradient: dLogits.image(0)),
                    real: discriminatorLoss(
                        judged.logits.image(1), isReal: true, weight: 0.5, gradient: dLogits.image(1))
                )
            discriminator.backward(judged, dLogits: dLogits, .parameters, in: workspace)
            clock.mark(.discriminatorBackward)
            return losses
        }
    }

    /// The generator's adversarial loss; its gradient goes through the frozen discriminator into `dFake`.
    private func adversarialGradient(
        of fake: Tensor, beside target: Tensor, by discriminator: Discriminator, into dFake: Tensor,
        _ clock: inout PhaseClock, _ workspace: Workspace
    ) -> Double {
        workspace.arena.scoped {
            let judged: Discriminator.Saved
            if recipe.adversarial == .relativistic {
                let pair = discriminator.forward(Tensor(in: workspace.arena, target, fake), in: workspace)
                subtract(pair.logits.image(0), from: pair.logits.image(1))
                judged = pair.image(1, in: workspace)
            } else {
                judged = discriminator.forward(fake, in: workspace)
            }
            let dLogits = Tensor(in: workspace.arena, like: judged.logits)
            let weight = recipe.adversarialWeight / Float(discriminators.count)
            let loss =
                recipe.adversarial == .hinge
                ? Loss.negativeMean(logits: judged.logits, weight: weight, gradient: dLogits)
                : discriminatorLoss(judged.logits, isReal: true, weight: weight, gradient: dLogits)
            clock.mark(.adversarialForward)
            discriminator.backward(judged, dLogits: dLogits, .input, dInput: dFake, in: workspace)
            clock.mark(.adversarialBackward)
            return loss
        }
    }

    /// The losses of a discriminator that decides which image of a pair is the generated one: at each place the
    /// cross-entropy of the difference of its two logits. Each image's loss is half of it.
    /// - Source: Jolicoeur-Martineau, "The relativistic discriminator", arXiv:1807.00734 (paired).
    private func pairedLosses(_ logits: Tensor, gradient: Tensor) -> (fake: Double, real: Double) {
        let (dFake, dReal) = (gradient.image(0), gradient.image(1))
        subtract(logits.image(1), from: logits.image(0))
        let loss = discriminatorLoss(logits.image(0), isReal: false, weight: 1, gradient: dFake)
        for index in 0..<dFake.count { dReal.data[index] = -dFake.data[index] }
        return (loss / 2, loss / 2)
    }

    private func subtract(_ other: Tensor, from tensor: Tensor) {
        for index in 0..<tensor.count { tensor.data[index] -= other.data[index] }
    }

    private func discriminatorLoss(_ logits: Tensor, isReal: Bool, weight: Float, gradient: Tensor) -> Double {
        let target: Float = isReal ? 1 : 0
        return switch recipe.adversarial {
        case .bce, .relativistic:
            Loss.binaryCrossEntropy(logits: logits, target: target, weight: weight, gradient: gradient)
        case .lsgan: Loss.leastSquares(logits: logits, target: target, weight: weight, gradient: gradient)
        case .hinge: Loss.hinge(logits: logits, isReal: isReal, weight: weight, gradient: gradient)
        }
    }
}
