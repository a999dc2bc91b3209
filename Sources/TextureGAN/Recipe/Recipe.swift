import NNCore

/// Everything that determines a training run. Two runs of the same recipe on the same exemplar give the
/// same bytes. Fields, defaults and reasons: `Recipe.fields`, printed in docs/recipes.md and in every recipe file.
public struct Recipe: Equatable, Sendable {
    // `without` is none in files. A case of that name would mean nil where the norm is an Optional.
    public enum Norm: String, Sendable, CaseIterable { case batch, instance, without = "none" }
    public enum DiscriminatorNorm: String, Sendable, CaseIterable {
        case same, batch, instance
        case without = "none"
        case spectral
    }
    public enum Upsample: String, Sendable, CaseIterable { case transposed, nearest }
    public enum Adversarial: String, Sendable, CaseIterable { case bce, lsgan, hinge, relativistic }

    public var name = "paper"
    public var seed: UInt64 = 1
    public var start = StartWeights.random
    /// Source crop size; the target crop is 2k. Nil for the largest that the exemplar allows.
    public var k: Int? = 128
    /// Channels after the generator's first convolution (ngf).
    public var generatorWidth = 64
    public var residualBlocks = 6
    /// Channels after the discriminator's first convolution (ndf).
    public var discriminatorWidth = 64
    public var discriminatorLayers = 4
    /// The generator's.
    public var norm = Norm.batch
    public var discriminatorNorm = DiscriminatorNorm.same
    /// Nil for a single discriminator.
    public var secondDiscriminatorNorm: DiscriminatorNorm?
    public var discriminatorGain: Float = 1
    public var padding = PaddingMode.reflect
    public var upsample = Upsample.transposed
    public var dropout: Float = 0.5
    public var adversarial = Adversarial.bce
    public var adversarialWeight: Float = 1
    public var l1Weight: Float = 100
    /// Nil: no style loss.
    public var style: FeatureNetwork? = .vgg19
    public var styleInput = FeatureInput.raw
    public var styleWeight: Float = 1
    public var styleTaps = 5
    /// Iterations between style losses; each has this many times the weight.
    public var styleEvery = 1
    public var iterations = 100_000
    /// Share of the iterations before the learning rate begins to fall.
    public var constantShare: Float = 0.5
    public var learningRate: Float = 2e-4
    public var beta1: Float = 0.5
    public var beta2: Float = 0.999
    /// 0 uses the last weights without averaging.
    public var ema: Float = 0
    public var metricsEvery = 20
    public var snapshotEvery = 1000
    public var checkpointEvery = 1000

    public init() {}

    /// The discriminator's norm after `same` is resolved.
    var usedDiscriminatorNorm: DiscriminatorNorm {
        guard discriminatorNorm == .same else { return discriminatorNorm }
        return switch norm {
        case .batch: .batch
        case .instance: .instance
        case .without: .without
        }
    }

    /// Iterations before the learning rate begins to fall.
    public var constantIterations: Int { Int((Double(constantShare) * Double(iterations)).rounded()) }

    /// Whether an iteration, counted from 1, computes the style loss. The first one does, so that the loss history has
    /// it.
    func hasStyle(at iteration: Int) -> Bool { iteration == 1 || iteration % styleEvery == 0 }

    /// Adam's rate at an iteration, counted from 1: constant, then falling linearly, changed every iteration.
    public func learningRate(at iteration: Int) -> Float {
        if iteration <= constantIterations { return learningRate }
        let left = Float(iterations - iteration + 1) / Float(max(1, iterations - constantIterations))
        return learningRate * max(0, left)
    }

    /// The crop size for an exemplar of a size.
    /// - Throws: `TrainingError` with the largest legal k.
    public func cropSize(forWidth width: Int, height: Int, exemplar: String) throws(TrainingError) -> Int {
        let largest = min(width, height) / 2 / 4 * 4
        let smallest = Self.smallestCrop(discriminatorLayers: discriminatorLayers)
        guard largest >= smallest else {
            throw TrainingError(
                .badExemplar,
                "\(exemplar) is \(width)x\(height) pixels; with \(discriminatorLayers) discriminator layers both sides "
                    + "must be at least \(2 * smallest)")
        }
        guard let k else { return largest }
        guard k <= largest else {
            throw TrainingError(
                .badExemplar,
                "\(exemplar) is \(width)x\(height) pixels; recipe '\(name)' cuts targets of 2k x 2k = \(2 * k)x\(2 * k), "
                    + "so both sides must be at least \(2 * k). The largest legal value here is k=\(largest): "
                    + "--set k=\(largest), or --set k=auto")
        }
        return k
    }

    static func smallestCrop(discriminatorLayers: Int) -> Int {
        // At least 8: after two halvings the residual blocks need two pixels to reflect by one.
        max(8, (Discriminator.smallestSide(layers: discriminatorLayers) / 2 + 3) / 4 * 4)
    }
}

// MARK: The named recipes

extension Recipe {
    /// The recipes that come with texloom, from minutes to days.
    public static let named: [Recipe] = [draft, study, fast, paper]

    /// The method as published: 100,000 iterations at k = 128.
    public static let paper = Recipe()

    /// For pictures to keep: networks without norms, and crops large enough for structure of a hundred pixels.
    public static let fast: Recipe = {
        var recipe = normless
        recipe.name = "fast"
        recipe.k = 64
        recipe.generatorWidth = 32
        recipe.discriminatorWidth = 32
        recipe.iterations = 24_000
        return recipe
    }()

    /// A picture within minutes on one core: small crops, and thin networks pretrained on drawn textures.
    public static let draft: Recipe = {
        var recipe = normless
        recipe.name = "draft"
        recipe.start = .drawn
        recipe.k = 32
        recipe.generatorWidth = 16
        recipe.discriminatorWidth = 16
        recipe.residualBlocks = 4
        recipe.discriminatorLayers = 3
        recipe.iterations = 9000
        recipe.learningRate = 2.5e-4
        recipe.snapshotEvery = 500
        recipe.checkpointEvery = 500
        return recipe
    }()

    /// `draft` with crops of twice the side and the rate of `fast`, with which it was measured: photographs with
    /// structure of fifty pixels, in some three times the time.
    public static let study: Recipe = {
        var recipe = draft
        recipe.name = "study"
        recipe.k = 64
        recipe.iterations = 6000
        recipe.learningRate = 2e-4
        return recipe
    }()

    /// The changes to the published method that these recipes share; decisions 10, 12 and 13 give the reasons.
    private static let normless: Recipe = {
        var recipe = Recipe()
        recipe.norm = .without
        recipe.discriminatorNorm = .batch
        recipe.secondDiscriminatorNorm = .without
        recipe.upsample = .nearest
        recipe.dropout = 0
        recipe.adversarial = .relativistic
        recipe.style = .vgg16
        recipe.styleInput = .caffe
        recipe.styleWeight = 2e-5
        recipe.styleTaps = 3
        recipe.styleEvery = 2
        recipe.constantShare = 2 / 3
        recipe.beta2 = 0.95
        recipe.ema = 0.998
        return recipe
    }()
}
