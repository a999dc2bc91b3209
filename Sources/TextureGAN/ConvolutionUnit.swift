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
    let norm: BatchNorm
    let activation: Activation

    var parameters: [Parameter] { convolution.parameters + norm.parameters }

    /// What a forward pass leaves for `backward`, which uses it up: every gradient takes the place of the tensor it
    /// belongs to, so a backward pass needs no memory of its own.
    struct Saved: BitwiseCopyable {
        let input: Tensor
        let norm: BatchNorm.Saved
        let output: Tensor
    }

    func forward(_ input: Tensor, adding residual: Tensor? = nil, in workspace: Workspace) -> Saved {
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
        convolution.forward(input, into: output, in: workspace)
        normalise(output, adding: residual, statistics: statistics, in: workspace)
    }

    /// Turns the convolution's output into the unit's.
    func normalise(
        _ convolved: Tensor, adding residual: Tensor? = nil, statistics: BatchNorm.Statistics, in workspace: Workspace
    ) {
        workspace.arena.scoped {
            _ = norm.forward(
                convolved, activation, adding: residual, statistics: statistics, into: convolved, in: workspace)
        }
    }

    /// Expects the gradient of the output in `saved.output`, and leaves that of the input in `dInput`.
    /// - Parameter dInput: where to put it; nil for the place of `saved.input`.
    func backward(_ saved: Saved, _ wanted: Gradients, dInput: Tensor? = nil, in workspace: Workspace) {
        let parameters = wanted.contains(.parameters)
        norm.backward(
            saved.norm, dOutput: saved.output, activation, parameterGradients: parameters, in: workspace)
        let dConvolved = saved.norm.input
        if parameters {
            convolution.accumulateGradients(input: saved.input, dOutput: dConvolved, in: workspace)
        }
        if wanted.contains(.input) {
            convolution.inputGradient(dOutput: dConvolved, dInput: dInput ?? saved.input, in: workspace)
        }
    }
}
