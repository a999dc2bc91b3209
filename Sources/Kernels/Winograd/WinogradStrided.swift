/// 4x4, stride-1 convolution by Winograd F(3x3, 4x4): a quarter of the multiplications.
///
/// Shapes, aliasing and accuracy as in `Winograd3x3`; weights are `[4, 4, inputChannels, outputChannels]`.
public enum Winograd4x4 {
    /// - Parameters:
    ///   - output: `[H + 2 padding - 3, W + 2 padding - 3, K]`; overwritten, must not alias `input`.
    ///   - bias: K values, or nil.
    public static func forward(
        input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        WinogradConvolution<F3x4>.forward(
            input, padding: padding, weight: weight, output: output,
            epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace)
    }

    /// The gradient with respect to the input; `dInput` is overwritten.
    public static func inputGradient(
        dOutput: Tensor, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor, in workspace: Workspace
    ) {
        WinogradConvolution<F3x4>.inputGradient(
            dOutput, rectified: nil, weight: weight, padding: padding, dInput: dInput, in: workspace)
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    public static func weightGradient(
        input: Tensor, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        WinogradConvolution<F3x4>.weightGradient(
            input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
    }
}

/// 4x4, stride-2 convolution as a 2x2 convolution of the four pixel phases by Winograd F(4x4, 2x2): 2.56 times fewer
/// multiplications.
///
/// Shapes, aliasing and accuracy as in `Winograd3x3`; weights are `[4, 4, inputChannels, outputChannels]`.
public enum Winograd4x4Stride2 {
    /// - Parameters:
    ///   - output: `[(H + 2 padding - 4) / 2 + 1, (W + 2 padding - 4) / 2 + 1, K]`, rounded down; overwritten, must not
    ///     alias `input`.
    ///   - bias: K values, or nil.
    public static func forward(
        input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        WinogradConvolution<F4x4Stride2>.forward(
            input, padding: padding, weight: weight, output: output,
            epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace)
    }

    /// The gradient with respect to the input; `dInput` is overwritten.
    public static func inputGradient(
        dOutput: Tensor, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor, in workspace: Workspace
    ) {
        WinogradConvolution<F4x4Stride2>.inputGradient(
            dOutput, rectified: nil, weight: weight, padding: padding, dInput: dInput, in: workspace)
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    public static func weightGradient(
        input: Tensor, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        WinogradConvolution<F4x4Stride2>.weightGradient(
            input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
    }
}

/// 3x3, stride-2 convolution: odd samples directly, even samples by F(4, 2); 1.78 times fewer multiplications.
///
/// Shapes, aliasing and accuracy as in `Winograd3x3`; weights are `[3, 3, inputChannels, outputChannels]`.
public enum Winograd3x3Stride2 {
    /// - Parameters:
    ///   - output: `[(H + 2 padding - 3) / 2 + 1, (W + 2 padding - 3) / 2 + 1, K]`, rounded down; overwritten, must not
    ///     alias `input`.
    ///   - bias: K values, or nil.
    public static func forward(
        input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        WinogradConvolution<F4x3Stride2>.forward(
            input, padding: padding, weight: weight, output: output,
            epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace)
    }

    /// The gradient with respect to the input; `dInput` is overwritten.
    public static func inputGradient(
        dOutput: Tensor, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor, in workspace: Workspace
    ) {
        if padding.amount == 1 && padding.mode == .zero {
            padding.check(input: dInput, output: dOutput, kernelSize: 3, stride: 2)
            return WinogradConvolution.transposed3x3(dOutput, weight: weight, dInput: dInput, in: workspace)
        }
        WinogradConvolution<F4x3Stride2>.inputGradient(
            dOutput, rectified: nil, weight: weight, padding: padding, dInput: dInput, in: workspace)
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    public static func weightGradient(
        input: Tensor, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        WinogradConvolution<F4x3Stride2>.weightGradient(
            input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
    }
}
