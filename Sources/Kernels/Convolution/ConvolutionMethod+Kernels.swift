import Tensors

/// The three directions of a convolution by a fast method, with the vectors of this processor.
extension ConvolutionMethod {
    /// The convolution, with optional bias, activation and residual.
    ///
    /// - Parameters:
    ///   - output: `[(H + 2 padding - kernelSize) / stride + 1, (W + 2 padding - kernelSize) / stride + 1, K]`, rounded
    ///     down; overwritten, must not alias `input`.
    ///   - bias: K values, or nil.
    ///   - residual: shaped like `output`, added after the activation; nil for none.
    public func forward(
        input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        vectorKernels.forward(
            self, input: input, padding: padding, weight: weight, output: output, bias: bias, activation,
            adding: residual, in: workspace)
    }

    /// The gradient with respect to the input. Few input channels take zero padding only.
    ///
    /// - Parameters:
    ///   - rectified: the output of a ReLU that follows the convolution (shaped like `dOutput`), whose gradient is
    ///     taken on the way; nil for none, which is all that few output channels take.
    ///   - dInput: overwritten; must not alias `dOutput`.
    public func inputGradient(
        dOutput: Tensor, rectified: Tensor? = nil, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor,
        in workspace: Workspace
    ) {
        vectorKernels.inputGradient(
            self, dOutput: dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput,
            in: workspace)
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    public func weightGradient(
        input: Tensor, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>,
        in workspace: Workspace
    ) {
        vectorKernels.weightGradient(
            self, input: input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
    }
}
