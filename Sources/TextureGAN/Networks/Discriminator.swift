import NNCore

/// The patch discriminator: one logit for each overlapping patch of an image (14x14 for 256x256 and 4 layers).
///
/// 4x4 convolutions with LeakyReLU 0.2; all but the first and the last have a norm. It sees only the image.
public struct Discriminator: Sendable {
    /// `first` and `convs`.
    let units: [ConvolutionUnit]
    let last: Convolution
    /// The spectral norms of all convolutions, in order; empty for other norms.
    private let spectralNorms: [SpectralNorm]

    /// - Parameters:
    ///   - channels: of the image, which is one with all maps of a material.
    ///   - isSecond: whether this is the recipe's second discriminator. Its initial weights are as small as those of
    ///     normalised layers, so that the first one leads until shapes have formed (decision 10).
    public init(
        _ recipe: Recipe, channels imageChannels: Int = 3, isSecond: Bool = false,
        initialisedFrom stream: RandomStream? = nil
    ) {
        let norm = (isSecond ? recipe.secondDiscriminatorNorm : nil) ?? recipe.usedDiscriminatorNorm
        // Both discriminators go into one file.
        let prefix = isSecond ? "second." : ""
        let activation = Activation.leakyReLU(slope: 0.2, gain: recipe.discriminatorGain)
        let isSpectral = norm == .spectral
        let hasNorms = norm == .batch || norm == .instance
        let layers = recipe.discriminatorLayers
        var channels = recipe.discriminatorWidth
        var convolutions = [
            Convolution(
                prefix + "first", inputChannels: imageChannels, outputChannels: channels, kernelSize: 4, stride: 2,
                padding: Padding(1), bias: true,
                hasSpectralNorm: isSpectral)
        ]
        var units = [ConvolutionUnit(convolution: convolutions[0], norm: nil, activation: activation)]
        for index in 0..<layers {
            let outputChannels = recipe.discriminatorWidth * min(2 << index, 8)
            let convolution = Convolution(
                "\(prefix)convs.\(index)", inputChannels: channels, outputChannels: outputChannels, kernelSize: 4,
                stride: index < layers - 1 ? 2 : 1,
                padding: Padding(1), bias: !hasNorms, hasSpectralNorm: isSpectral)
            convolutions.append(convolution)
            units.append(
                ConvolutionUnit(
                    convolution: convolution,
                    norm: hasNorms
                        ? BatchNorm(
                            "\(prefix)norms.\(index)", channels: outputChannels, tracksStatistics: norm == .batch)
                        : nil,
                    activation: activation))
            channels = outputChannels
        }
        last = Convolution(
            prefix + "last", inputChannels: channels, outputChannels: 1, kernelSize: 4, padding: Padding(1), bias: true,
            hasSpectralNorm: isSpectral)
        self.units = units
        spectralNorms = (convolutions + [last]).compactMap(\.spectralNorm)
        if var stream {
            initialise(parameters, from: &stream) { hasNorms || isSecond ? publishedDeviation : $0.heDeviation }
            for norm in spectralNorms { norm.initialise(from: &stream) }
        }
    }

    public var parameters: [Parameter] { units.flatMap(\.parameters) + last.parameters }

    /// The smallest image side that leaves one logit after `layers` layers.
    public static func smallestSide(layers: Int) -> Int {
        // The last two 4x4 convolutions of stride 1 take a pixel each; every layer before them halves.
        3 << layers
    }

    /// Updates the singular vectors of spectral normalisation: once for each update, before its forward pass.
    public func prepareUpdate() {
        for norm in spectralNorms { norm.iterate() }
    }

    /// What a forward pass leaves for `backward`.
    public struct Saved {
        public let logits: Tensor
        let units: ArenaArray<ConvolutionUnit.Saved>

        /// One image of a batch.
        func image(_ index: Int, in workspace: Workspace) -> Saved {
            Saved(logits: logits.image(index), units: workspace.arena.map(units) { $0.image(index) })
        }
    }

    /// - Parameter image: `[h, w, channels]` in [-1, 1], one or several.
    public func forward(_ image: Tensor, in workspace: Workspace) -> Saved {
        var features = image
        let units = workspace.arena.map(self.units) { unit in
            let saved = unit.forward(features, in: workspace)
            features = saved.output
            return saved
        }
        return Saved(logits: last.forward(features, in: workspace), units: units)
    }

    /// Overwrites `saved`.
    /// - Parameters:
    ///   - wanted: `.parameters` adds to the gradients; `.input` writes `dInput`.
    ///   - dInput: overwritten by the gradient of the image, for `.input`.
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
