import Tensors

/// One parameter's step of Adam, in one pass: updates both moments and the value, and zeroes the gradient.
/// - Parameters:
///   - stepSize: the learning rate over the first bias correction, `1 - beta1^t`.
///   - rootCorrection: `1 / sqrt(1 - beta2^t)`, the second bias correction.
package func adamUpdate(
    value: UnsafeMutablePointer<Float>, gradient: UnsafeMutablePointer<Float>,
    firstMoment: UnsafeMutablePointer<Float>, secondMoment: UnsafeMutablePointer<Float>, count: Int, beta1: Float,
    beta2: Float, epsilon: Float, stepSize: Float, rootCorrection: Float, in workspace: Workspace
) {
    workspace.pool.run(over: count, grain: 1 << 14) { range in
        for index in range {
            let g = gradient[index]
            let first = beta1 * firstMoment[index] + (1 - beta1) * g
            let second = beta2 * secondMoment[index] + (1 - beta2) * g * g
            firstMoment[index] = first
            secondMoment[index] = second
            value[index] -= stepSize * first / (second.squareRoot() * rootCorrection + epsilon)
            gradient[index] = 0
        }
    }
}
