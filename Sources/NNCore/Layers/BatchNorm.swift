/// Normalisation with learned scale and shift over the pixels of each image by itself, with the activation that
/// follows it: instance normalisation that can also keep batch normalisation's running averages. Named for its tensors
/// in PyTorch files.
///
/// `y = activation(gamma (x - mean) / sqrt(variance + eps) + beta) [+ residual]`
///
/// `[N, H, W, C]`; mean and variance are `[N, C]`.
public struct BatchNorm: Sendable {
    /// Whose mean and variance normalise.
    public enum Statistics: Sendable {
        /// The image's own; the running averages move towards them.
        case training
        /// The image's own; the running averages stay as they are.
        case image
        /// The running averages.
        case running
        /// Statistics measured beforehand, for an image that is computed in pieces.
        case measured(ChannelStatistics)
    }

    public static let momentum: Float = 0.1

    public let gamma: Parameter
    public let beta: Parameter
    /// Nil for instance normalisation, which keeps no averages: `running` then means `image`.
    public let runningMean: Parameter?
    public let runningVariance: Parameter?
    public let channels: Int

    public init(_ name: String, channels: Int, tracksStatistics: Bool = true, trained: Bool = true) {
        self.channels = channels
        gamma = Parameter("\(name).weight", .vector(channels), trained: trained)
        beta = Parameter("\(name).bias", .vector(channels), trained: trained)
        gamma.fill(1)
        runningMean =
            tracksStatistics ? Parameter("\(name).running_mean", .vector(channels), trained: false) : nil
        runningVariance =
            tracksStatistics ? Parameter("\(name).running_var", .vector(channels), trained: false) : nil
        runningVariance?.fill(1)
    }

    public var parameters: [Parameter] { [gamma, beta] + [runningMean, runningVariance].compactMap { $0 } }

    /// What `backward` needs of a forward pass.
    public struct Saved: BitwiseCopyable {
        /// The layer's input; `backward` replaces it by its gradient.
        public let input: Tensor
        /// By image and channel.
        let statistics: ChannelStatistics

        /// One image of a batch.
        public func image(_ index: Int) -> Saved {
            Saved(input: input.image(index), statistics: statistics.image(index, channels: input.channels))
        }
    }

    /// Normalises the images in turn, as separate calls would: the running averages move with one after the other.
    /// - Parameters:
    ///   - output: overwritten; may be `input` itself when no backward pass follows.
    ///   - residual: added after the activation; may be `output`.
    public func forward(
        _ input: Tensor, _ activation: Activation, adding residual: Tensor? = nil, statistics: Statistics,
        into output: Tensor, in workspace: Workspace
    ) -> Saved {
        precondition(input.channels == channels && output.hasShape(of: input))
        let used: ChannelStatistics
        if case .measured(let measured) = statistics {
            precondition(input.images == 1)
            used = measured
        } else {
            used = ChannelStatistics(in: workspace.arena, channels: input.images * channels)
        }
        let saved = Saved(input: input, statistics: used)
        for index in 0..<input.images {
            let image = saved.image(index)
            find(statistics, of: image, workspace)
            workspace.arena.scoped {
                Normalisation.apply(
                    affine(image.statistics, workspace), to: image.input, activation,
                    adding: residual?.image(index), into: output.image(index), in: workspace)
            }
        }
        return saved
    }

    /// Replaces `saved.input` by its gradient, for the statistics `training` and `image`.
    /// - Parameters:
    ///   - dOutput: the gradient after the activation; only read. The residual's gradient is `dOutput` itself.
    ///   - parameterGradients: whether to add to the gradients of gamma and beta.
    public func backward(
        _ saved: Saved, dOutput: Tensor, _ activation: Activation, parameterGradients: Bool, in workspace: Workspace
    ) {
        precondition(dOutput.hasShape(of: saved.input))
        for index in 0..<dOutput.images {
            differentiate(
                saved.image(index), dOutput: dOutput.image(index), activation, parameterGradients: parameterGradients,
                workspace)
        }
    }

    private func differentiate(
        _ saved: Saved, dOutput: Tensor, _ activation: Activation, parameterGradients: Bool, _ workspace: Workspace
    ) {
        let statistics = saved.statistics
        let pixels = Double(saved.input.pixels)
        workspace.arena.scoped {
            let affine = affine(statistics, workspace)
            let meanGradient = workspace.arena.floats(channels)
            let meanProduct = workspace.arena.floats(channels)
            Normalisation.gradientSums(
                saved.input, affine, mean: statistics.mean, dOutput: dOutput, activation, in: workspace
            ) { channel, sum, product in
                let inverse = Double(statistics.inverseDeviation[channel])
                if parameterGradients {
                    gamma.gradient![channel] += Float(product * inverse)
                    beta.gradient![channel] += Float(sum)
                }
                meanGradient[channel] = Float(sum / pixels)
                meanProduct[channel] = Float(product * inverse * inverse / pixels)
            }
            Normalisation.inputGradient(
                replacing: saved.input, affine, mean: statistics.mean, dOutput: dOutput, activation,
                meanGradient: meanGradient, meanProduct: meanProduct, in: workspace)
        }
    }

    private func affine(_ statistics: ChannelStatistics, _ workspace: Workspace) -> Normalisation.Affine {
        Normalisation.Affine(
            gamma: gamma.value, beta: beta.value, statistics: statistics, channels: channels, in: workspace.arena)
    }

    /// Writes the wanted statistics; measured ones are there already.
    private func find(_ wanted: Statistics, of saved: Saved, _ workspace: Workspace) {
        switch wanted {
        case .measured: break
        case .running where runningMean != nil:
            for channel in 0..<channels {
                saved.statistics.mean[channel] = runningMean!.value[channel]
                saved.statistics.inverseDeviation[channel] =
                    1 / (runningVariance!.value[channel] + ChannelStatistics.epsilon).squareRoot()
            }
        case .training: measure(saved, movesAverages: true, workspace)
        case .image, .running: measure(saved, movesAverages: false, workspace)
        }
    }

    private func measure(_ saved: Saved, movesAverages: Bool, _ workspace: Workspace) {
        let (result, count) = (saved.statistics, Double(saved.input.pixels))
        Normalisation.moments(of: saved.input, in: workspace) { channel, mean, squares in
            let variance = squares / count
            result.mean[channel] = Float(mean)
            result.inverseDeviation[channel] =
                Float(1 / (variance + Double(ChannelStatistics.epsilon)).squareRoot())
            if movesAverages, let runningMean, let runningVariance {
                // PyTorch's convention: the running variance is the unbiased one.
                let unbiased = count > 1 ? squares / (count - 1) : variance
                runningMean.value[channel] += Self.momentum * (Float(mean) - runningMean.value[channel])
                runningVariance.value[channel] += Self.momentum * (Float(unbiased) - runningVariance.value[channel])
            }
        }
    }
}
