import NNCore

/// The patch discriminator: one logit for each overlapping patch of an image (14x14 for 256x256 and 4 layers).
///
/// 4x4 convolutions with LeakyReLU 0.2; a norm but in the first and the last; it sees the image alone.
public struct Discriminator: Sendable {
    /// `first` and `convs`.
    let units: [ConvolutionUnit]
    let last: Convolution
    /// Of all convolutions, in order; empty for other norms.
    private let spectralNorms: [SpectralNorm]

    /// - Parameters:
    ///   - norm: nil takes the recipe's.
    ///   - isSecond: the recipe's second discriminator, which judges beside the first. Its weights begin as small as
    ///     those of normalised layers, so that the first one leads until shapes are there (decision 10).
    public init(_ recipe: Recipe, isSecond: Bool = false, initialisedFrom stream: RandomStream? = nil) {
        let norm = (isSecond ? recipe.secondDiscriminatorNorm : nil) ?? recipe.usedDiscriminatorNorm
        // Two discriminators fit in one file.
        let prefix = isSecond ? "second." : ""
        let activation = Activation.leakyReLU(slope: 0.2, gain: recipe.discriminatorGain)
        let isSpectral = norm == .spectral
        let hasNorms = norm == .batch || norm == .instance
        let layers = recipe.discriminatorLayers
        var channels = recipe.discriminatorWidth
        var convolutions = [
            Convolution(
                prefix + "first", inputs: 3, outputs: channels, kernel: 4, stride: 2, padding: Padding(1), bias: true,
                hasSpectralNorm: isSpectral)
        ]
        var units = [ConvolutionUnit(convolution: convolutions[0], norm: nil, activation: activation)]
        for index in 0..<layers {
            let outputs = recipe.discriminatorWidth * min(2 << index, 8)
            let convolution = Convolution(
                "\(prefix)convs.\(index)", inputs: channels, outputs: outputs, kernel: 4,
                stride: index < layers - 1 ? 2 : 1,
                padding: Padding(1), bias: !hasNorms, hasSpectralNorm: isSpectral)
            convolutions.append(convolution)
            units.append(
                ConvolutionUnit(
                    convolution: convolution,
                    norm: hasNorms
                        ? BatchNorm("\(prefix)norms.\(index)", channels: outputs, tracksStatistics: norm == .batch)
                        : nil,
                    activation: activation))
            channels = outputs
        }
        last = Convolution(
            prefix + "last", inputs: channels, outputs: 1, kernel: 4, padding: Padding(1), bias: true,
            hasSpectralNorm: isSpectral)
        self.units = units
        spectralNorms = (convolutions + [last]).compactMap(\.spectralNorm)
        if var stream {
            initialise(parameters, from: &stream) { hasNorms || isSecond ? publishedDeviation : $0.heDeviation }
            for norm in spectralNorms { norm.initialise(from: &stream) }
        }
    }

    public var parameters: [Parameter] { units.flatMap(\.parameters) + last.parameters }

    /// The smallest image side that leaves a logit behind `layers` layers.
    public static func smallestSide(layers: Int) -> Int {
        // The last two 4x4 convolutions of stride 1 take a pixel each; every layer before them halves.
        3 << layers
    }

    /// Once for each update, before its forward pass: moves what spectral normalisation knows of the weights.
    public func prepareUpdate() {
        for norm in spectralNorms { norm.iterate() }
    }

    /// What a forward pass leaves for `backward`.
    public struct Saved {
        public let logits: Tensor
        let units: ArenaArray<ConvolutionUnit.Saved>
    }

    /// - Parameter image: `[h, w, 3]` in [-1, 1], one or several.
    public func forward(_ image: Tensor, in workspace: Workspace) -> Saved {
        var features = image
        let units = workspace.arena.map(self.units) { unit in
            let saved = unit.forward(features, in: workspace)
            features = saved.output
            return saved
        }
        return Saved(logits: last.forward(features, in: workspace), units: units)
    }

    /// Uses up `saved`.
    /// - Parameters:
    ///   - wanted: `.parameters` adds to the gradients; `.input` writes `dInput`.
    ///   - dInput: the gradient of the image, overwritten; for `.input`.
    public func backward(
        _ saved: Saved, dLogits: Tensor, _ wanted: Gradients, dInput: Tensor? = nil, in workspace: Workspace
    ) {
        workspace.arena.scoped {
            var most = 0
            for index in units.indices where units[index].needsOutput {
                most = max(most, saved.units[index].output.count)
            }
            let places = GradientPlaces(count: most, in: workspace.arena)
            let deepest = units.count - 1
            let output = saved.units[deepest].output
            if wanted.contains(.parameters) {
                last.accumulateGradients(input: output, dOutput: dLogits, in: workspace)
            }
            var gradient = places.place(for: output, of: units[deepest])
            last.inputGradient(dOutput: dLogits, dInput: gradient, in: workspace)
            let through: Gradients = wanted.contains(.parameters) ? [.input, .parameters] : .input
            for index in units.indices.dropFirst().reversed() {
                let next = places.place(for: saved.units[index].input, of: units[index - 1])
                units[index].backward(saved.units[index], dOutput: gradient, through, dInput: next, in: workspace)
                gradient = next
            }
            units[0].backward(saved.units[0], dOutput: gradient, wanted, dInput: dInput, in: workspace)
        }
    }
}
