import NNCore

extension Recipe {
    /// What a training of an exemplar takes at least, in bytes: weights with their gradients and moments, VGG, the
    /// activations of a step or the features of a snapshot, and the program. To tell which machine cannot do it.
    /// - Accuracy: 75 to 100 % of the resident memory that `texloom bench step` shows, asserted in `RecipeTests`.
    /// - Throws: `TrainingError` if the exemplar is too small.
    public func trainingBytes(width: Int, height: Int, exemplar: String) throws(TrainingError) -> Int {
        let k = try cropSize(forWidth: width, height: height, exemplar: exemplar)
        let generator = Generator(self, trained: false)
        let trained = generator.parameters.reduce(discriminatorWeightCount) { $0 + $1.count }
        // Of each pixel of the crop: the generator's activations, and VGG's.
        let step = k * k * (150 * generatorWidth + (style == nil ? 0 : 7000))
        let whole = 4 * generator.inferenceCount(height: (height + 3) / 4 * 4, width: (width + 3) / 4 * 4)
        let snapshot =
            whole <= Trainer.snapshotBytes
            ? whole : 4 * PiecewiseInference.count(generator, height: height, width: width)
        return (48 << 20) + 16 * trained + 4 * (style?.weightCount(taps: styleTaps) ?? 0) + max(step, snapshot)
    }
}

extension Recipe {
    /// Of the discriminator's 4x4 convolutions.
    private var discriminatorWeightCount: Int {
        var inputs = discriminatorWidth
        var count = 3 * inputs
        for layer in 0..<discriminatorLayers {
            let outputs = discriminatorWidth * min(2 << layer, 8)
            count += inputs * outputs
            inputs = outputs
        }
        return 16 * (count + inputs)
    }
}

extension FeatureNetwork {
    /// Of the 3x3 convolutions up to the last tap.
    fileprivate func weightCount(taps: Int) -> Int {
        var inputs = 3
        return layers(taps: taps).compactMap { $0 }.reduce(0) { total, layer in
            let outputs = min(512, 64 << (layer.block - 1))
            defer { inputs = outputs }
            return total + 9 * inputs * outputs
        }
    }
}
