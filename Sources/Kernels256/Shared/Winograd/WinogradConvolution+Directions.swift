import Tensors

/// The three directions, each by the method that suits its sizes.
///
/// Weights are `[kernelSize, kernelSize, inputChannels, outputChannels]`.
extension WinogradConvolution where Axis: WinogradGradientAxis {
    static func forward(
        _ input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        epilogue: Epilogue, in workspace: Workspace
    ) {
        let convolution = WinogradConvolution(input: input, padding: padding, output: output)
        let weights = convolution.weights(weight, rowsAreInputs: true)
        let arena = workspace.arena
        arena.scoped {
            let source = TileSource(
                data: input.data, mask: nil, channels: input.channels, table: convolution.inputTable(input, in: arena))
            let table = convolution.outputTable(output, in: arena)
            if convolution.hasManyTiles {
                blocked(
                    source, tiles: convolution.tiles, weights: weights, output: output, table: table,
                    epilogue: epilogue, in: workspace)
            } else {
                panelled(
                    .forward, source, tiles: convolution.tiles, weights: weights, result: output, table: table,
                    epilogue: epilogue, in: workspace)
            }
        }
    }

    static func inputGradient(
        _ dOutput: Tensor, rectified: Tensor?, weight: UnsafePointer<Float>, padding: Padding,
        dInput: Tensor, in workspace: Workspace
    ) {
        rectified?.requireShape(of: dOutput)
        require(padding.enlargement == 1, "the gradient of an enlarged input comes before that of the enlargement")
        let convolution = WinogradConvolution(input: dInput, padding: padding, output: dOutput)
        let arena = workspace.arena
        let turnable = Axis.stride == 1 && (padding.mode == .zero || padding.amount == 0)
        if turnable && convolution.hasManyTiles {
            // The input gradient is a convolution of the output gradient with the kernel turned by 180 degrees.
            let back = WinogradConvolution(
                input: dOutput, padding: Padding(Axis.kernelSize - 1 - padding.amount), output: dInput)
            arena.scoped {
                let source = TileSource(
                    data: dOutput.data, mask: rectified.map { UnsafePointer($0.data) }, channels: dOutput.channels,
                    table: back.inputTable(dOutput, in: arena))
                blocked(
                    source, tiles: back.tiles,
                    weights: convolution.weights(weight, rowsAreInputs: false, turned: true),
                    output: dInput, table: back.outputTable(dInput, in: arena), epilogue: Epilogue(), in: workspace)
            }
            return
        }
        arena.scoped {
            let source = TileSource(
                data: dOutput.data, mask: rectified.map { UnsafePointer($0.data) }, channels: dOutput.channels,
                table: convolution.outputTable(dOutput, in: arena))
            panelled(
                .inputGradient, source, tiles: convolution.tiles,
                weights: convolution.weights(weight, rowsAreInputs: false), result: dInput,
                table: convolution.inputTable(dInput, in: arena), epilogue: Epilogue(), in: workspace)
        }
    }

    static func weightGradient(
        _ input: Tensor, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>,
        in workspace: Workspace
    ) {
        let convolution = WinogradConvolution(input: input, padding: padding, output: dOutput)
        let arena = workspace.arena
        arena.scoped {
            let source = TileSource(
                data: input.data, mask: nil, channels: input.channels, table: convolution.inputTable(input, in: arena))
            let gradient = TileSource(
                data: dOutput.data, mask: nil, channels: dOutput.channels,
                table: convolution.outputTable(dOutput, in: arena))
            convolution.addWeightGradient(source, gradient, to: dWeight, in: workspace)
        }
    }

    /// - Parameters:
    ///   - turned: turns the kernel by 180 degrees, for the input gradient.
    private func weights(
        _ data: UnsafePointer<Float>, rowsAreInputs: Bool, turned: Bool = false
    ) -> WeightView {
        WeightView(
            data: data, kernelSize: Axis.kernelSize, first: inputChannels,
            second: outputChannels, transposed: !rowsAreInputs, turned: turned)
    }

    /// Whether keeping all transformed weights pays: many tiles reuse them, or they are small.
    private var hasManyTiles: Bool {
        tiles >= 256 || (tiles >= 48 && inputChannels * outputChannels <= 64 * 64)
    }
}
