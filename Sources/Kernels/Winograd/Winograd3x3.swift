/// 3x3, stride-1 convolution by Winograd F(4x4, 3x3): a quarter of the multiplications.
///
/// Weights are `[3, 3, inputChannels, outputChannels]`; any number of channels, fastest in multiples of 16. Scratch
/// comes from the workspace's arena and is given back. The same bytes for any number of threads.
/// - Accuracy: 6e-6 of the largest result at most, 1.5e-6 rms, asserted in `WinogradTests`.
/// - Source: Lavin & Gray, arXiv:1509.09308.
public enum Winograd3x3 {
    /// The convolution, with optional bias, activation and residual.
    ///
    /// - Parameters:
    ///   - input: `[H, W, C]`.
    ///   - weight: `[3, 3, C, K]`.
    ///   - output: `[H + 2 padding - 2, W + 2 padding - 2, K]`; overwritten, must not alias `input`.
    ///   - bias: K values, or nil.
    ///   - residual: shaped like `output`, added after the activation; nil for none.
    public static func forward(
        input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        WinogradConvolution<F4x3>.forward(
            input, padding: padding, weight: weight, output: output,
            epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace)
    }

    /// The gradient with respect to the input.
    ///
    /// - Parameters:
    ///   - dOutput: as `output` in `forward`.
    ///   - rectified: the output of a ReLU that follows the convolution (shaped like `dOutput`), whose gradient is
    ///     taken on the way; nil for none.
    ///   - dInput: overwritten; must not alias `dOutput`.
    public static func inputGradient(
        dOutput: Tensor, rectified: Tensor? = nil, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor,
        in workspace: Workspace
    ) {
        WinogradConvolution<F4x3>.inputGradient(
            dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput, in: workspace)
    }

    /// Adds the gradient with respect to the weights to `dWeight`, `[3, 3, C, K]`.
    public static func weightGradient(
        input: Tensor, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>,
        in workspace: Workspace
    ) {
        WinogradConvolution<F4x3>.weightGradient(
            input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
    }
}
