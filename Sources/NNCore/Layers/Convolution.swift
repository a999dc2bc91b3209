/// A layer that convolves: plain, transposed, or after an enlargement.
public protocol ConvolutionLayer: Sendable {
    var parameters: [Parameter] { get }
    /// Nil for layers before a norm.
    var bias: Parameter? { get }
    /// The output's channels.
    var outputChannels: Int { get }
    /// The output's shape for an input of a size.
    func outputShape(height: Int, width: Int) -> (height: Int, width: Int, channels: Int)
    /// Overwrites `output`, which must have the output's shape and not alias `input`, with
    /// `activation(convolution + bias) [+ residual]`.
    func forward(
        _ input: Tensor, _ activation: Activation, adding residual: Tensor?, into output: Tensor,
        in workspace: Workspace)
    /// Adds to the gradient of the weight.
    /// - Parameter dOutput: the gradient before the activation.
    func accumulateWeightGradient(input: Tensor, dOutput: Tensor, in workspace: Workspace)
    /// Overwrites `dInput`, which may not alias `dOutput`.
    func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace)
}

extension ConvolutionLayer {
    /// The convolution without activation.
    public func forward(_ input: Tensor, into output: Tensor, in workspace: Workspace) {
        forward(input, .identity, adding: nil, into: output, in: workspace)
    }

    /// Returns the output, in the workspace's arena.
    public func forward(
        _ input: Tensor, _ activation: Activation = .identity, adding residual: Tensor? = nil, in workspace: Workspace
    ) -> Tensor {
        let shape = outputShape(height: input.height, width: input.width)
        let output = Tensor(
            in: workspace.arena, images: input.images, height: shape.height, width: shape.width,
            channels: shape.channels)
        forward(input, activation, adding: residual, into: output, in: workspace)
        return output
    }

    /// Adds to the gradients of the parameters.
    public func accumulateGradients(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        accumulateWeightGradient(input: input, dOutput: dOutput, in: workspace)
        if let dBias = bias?.gradient { addColumnSums(of: dOutput, to: dBias, in: workspace) }
    }
}

/// A square convolution with optional bias and spectral normalisation.
public struct Convolution: ConvolutionLayer {
    public let weight: Parameter
    public let bias: Parameter?
    /// Nil for a layer that uses its weight directly.
    public let spectralNorm: SpectralNorm?
    public let inputChannels: Int
    public let outputChannels: Int
    public let kernelSize: Int
    public let stride: Int
    public let padding: Padding

    public init(
        _ name: String, inputChannels: Int, outputChannels: Int, kernelSize: Int, stride: Int = 1,
        padding: Padding = .none,
        bias: Bool = false, hasSpectralNorm: Bool = false, trained: Bool = true
    ) {
        weight = Parameter(
            "\(name).weight",
            .convolution(kernelSize: kernelSize, inputChannels: inputChannels, outputChannels: outputChannels),
            trained: trained)
        self.bias = bias ? Parameter("\(name).bias", .vector(outputChannels), trained: trained) : nil
        spectralNorm = hasSpectralNorm ? SpectralNorm(of: weight) : nil
        self.inputChannels = inputChannels
        self.outputChannels = outputChannels
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
    }

    public var parameters: [Parameter] {
        [weight] + [bias, spectralNorm?.left, spectralNorm?.right].compactMap { $0 }
    }

    public func shape(for input: Tensor) -> ConvolutionShape { shape(height: input.height, width: input.width) }

    private func shape(height: Int, width: Int) -> ConvolutionShape {
        ConvolutionShape(
            inputHeight: height, inputWidth: width, inputChannels: inputChannels, outputChannels: outputChannels,
            kernelSize: kernelSize, stride: stride,
            padding: padding)
    }

    public func outputShape(height: Int, width: Int) -> (height: Int, width: Int, channels: Int) {
        let shape = shape(height: height, width: width)
        return (shape.outputHeight, shape.outputWidth, outputChannels)
    }

    /// The weight of the kernels: the normalised one of the last forward pass, if the layer has a spectral norm.
    private var used: UnsafePointer<Float> { UnsafePointer((spectralNorm?.normalised ?? weight).value) }

    public func forward(
        _ input: Tensor, _ activation: Activation, adding residual: Tensor?, into output: Tensor,
        in workspace: Workspace
    ) {
        spectralNorm?.normalise(in: workspace)
        shape(for: input)
            .forward(
                input: input, weight: used, bias: bias?.value, activation, adding: residual, output: output,
                in: workspace)
    }

    public func accumulateWeightGradient(input: Tensor, dOutput: Tensor, in workspace: Workspace) {
        guard let dWeight = weight.gradient else { preconditionFailure("\(weight.name) is frozen") }
        let shape = shape(for: input)
        guard let spectralNorm else {
            return shape.weightGradient(input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        }
        workspace.arena.scoped {
            let dNormalised = workspace.arena.floats(weight.count)
            dNormalised.update(repeating: 0, count: weight.count)
            shape.weightGradient(input: input, dOutput: dOutput, dWeight: dNormalised, in: workspace)
            spectralNorm.accumulateGradient(dNormalised: dNormalised, in: workspace)
        }
    }

    public func inputGradient(dOutput: Tensor, dInput: Tensor, in workspace: Workspace) {
        inputGradient(dOutput: dOutput, rectified: nil, dInput: dInput, in: workspace)
    }

    /// Overwrites `dInput`, which may not alias `dOutput`.
    /// - Parameter rectified: the output of a forward pass with `.relu`; `dOutput` is then the gradient of the ReLU's
    ///   output, and may be overwritten.
    public func inputGradient(dOutput: Tensor, rectified: Tensor?, dInput: Tensor, in workspace: Workspace) {
        shape(for: dInput)
            .inputGradient(dOutput: dOutput, rectified: rectified, weight: used, dInput: dInput, in: workspace)
    }
}
