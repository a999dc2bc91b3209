/// Spectral normalisation: a convolution's weight divided by its largest singular value, that of the matrix
/// `[outputChannels, inputChannels * kernelSize * kernelSize]`.
///
/// Power iteration estimates the singular vectors, one step for each update of the weight. They count as constants:
/// `sigma = left' W right`, so its gradient is `left right'`. They are state, and checkpoints include them.
/// - Source: Miyato et al., arXiv:1802.05957; as PyTorch's `spectral_norm`.
public struct SpectralNorm: Sendable {
    /// The singular vectors, both of length 1: `[outputChannels]` and `[1, inputChannels, kernelSize, kernelSize]`.
    public let left: Parameter
    public let right: Parameter
    /// The normalised weight of the last `normalise`.
    public let normalised: Parameter
    private let weight: Parameter
    /// The weight times `right`, and sigma.
    private let product: Parameter
    private let sigma: Parameter

    /// Power iterations before a run begins; PyTorch's number.
    private static let firstIterations = 15
    /// A lower bound for the length that a vector is divided by.
    private static let epsilon: Float = 1e-12

    init(of weight: Parameter) {
        guard case .convolution(let kernelSize, let inputChannels, let outputChannels) = weight.layout else {
            preconditionFailure("\(weight.name) is no convolution's weight")
        }
        self.weight = weight
        left = Parameter("\(weight.name)_u", .vector(outputChannels), trained: false)
        right = Parameter(
            "\(weight.name)_v", .convolution(kernelSize: kernelSize, inputChannels: inputChannels, outputChannels: 1),
            trained: false)
        normalised = Parameter(weight.name, weight.layout, trained: false)
        product = Parameter("", .vector(outputChannels), trained: false)
        sigma = Parameter("", .vector(1), trained: false)
    }

    /// Draws the initial singular vectors.
    public func initialise(from stream: inout RandomStream) {
        right.fillNormal(mean: 0, deviation: 1, from: &stream)
        for _ in 0..<Self.firstIterations { iterate() }
    }

    /// One step of power iteration towards the vectors of the largest singular value.
    public func iterate() {
        let outputChannels = left.count
        multiply(into: left.value)
        Self.scaleToLength1(left)
        for row in 0..<right.count {
            right.value[row] = dotProduct(weight.value + row * outputChannels, left.value, count: outputChannels)
        }
        Self.scaleToLength1(right)
    }

    /// Writes `normalised` from the current weight.
    func normalise(in workspace: Workspace) {
        multiply(into: product.value)
        let sigma = dotProduct(left.value, product.value, count: left.count)
        self.sigma.value[0] = sigma
        let (from, to) = (weight.value, normalised.value)
        workspace.pool.run(over: weight.count, grain: 1 << 14) { range in
            for index in range { to[index] = from[index] / sigma }
        }
    }

    /// Adds `(G - <G, W / sigma> left right') / sigma` to the weight's gradient, where G is the gradient of
    /// `normalised`.
    func accumulateGradient(dNormalised: UnsafePointer<Float>, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        let used = normalised.value
        let along = Float(
            orderedSum(over: weight.count, in: workspace) { range in
                var sum = 0.0
                for index in range { sum += Double(dNormalised[index]) * Double(used[index]) }
                return sum
            })
        let (outputChannels, sigma) = (left.count, sigma.value[0])
        workspace.pool.run(over: right.count, grain: pixelGrain(channels: outputChannels)) { rows in
            for row in rows {
                let share = along * right.value[row]
                let (gradient, target) = (dNormalised + row * outputChannels, dWeight + row * outputChannels)
                for output in 0..<outputChannels {
                    target[output] += (gradient[output] - share * left.value[output]) / sigma
                }
            }
        }
    }

    /// The weight times `right`.
    private func multiply(into result: UnsafeMutablePointer<Float>) {
        let outputChannels = left.count
        result.update(repeating: 0, count: outputChannels)
        for row in 0..<right.count {
            let (filter, factor) = (weight.value + row * outputChannels, right.value[row])
            for output in 0..<outputChannels { result[output] += factor * filter[output] }
        }
    }

    private static func scaleToLength1(_ vector: Parameter) {
        var square = 0.0
        for index in 0..<vector.count { square += Double(vector.value[index]) * Double(vector.value[index]) }
        let length = max(Float(square.squareRoot()), epsilon)
        for index in 0..<vector.count { vector.value[index] /= length }
    }
}
