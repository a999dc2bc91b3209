import Tensors

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
                    for first in stride(from: 0, to: outputChannels, by: vectorLanes) {
                        let lanes = min(vectorLanes, outputChannels - first)
                        var sum = Vector.zero
                        for s in 0..<kernelSize where sources[x * kernelSize + s] >= 0 {
                            sum += loadVector(q + sources[x * kernelSize + s] * width + s * outputChannels + first)
                        }
                        storeVector(
                            epilogue.apply(
                                sum, channel: first, lanes: lanes, offset: (block * output.width + x) * outputChannels),
                            target + x * outputChannels + first, lanes: lanes)
                    }
                }
            }
        }
    }
}
