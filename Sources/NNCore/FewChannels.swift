/// Convolutions of images: few channels in (3, say), any taps and stride. A patch of the input is short and contiguous
/// row by row, so patches are made in the cache, for some pixels at a time, and multiplied there.
///
/// Weights are `[taps, taps, inputs, outputs]`. Scratch comes from the workspace's arena and is given back. The same
/// bytes for any number of threads. Accuracy is that of a plain float sum.
public enum FewInputsConvolution {
    /// - Parameters:
    ///   - output: `[(H + 2 padding - taps) / stride + 1, (W + 2 padding - taps) / stride + 1, K]`; overwritten, must
    ///     not alias `input`.
    ///   - bias: K values, or nil.
    public static func forward(
        input: Tensor, taps: Int, stride: Int = 1, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        padding.check(input: input, output: output, taps: taps, stride: stride)
        let patches = Patches(image: input, taps: taps, padding: padding, kind: .gathered(stride: stride))
        PatchProduct.forward(
            patches, output: output, epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace
        ) { row, column in
            weight[row * output.channels + column]
        }
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    public static func weightGradient(
        input: Tensor, taps: Int, stride: Int = 1, padding: Padding, dOutput: Tensor,
        dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        padding.check(input: input, output: dOutput, taps: taps, stride: stride)
        let patches = Patches(image: input, taps: taps, padding: padding, kind: .gathered(stride: stride))
        PatchProduct.weightGradient(patches, dOutput, in: workspace) { row, column, value in
            dWeight[row * dOutput.channels + column] += value
        }
    }

    /// The gradient with respect to the input, zero padding.
    ///
    /// - Parameters:
    ///   - rectified: the output of a ReLU that followed, whose gradient is taken on the way; nil for none.
    ///   - dInput: overwritten; must not alias `dOutput`.
    public static func inputGradient(
        dOutput: Tensor, rectified: Tensor? = nil, taps: Int, stride: Int = 1, weight: UnsafePointer<Float>,
        padding: Padding, dInput: Tensor, in workspace: Workspace
    ) {
        padding.check(input: dInput, output: dOutput, taps: taps, stride: stride)
        precondition(rectified == nil || rectified!.hasShape(of: dOutput))
        precondition(padding.mode == .zero || padding.amount == 0, "only zero padding")
        let inputs = dInput.channels
        let outputs = dOutput.channels
        RowProduct.forward(
            dOutput, rectified: rectified, taps: taps, reach: .gradient(stride: stride, padding: padding.amount),
            output: dInput, epilogue: Epilogue(), in: workspace
        ) { r, s, from, to in
            weight[((r * taps + s) * inputs + to) * outputs + from]
        }
    }
}

/// Stride-1 convolutions to images: few channels out. As `FewInputsConvolution`, with the roles of input and output
/// exchanged in the gradients.
public enum FewOutputsConvolution {
    /// - Parameters:
    ///   - output: `[H + 2 padding - taps + 1, W + 2 padding - taps + 1, K]`; overwritten, must not alias `input`.
    ///   - bias: K values, or nil.
    public static func forward(
        input: Tensor, taps: Int, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>? = nil, _ activation: Activation = .identity, adding residual: Tensor? = nil,
        in workspace: Workspace
    ) {
        padding.check(input: input, output: output, taps: taps, stride: 1)
        RowProduct.forward(
            input, rectified: nil, taps: taps, reach: .convolution(padding), output: output,
            epilogue: Epilogue(bias: bias, activation, adding: residual), in: workspace
        ) { r, s, from, to in
            weight[((r * taps + s) * input.channels + from) * output.channels + to]
        }
    }

    /// The gradient with respect to the input; `dInput` is overwritten and must not alias `dOutput`.
    public static func inputGradient(
        dOutput: Tensor, taps: Int, weight: UnsafePointer<Float>, padding: Padding, dInput: Tensor,
        in workspace: Workspace
    ) {
        padding.check(input: dInput, output: dOutput, taps: taps, stride: 1)
        let patches = Patches(
            image: dOutput, taps: taps, padding: padding, kind: .folded(height: dInput.height, width: dInput.width))
        let outputs = dOutput.channels
        PatchProduct.forward(patches, output: dInput, epilogue: Epilogue(), in: workspace) { row, column in
            let tap = taps * taps - 1 - row / outputs
            return weight[(tap * dInput.channels + column) * outputs + row % outputs]
        }
    }

    /// Adds the gradient with respect to the weights to `dWeight`.
    public static func weightGradient(
        input: Tensor, taps: Int, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>,
        in workspace: Workspace
    ) {
        padding.check(input: input, output: dOutput, taps: taps, stride: 1)
        let patches = Patches(
            image: dOutput, taps: taps, padding: padding, kind: .folded(height: input.height, width: input.width))
        let outputs = dOutput.channels
        PatchProduct.weightGradient(patches, input, in: workspace) { row, column, value in
            let tap = taps * taps - 1 - row / outputs
            dWeight[(tap * input.channels + column) * outputs + row % outputs] += value
        }
    }
}

/// Convolution to few channels: a product over rows of the filter and input channels gives each pixel of a row what it
/// adds to the `taps` results around it; those are then summed. The columns of the product are taps times channels,
/// which fill registers where the channels alone would not, and padded columns need no product of their own.
enum RowProduct {
    /// Which row (or column) of the input tap `tap` of the filter brings to a row of the output.
    enum Reach {
        /// Of a convolution of stride 1.
        case convolution(Padding)
        /// Of the gradient of a convolution with zero padding: the output is that convolution's input.
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
        _ input: Tensor, rectified: Tensor?, taps: Int, reach: Reach, output: Tensor, epilogue: Epilogue,
        in workspace: Workspace, weight: (_ r: Int, _ s: Int, _ from: Int, _ to: Int) -> Float
    ) {
        let arena = workspace.arena
        let inputs = input.channels
        let outputs = output.channels
        let columns = taps * outputs
        let width = (columns + 7) / 8 * 8
        arena.scoped {
            let packed = arena.floats(taps * inputs * width + 8)
            for r in 0..<taps {
                for c in 0..<inputs {
                    for column in 0..<width {
                        packed[(r * inputs + c) * width + column] =
                            column < columns ? weight(r, column / outputs, c, column % outputs) : 0
                    }
                }
            }
            let sources = arena.integers(output.width * taps)
            for x in 0..<output.width {
                for s in 0..<taps { sources[x * taps + s] = reach.source(of: x, tap: s, length: input.width) }
            }
            let rowCount = rectified == nil ? 0 : input.width * inputs
            let laneCount = input.width * width + 16 + rowCount
            let lanes = arena.floats(workspace.pool.threads * laneCount)
            workspace.pool.run(blocks: output.images * output.height) { block, lane in
                let (image, row) = (block / output.height, block % output.height)
                let q = lanes + lane * laneCount
                var isFirst = true
                for r in 0..<taps {
                    let y = reach.source(of: row, tap: r, length: input.height)
                    if y < 0 { continue }
                    let start = (image * input.height + y) * input.width * inputs
                    var source = UnsafePointer(input.data + start)
                    if let rectified {
                        let masked = q + input.width * width + 16
                        let mask = rectified.data + start
                        for i in 0..<rowCount { masked[i] = mask[i] > 0 ? source[i] : 0 }
                        source = UnsafePointer(masked)
                    }
                    RegisterTile.multiply(
                        RegisterTile.Left(source, rowStride: inputs, step: 1), rows: input.width, count: inputs,
                        packed + r * inputs * width, bStep: width, into: q, cStride: width, columns: width,
                        accumulate: !isFirst)
                    isFirst = false
                }
                if isFirst { q.update(repeating: 0, count: input.width * width) }
                let target = output.data + block * output.width * outputs
                for x in 0..<output.width {
                    for first in stride(from: 0, to: outputs, by: 8) {
                        let lanes = min(8, outputs - first)
                        var sum = Float8.zero
                        for s in 0..<taps where sources[x * taps + s] >= 0 {
                            sum += load8(q + sources[x * taps + s] * width + s * outputs + first)
                        }
                        store8(
                            epilogue.apply(
                                sum, channel: first, lanes: lanes, offset: (block * output.width + x) * outputs),
                            target + x * outputs + first, lanes: lanes)
                    }
                }
            }
        }
    }
}
