/// A piecewise linear activation, which is known by its slope on the negative side.
public enum Activation: Sendable, Hashable {
    case identity
    case relu
    case leakyReLU(slope: Float)

    @inline(__always)
    public var negativeSlope: Float {
        switch self {
        case .identity: 1
        case .relu: 0
        case .leakyReLU(let slope): slope
        }
    }
}

/// Replaces `tensor` by its activation.
public func activate(_ tensor: Tensor, _ activation: Activation, in workspace: Workspace) {
    let slope = activation.negativeSlope
    let data = tensor.data
    workspace.pool.run(over: tensor.count, grain: 1 << 14) { range in
        for index in range {
            let value = data[index]
            data[index] = value > 0 ? value : slope * value
        }
    }
}

/// The gradient before an activation from the gradient after it: `dOutput` is replaced by it.
/// - Parameter output: the activation's output; its sign tells which side the input was on.
public func activationGradient(
    output: Tensor, dOutput: Tensor, _ activation: Activation, in workspace: Workspace
) {
    precondition(output.hasShape(of: dOutput))
    let slope = activation.negativeSlope
    let (out, gradient) = (output.data, dOutput.data)
    workspace.pool.run(over: output.count, grain: 1 << 14) { range in
        for index in range { gradient[index] = out[index] > 0 ? gradient[index] : slope * gradient[index] }
    }
}

/// Replaces `tensor` by its hyperbolic tangent.
public func tanh(_ tensor: Tensor, in workspace: Workspace) {
    let data = tensor.data
    workspace.pool.run(over: tensor.count, grain: 1 << 12) { range in
        for index in range { data[index] = hyperbolicTangent(data[index]) }
    }
}

/// `dOutput` is replaced by the gradient before the tanh whose result is `output`.
public func tanhGradient(output: Tensor, dOutput: Tensor, in workspace: Workspace) {
    let (out, gradient) = (output.data, dOutput.data)
    workspace.pool.run(over: output.count, grain: 1 << 14) { range in
        for index in range { gradient[index] *= 1 - out[index] * out[index] }
    }
}

/// `target += source`.
public func add(_ source: Tensor, to target: Tensor, in workspace: Workspace) {
    precondition(source.hasShape(of: target))
    let (from, to) = (source.data, target.data)
    workspace.pool.run(over: source.count, grain: 1 << 14) { range in
        for index in range { to[index] += from[index] }
    }
}
