/// A convolution's weight over its largest singular value, as a matrix `[outputs, inputs * kernel * kernel]`.
///
/// The singular vectors are estimated by power iteration, a step for each update of the weight, and count as constants:
/// `sigma = left' W right`, so its gradient is `left right'`. They are state: without them a run cannot be resumed.
/// - Source: Miyato et al., arXiv:1802.05957; as PyTorch's `spectral_norm`.
public struct SpectralNorm: Sendable {
    /// `[outputs]` and, laid out like a filter, `[1, inputs, kernel, kernel]`; both of length 1.
    public let left: Parameter
    public let right: Parameter
    /// The weight over its largest singular value, as `normalise` left it.
    public let normalised: Parameter
    private let weight: Parameter
    /// The weight times `right`; and sigma.
    private let product: Parameter
    private let sigma: Parameter

    /// The iterations after which a run begins; PyTorch's number.
    private static let firstIterations = 15
    /// The least length that a vector is divided by.
    private static let epsilon: Float = 1e-12

    init(of weight: Parameter) {
        guard case .convolution(let kernel, let inputs, let outputs) = weight.layout else {
            preconditionFailure("\(weight.name) is no convolution's")
        }
        self.weight = weight
        left = Parameter("\(weight.name)_u", .vector(outputs), trained: false)
        right = Parameter(
            "\(weight.name)_v", .convolution(kernel: kernel, inputs: inputs, outputs: 1), trained: false)
        normalised = Parameter(weight.name, weight.layout, trained: false)
        product = Parameter("", .vector(outputs), trained: false)
        sigma = Parameter("", .vector(1), trained: false)
    }

    /// Singular vectors to begin with.
    public func initialise(from stream: inout RandomStream) {
        right.fillNormal(mean: 0, deviation: 1, from: &stream)
        for _ in 0..<Self.firstIterations { iterate() }
    }

    /// A step of power iteration: the singular vectors move towards those of the largest singular value.
    public func iterate() {
        let outputs = left.count
        multiply(into: left.value)
        Self.scaleToLength1(left)
        for row in 0..<right.count {
            right.value[row] = dotProduct(weight.value + row * outputs, left.value, outputs)
        }
        Self.scaleToLength1(right)
    }

    /// Writes `normalised` for the weight as it is now.
    func normalise(in workspace: Workspace) {
        multiply(into: product.value)
        let sigma = dotProduct(left.value, product.value, left.count)
        self.sigma.value[0] = sigma
        let (from, to) = (weight.value, normalised.value)
        workspace.pool.run(over: weight.count, grain: 1 << 14) { range in
            for index in range { to[index] = from[index] / sigma }
        }
    }

    /// Adds to the weight's gradient what that of `normalised` comes to: `(G - <G, W / sigma> left right') / sigma`.
    func accumulateGradient(dNormalised: UnsafePointer<Float>, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        let used = normalised.value
        let along = Float(
            orderedSum(over: weight.count, in: workspace) { range in
                var sum = 0.0
                for index in range { sum += Double(dNormalised[index]) * Double(used[index]) }
                return sum
            })
        let (outputs, sigma) = (left.count, sigma.value[0])
        workspace.pool.run(over: right.count, grain: pixelGrain(channels: outputs)) { rows in
            for row in rows {
                let share = along * right.value[row]
                let (gradient, target) = (dNormalised + row * outputs, dWeight + row * outputs)
                for output in 0..<outputs {
                    target[output] += (gradient[output] - share * left.value[output]) / sigma
                }
            }
        }
    }

    /// The weight times `right`.
    private func multiply(into result: UnsafeMutablePointer<Float>) {
        let outputs = left.count
        result.update(repeating: 0, count: outputs)
        for row in 0..<right.count {
            let (filter, factor) = (weight.value + row * outputs, right.value[row])
            for output in 0..<outputs { result[output] += factor * filter[output] }
        }
    }

    private func dotProduct(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
        var sums = Float8.zero
        let whole = count / 8 * 8
        for index in stride(from: 0, to: whole, by: 8) { sums += load8(a + index) * load8(b + index) }
        var sum = sums.sum()
        for index in whole..<count { sum += a[index] * b[index] }
        return sum
    }

    private static func scaleToLength1(_ vector: Parameter) {
        var square = 0.0
        for index in 0..<vector.count { square += Double(vector.value[index]) * Double(vector.value[index]) }
        let length = max(Float(square.squareRoot()), epsilon)
        for index in 0..<vector.count { vector.value[index] /= length }
    }
}
