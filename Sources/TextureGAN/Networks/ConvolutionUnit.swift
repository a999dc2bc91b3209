import NNCore

/// The gradients that a backward pass computes. A step through a frozen network asks for `.input` alone.
public struct Gradients: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }
    public static let input = Gradients(rawValue: 1)
    public static let parameters = Gradients(rawValue: 2)
}

/// Convolution, normalisation, activation: the building block of both networks.
struct ConvolutionUnit: Sendable {
    let convolution: any ConvolutionLayer
    /// Nil: the convolution has a bias instead.
    let norm: BatchNorm?
    let activation: Activation

    var parameters: [Parameter] { convolution.parameters + (norm?.parameters ?? []) }

    /// Whether the activation's gradient needs the output, which the output's gradient must then not overwrite. A unit
    /// with a norm computes the activation again from the norm's input.
    var needsOutput: Bool { norm == nil && activation != .identity }

    /// What a forward pass leaves for `backward`, which overwrites it: gradients take the place of their tensors, or of
    /// others that are no longer needed.
    struct Saved: BitwiseCopyable {
        let input: Tensor
        /// Nil without a norm.
        let norm: BatchNorm.Saved?
        let output: Tensor

        /// One image of a batch.
        func image(_ index: Int) -> Saved {
            Saved(input: input.image(index), norm: norm?.image(index), output: output.image(index))
        }
    }

    func forward(_ input: Tensor, adding residual: Tensor? = nil, in workspace: Workspace) -> Saved {
        guard let norm else {
            precondition(residual == nil || activation == .identity, "its gradient needs the sign of the output")
            let output = convolution.forward(input, activation, adding: residual, in: workspace)
            return Saved(input: input, norm: nil, output: output)
        }
        let convolved = convolution.forward(input, in: workspace)
        let output = Tensor(in: workspace.arena, like: convolved)
        let saved = norm.forward(
            convolved, activation, adding: residual, statistics: .training, into: output, in: workspace)
        return Saved(input: input, norm: saved, output: output)
    }

    /// Overwrites `output`; no backward pass follows.
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

    /// Turns the convolution's output into the unit's output. The unit has a norm.
    func normalise(
        _ convolved: Tensor, adding residual: Tensor? = nil, statistics: BatchNorm.Statistics, in workspace: Workspace
    ) {
        guard let norm else { preconditionFailure("the unit has no norm") }
        workspace.arena.scoped {
            _ = norm.forward(
                convolved, activation, adding: residual, statistics: statistics, into: convolved, in: workspace)
        }
    }

    /// - Parameters:
    ///   - dOutput: the gradient of the output; only read. If `needsOutput` it must not alias `saved.output`.
    ///   - dInput: receives the gradient of the input, for `.input`; may be `saved.input`, and `dOutput` if
    ///     `needsOutput`.
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

/// Places for the gradients of units' outputs in a backward pass: the output's own memory, or, if the activation's
/// gradient still needs the output, a shared buffer that is free again once the unit's backward pass has begun.
struct GradientPlaces {
    private let beside: UnsafeMutablePointer<Float>

    /// - Parameter count: floats of the largest output with `needsOutput`.
    init(count: Int, in arena: Arena) { beside = arena.floats(count) }

    /// The place for the gradient of `output`, the output of `unit`.
    func place(for output: Tensor, of unit: ConvolutionUnit) -> Tensor {
        guard unit.needsOutput else { return output }
        return Tensor(
            beside, images: output.images, height: output.height, width: output.width, channels: output.channels)
    }
}
