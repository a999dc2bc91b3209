import Tensors

/// The last operations on a convolution's result before it is stored: `activation(result + bias) [+ residual]`.
package struct Epilogue {
    private let bias: UnsafePointer<Float>?
    private let activation: Activation
    private let residual: Tensor?

    /// - Parameters:
    ///   - bias: one value per channel; nil for none.
    ///   - residual: shaped like the result; nil for none.
    package init(
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil
    ) {
        self.bias = bias
        self.activation = activation
        self.residual = residual
    }

    /// Applies the epilogue to a result that was stored without it.
    package func apply(to tensor: Tensor, in workspace: Workspace) {
        vectorKernels.finish(tensor, bias: bias, activation, adding: residual, in: workspace)
    }
}
