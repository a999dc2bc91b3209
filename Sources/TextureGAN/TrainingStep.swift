import NNCore

/// What one iteration measured.
public struct StepReport: Sendable {
    /// The discriminator's loss on the generator's image and on the target.
    public var discriminatorFake = 0.0
    public var discriminatorReal = 0.0
    /// The generator's terms before their weights.
    public var adversarial = 0.0
    public var l1 = 0.0
    /// The sum over the taps of 1000 / C^2 times the mean square, before `style_weight`; 0 without a style loss. Between
    /// the iterations that compute it, what it was last.
    public var style = 0.0
    /// Norms of the weighted terms' gradients at the generator's output: which of them has a say.
    public var adversarialGradient = 0.0
    public var l1Gradient = 0.0
    public var styleGradient = 0.0

    /// Name and value, in the order of the metrics' columns.
    public var columns: [(name: String, value: Double)] {
        [
            ("discriminator_fake", discriminatorFake), ("discriminator_real", discriminatorReal),
            ("adversarial", adversarial), ("l1", l1), ("style", style),
            ("gradient_adversarial", adversarialGradient), ("gradient_l1", l1Gradient),
            ("gradient_style", styleGradient),
        ]
    }

    /// False if any value is infinite or not a number: then so is their sum.
    var isFinite: Bool {
        (discriminatorFake + discriminatorReal + adversarial + l1 + style
            + adversarialGradient + l1Gradient + styleGradient).isFinite
    }
}

/// The method: one update of the discriminator, then one of the generator against the updated discriminator.
///
/// Nothing is computed that no update needs: VGG ends at its last tap, frozen networks have no weight gradients, the
/// target's features no gradients at all, and G has a single backward pass. Where generated image and target pass the
/// same weights, they pass as a batch of two.
public struct TrainingStep {
    public let recipe: Recipe
    public let generator: Generator
    public let discriminator: Discriminator
    /// Judges beside the first, with another norm; nil if the recipe asks for none.
    public let second: Discriminator?
    /// Nil without a style loss.
    public let features: VGGFeatures?
    public var generatorOptimiser: Adam
    public var discriminatorOptimiser: Adam

    /// What the style loss and its gradient came to in the last iteration that computed them.
    var lastStyle = (loss: 0.0, gradient: 0.0)

    /// The generator whose weights are averages of the trained one's; nil if the recipe asks for none.
    public let average: AveragedGenerator?

    private let generatorParameters: [Parameter]
    /// Of both discriminators, if there are two.
    let discriminatorParameters: [Parameter]

    public init(
        recipe: Recipe, generator: Generator, discriminator: Discriminator, second: Discriminator? = nil,
        features: VGGFeatures?
    ) {
        self.recipe = recipe
        self.generator = generator
        self.discriminator = discriminator
        self.second = second
        self.features = features
        generatorOptimiser = Adam(beta1: recipe.beta1, beta2: recipe.beta2)
        discriminatorOptimiser = Adam(beta1: recipe.beta1, beta2: recipe.beta2)
        generatorParameters = generator.parameters
        discriminatorParameters = discriminator.parameters + (second?.parameters ?? [])
        average = recipe.ema > 0 ? AveragedGenerator(of: generator, recipe) : nil
    }

    /// - Parameters:
    ///   - source: `[k, k, 3]`, the generator's input. - target: `[2k, 2k, 3]`, around it.
    ///   - dropout: the stream of dropout masks. - clock: told when each phase ends.
    public mutating func run(
        source: Tensor, target: Tensor, rate: Float, dropout: inout RandomStream, clock: inout PhaseClock,
        in workspace: Workspace
    ) -> StepReport {
        let start = workspace.arena.mark
        defer { workspace.arena.release(to: start) }
        clock.start()
        var report = StepReport()
        let generated = generator.forward(source, dropout: &dropout, in: workspace)
        let fake = generated.output
        clock.mark("g_forward")

        (report.discriminatorFake, report.discriminatorReal) =
            discriminatorGradients(of: discriminator, fake: fake, real: target, &clock, workspace)
        if let second {
            let losses = discriminatorGradients(of: second, fake: fake, real: target, &clock, workspace)
            report.discriminatorFake = (report.discriminatorFake + losses.fake) / 2
            report.discriminatorReal = (report.discriminatorReal + losses.real) / 2
        }
        discriminatorOptimiser.step(discriminatorParameters, rate: rate, in: workspace)
        clock.mark("d_adam")

        // The three losses are differentiated one after another down to the fake image, so that each one's
        // activations are given back before the next begins.
        let dFake = Tensor(in: workspace.arena, like: fake)
        let term = Tensor(in: workspace.arena, like: fake)
        report.l1 = Loss.absoluteDifference(
            fake, target, weight: recipe.l1Weight, gradient: dFake, in: workspace)
        report.l1Gradient = norm(of: dFake, in: workspace)
        if let features, recipe.styleWeight > 0, recipe.hasStyle(at: generatorOptimiser.steps + 1) {
            let weight = recipe.styleWeight * Float(recipe.styleEvery)
            lastStyle.loss =
                features.styleLoss(
                    of: fake, target: target, weight: weight, gradient: term, in: workspace,
                    afterForward: { clock.mark("vgg_forward") }) / Double(weight)
            clock.mark("vgg_backward")
            lastStyle.gradient = norm(of: term, in: workspace)
            add(term, to: dFake, in: workspace)
        }
        (report.style, report.styleGradient) = lastStyle
        report.adversarial = adversarialGradient(
            of: fake, beside: target, by: discriminator, into: term, &clock, workspace)
        if let second {
            workspace.arena.scoped {
                let other = Tensor(in: workspace.arena, like: fake)
                let loss = adversarialGradient(
                    of: fake, beside: target, by: second, into: other, &clock, workspace)
                report.adversarial = (report.adversarial + loss) / 2
                add(other, to: term, in: workspace)
            }
        }
        report.adversarialGradient = norm(of: term, in: workspace)
        add(term, to: dFake, in: workspace)

        generator.backward(generated, dOutput: dFake, in: workspace)
        clock.mark("g_backward")
        generatorOptimiser.step(generatorParameters, rate: rate, in: workspace)
        average?.follow(iteration: generatorOptimiser.steps, in: workspace)
        clock.mark("g_adam")
        return report
    }

    /// Adds half the gradient of the discriminator's loss on each image.
    ///
    /// The two are a batch only to prepare each layer's weights once: norms know nothing of the other image.
    private func discriminatorGradients(
        of discriminator: Discriminator, fake: Tensor, real: Tensor, _ clock: inout PhaseClock, _ workspace: Workspace
    ) -> (fake: Double, real: Double) {
        workspace.arena.scoped {
            discriminator.prepareUpdate()
            let judged = discriminator.forward(Tensor(in: workspace.arena, fake, real), in: workspace)
            clock.mark("d_forward")
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
            clock.mark("d_backward")
            return losses
        }
    }

    /// The generator's adversarial loss; its gradient goes through the frozen discriminator into `dFake`.
    private func adversarialGradient(
        of fake: Tensor, beside target: Tensor, by discriminator: Discriminator, into dFake: Tensor,
        _ clock: inout PhaseClock, _ workspace: Workspace
    ) -> Double {
        workspace.arena.scoped {
            let real = recipe.adversarial == .relativistic ? discriminator.forward(target, in: workspace).logits : nil
            let judged = discriminator.forward(fake, in: workspace)
            let dLogits = Tensor(in: workspace.arena, like: judged.logits)
            // The generator's loss is the mean over the discriminators.
            let weight = second == nil ? recipe.adversarialWeight : recipe.adversarialWeight / 2
            if let real { subtract(real, from: judged.logits) }
            let loss =
                recipe.adversarial == .hinge
                ? Loss.negativeMean(logits: judged.logits, weight: weight, gradient: dLogits)
                : discriminatorLoss(judged.logits, isReal: true, weight: weight, gradient: dLogits)
            clock.mark("gan_forward")
            discriminator.backward(judged, dLogits: dLogits, .input, dInput: dFake, in: workspace)
            clock.mark("gan_backward")
            return loss
        }
    }

    /// Of a discriminator that tells which image of a pair is the generated one: at each place the cross-entropy of the
    /// difference of its two logits. Half of it is reported for each image.
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

/// Seconds spent in the phases of steps, summed over all that were measured.
public struct PhaseClock: Sendable {
    public private(set) var seconds: [String: Double] = [:]
    private var last = ContinuousClock.now

    public init() {}

    /// A step begins: the time since the last one belongs to no phase.
    mutating func start() { last = ContinuousClock.now }

    /// A phase ends.
    mutating func mark(_ phase: String) {
        let now = ContinuousClock.now
        seconds[phase, default: 0] += (now - last) / .seconds(1)
        last = now
    }
}
