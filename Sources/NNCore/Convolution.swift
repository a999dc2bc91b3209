import Foundation

/// Which kernels run: the fast ones, or the plain reference with `TEXLOOM_CONV=reference`.
public enum ConvolutionPath: Sendable {
    case fast, reference

    public static let current: ConvolutionPath =
        ProcessInfo.processInfo.environment["TEXLOOM_CONV"] == "reference" ? .reference : .fast
}

extension ConvolutionShape {
    /// The one entry point to a convolution's forward pass; the shape decides which kernel runs.
    func forward(
        input: Tensor, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, output: Tensor, in workspace: Workspace
    ) {
        PlainConvolution.forward(
            self, input: input, weight: weight, bias: bias, output: output, in: workspace)
    }

    /// The one entry point to a convolution's gradient in its input. Overwrites `dInput`.
    func inputGradient(dOutput: Tensor, weight: UnsafePointer<Float>, dInput: Tensor, in workspace: Workspace) {
        PlainConvolution.inputGradient(self, dOutput: dOutput, weight: weight, dInput: dInput, in: workspace)
    }

    /// The one entry point to a convolution's gradient in its weight. Adds to `dWeight`.
    func weightGradient(
        input: Tensor, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        PlainConvolution.weightGradient(self, input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
    }
}

/// A square convolution with optional bias.
public struct Convolution: Sendable {
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

    public func shape(for input: Tensor) -> ConvolutionShape {
        ConvolutionShape(
            inHeight: input.height, inWidth: input.width, inChannels: inputs, outChannels: outputs, kernel: kernel,
            stride: stride, padding: padding)
    }

    /// The output, in the workspace's arena.
    public func forward(_ input: Tensor, in workspace: Workspace) -> Tensor {
        let shape = shape(for: input)
        let output = Tensor(
            in: workspace.arena, height: shape.outHeight, width: shape.outWidth, channels: outputs)
        shape.forward(input: input, weight: weight.value, bias: bias?.value, output: output, in: workspace)
        return output
    }

    /// Adds to the gradients of weight and bias.
    public func accumulateGradients(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        shape(for: input).weightGradient(input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        if let dBias = bias?.gradient { addColumnSums(of: dOutput, to: dBias, in: workspace) }
    }

    /// Overwrites `dInput`, which may not alias `dOutput`.
    public func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        shape(for: dInput).inputGradient(dOutput: dOutput, weight: weight.value, dInput: dInput, in: workspace)
    }
}

/// A transposed convolution with kernel 3, stride 2, padding 1 and output padding 1: exactly doubles height and width.
///
/// It is the adjoint of the convolution that halves an image, and runs that convolution's kernels the other way round.
public struct TransposedConvolution: Sendable {
    public let weight: Parameter
    public let inputs: Int
    public let outputs: Int

    public init(_ name: String, inputs: Int, outputs: Int) {
        // As stored: the adjoint convolution goes from `outputs` to `inputs`.
        weight = Parameter("\(name).weight", .convolution(kernel: 3, inputs: outputs, outputs: inputs), trained: true)
        self.inputs = inputs
        self.outputs = outputs
    }

    private func adjoint(height: Int, width: Int) -> ConvolutionShape {
        ConvolutionShape(
            inHeight: 2 * height, inWidth: 2 * width, inChannels: outputs, outChannels: inputs, kernel: 3, stride: 2,
            padding: Padding(1))
    }

    /// The output, `[2 height, 2 width, outputs]`, in the workspace's arena.
    public func forward(_ input: Tensor, in workspace: Workspace) -> Tensor {
        let output = Tensor(
            in: workspace.arena, height: 2 * input.height, width: 2 * input.width, channels: outputs)
        adjoint(height: input.height, width: input.width)
            .inputGradient(dOutput: input, weight: weight.value, dInput: output, in: workspace)
        return output
    }

    /// Adds to the gradient of the weight.
    public func accumulateGradients(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        adjoint(height: input.height, width: input.width)
            .weightGradient(input: dOutput, dOutput: input, dWeight: dWeight, in: workspace)
    }

    /// Overwrites `dInput`, which may not alias `dOutput`.
    public func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        adjoint(height: dInput.height, width: dInput.width)
            .forward(input: dOutput, weight: weight.value, bias: nil, output: dInput, in: workspace)
    }
}
