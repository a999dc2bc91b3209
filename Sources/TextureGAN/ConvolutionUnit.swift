import NNCore

/// Which gradients a backward pass computes; a step through a frozen network asks for `.input` alone.
public struct Gradients: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let input = Gradients(rawValue: 1)
    public static let parameters = Gradients(rawValue: 2)
}

/// Convolution, normalisation, activation: what both networks are made of.
struct ConvolutionUnit: Sendable {
    let convolution: any ConvolutionLayer
    /// Nil: the convolution has a bias instead.
    let norm: BatchNorm?
    let activation: Activation

    var parameters: [Parameter] { convolution.parameters + (norm?.parameters ?? []) }

    /// Whether the activation's gradient is taken from the output, over which the output's gradient may then not be
    /// written. A norm has its input, with which it does the activation again.
    var needsOutput: Bool { norm == nil && activation != .identity }

    /// What a forward pass leaves for `backward`, which uses it up: gradients take the place of the tensors they belong
    /// to, or of one that is used up as well.
    struct Saved: BitwiseCopyable {
        let input: Tensor
        /// Nil without a norm.
        let norm: BatchNorm.Saved?
        let output: Tensor
    }

    func forward(_ input: Tensor, adding residual: Tensor? = nil, in workspace: Workspace) -> Saved {
        guard let norm else {
            assert(residual == nil || activation == .identity, "its gradient is taken from the sign of the output")
            let output = convolution.forward(input, activation, adding: residual, in: workspace)
            return Saved(input: input, norm: nil, output: output)
        }
        let convolved = convolution.forward(input, in: workspace)
        let output = Tensor(in: workspace.arena, like: convolved)
        let saved = norm.forward(
            convolved, activation, adding: residual, statistics: .batch, into: output, in: workspace)
        return Saved(input: input, norm: saved, output: output)
    }

    /// Overwrites `output`, without a backward pass to come.
    func infer(
        _ input: Tensor, adding residual: Tensor? = nil, statistics: BatchNorm.Statistics, into output: Tensor,
        in workspace: Workspace
    ) {
        if norm == nil {
            convolution.forward(input, activation, adding: residual, into: output, in: workspace)
        } else {
            convolution.forward(input, into: output, in: workspace)
            normalise(output, adding: residual, statistics: statistics, in: workspace)
        }
    }

    /// Turns the convolution's output into the unit's, which has a norm.
    func normalise(
        _ convolved: Tensor, adding residual: Tensor? = nil, statistics: BatchNorm.Statistics, in workspace: Workspace
    ) {
        guard let norm else { preconditionFailure("there is nothing to normalise by") }
        workspace.arena.scoped {
            _ = norm.forward(
                convolved, activation, adding: residual, statistics: statistics, into: convolved, in: workspace)
        }
    }

    /// - Parameters:
    ///   - dOutput: the gradient of the output: where `needsOutput` not in its place, otherwise wherever; left as it is.
    ///   - dInput: gets the gradient of the input, for `.input`; may be `saved.input`, and `dOutput` where `needsOutput`.
    func backward(
        _ saved: Saved, dOutput: Tensor, _ wanted: Gradients, dInput: Tensor?, in workspace: Workspace
    ) {
        let wantsParameters = wanted.contains(.parameters)
        let dBias = wantsParameters ? convolution.bias?.gradient : nil
        let dConvolved: Tensor
        if let norm, let savedNorm = saved.norm {
            norm.backward(
                savedNorm, dOutput: dOutput, activation, parameterGradients: wantsParameters, in: workspace)
            dConvolved = savedNorm.input
        } else if needsOutput {
            activationGradient(
                replacing: saved.output, dOutput: dOutput, activation, addingSumsTo: dBias, in: workspace)
            dConvolved = saved.output
        } else {
            if let dBias { addColumnSums(of: dOutput, to: dBias, in: workspace) }
            dConvolved = dOutput
        }
        if wantsParameters {
            convolution.accumulateWeightGradient(input: saved.input, dOutput: dConvolved, in: workspace)
        }
        if wanted.contains(.input), let dInput {
            convolution.inputGradient(dOutput: dConvolved, dInput: dInput, in: workspace)
        }
    }
}

/// Where a backward pass puts the gradients of units' outputs: each in the output's place, or, where the activation's
/// gradient still needs the output, in one stretch of memory that is free again as soon as the unit's own backward pass
/// has begun.
struct GradientPlaces {
    private let beside: UnsafeMutablePointer<Float>

    /// - Parameter count: of the largest output that is needed.
    init(count: Int, in arena: Arena) { beside = arena.floats(count) }

    /// For the gradient of `output`, which is `unit`'s.
    func place(for output: Tensor, of unit: ConvolutionUnit) -> Tensor {
        guard unit.needsOutput else { return output }
        return Tensor(
            beside, images: output.images, height: output.height, width: output.width, channels: output.channels)
    }
}
