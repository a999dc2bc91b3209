import Tensors

/// Replaces `dOutput`, the gradient after an activation, by the gradient before it.
/// - Parameter output: the activation's output, whose sign is the input's.
public func activationGradient(
    output: Tensor, dOutput: Tensor, _ activation: Activation, in workspace: Workspace
) {
    dOutput.requireShape(of: output)
    let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
    let (out, gradient) = (output.data, dOutput.data)
    workspace.pool.run(over: output.count, grain: 1 << 14) { range in
        for index in range {
            gradient[index] = out[index] > 0 ? gain * gradient[index] : slope * gradient[index]
        }
    }
}

/// The gradient before an activation, and its sum over all pixels, in one pass.
/// - Parameters:
///   - output: the activation's output, whose sign is the input's; replaced by the gradient before the activation.
///   - dOutput: the gradient after the activation; only read.
///   - sums: each channel's sum is added to it (the gradient of a bias before the activation); nil for none. Summed in
///     the order of `addColumnSums`, so the bits are the same.
public func activationGradient(
    replacing output: Tensor, dOutput: Tensor, _ activation: Activation,
    addingSumsTo sums: UnsafeMutablePointer<Float>?, in workspace: Workspace
) {
    dOutput.requireShape(of: output)
    let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
    let channels = output.channels
    let whole = channels / 8 * 8
    sumByBlocks(pixels: output.pixels, channels: channels, addingTo: sums, in: workspace) { pixels, sum in
        for pixel in pixels {
            let out = output.data + pixel * channels
            let gradient = dOutput.data + pixel * channels
            for channel in stride(from: 0, to: whole, by: 8) {
                let g = load8(gradient + channel)
                let value = (g * slope).replacing(with: g * gain, where: load8(out + channel) .> 0)
                store8(value, out + channel)
                store8(load8(sum + channel) + value, sum + channel)
            }
            for channel in whole..<channels {
                let value = out[channel] > 0 ? gain * gradient[channel] : slope * gradient[channel]
                out[channel] = value
                sum[channel] += value
            }
        }
    }
}

/// Replaces `tensor` by its hyperbolic tangent.
public func tanh(_ tensor: Tensor, in workspace: Workspace) {
    let data = tensor.data
    workspace.pool.run(over: tensor.count, grain: 1 << 12) { range in
        for index in range { data[index] = hyperbolicTangent(data[index]) }
    }
}

/// Replaces `dOutput` by the gradient before the tanh whose result is `output`.
public func tanhGradient(output: Tensor, dOutput: Tensor, in workspace: Workspace) {
    let (out, gradient) = (output.data, dOutput.data)
    workspace.pool.run(over: output.count, grain: 1 << 14) { range in
        for index in range { gradient[index] *= 1 - out[index] * out[index] }
    }
}

/// `target += source`.
public func add(_ source: Tensor, to target: Tensor, in workspace: Workspace) {
    source.requireShape(of: target)
    let (from, to) = (source.data, target.data)
    workspace.pool.run(over: source.count, grain: 1 << 14) { range in
        for index in range { to[index] += from[index] }
    }
}
