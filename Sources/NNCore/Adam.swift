#if canImport(Glibc)
    import Glibc
#endif

/// The Adam optimiser, without weight decay, in one pass over each parameter.
/// - Source: Kingma & Ba, arXiv:1412.6980; rounded as PyTorch's: `p -= rate / c1 * m / (sqrt(v) / sqrt(c2) + eps)`.
public struct Adam: Sendable {
    public let beta1: Float
    public let beta2: Float
    public let epsilon: Float
    /// Steps taken; the bias corrections depend on it.
    public var steps: Int

    public init(beta1: Float = 0.5, beta2: Float = 0.999, epsilon: Float = 1e-8, steps: Int = 0) {
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.steps = steps
    }

    /// Moves every trained parameter against its gradient, and zeroes the gradient for the next step.
    public mutating func step(_ parameters: [Parameter], rate: Float, in workspace: Workspace) {
        steps += 1
        let (b1, b2, eps) = (beta1, beta2, epsilon)
        let size = Float(Double(rate) / (1 - pow(Double(b1), Double(steps))))
        let rootCorrection = Float(1 / (1 - pow(Double(b2), Double(steps))).squareRoot())
        for parameter in parameters {
            guard let gradient = parameter.gradient, let m = parameter.firstMoment, let v = parameter.secondMoment
            else { continue }
            let value = parameter.value
            workspace.pool.run(over: parameter.count, grain: 1 << 14) { range in
                for index in range {
                    let g = gradient[index]
                    let first = b1 * m[index] + (1 - b1) * g
                    let second = b2 * v[index] + (1 - b2) * g * g
                    m[index] = first
                    v[index] = second
                    value[index] -= size * first / (second.squareRoot() * rootCorrection + eps)
                    gradient[index] = 0
                }
            }
        }
    }
}
