/// Batch normalisation over the pixels of each image by itself, with the activation that follows it.
///
/// `y = activation(gamma (x - mean) / sqrt(variance + eps) + beta) [+ residual]`
public struct BatchNorm: Sendable {
    /// Whose mean and variance normalise.
    public enum Statistics: Sendable {
        /// The image's own; the running averages move towards them (training).
        case batch
        /// The image's own; nothing is remembered.
        case image
        /// The running averages.
        case running
        /// Those of an image that is not all there, measured before.
        case measured(ChannelStatistics)
    }

    /// The mean of each channel and 1 / sqrt(variance + eps).
    public struct ChannelStatistics: @unchecked Sendable, BitwiseCopyable {
        let mean: UnsafeMutablePointer<Float>
        let inverseDeviation: UnsafeMutablePointer<Float>

        /// Uninitialised, from an arena.
        public init(in arena: Arena, channels: Int) {
            mean = arena.floats(channels)
            inverseDeviation = arena.floats(channels)
        }

        private init(mean: UnsafeMutablePointer<Float>, inverseDeviation: UnsafeMutablePointer<Float>) {
            self.mean = mean
            self.inverseDeviation = inverseDeviation
        }

        /// Those of one image, where there are several in turn.
        func image(_ index: Int, channels: Int) -> ChannelStatistics {
            ChannelStatistics(
                mean: mean + index * channels, inverseDeviation: inverseDeviation + index * channels)
        }
    }

    public static let epsilon: Float = 1e-5
    public static let momentum: Float = 0.1

    public let gamma: Parameter
    public let beta: Parameter
    /// Nil for instance normalisation, which has no memory: `running` then means `image`.
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

        func image(_ index: Int) -> Saved {
            Saved(input: input.image(index), statistics: statistics.image(index, channels: input.channels))
        }
    }

    /// Images in turn, as if each had been passed by itself: the running averages move with one after the other.
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
        for image in 0..<input.images {
            find(statistics, of: saved.image(image), workspace)
            normalise(
                saved.image(image), activation, adding: residual?.image(image), into: output.image(image), workspace)
        }
        return saved
    }

    /// Writes the statistics that are asked for, unless they are there already.
    private func find(_ wanted: Statistics, of saved: Saved, _ workspace: Workspace) {
        switch wanted {
        case .measured: break
        case .running where runningMean != nil:
            for channel in 0..<channels {
                saved.statistics.mean[channel] = runningMean!.value[channel]
                saved.statistics.inverseDeviation[channel] =
                    1 / (runningVariance!.value[channel] + Self.epsilon).squareRoot()
            }
        case .batch: measure(saved, remember: true, workspace)
        case .image, .running: measure(saved, remember: false, workspace)
        }
    }

    private func normalise(
        _ saved: Saved, _ activation: Activation, adding residual: Tensor?, into output: Tensor, _ workspace: Workspace
    ) {
        let input = saved.input
        let channels = self.channels
        let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
        workspace.arena.scoped {
            let scale = workspace.arena.floats(channels)
            let shift = workspace.arena.floats(channels)
            affine(saved.statistics, scale, shift)
            workspace.pool.run(over: input.pixels, grain: pixelGrain(channels: channels)) { pixels in
                for pixel in pixels {
                    let x = input.data + pixel * channels
                    let y = output.data + pixel * channels
                    if let residual {
                        let skip = residual.data + pixel * channels
                        for channel in 0..<channels {
                            let value = x[channel] * scale[channel] + shift[channel]
                            y[channel] = (value > 0 ? gain * value : slope * value) + skip[channel]
                        }
                    } else {
                        for channel in 0..<channels {
                            let value = x[channel] * scale[channel] + shift[channel]
                            y[channel] = value > 0 ? gain * value : slope * value
                        }
                    }
                }
            }
        }
    }

    /// Replaces `saved.input` by its gradient, for the statistics `batch` and `image`.
    /// - Parameters:
    ///   - dOutput: the gradient after the activation; left as it is. The residual's gradient is `dOutput` itself.
    ///   - parameterGradients: whether to add to the gradients of gamma and beta.
    public func backward(
        _ saved: Saved, dOutput: Tensor, _ activation: Activation, parameterGradients: Bool, in workspace: Workspace
    ) {
        precondition(dOutput.hasShape(of: saved.input))
        for image in 0..<dOutput.images {
            differentiate(
                saved.image(image), dOutput: dOutput.image(image), activation, parameterGradients: parameterGradients,
                workspace)
        }
    }

    private func differentiate(
        _ saved: Saved, dOutput: Tensor, _ activation: Activation, parameterGradients: Bool, _ workspace: Workspace
    ) {
        let channels = self.channels
        let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
        let x = saved.input.data
        let statistics = saved.statistics
        let pixels = saved.input.pixels
        let grain = pixelGrain(channels: channels)
        let blocks = (pixels + grain - 1) / grain
        workspace.arena.scoped {
            let scale = workspace.arena.floats(channels)
            let shift = workspace.arena.floats(channels)
            affine(statistics, scale, shift)
            // Per block and channel: the sum of g and of g * (x - mean), g being the gradient before the activation.
            let partial = workspace.arena.floats(blocks * 2 * channels)
            workspace.pool.run(over: pixels, grain: grain) { range in
                let sum = partial + range.lowerBound / grain * 2 * channels
                let product = sum + channels
                sum.update(repeating: 0, count: 2 * channels)
                for pixel in range {
                    let row = x + pixel * channels
                    let dy = dOutput.data + pixel * channels
                    for channel in 0..<channels {
                        let value = row[channel] * scale[channel] + shift[channel]
                        let g = value > 0 ? gain * dy[channel] : slope * dy[channel]
                        sum[channel] += g
                        product[channel] += g * (row[channel] - statistics.mean[channel])
                    }
                }
            }
            let meanGradient = workspace.arena.floats(channels)
            let meanProduct = workspace.arena.floats(channels)
            for channel in 0..<channels {
                var sum = 0.0
                var product = 0.0
                for block in 0..<blocks {
                    sum += Double(partial[block * 2 * channels + channel])
                    product += Double(partial[block * 2 * channels + channels + channel])
                }
                let inverse = Double(statistics.inverseDeviation[channel])
                if parameterGradients {
                    gamma.gradient![channel] += Float(product * inverse)
                    beta.gradient![channel] += Float(sum)
                }
                meanGradient[channel] = Float(sum / Double(pixels))
                meanProduct[channel] = Float(product * inverse * inverse / Double(pixels))
            }
            workspace.pool.run(over: pixels, grain: grain) { range in
                for pixel in range {
                    let row = x + pixel * channels
                    let dy = dOutput.data + pixel * channels
                    for channel in 0..<channels {
                        let value = row[channel] * scale[channel] + shift[channel]
                        let g = value > 0 ? gain * dy[channel] : slope * dy[channel]
                        row[channel] =
                            scale[channel]
                            * (g - meanGradient[channel]
                                - (row[channel] - statistics.mean[channel]) * meanProduct[channel])
                    }
                }
            }
        }
    }

    /// The layer as `scale x + shift`.
    private func affine(
        _ statistics: ChannelStatistics, _ scale: UnsafeMutablePointer<Float>, _ shift: UnsafeMutablePointer<Float>
    ) {
        for channel in 0..<channels {
            scale[channel] = gamma.value[channel] * statistics.inverseDeviation[channel]
            shift[channel] = beta.value[channel] - statistics.mean[channel] * scale[channel]
        }
    }

    /// Mean and variance by blocks: each block's sum, then its squared deviations from its own mean while it is in
    /// cache, combined in order in double precision (Chan et al.), so large means cost no digits.
    private func measure(_ saved: Saved, remember: Bool, _ workspace: Workspace) {
        let (input, result) = (saved.input, saved.statistics)
        let channels = self.channels
        let pixels = input.pixels
        let grain = pixelGrain(channels: channels)
        let blocks = (pixels + grain - 1) / grain
        workspace.arena.scoped {
            let partial = workspace.arena.floats(blocks * 2 * channels)
            workspace.pool.run(over: pixels, grain: grain) { range in
                let mean = partial + range.lowerBound / grain * 2 * channels
                Self.blockMoments(
                    input.data + range.lowerBound * channels, pixels: range.count, channels: channels, mean: mean,
                    squares: mean + channels)
            }
            for channel in 0..<channels {
                var count = 0.0
                var mean = 0.0
                var squares = 0.0
                for block in 0..<blocks {
                    let blockCount = Double(min(grain, pixels - block * grain))
                    let difference = Double(partial[block * 2 * channels + channel]) - mean
                    let total = count + blockCount
                    mean += difference * blockCount / total
                    squares +=
                        Double(partial[block * 2 * channels + channels + channel])
                        + difference * difference * count * blockCount / total
                    count = total
                }
                let variance = squares / count
                result.mean[channel] = Float(mean)
                result.inverseDeviation[channel] = Float(1 / (variance + Double(Self.epsilon)).squareRoot())
                if remember, let runningMean, let runningVariance {
                    // PyTorch's convention: the running variance is the unbiased one.
                    let unbiased = count > 1 ? squares / (count - 1) : variance
                    runningMean.value[channel] += Self.momentum * (Float(mean) - runningMean.value[channel])
                    runningVariance.value[channel] +=
                        Self.momentum * (Float(unbiased) - runningVariance.value[channel])
                }
            }
        }
    }

    /// The mean of a block of pixels, and the sum of the squared deviations from it, for each channel.
    static func blockMoments(
        _ data: UnsafePointer<Float>, pixels: Int, channels: Int, mean: UnsafeMutablePointer<Float>,
        squares: UnsafeMutablePointer<Float>
    ) {
        mean.update(repeating: 0, count: channels)
        squares.update(repeating: 0, count: channels)
        for pixel in 0..<pixels {
            let row = data + pixel * channels
            for channel in 0..<channels { mean[channel] += row[channel] }
        }
        let share = 1 / Float(pixels)
        for channel in 0..<channels { mean[channel] *= share }
        for pixel in 0..<pixels {
            let row = data + pixel * channels
            for channel in 0..<channels {
                let deviation = row[channel] - mean[channel]
                squares[channel] += deviation * deviation
            }
        }
    }
}
