/// A transposed convolution with kernel 3, stride 2, padding 1 and output padding 1: exactly doubles height and width.
///
/// It is the adjoint of the convolution that halves an image: its forward pass is that convolution's input gradient,
/// and its input gradient that convolution's forward pass.
public struct TransposedConvolution: ConvolutionLayer {
    public let weight: Parameter
    public let bias: Parameter?
    public let inputChannels: Int
    public let outputChannels: Int

    public init(_ name: String, inputChannels: Int, outputChannels: Int, bias: Bool = false, trained: Bool = true) {
        // As stored: the adjoint convolution goes from `outputChannels` to `inputChannels`.
        weight = Parameter(
            "\(name).weight", .convolution(kernelSize: 3, inputChannels: outputChannels, outputChannels: inputChannels),
            trained: trained)
        self.bias = bias ? Parameter("\(name).bias", .vector(outputChannels), trained: trained) : nil
        self.inputChannels = inputChannels
        self.outputChannels = outputChannels
    }

    public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

    private func adjoint(height: Int, width: Int) -> ConvolutionShape {
        ConvolutionShape(
            inputHeight: 2 * height, inputWidth: 2 * width, inputChannels: outputChannels,
            outputChannels: inputChannels, kernelSize: 3, stride: 2,
            padding: Padding(1))
    }

    public func outputShape(height: Int, width: Int) -> (height: Int, width: Int, channels: Int) {
        (2 * height, 2 * width, outputChannels)
    }

    public func forward(
        _ input: Tensor, _ activation: Activation, adding residual: Tensor?, into output: Tensor,
        in workspace: Workspace
    ) {
        adjoint(height: input.height, width: input.width)
            .inputGradient(dOutput: input, weight: weight.value, dInput: output, in: workspace)
        Epilogue(bias: bias?.value, activation, adding: residual).apply(to: output, in: workspace)
    }

    public func accumulateWeightGradient(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        adjoint(height: input.height, width: input.width)
            .weightGradient(input: dOutput, dOutput: input, dWeight: dWeight, in: workspace)
    }

    public func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        adjoint(height: dInput.height, width: dInput.width)
            .forward(input: dOutput, weight: weight.value, bias: nil, output: dInput, in: workspace)
    }
}

extension Convolution {
    /// Nearest-neighbour enlargement to twice the size, then a 3x3 convolution, as in the Chainer implementation. It
    /// cannot leave the checkerboards of a transposed convolution.
    public static func upsampled(
        _ name: String, inputChannels: Int, outputChannels: Int, bias: Bool = false, trained: Bool = true
    ) -> Convolution {
        Convolution(
            name, inputChannels: inputChannels, outputChannels: outputChannels, kernelSize: 3,
            padding: Padding(1, enlargement: 2), bias: bias, trained: trained)
    }
}
