#if canImport(Glibc)
    import Glibc
#endif

/// The Adam optimiser, without weight decay.
/// - Source: Kingma & Ba, arXiv:1412.6980; rounded as PyTorch's: `p -= rate / c1 * m / (sqrt(v) / sqrt(c2) + eps)`.
public struct Adam: Sendable {
    public let beta1: Float
    public let beta2: Float
    public let epsilon: Float = 1e-8
    /// Steps taken so far; the bias corrections depend on it.
    public var steps = 0

    public init(beta1: Float, beta2: Float) {
        self.beta1 = beta1
        self.beta2 = beta2
    }

    /// Updates every trained parameter by its gradient, then zeroes the gradient.
    public mutating func step(_ parameters: [Parameter], rate: Float, in workspace: Workspace) {
        steps += 1
        let stepSize = Float(Double(rate) / (1 - pow(Double(beta1), Double(steps))))
        let rootCorrection = Float(1 / (1 - pow(Double(beta2), Double(steps))).squareRoot())
        for parameter in parameters {
            guard let gradient = parameter.gradient, let first = parameter.firstMoment,
                let second = parameter.secondMoment
            else { continue }
            adamUpdate(
                value: parameter.value, gradient: gradient, firstMoment: first, secondMoment: second,
                count: parameter.count, beta1: beta1, beta2: beta2, epsilon: epsilon, stepSize: stepSize,
                rootCorrection: rootCorrection, in: workspace)
        }
    }
}
