/// Batch normalisation over the pixels of a batch of one, with the activation that follows it.
///
/// `y = activation(gamma (x - mean) / sqrt(variance + eps) + beta) [+ residual]`
public struct BatchNorm: Sendable {
    /// Whose mean and variance normalise.
    public enum Statistics: Sendable, Hashable {
        /// The image's own; the running averages move towards them (training).
        case batch
        /// The image's own; nothing is remembered.
        case image
        /// The running averages.
        case running
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
    public struct Saved {
        /// The layer's input; `backward` replaces it by its gradient.
        public let input: Tensor
        let mean: UnsafeMutablePointer<Float>
        let inverseDeviation: UnsafeMutablePointer<Float>
    }

    /// - Parameters:
    ///   - output: overwritten; may be `input` itself when no backward pass follows.
    ///   - residual: added after the activation; may be `output`.
    public func forward(
        _ input: Tensor, _ activation: Activation, adding residual: Tensor? = nil, statistics: Statistics,
        into output: Tensor, in workspace: Workspace
    ) -> Saved {
        precondition(input.channels == channels && output.hasShape(of: input))
        let saved = Saved(
            input: input, mean: workspace.arena.floats(channels), inverseDeviation: workspace.arena.floats(channels))
        if statistics == .running, let runningMean, let runningVariance {
            for channel in 0..<channels {
                saved.mean[channel] = runningMean.value[channel]
                saved.inverseDeviation[channel] =
                    1 / (runningVariance.value[channel] + Self.epsilon).squareRoot()
            }
        } else {
            measure(input, saved, remember: statistics == .batch, workspace)
        }
        let channels = self.channels
        let slope = activation.negativeSlope
        workspace.arena.scoped {
            let scale = workspace.arena.floats(channels)
            let shift = workspace.arena.floats(channels)
            affine(saved, scale, shift)
            workspace.pool.run(over: input.pixels, grain: pixelGrain(channels: channels)) { pixels in
                for pixel in pixels {
                    let x = input.data + pixel * channels
                    let y = output.data + pixel * channels
                    if let residual {
                        let skip = residual.data + pixel * channels
                        for channel in 0..<channels {
                            let value = x[channel] * scale[channel] + shift[channel]
                            y[channel] = (value > 0 ? value : slope * value) + skip[channel]
                        }
                    } else {
                        for channel in 0..<channels {
                            let value = x[channel] * scale[channel] + shift[channel]
                            y[channel] = value > 0 ? value : slope * value
                        }
                    }
                }
            }
        }
        return saved
    }

    /// Replaces `saved.input` by its gradient, for the statistics `batch` and `image`.
    /// - Parameters:
    ///   - dOutput: the gradient after the activation; left as it is. The residual's gradient is `dOutput` itself.
    ///   - parameterGradients: whether to add to the gradients of gamma and beta.
    public func backward(
        _ saved: Saved, dOutput: Tensor, _ activation: Activation, parameterGradients: Bool, in workspace: Workspace
    ) {
        precondition(dOutput.hasShape(of: saved.input))
        let channels = self.channels
        let slope = activation.negativeSlope
        let x = saved.input.data
        let pixels = saved.input.pixels
        let grain = pixelGrain(channels: channels)
        let blocks = (pixels + grain - 1) / grain
        workspace.arena.scoped {
            let scale = workspace.arena.floats(channels)
            let shift = workspace.arena.floats(channels)
            affine(saved, scale, shift)
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
                        let g = value > 0 ? dy[channel] : slope * dy[channel]
                        sum[channel] += g
                        product[channel] += g * (row[channel] - saved.mean[channel])
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
                let inverse = Double(saved.inverseDeviation[channel])
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
                        let g = value > 0 ? dy[channel] : slope * dy[channel]
                        row[channel] =
                            scale[channel]
                            * (g - meanGradient[channel]
                                - (row[channel] - saved.mean[channel]) * meanProduct[channel])
                    }
                }
            }
        }
    }

    /// The layer as `scale x + shift`.
    private func affine(_ saved: Saved, _ scale: UnsafeMutablePointer<Float>, _ shift: UnsafeMutablePointer<Float>) {
        for channel in 0..<channels {
            scale[channel] = gamma.value[channel] * saved.inverseDeviation[channel]
            shift[channel] = beta.value[channel] - saved.mean[channel] * scale[channel]
        }
    }

    /// Mean and variance by blocks: each block's sum, then its squared deviations from its own mean while it is in
    /// cache, combined in order in double precision (Chan et al.), so large means cost no digits.
    private func measure(_ input: Tensor, _ saved: Saved, remember: Bool, _ workspace: Workspace) {
        let channels = self.channels
        let pixels = input.pixels
        let grain = pixelGrain(channels: channels)
        let blocks = (pixels + grain - 1) / grain
        workspace.arena.scoped {
            let partial = workspace.arena.floats(blocks * 2 * channels)
            workspace.pool.run(over: pixels, grain: grain) { range in
                let mean = partial + range.lowerBound / grain * 2 * channels
                let squares = mean + channels
                mean.update(repeating: 0, count: 2 * channels)
                for pixel in range {
                    let row = input.data + pixel * channels
                    for channel in 0..<channels { mean[channel] += row[channel] }
                }
                let share = 1 / Float(range.count)
                for channel in 0..<channels { mean[channel] *= share }
                for pixel in range {
                    let row = input.data + pixel * channels
                    for channel in 0..<channels {
                        let deviation = row[channel] - mean[channel]
                        squares[channel] += deviation * deviation
                    }
                }
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
                saved.mean[channel] = Float(mean)
                saved.inverseDeviation[channel] = Float(1 / (variance + Double(Self.epsilon)).squareRoot())
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
}
