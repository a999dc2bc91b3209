/// Convolutions of few input channels (an image's 3, say), any kernel size and stride. A patch of the input is short
/// and contiguous row by row, so patches are made in the cache, for some pixels at a time, and multiplied there.
///
/// Weights are `[kernelSize, kernelSize, inputChannels, outputChannels]`. Scratch comes from the workspace's arena and
/// is given back. The same bytes for any number of threads. Accuracy is that of a plain float sum.
public enum FewInputsConvolution {
    /// - Parameters:
    ///   - output: `[(H + 2 padding - kernelSize) / stride + 1, (W + 2 padding - kernelSize) / stride + 1, K]`;
    ///     overwritten, must not alias `input`.
    ///   - bias: K values, or nil.
    public static func forward(
        input: Tensor, kernelSize: Int, stride: Int = 1, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        padding.check(input: input, output: output, kernelSize: kernelSize, stride: stride)
        let patches = Patches(image: input, kernelSize: kernelSize, padding: padding, kind: .gathered(stride: stride))
        PatchProduct.forward(
            patches, output: output, epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace
        ) { row, column in
            weight[row * output.channels + column]
        }
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    public static func weightGradient(
        input: Tensor, kernelSize: Int, stride: Int = 1, padding: Padding, dOutput: Tensor,
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
    public static func inputGradient(
        dOutput: Tensor, rectified: Tensor? = nil, kernelSize: Int, stride: Int = 1, weight: UnsafePointer<Float>,
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
public enum FewOutputsConvolution {
    /// - Parameters:
    ///   - output: `[H + 2 padding - kernelSize + 1, W + 2 padding - kernelSize + 1, K]`; overwritten, must not alias
    ///     `input`.
    ///   - bias: K values, or nil.
    public static func forward(
        input: Tensor, kernelSize: Int, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        padding.check(input: input, output: output, kernelSize: kernelSize, stride: 1)
        RowProduct.forward(
            input, rectified: nil, kernelSize: kernelSize, reach: .convolution(padding), output: output,
            epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace
        ) { r, s, from, to in
            weight[((r * kernelSize + s) * input.channels + from) * output.channels + to]
        }
    }

    /// The gradient with respect to the input; `dInput` is overwritten and must not alias `dOutput`.
    public static func inputGradient(
        dOutput: Tensor, kernelSize: Int, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor,
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
    public static func weightGradient(
        input: Tensor, kernelSize: Int, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>,
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

/// Convolution to few channels: for each row of the kernel a product computes what each pixel adds to the `kernelSize`
/// results around it; these contributions are then summed. The product has kernel size times output channels as
/// columns, which fill registers where the channels alone would not, and padded columns need no product.
enum RowProduct {
    /// Which row (or column) of the input a row `tap` of the kernel contributes to a row of the output.
    enum Reach {
        /// A convolution of stride 1.
        case convolution(Padding)
        /// The gradient of a convolution with zero padding: the output is that convolution's input.
        case gradient(stride: Int, padding: Int)

        /// -1: none.
        @inline(__always)
        func source(of position: Int, tap: Int, length: Int) -> Int {
            switch self {
            case .convolution(let padding):
                return padding.source(of: position + tap - padding.amount, length: length)
            case .gradient(let stride, let padding):
                let place = position + padding - tap
                return place >= 0 && place % stride == 0 && place / stride < length ? place / stride : -1
            }
        }
    }

    /// - Parameter weight: element (r, s, input channel, output channel).
    static func forward(
        _ input: Tensor, rectified: Tensor?, kernelSize: Int, reach: Reach, output: Tensor, epilogue: Epilogue,
        in workspace: Workspace, weight: (_ r: Int, _ s: Int, _ from: Int, _ to: Int) -> Float
    ) {
        let arena = workspace.arena
        let inputChannels = input.channels
        let outputChannels = output.channels
        let columns = kernelSize * outputChannels
        let width = (columns + 7) / 8 * 8
        arena.scoped {
            let packed = arena.floats(kernelSize * inputChannels * width + 8)
            for r in 0..<kernelSize {
                for c in 0..<inputChannels {
                    for column in 0..<width {
                        packed[(r * inputChannels + c) * width + column] =
                            column < columns ? weight(r, column / outputChannels, c, column % outputChannels) : 0
                    }
                }
            }
            let sources = arena.integers(output.width * kernelSize)
            for x in 0..<output.width {
                for s in 0..<kernelSize {
                    sources[x * kernelSize + s] = reach.source(of: x, tap: s, length: input.width)
                }
            }
            let rowCount = rectified == nil ? 0 : input.width * inputChannels
            let laneCount = input.width * width + 16 + rowCount
            let lanes = arena.floats(workspace.pool.threads * laneCount)
            workspace.pool.run(blocks: output.images * output.height) { block, lane in
                let (image, row) = (block / output.height, block % output.height)
                let q = lanes + lane * laneCount
                var isFirst = true
                for r in 0..<kernelSize {
                    let y = reach.source(of: row, tap: r, length: input.height)
                    if y < 0 { continue }
                    let start = (image * input.height + y) * input.width * inputChannels
                    var source = UnsafePointer(input.data + start)
                    if let rectified {
                        let masked = q + input.width * width + 16
                        let mask = rectified.data + start
                        for i in 0..<rowCount { masked[i] = mask[i] > 0 ? source[i] : 0 }
                        source = UnsafePointer(masked)
                    }
                    Microkernel.multiply(
                        Microkernel.Left(source, rowStride: inputChannels, step: 1), rows: input.width,
                        count: inputChannels,
                        packed + r * inputChannels * width, bStep: width, into: q, cStride: width, columns: width,
                        accumulate: !isFirst)
                    isFirst = false
                }
                if isFirst { q.update(repeating: 0, count: input.width * width) }
                let target = output.data + block * output.width * outputChannels
                for x in 0..<output.width {
                    for first in stride(from: 0, to: outputChannels, by: 8) {
                        let lanes = min(8, outputChannels - first)
                        var sum = Float8.zero
                        for s in 0..<kernelSize where sources[x * kernelSize + s] >= 0 {
                            sum += load8(q + sources[x * kernelSize + s] * width + s * outputChannels + first)
                        }
                        store8(
                            epilogue.apply(
                                sum, channel: first, lanes: lanes, offset: (block * output.width + x) * outputChannels),
                            target + x * outputChannels + first, lanes: lanes)
                    }
                }
            }
        }
    }
}
