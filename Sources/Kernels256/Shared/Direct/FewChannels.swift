import Tensors

/// Convolutions of few input channels (an image's 3, say), any kernel size and stride, by products of `Patches`.
///
/// Weights are `[kernelSize, kernelSize, inputChannels, outputChannels]`. Scratch comes from the workspace's arena and
/// is given back. The same bytes for any number of threads. Accuracy is that of a plain float sum.
enum FewInputsConvolution {
    /// - Parameters:
    ///   - output: `[(H + 2 padding - kernelSize) / stride + 1, (W + 2 padding - kernelSize) / stride + 1, K]`;
    ///     overwritten, must not alias `input`.
    static func forward(
        _ input: Tensor, kernelSize: Int, stride: Int, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        epilogue: Epilogue, in workspace: Workspace
    ) {
        padding.check(input: input, output: output, kernelSize: kernelSize, stride: stride)
        let patches = Patches(image: input, kernelSize: kernelSize, padding: padding, kind: .gathered(stride: stride))
        PatchProduct.forward(
            patches, output: output, epilogue: epilogue, in: workspace
        ) { row, column in
            weight[row * output.channels + column]
        }
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    static func weightGradient(
        _ input: Tensor, kernelSize: Int, stride: Int, padding: Padding, dOutput: Tensor,
        dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        padding.check(input: input, output: dOutput, kernelSize: kernelSize, stride: stride)
        let patches = Patches(image: input, kernelSize: kernelSize, padding: padding, kind: .gathered(stride: stride))
        PatchProduct.weightGradient(patches, dOutput, in: workspace) { row, column, value in
            dWeight[row * dOutput.channels + column] += value
        }
    }

    /// The gradient with respect to the input, zero padding.
    ///
    /// - Parameters:
    ///   - rectified: the output of a ReLU that follows the convolution, whose gradient is taken on the way; nil for
    ///     none.
    ///   - dInput: overwritten; must not alias `dOutput`.
    static func inputGradient(
        _ dOutput: Tensor, rectified: Tensor?, kernelSize: Int, stride: Int, weight: UnsafePointer<Float>,
        padding: Padding, dInput: Tensor, in workspace: Workspace
    ) {
        padding.check(input: dInput, output: dOutput, kernelSize: kernelSize, stride: stride)
        rectified?.requireShape(of: dOutput)
        require(padding.mode == .zero || padding.amount == 0, "\(padding.mode) padding: this gradient takes zeros only")
        let inputChannels = dInput.channels
        let outputChannels = dOutput.channels
        RowProduct.forward(
            dOutput, rectified: rectified, kernelSize: kernelSize,
            reach: .gradient(stride: stride, padding: padding.amount),
            output: dInput, epilogue: Epilogue(), in: workspace
        ) { r, s, from, to in
            weight[((r * kernelSize + s) * inputChannels + to) * outputChannels + from]
        }
    }
}

/// Stride-1 convolutions to few output channels. As `FewInputsConvolution`, with the roles of input and output
/// exchanged in the gradients.
enum FewOutputsConvolution {
    /// - Parameters:
    ///   - output: `[H + 2 padding - kernelSize + 1, W + 2 padding - kernelSize + 1, K]`; overwritten, must not alias
    ///     `input`.
    static func forward(
        _ input: Tensor, kernelSize: Int, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        epilogue: Epilogue, in workspace: Workspace
    ) {
        padding.check(input: input, output: output, kernelSize: kernelSize, stride: 1)
        RowProduct.forward(
            input, rectified: nil, kernelSize: kernelSize, reach: .convolution(padding), output: output,
            epilogue: epilogue, in: workspace
        ) { r, s, from, to in
            weight[((r * kernelSize + s) * input.channels + from) * output.channels + to]
        }
    }

    /// The gradient with respect to the input; `dInput` is overwritten and must not alias `dOutput`.
    static func inputGradient(
        _ dOutput: Tensor, kernelSize: Int, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor,
        in workspace: Workspace
    ) {
        padding.check(input: dInput, output: dOutput, kernelSize: kernelSize, stride: 1)
        let patches = Patches(
            image: dOutput, kernelSize: kernelSize, padding: padding,
            kind: .folded(height: dInput.height, width: dInput.width))
        let outputChannels = dOutput.channels
        PatchProduct.forward(patches, output: dInput, epilogue: Epilogue(), in: workspace) { row, column in
            let tap = kernelSize * kernelSize - 1 - row / outputChannels
            return weight[(tap * dInput.channels + column) * outputChannels + row % outputChannels]
        }
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    static func weightGradient(
        _ input: Tensor, kernelSize: Int, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>,
        in workspace: Workspace
    ) {
        padding.check(input: input, output: dOutput, kernelSize: kernelSize, stride: 1)
        let patches = Patches(
            image: dOutput, kernelSize: kernelSize, padding: padding,
            kind: .folded(height: input.height, width: input.width))
        let outputChannels = dOutput.channels
        PatchProduct.weightGradient(patches, input, in: workspace) { row, column, value in
            let tap = kernelSize * kernelSize - 1 - row / outputChannels
            dWeight[(tap * input.channels + column) * outputChannels + row % outputChannels] += value
        }
    }
}
