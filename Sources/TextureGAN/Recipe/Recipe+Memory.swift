import NNCore

extension Recipe {
    /// The least memory for a training of an exemplar, in bytes: weights with their gradients and moments, VGG, the
    /// exemplar and a snapshot of it, the program, and the largest of the activations of an iteration, the features of a
    /// snapshot and the images of its figures. A machine with less is too small.
    /// - Accuracy: 75 to 100 % of the peak of `texloom train`, asserted in `RecipeTests`.
    /// - Throws: `TrainingError` if the exemplar is too small.
    /// - Parameter layout: of the exemplar.
    public func trainingBytes(
        width: Int, height: Int, layout: MapLayout = .picture, exemplar: String
    ) throws(TrainingError) -> Int {
        let k = try cropSize(forWidth: width, height: height, exemplar: exemplar)
        let generator = Generator(self, layout, trained: false)
        let generatorWeights = generator.parameters.reduce(0) { $0 + $1.count }
        // A weight, its gradient and two moments; the generator's running average; a weight divided by its norm.
        let discriminatorWeights = discriminatorWeightCount(layout.channels)
        let networks =
            generatorWeights * (ema > 0 ? 20 : 16)
            + discriminatorNorms.reduce(0) { $0 + discriminatorWeights * ($1 == .spectral ? 20 : 16) }
        // The exemplar's samples, of 16 bits in a material, and as floats; and those of a snapshot of four times the size.
        let sampleBytes = layout.isMaterial ? 2 : 1
        let pictures = (5 * sampleBytes + 4) * layout.channels * width * height
        // Three images of the snapshot as floats: colours, and two that are smoothed.
        let figures = 4 * width * height * 3 * 12
        // For each pixel of the crop the generator's activations, and VGG's. A norm keeps its input too.
        let step = k * k * ((norm == .without ? 80 : 150) * generatorWidth + (style == nil ? 0 : 6500))
        let whole = 4 * generator.inferenceCount(height: (height + 3) / 4 * 4, width: (width + 3) / 4 * 4)
        let snapshot =
            whole <= Trainer.snapshotBytes
            ? whole : 4 * PiecewiseInference.count(generator, height: height, width: width)
        return Self.trainingProgramBytes + pictures + networks + 4 * (style?.weightCount(taps: styleTaps) ?? 0)
            + max(step, snapshot, figures)
    }

    /// The program, VGG's features of the figures, and buffers of the files that it writes.
    private static let trainingProgramBytes = ExpansionMemory.programBytes + 16 << 20

    private var discriminatorNorms: [DiscriminatorNorm] {
        [usedDiscriminatorNorm] + (secondDiscriminatorNorm.map { [$0] } ?? [])
    }

    /// Weights of the discriminator's 4x4 convolutions.
    private func discriminatorWeightCount(_ channels: Int) -> Int {
        var inputChannels = discriminatorWidth
        var count = channels * inputChannels
        for layer in 0..<discriminatorLayers {
            let outputChannels = discriminatorWidth * min(2 << layer, 8)
            count += inputChannels * outputChannels
            inputChannels = outputChannels
        }
        return 16 * (count + inputChannels)
    }
}

extension FeatureNetwork {
    /// Weights of the 3x3 convolutions up to the last tap.
    fileprivate func weightCount(taps: Int) -> Int {
        var inputChannels = 3
        return layers(taps: taps).compactMap { $0 }.reduce(0) { total, layer in
            let outputChannels = min(512, 64 << (layer.block - 1))
            defer { inputChannels = outputChannels }
            return total + 9 * inputChannels * outputChannels
        }
    }
}
