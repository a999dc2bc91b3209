import Tensors

/// Convolutions of any kernel size, stride and padding by im2col and matrix products: the reference for the fast kernels,
/// and the path for shapes without one.
///
/// Blocks depend on shapes alone, so bytes do not depend on threads. As the reference (`TEXLOOM_CONV=reference`) it
/// multiplies by OpenBLAS, which shares no code with the fast kernels; else by the microkernel, whose bytes do not
/// depend on the processor.
public enum PlainConvolution {
    /// Output pixels of one block: enough rows for sgemm to pack its matrices well, few enough to stay in cache.
    private static func blockPixels(columns: Int, pixels: Int) -> Int {
        min(max(128, (1 << 19) / columns), max(pixels, 1))
    }

    /// `output = input * weight + bias`.
    /// - Parameters:
    ///   - weight: `[kernelSize, kernelSize, inputChannels, outputChannels]`.
    ///   - output: overwritten, must not alias `input`.
    public static func forward(
        _ shape: ConvolutionShape, input: Tensor, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
        output: Tensor, in workspace: Workspace
    ) {
        shape.check(input: input, output: output)
        for image in 0..<input.images {
            forward(shape, input.image(image), weight, bias, output.image(image), workspace)
        }
    }

    private static func forward(
        _ shape: ConvolutionShape, _ input: Tensor, _ weight: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?,
        _ output: Tensor, _ workspace: Workspace
    ) {
        let columns = shape.kernelArea * shape.inputChannels
        let grain = blockPixels(columns: columns, pixels: shape.outputPixels)
        let weights = Matrix(UnsafeMutablePointer(mutating: weight), rows: columns, columns: shape.outputChannels)
        workspace.arena.scoped {
            let laneFloats = Arena.alignedCount(grain * columns)
            let scratch = workspace.arena.floats(workspace.pool.threads * laneFloats)
            workspace.pool.run(over: shape.outputPixels, grain: grain) { pixels, lane in
                let patches = Matrix(scratch + lane * laneFloats, rows: pixels.count, columns: columns)
                gatherPatches(shape, input, pixels, into: patches.data)
                let result = Matrix(
                    output.data + pixels.lowerBound * shape.outputChannels, rows: pixels.count,
                    columns: shape.outputChannels)
                if let bias {
                    for row in 0..<pixels.count {
                        (result.data + row * shape.outputChannels).update(from: bias, count: shape.outputChannels)
                    }
                }
                multiply(patches, weights, into: result, accumulate: bias != nil)
            }
        }
    }

    /// The adjoint of `forward` in its input: `dInput` is overwritten. Also the forward of a transposed convolution.
    public static func inputGradient(
        _ shape: ConvolutionShape, dOutput: Tensor, weight: UnsafePointer<Float>, dInput: Tensor,
        in workspace: Workspace
    ) {
        shape.check(input: dInput, output: dOutput)
        workspace.arena.scoped {
            let turned = workspace.arena.floats(shape.weightCount)
            turn(shape, weight, into: turned, workspace.pool)
            for image in 0..<dInput.images {
                inputGradient(shape, dOutput.image(image), turned, dInput.image(image), workspace)
            }
        }
    }

    private static func inputGradient(
        _ shape: ConvolutionShape, _ dOutput: Tensor, _ turned: UnsafePointer<Float>, _ dInput: Tensor,
        _ workspace: Workspace
    ) {
        workspace.arena.scoped {
            if shape.padding.mode == .zero || shape.padding.amount == 0 {
                gatherGradient(shape, dOutput, turned, into: dInput, border: 0, workspace)
            } else {
                let amount = shape.padding.amount
                let padded = Tensor(
                    in: workspace.arena, height: dInput.height + 2 * amount, width: dInput.width + 2 * amount,
                    channels: dInput.channels)
                gatherGradient(shape, dOutput, turned, into: padded, border: amount, workspace)
                foldBorder(padded, shape.padding, into: dInput, workspace.pool)
            }
        }
    }

    /// `dWeight += input (x) dOutput`, the adjoint of `forward` in its weight.
    public static func weightGradient(
        _ shape: ConvolutionShape, input: Tensor, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>,
        in workspace: Workspace
    ) {
        shape.check(input: input, output: dOutput)
        for image in 0..<input.images {
            let (input, dOutput) = (input.image(image), dOutput.image(image))
            if shape.inputChannels < 16 {
                weightGradientByParts(shape, input, dOutput, dWeight, workspace)
            } else {
                weightGradientByTaps(shape, input, dOutput, dWeight, workspace)
            }
        }
    }

    private static func multiply(
        _ a: Matrix, transposed: Bool = false, _ b: Matrix, into c: Matrix, accumulate: Bool = false
    ) {
        if ConvolutionPath.current == .reference {
            Kernels.multiply(a, transposed: transposed, b, into: c, accumulate: accumulate)
        } else {
            vectorKernels.multiply(a, transposed: transposed, b, into: c, accumulate: accumulate)
        }
    }

    // MARK: Weight gradient

    /// Each tap of the kernel is one block: one thread adds all its products in order.
    private static func weightGradientByTaps(
        _ shape: ConvolutionShape, _ input: Tensor, _ dOutput: Tensor, _ dWeight: UnsafeMutablePointer<Float>,
        _ workspace: Workspace
    ) {
        let channels = shape.inputChannels
        let grain = min(1024, shape.outputPixels)
        workspace.arena.scoped {
            let laneFloats = Arena.alignedCount(grain * channels)
            let scratch = workspace.arena.floats(workspace.pool.threads * laneFloats)
            workspace.pool.run(over: shape.kernelArea, grain: 1) { taps, lane in
                let tap = taps.lowerBound
                let target = Matrix(
                    dWeight + tap * channels * shape.outputChannels, rows: channels, columns: shape.outputChannels)
                var start = 0
                while start < shape.outputPixels {
                    let end = min(start + grain, shape.outputPixels)
                    let view = Matrix(scratch + lane * laneFloats, rows: end - start, columns: channels)
                    gatherTap(shape, input, tap, start..<end, into: view.data)
                    let gradients = Matrix(
                        dOutput.data + start * shape.outputChannels, rows: end - start, columns: shape.outputChannels)
                    multiply(view, transposed: true, gradients, into: target, accumulate: true)
                    start = end
                }
            }
        }
    }

    /// For few input channels, where a single tap is too thin a matrix: pixels are cut into at most eight parts, whose
    /// sums are added in order.
    private static func weightGradientByParts(
        _ shape: ConvolutionShape, _ input: Tensor, _ dOutput: Tensor, _ dWeight: UnsafeMutablePointer<Float>,
        _ workspace: Workspace
    ) {
        let columns = shape.kernelArea * shape.inputChannels
        let grain = blockPixels(columns: columns, pixels: shape.outputPixels)
        let chunks = (shape.outputPixels + grain - 1) / grain
        let parts = min(8, chunks)
        let count = shape.weightCount
        workspace.arena.scoped {
            let sums = workspace.arena.floats(parts * count)
            let laneFloats = Arena.alignedCount(grain * columns)
            let scratch = workspace.arena.floats(workspace.pool.threads * laneFloats)
            workspace.pool.run(over: parts, grain: 1) { range, lane in
                let part = range.lowerBound
                let target = Matrix(sums + part * count, rows: columns, columns: shape.outputChannels)
                for chunk in part * chunks / parts..<(part + 1) * chunks / parts {
                    let pixels = chunk * grain..<min((chunk + 1) * grain, shape.outputPixels)
                    let patches = Matrix(scratch + lane * laneFloats, rows: pixels.count, columns: columns)
                    gatherPatches(shape, input, pixels, into: patches.data)
                    let gradients = Matrix(
                        dOutput.data + pixels.lowerBound * shape.outputChannels, rows: pixels.count,
                        columns: shape.outputChannels)
                    multiply(
                        patches, transposed: true, gradients, into: target,
                        accumulate: chunk > part * chunks / parts)
                }
            }
            for part in 0..<parts {
                let sum = sums + part * count
                for index in 0..<count { dWeight[index] += sum[index] }
            }
        }
    }

    // MARK: Gathering

    /// The input patches under a run of output pixels, one row each, `[ky][kx][channel]`.
    private static func gatherPatches(
        _ shape: ConvolutionShape, _ input: Tensor, _ pixels: Range<Int>, into rows: UnsafeMutablePointer<Float>
    ) {
        let channels = shape.inputChannels
        let width = shape.inputWidth
        let run = shape.kernelSize * channels
        var target = rows
        for pixel in pixels {
            let top = pixel / shape.outputWidth * shape.stride - shape.padding.amount
            let left = pixel % shape.outputWidth * shape.stride - shape.padding.amount
            let inside = left >= 0 && left + shape.kernelSize <= width
            for ky in 0..<shape.kernelSize {
                let y = shape.padding.source(of: top + ky, length: shape.inputHeight)
                if y < 0 {
                    target.update(repeating: 0, count: run)
                } else if inside {
                    // The taps of a row lie side by side.
                    target.update(from: input.data + (y * width + left) * channels, count: run)
                } else {
                    for kx in 0..<shape.kernelSize {
                        let x = shape.padding.source(of: left + kx, length: width)
                        let tap = target + kx * channels
                        if x < 0 {
                            tap.update(repeating: 0, count: channels)
                        } else {
                            tap.update(from: input.data + (y * width + x) * channels, count: channels)
                        }
                    }
                }
                target += run
            }
        }
    }

    /// The input pixels under one tap for a run of output pixels, one row of channels each.
    private static func gatherTap(
        _ shape: ConvolutionShape, _ input: Tensor, _ tap: Int, _ pixels: Range<Int>,
        into rows: UnsafeMutablePointer<Float>
    ) {
        let channels = shape.inputChannels
        var target = rows
        for pixel in pixels {
            let y = shape.padding.source(
                of: pixel / shape.outputWidth * shape.stride - shape.padding.amount + tap / shape.kernelSize,
                length: shape.inputHeight)
            let x = shape.padding.source(
                of: pixel % shape.outputWidth * shape.stride - shape.padding.amount + tap % shape.kernelSize,
                length: shape.inputWidth)
            if y < 0 || x < 0 {
                target.update(repeating: 0, count: channels)
            } else {
                target.update(from: input.data + (y * shape.inputWidth + x) * channels, count: channels)
            }
            target += channels
        }
    }

    // MARK: Input gradient

    /// One residue of a strided axis: the taps that reach its pixels.
    private struct Phase {
        private let first: Int
        private let step: Int
        let count: Int

        init(residue: Int, shape: ConvolutionShape) {
            first = residue % shape.stride
            step = shape.stride
            count = max(0, (shape.kernelSize - first + step - 1) / step)
        }

        @inline(__always)
        func forEach(_ body: (_ index: Int, _ tap: Int) -> Void) {
            for index in 0..<count { body(index, first + index * step) }
        }
    }

    /// `[ky][kx][out][in]` from `[ky][kx][in][out]`.
    private static func turn(
        _ shape: ConvolutionShape, _ weight: UnsafePointer<Float>, into turned: UnsafeMutablePointer<Float>,
        _ pool: ThreadPool
    ) {
        let size = shape.inputChannels * shape.outputChannels
        pool.run(blocks: shape.kernelArea) { tap in
            let source = weight + tap * size
            let target = turned + tap * size
            for input in 0..<shape.inputChannels {
                for output in 0..<shape.outputChannels {
                    target[output * shape.inputChannels + input] = source[input * shape.outputChannels + output]
                }
            }
        }
    }

    /// Each input pixel gathers from the output pixels that saw it. With stride s the pixels fall into s^2 phases, each
    /// reached by its own subset of taps, so no product has a zero factor and nothing is scattered.
    /// - Parameter border: pixels of padding on each side of `target`.
    private static func gatherGradient(
        _ shape: ConvolutionShape, _ dOutput: Tensor, _ turned: UnsafePointer<Float>, into target: Tensor, border: Int,
        _ workspace: Workspace
    ) {
        let (stride, outputChannels, inputChannels) = (shape.stride, shape.outputChannels, shape.inputChannels)
        for phaseIndex in 0..<stride * stride {
            let (phaseY, phaseX) = (phaseIndex / stride, phaseIndex % stride)
            // Target row r stands for input row r - border, which tap ky of output row o sees if
            // o * stride + ky = r - border + amount.
            let offset = shape.padding.amount - border
            let tapsY = Phase(residue: phaseY + offset, shape: shape)
            let tapsX = Phase(residue: phaseX + offset, shape: shape)
            let height = (target.height - phaseY + stride - 1) / stride
            let width = (target.width - phaseX + stride - 1) / stride
            if height <= 0 || width <= 0 { continue }
            let columns = tapsY.count * tapsX.count * outputChannels
            if columns == 0 {
                for row in 0..<height {
                    for column in 0..<width {
                        let pixel = (row * stride + phaseY) * target.width + column * stride + phaseX
                        (target.data + pixel * inputChannels).update(repeating: 0, count: inputChannels)
                    }
                }
                continue
            }
            workspace.arena.scoped {
                let weights = workspace.arena.floats(columns * inputChannels)
                tapsY.forEach { row, ky in
                    tapsX.forEach { column, kx in
                        let tap = turned + (ky * shape.kernelSize + kx) * outputChannels * inputChannels
                        (weights + (row * tapsX.count + column) * outputChannels * inputChannels)
                            .update(from: tap, count: outputChannels * inputChannels)
                    }
                }
                let weightMatrix = Matrix(weights, rows: columns, columns: inputChannels)
                let grain = blockPixels(columns: columns, pixels: height * width)
                let laneFloats = Arena.alignedCount(grain * (columns + inputChannels))
                let scratch = workspace.arena.floats(workspace.pool.threads * laneFloats)
                workspace.pool.run(over: height * width, grain: grain) { pixels, lane in
                    let patches = Matrix(scratch + lane * laneFloats, rows: pixels.count, columns: columns)
                    var into = patches.data
                    for pixel in pixels {
                        let y = pixel / width * stride + phaseY + offset
                        let x = pixel % width * stride + phaseX + offset
                        tapsY.forEach { _, ky in
                            let row = (y - ky) / stride
                            tapsX.forEach { _, kx in
                                let column = (x - kx) / stride
                                if y < ky || x < kx || row >= shape.outputHeight || column >= shape.outputWidth {
                                    into.update(repeating: 0, count: outputChannels)
                                } else {
                                    into.update(
                                        from: dOutput.data + (row * shape.outputWidth + column) * outputChannels,
                                        count: outputChannels)
                                }
                                into += outputChannels
                            }
                        }
                    }
                    if stride == 1 {
                        let result = Matrix(
                            target.data + pixels.lowerBound * inputChannels, rows: pixels.count, columns: inputChannels)
                        multiply(patches, weightMatrix, into: result)
                        return
                    }
                    let result = Matrix(into, rows: pixels.count, columns: inputChannels)
                    multiply(patches, weightMatrix, into: result)
                    for (row, pixel) in pixels.enumerated() {
                        let place =
                            (pixel / width * stride + phaseY) * target.width + pixel % width * stride + phaseX
                        (target.data + place * inputChannels).update(
                            from: result.data + row * inputChannels, count: inputChannels)
                    }
                }
            }
        }
    }

    /// Adds the gradients of padded positions to the pixels they repeat.
    private static func foldBorder(_ padded: Tensor, _ padding: Padding, into target: Tensor, _ pool: ThreadPool) {
        let channels = target.channels
        let amount = padding.amount
        pool.run(over: target.height, grain: 4) { range in
            for y in range {
                for x in 0..<target.width {
                    let sum = target.data + (y * target.width + x) * channels
                    sum.update(repeating: 0, count: channels)
                    padding.forEachPosition(of: y, length: target.height) { row in
                        padding.forEachPosition(of: x, length: target.width) { column in
                            let pixel = (row + amount) * padded.width + column + amount
                            let part = padded.data + pixel * channels
                            for channel in 0..<channels { sum[channel] += part[channel] }
                        }
                    }
                }
            }
        }
    }
}
