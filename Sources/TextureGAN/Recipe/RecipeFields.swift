import Base
import NNCore

/// One field of a recipe, as recipe files and `--set` know it.
public struct RecipeField: Sendable {
    public let key: String
    /// The field's meaning, and the reason for its default.
    public let summary: String
    /// The accepted values, in words.
    public let accepts: String
    let read: @Sendable (Recipe) -> String
    /// Returns whether the text is accepted.
    let write: @Sendable (inout Recipe, String) -> Bool
}

extension Recipe {
    /// Every field, in the order of recipe files.
    public static let fields: [RecipeField] = [
        RecipeField(
            key: "name", summary: "What reports call this recipe.", accepts: "up to 200 characters of one line",
            read: { $0.name },
            write: { recipe, text in
                guard !text.isEmpty, text.count <= 200, text.unicodeScalars.allSatisfy(isKeptInQuotes),
                    !hasManyAliases(yaml: text)
                else { return false }
                recipe.name = text
                return true
            }),
        integer(
            "seed", \.seed, 0...UInt64.max,
            "Determines initial weights, crops and dropout; another seed gives another variation."),
        choice(
            "start", \.start,
            "Initial weights: random, or those of networks trained on drawn textures of all kinds, which saves most of a short training."
        ),
        RecipeField(
            key: "k",
            summary:
                "Source crops are k x k, targets 2k x 2k: k bounds the structure that can be learned, and the work "
                + "grows with its square. 128 is the paper's.",
            accepts: "a multiple of 4, or auto (half the exemplar's shorter side)",
            read: { $0.k.map(String.init) ?? "auto" },
            write: { recipe, text in
                if text == "auto" {
                    recipe.k = nil
                    return true
                }
                guard let k = Int(text), k >= 8, k <= 4096, k % 4 == 0 else { return false }
                recipe.k = k
                return true
            }),
        integer(
            "ngf", \.generatorWidth, 1...512,
            "Channels of the generator's first layer; the deepest has 8 times as many. 64 is the paper's."),
        integer(
            "blocks", \.residualBlocks, 1...64,
            "Residual blocks in the middle of the generator; more blocks widen its receptive field. 6 is the paper's."),
        integer(
            "ndf", \.discriminatorWidth, 1...512, "Channels of the discriminator's first layer. 64 is the paper's."),
        integer(
            "discriminator_layers", \.discriminatorLayers, 1...6,
            "Halvings in the discriminator. They set the size of the patches it judges: 142 pixels at 4, 70 at 3."),
        choice(
            "norm", \.norm,
            "The generator's normalisation: batch (the paper's) keeps running averages, instance does not. Both remove a crop's brightness and contrast; none keeps them, costs least and expands every part of an image in the same way."
        ),
        choice(
            "discriminator_norm", \.discriminatorNorm,
            "The discriminator's normalisation: same uses the generator's; spectral divides each layer's weights by their largest singular value."
        ),
        RecipeField(
            key: "second_discriminator",
            summary:
                "Normalisation of a second discriminator beside the first; off is the paper's. A norm makes the first "
                + "blind to a crop's brightness and contrast, but quick to see shapes; a second one without a norm sees the "
                + "rest. Costs a few per cent of a step.",
            accepts: "off, batch, instance, none or spectral",
            read: { $0.secondDiscriminatorNorm?.rawValue ?? "off" },
            write: { recipe, text in
                // YAML 1.1 reads a bare off as a boolean's text.
                if text == "off" || text == "false" {
                    recipe.secondDiscriminatorNorm = nil
                    return true
                }
                guard let norm = Recipe.DiscriminatorNorm(rawValue: text), norm != .same else { return false }
                recipe.secondDiscriminatorNorm = norm
                return true
            }),
        number(
            "discriminator_gain", \.discriminatorGain, 0.1...10,
            "Multiplies the discriminator's features after each LeakyReLU; above 1 it compensates for the damping of spectral normalisation."
        ),
        choice(
            "padding", \.padding,
            "What the generator's 7x7 and residual convolutions see beyond the border; zero leaves a frame in the output."
        ),
        choice(
            "upsample", \.upsample,
            "Doubling by transposed convolution (the paper's), or nearest neighbour then convolution (no checkerboards, 1.3 times the work)."
        ),
        number(
            "dropout", \.dropout, 0...0.95,
            "Share of features zeroed inside the residual blocks during training. 0.5 is the paper's; thin networks have none to spare."
        ),
        choice(
            "adversarial", \.adversarial,
            "Cross-entropy (the paper's), least squares, hinge losses, or relativistic: at each place the discriminator decides which of generated image and target is the generated one."
        ),
        number("adversarial_weight", \.adversarialWeight, 0...1e6, "Weight of the adversarial loss. 1 is the paper's."),
        number(
            "l1_weight", \.l1Weight, 0...1e6,
            "Weight of the mean absolute difference to the target crop. 100 is the paper's."),
        RecipeField(
            key: "style",
            summary:
                "The VGG whose features the style loss compares. scripts/setup installs vgg16; for vgg19, the paper's, "
                + "see texloom weights.",
            accepts: "vgg16, vgg19 or off",
            read: { $0.style?.rawValue ?? "off" },
            write: { recipe, text in
                // YAML 1.1 reads a bare off as a boolean's text.
                if text == "off" || text == "false" {
                    recipe.style = nil
                    return true
                }
                guard let network = FeatureNetwork(rawValue: text) else { return false }
                recipe.style = network
                return true
            }),
        choice(
            "style_input", \.styleInput,
            "Scaling of VGG's input: raw (the authors', which almost silences the loss), or the one the weights were trained with: caffe for vgg16, torchvision for torchvision's vgg19."
        ),
        number(
            "style_weight", \.styleWeight, 0...1e9,
            "Multiplies the style loss, on top of 1000 / C^2 per tap. 1 is the paper's with raw input; caffe input needs about 2e-5 to balance L1."
        ),
        integer(
            "style_taps", \.styleTaps, 1...5,
            "Taps relu1_1 ... reluN_1; VGG stops at the last one, so fewer are cheaper."),
        integer(
            "style_every", \.styleEvery, 1...1000,
            "A style loss every N iterations, with N times the weight. VGG takes more than half of a thin network's step, and two updates learn more than one with a style loss."
        ),
        integer("iterations", \.iterations, 1...100_000_000, "Updates of each network. 100,000 is the paper's."),
        number(
            "constant_share", \.constantShare, 0...1,
            "Share of the iterations before the learning rate begins to fall linearly to 0; half of them in the paper."),
        number("learning_rate", \.learningRate, 1e-9...1, "Adam's rate for both networks."),
        number("beta1", \.beta1, 0...0.9999, "Adam's memory of the gradient; 0.5 is usual for GANs."),
        number(
            "beta2", \.beta2, 0...0.999999,
            "Adam's memory of the squared gradient; 0.999 is the paper's. A short memory bounds the step after a sudden gradient (2.2 times the rate at 0.95, 16 times at 0.999), which a generator without norms may not survive."
        ),
        number(
            "ema", \.ema, 0...0.9999,
            "Memory of the running average of the generator's weights; snapshots and the finished generator use the average. 0 uses the weights themselves."
        ),
        integer("metrics_every", \.metricsEvery, 1...1_000_000, "Iterations between rows of the loss history."),
        integer(
            "snapshot_every", \.snapshotEvery, 1...100_000_000,
            "Iterations between snapshots, expansions of the whole exemplar; each costs about one forward pass of the whole image."
        ),
        integer(
            "checkpoint_every", \.checkpointEvery, 1...100_000_000,
            "Iterations between checkpoints. A crash costs at most this many."),
    ]

    /// Whether a text in YAML's double quotes keeps the character: YAML folds breaks of lines, and refuses some others.
    private static func isKeptInQuotes(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: false
        default: ![0xFEFF, 0xFFFE, 0xFFFF].contains(scalar.value)
        }
    }

    private static func integer<Value: FixedWidthInteger & Sendable>(
        _ key: String, _ path: WritableKeyPath<Recipe, Value> & Sendable, _ range: ClosedRange<Value>, _ summary: String
    ) -> RecipeField {
        RecipeField(
            key: key, summary: summary, accepts: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            read: { String($0[keyPath: path]) },
            write: { recipe, text in
                guard let value = Value(text.replacing("_", with: "")), range.contains(value) else { return false }
                recipe[keyPath: path] = value
                return true
            })
    }

    private static func number(
        _ key: String, _ path: WritableKeyPath<Recipe, Float> & Sendable, _ range: ClosedRange<Float>, _ summary: String
    ) -> RecipeField {
        RecipeField(
            key: key, summary: summary, accepts: "a number from \(range.lowerBound) to \(range.upperBound)",
            read: { "\($0[keyPath: path])" },
            write: { recipe, text in
                guard let value = Float(text), value.isFinite, range.contains(value) else { return false }
                recipe[keyPath: path] = value
                return true
            })
    }

    private static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
        _ key: String, _ path: WritableKeyPath<Recipe, Value> & Sendable, _ summary: String
    ) -> RecipeField {
        let names = Value.allCases.map(\.rawValue)
        return RecipeField(
            key: key, summary: summary, accepts: names.dropLast().joined(separator: ", ") + " or " + names.last!,
            read: { $0[keyPath: path].rawValue },
            write: { recipe, text in
                guard let value = Value(rawValue: text) else { return false }
                recipe[keyPath: path] = value
                return true
            })
    }
}
