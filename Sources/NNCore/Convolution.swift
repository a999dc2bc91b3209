/// What a network asks of the layers that may be plain, transposed or behind an enlargement.
public protocol ConvolutionLayer: Sendable {
    var parameters: [Parameter] { get }
    /// `[height, width, channels]` of the output for an input of a size.
    func outputShape(height: Int, width: Int) -> (height: Int, width: Int, channels: Int)
    /// Overwrites `output`, which must have the right shape and not alias `input`.
    func forward(_ input: Tensor, into output: Tensor, in workspace: Workspace)
    /// Adds to the gradients of the parameters.
    func accumulateGradients(input: Tensor, dOutput: Tensor, in workspace: Workspace)
    /// Overwrites `dInput`, which may not alias `dOutput`.
    func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace)
}

extension ConvolutionLayer {
    /// The output, in the workspace's arena.
    public func forward(_ input: Tensor, in workspace: Workspace) -> Tensor {
        let shape = outputShape(height: input.height, width: input.width)
        let output = Tensor(
            in: workspace.arena, images: input.images, height: shape.height, width: shape.width,
            channels: shape.channels)
        forward(input, into: output, in: workspace)
        return output
    }
}

/// A square convolution with optional bias.
public struct Convolution: ConvolutionLayer {
    public let weight: Parameter
    public let bias: Parameter?
    public let inputs: Int
    public let outputs: Int
    public let kernel: Int
    public let stride: Int
    public let padding: Padding

    public init(
        _ name: String, inputs: Int, outputs: Int, kernel: Int, stride: Int = 1, padding: Padding = .none,
        bias: Bool = false, trained: Bool = true
    ) {
        weight = Parameter(
            "\(name).weight", .convolution(kernel: kernel, inputs: inputs, outputs: outputs), trained: trained)
        self.bias = bias ? Parameter("\(name).bias", .vector(outputs), trained: trained) : nil
        self.inputs = inputs
        self.outputs = outputs
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
    }

    public var parameters: [Parameter] { [weight] + (bias.map { [$0] } ?? []) }

    public func shape(for input: Tensor) -> ConvolutionShape { shape(height: input.height, width: input.width) }

    private func shape(height: Int, width: Int) -> ConvolutionShape {
        ConvolutionShape(
            inHeight: height, inWidth: width, inChannels: inputs, outChannels: outputs, kernel: kernel, stride: stride,
            padding: padding)
    }

    public func outputShape(height: Int, width: Int) -> (height: Int, width: Int, channels: Int) {
        let shape = shape(height: height, width: width)
        return (shape.outHeight, shape.outWidth, outputs)
    }

    public func forward(_ input: Tensor, into output: Tensor, in workspace: Workspace) {
        forward(input, relu: false, into: output, in: workspace)
    }

    /// The output, or its ReLU, in the workspace's arena.
    public func forward(_ input: Tensor, relu: Bool, in workspace: Workspace) -> Tensor {
        let shape = shape(for: input)
        let output = Tensor(
            in: workspace.arena, images: input.images, height: shape.outHeight, width: shape.outWidth,
            channels: outputs)
        forward(input, relu: relu, into: output, in: workspace)
        return output
    }

    /// Overwrites `output` with the convolution or its ReLU.
    public func forward(_ input: Tensor, relu: Bool, into output: Tensor, in workspace: Workspace) {
        shape(for: input)
            .forward(input: input, weight: weight.value, bias: bias?.value, relu: relu, output: output, in: workspace)
    }

    public func accumulateGradients(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        shape(for: input).weightGradient(input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        if let dBias = bias?.gradient { addColumnSums(of: dOutput, to: dBias, in: workspace) }
    }

    public func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        inputGradient(dOutput: dOutput, rectified: nil, dInput: dInput, in: workspace)
    }

    /// Overwrites `dInput`, which may not alias `dOutput`.
    /// - Parameter rectified: the output of `forward(relu: true)`; `dOutput` is then the gradient of the ReLU's output,
    ///   and may be overwritten.
    public func inputGradient(dOutput: Tensor, rectified: Tensor?, dInput: Tensor, in workspace: Workspace) {
        shape(for: dInput)
            .inputGradient(
                dOutput: dOutput, rectified: rectified, weight: weight.value, dInput: dInput, in: workspace)
    }
}

/// A transposed convolution with kernel 3, stride 2, padding 1 and output padding 1: exactly doubles height and width.
///
/// It is the adjoint of the convolution that halves an image, and runs that convolution's kernels the other way round.
public struct TransposedConvolution: ConvolutionLayer {
    public let weight: Parameter
    public let inputs: Int
    public let outputs: Int

    public init(_ name: String, inputs: Int, outputs: Int, trained: Bool = true) {
        // As stored: the adjoint convolution goes from `outputs` to `inputs`.
        weight = Parameter(
            "\(name).weight", .convolution(kernel: 3, inputs: outputs, outputs: inputs), trained: trained)
        self.inputs = inputs
        self.outputs = outputs
    }

    public var parameters: [Parameter] { [weight] }

    private func adjoint(height: Int, width: Int) -> ConvolutionShape {
        ConvolutionShape(
            inHeight: 2 * height, inWidth: 2 * width, inChannels: outputs, outChannels: inputs, kernel: 3, stride: 2,
            padding: Padding(1))
    }

    public func outputShape(height: Int, width: Int) -> (height: Int, width: Int, channels: Int) {
        (2 * height, 2 * width, outputs)
    }

    public func forward(_ input: Tensor, into output: Tensor, in workspace: Workspace) {
        adjoint(height: input.height, width: input.width)
            .inputGradient(dOutput: input, weight: weight.value, dInput: output, in: workspace)
    }

    public func accumulateGradients(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        adjoint(height: input.height, width: input.width)
            .weightGradient(input: dOutput, dOutput: input, dWeight: dWeight, in: workspace)
    }

    public func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        adjoint(height: dInput.height, width: dInput.width)
            .forward(input: dOutput, weight: weight.value, bias: nil, output: dInput, in: workspace)
    }
}

/// Nearest-neighbour enlargement to twice the size, then a 3x3 convolution: the Chainer implementation's way up, which
/// cannot leave the checkerboards of a transposed convolution.
public struct UpsampledConvolution: ConvolutionLayer {
    public let convolution: Convolution

    public init(_ name: String, inputs: Int, outputs: Int, trained: Bool = true) {
        convolution = Convolution(
            name, inputs: inputs, outputs: outputs, kernel: 3, padding: Padding(1), trained: trained)
    }

    public var parameters: [Parameter] { convolution.parameters }

    public func outputShape(height: Int, width: Int) -> (height: Int, width: Int, channels: Int) {
        (2 * height, 2 * width, convolution.outputs)
    }

    public func forward(_ input: Tensor, into output: Tensor, in workspace: Workspace) {
        workspace.arena.scoped {
            let large = NearestUpsample.forward(input, in: workspace)
            convolution.forward(large, into: output, in: workspace)
        }
    }

    public func accumulateGradients(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        workspace.arena.scoped {
            let large = NearestUpsample.forward(input, in: workspace)
            convolution.accumulateGradients(input: large, dOutput: dOutput, in: workspace)
        }
    }

    public func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        workspace.arena.scoped {
            let large = Tensor(
                in: workspace.arena, images: dOutput.images, height: dOutput.height, width: dOutput.width,
                channels: dInput.channels)
            convolution.inputGradient(dOutput: dOutput, dInput: large, in: workspace)
            NearestUpsample.backward(dOutput: large, dInput: dInput, in: workspace)
        }
    }
}
