import Tensors

/// What normalises an image: the mean of each channel and 1 / sqrt(variance + eps).
public struct ChannelStatistics: @unchecked Sendable, BitwiseCopyable {
    package static let epsilon: Float = 1e-5

    package let mean: UnsafeMutablePointer<Float>
    package let inverseDeviation: UnsafeMutablePointer<Float>

    /// Uninitialised, from an arena.
    public init(in arena: Arena, channels: Int) {
        mean = arena.floats(channels)
        inverseDeviation = arena.floats(channels)
    }

    private init(mean: UnsafeMutablePointer<Float>, inverseDeviation: UnsafeMutablePointer<Float>) {
        self.mean = mean
        self.inverseDeviation = inverseDeviation
    }

    /// The statistics of one image, in memory made for several images in turn.
    package func image(_ index: Int, channels: Int) -> ChannelStatistics {
        ChannelStatistics(mean: mean + index * channels, inverseDeviation: inverseDeviation + index * channels)
    }
}

/// The passes over an image of batch normalisation and its gradient. Each takes one image.
///
/// Pixels are cut into blocks of fixed size whose sums are added in order, so any number of threads gives the same
/// bytes.
package enum Normalisation {
    /// The layer as `y = activation(scale x + shift)`, one factor and one addend for each channel.
    package struct Affine: @unchecked Sendable {
        package let scale: UnsafeMutablePointer<Float>
        package let shift: UnsafeMutablePointer<Float>

        /// - Parameters:
        ///   - gamma: one value for each channel, as `beta`.
        package init(
            gamma: UnsafePointer<Float>, beta: UnsafePointer<Float>, statistics: ChannelStatistics, channels: Int,
            in arena: Arena
        ) {
            scale = arena.floats(channels)
            shift = arena.floats(channels)
            for channel in 0..<channels {
                scale[channel] = gamma[channel] * statistics.inverseDeviation[channel]
                shift[channel] = beta[channel] - statistics.mean[channel] * scale[channel]
            }
        }
    }

    /// Calls `body` with each channel's mean and its sum of squared deviations from the mean.
    ///
    /// Each block's mean comes first, then its squared deviations while the block is in the cache; blocks are combined
    /// in order in double precision, so large means cost no digits.
    /// - Source: Chan, Golub & LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances"
    ///   (1979).
    package static func moments(
        of image: Tensor, in workspace: Workspace, _ body: (_ channel: Int, _ mean: Double, _ squares: Double) -> Void
    ) {
        let channels = image.channels
        let pixels = image.pixels
        let grain = pixelGrain(channels: channels)
        let blocks = (pixels + grain - 1) / grain
        workspace.arena.scoped {
            let partial = workspace.arena.floats(blocks * 2 * channels)
            workspace.pool.run(over: pixels, grain: grain) { range in
                let mean = partial + range.lowerBound / grain * 2 * channels
                blockMoments(
                    image.data + range.lowerBound * channels, pixels: range.count, channels: channels, mean: mean,
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
                body(channel, mean, squares)
            }
        }
    }

    /// Each channel's mean over a block of pixels, and its sum of squared deviations from that mean.
    package static func blockMoments(
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

    /// `output = activation(scale input + shift) [+ residual]`.
    /// - Parameters:
    ///   - residual: shaped like `output`; may be `output`.
    ///   - output: overwritten; may be `input`.
    package static func apply(
        _ affine: Affine, to input: Tensor, _ activation: Activation, adding residual: Tensor?, into output: Tensor,
        in workspace: Workspace
    ) {
        let channels = input.channels
        let (scale, shift) = (affine.scale, affine.shift)
        let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
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

    /// Calls `body` with each channel's sums of g and of g (x - mean), where g is the gradient before the activation.
    package static func gradientSums(
        _ input: Tensor, _ affine: Affine, mean: UnsafePointer<Float>, dOutput: Tensor, _ activation: Activation,
        in workspace: Workspace, _ body: (_ channel: Int, _ sum: Double, _ product: Double) -> Void
    ) {
        let channels = input.channels
        let (scale, shift) = (affine.scale, affine.shift)
        let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
        let grain = pixelGrain(channels: channels)
        let blocks = (input.pixels + grain - 1) / grain
        workspace.arena.scoped {
            let partial = workspace.arena.floats(blocks * 2 * channels)
            workspace.pool.run(over: input.pixels, grain: grain) { range in
                let sum = partial + range.lowerBound / grain * 2 * channels
                let product = sum + channels
                sum.update(repeating: 0, count: 2 * channels)
                for pixel in range {
                    let row = input.data + pixel * channels
                    let dy = dOutput.data + pixel * channels
                    for channel in 0..<channels {
                        let value = row[channel] * scale[channel] + shift[channel]
                        let g = value > 0 ? gain * dy[channel] : slope * dy[channel]
                        sum[channel] += g
                        product[channel] += g * (row[channel] - mean[channel])
                    }
                }
            }
            for channel in 0..<channels {
                var sum = 0.0
                var product = 0.0
                for block in 0..<blocks {
                    sum += Double(partial[block * 2 * channels + channel])
                    product += Double(partial[block * 2 * channels + channels + channel])
                }
                body(channel, sum, product)
            }
        }
    }

    /// Replaces `input` by its gradient, `scale (g - meanGradient - (x - mean) meanProduct)`.
    /// - Parameters:
    ///   - meanGradient: for each channel the mean of g.
    ///   - meanProduct: for each channel the mean of g (x - mean), over the variance plus eps.
    package static func inputGradient(
        replacing input: Tensor, _ affine: Affine, mean: UnsafePointer<Float>, dOutput: Tensor,
        _ activation: Activation, meanGradient: UnsafePointer<Float>, meanProduct: UnsafePointer<Float>,
        in workspace: Workspace
    ) {
        let channels = input.channels
        let (scale, shift) = (affine.scale, affine.shift)
        let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
        workspace.pool.run(over: input.pixels, grain: pixelGrain(channels: channels)) { range in
            for pixel in range {
                let row = input.data + pixel * channels
                let dy = dOutput.data + pixel * channels
                for channel in 0..<channels {
                    let value = row[channel] * scale[channel] + shift[channel]
                    let g = value > 0 ? gain * dy[channel] : slope * dy[channel]
                    row[channel] =
                        scale[channel]
                        * (g - meanGradient[channel] - (row[channel] - mean[channel]) * meanProduct[channel])
                }
            }
        }
    }
}
