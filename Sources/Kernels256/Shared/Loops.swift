import Tensors

/// This module's kernels, as `Kernels` calls them.
package enum Loops: VectorKernels {
    package static func forward(
        _ method: ConvolutionMethod, input: Tensor, padding: Padding, weight: UnsafePointer<Float>, output: Tensor,
        bias: UnsafePointer<Float>?, _ activation: Activation, adding residual: Tensor?, in workspace: Workspace
    ) {
        let epilogue = Epilogue(bias: bias, activation, adding: residual)
        // By named types: through a table of metatypes the compiler cannot specialise the generic kernels.
        switch method {
        case .winograd3x3:
            WinogradConvolution<F4x3>.forward(
                input, padding: padding, weight: weight, output: output, epilogue: epilogue, in: workspace)
        case .winograd4x4:
            WinogradConvolution<F3x4>.forward(
                input, padding: padding, weight: weight, output: output, epilogue: epilogue, in: workspace)
        case .winograd3x3Stride2:
            WinogradConvolution<F4x3Stride2>.forward(
                input, padding: padding, weight: weight, output: output, epilogue: epilogue, in: workspace)
        case .winograd4x4Stride2:
            WinogradConvolution<F4x4Stride2>.forward(
                input, padding: padding, weight: weight, output: output, epilogue: epilogue, in: workspace)
        case .fewInputs(let kernelSize, let stride):
            FewInputsConvolution.forward(
                input, kernelSize: kernelSize, stride: stride, padding: padding, weight: weight, output: output,
                epilogue: epilogue, in: workspace)
        case .fewOutputs(let kernelSize):
            FewOutputsConvolution.forward(
                input, kernelSize: kernelSize, padding: padding, weight: weight, output: output, epilogue: epilogue,
                in: workspace)
        }
    }

    package static func inputGradient(
        _ method: ConvolutionMethod, dOutput: Tensor, rectified: Tensor?, weight: UnsafePointer<Float>,
        padding: Padding, dInput: Tensor, in workspace: Workspace
    ) {
        switch method {
        case .winograd3x3:
            WinogradConvolution<F4x3>.inputGradient(
                dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput, in: workspace)
        case .winograd4x4:
            WinogradConvolution<F3x4>.inputGradient(
                dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput, in: workspace)
        case .winograd3x3Stride2 where padding.amount == 1 && padding.mode == .zero && rectified == nil:
            padding.check(input: dInput, output: dOutput, kernelSize: 3, stride: 2)
            WinogradConvolution<F4x3Stride2>.transposed3x3(dOutput, weight: weight, dInput: dInput, in: workspace)
        case .winograd3x3Stride2:
            WinogradConvolution<F4x3Stride2>.inputGradient(
                dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput, in: workspace)
        case .winograd4x4Stride2:
            WinogradConvolution<F4x4Stride2>.inputGradient(
                dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput, in: workspace)
        case .fewInputs(let kernelSize, let stride):
            FewInputsConvolution.inputGradient(
                dOutput, rectified: rectified, kernelSize: kernelSize, stride: stride, weight: weight,
                padding: padding, dInput: dInput, in: workspace)
        case .fewOutputs(let kernelSize):
            require(rectified == nil, "the gradient of few outputs takes no ReLU on the way")
            FewOutputsConvolution.inputGradient(
                dOutput, kernelSize: kernelSize, weight: weight, padding: padding, dInput: dInput, in: workspace)
        }
    }

    package static func weightGradient(
        _ method: ConvolutionMethod, input: Tensor, padding: Padding, dOutput: Tensor,
        dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        switch method {
        case .winograd3x3:
            WinogradConvolution<F4x3>.weightGradient(
                input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .winograd4x4:
            WinogradConvolution<F3x4>.weightGradient(
                input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .winograd3x3Stride2:
            WinogradConvolution<F4x3Stride2>.weightGradient(
                input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .winograd4x4Stride2:
            WinogradConvolution<F4x4Stride2>.weightGradient(
                input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .fewInputs(let kernelSize, let stride):
            FewInputsConvolution.weightGradient(
                input, kernelSize: kernelSize, stride: stride, padding: padding, dOutput: dOutput, dWeight: dWeight,
                in: workspace)
        case .fewOutputs(let kernelSize):
            FewOutputsConvolution.weightGradient(
                input, kernelSize: kernelSize, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        }
    }

    package static func finish(
        _ tensor: Tensor, bias: UnsafePointer<Float>?, _ activation: Activation, adding residual: Tensor?,
        in workspace: Workspace
    ) {
        Epilogue(bias: bias, activation, adding: residual).apply(to: tensor, in: workspace)
    }

    package static func gramMatrix(_ features: Tensor, into gram: UnsafeMutablePointer<Float>, in workspace: Workspace)
    {
        GramProduct.forward(features, into: gram, in: workspace)
    }

    package static func gramGradient(
        _ features: Tensor, dGram: UnsafePointer<Float>, into dFeatures: Tensor, accumulate: Bool,
        in workspace: Workspace
    ) {
        GramProduct.backward(features, dGram: dGram, into: dFeatures, accumulate: accumulate, in: workspace)
    }

    package static func multiply(_ a: Matrix, transposed: Bool, _ b: Matrix, into c: Matrix, accumulate: Bool) {
        let count = transposed ? a.rows : a.columns
        require(
            c.rows == (transposed ? a.columns : a.rows) && c.columns == b.columns && count == b.rows,
            "a product of \(a.rows)x\(a.columns) and \(b.rows)x\(b.columns) into \(c.rows)x\(c.columns)")
        let left =
            transposed
            ? Microkernel.Left(a.data, rowStride: 1, step: a.stride)
            : Microkernel.Left(a.data, rowStride: a.stride, step: 1)
        // Whole groups of 8 columns, all that the microkernel may write; then the rest, one by one.
        let whole = c.columns / 8 * 8
        Microkernel.multiply(
            left, rows: c.rows, count: count, b.data, bStep: b.stride, into: c.data, cStride: c.stride, columns: whole,
            accumulate: accumulate)
        for row in 0..<c.rows {
            for column in whole..<c.columns {
                var sum = accumulate ? c.data[row * c.stride + column] : 0
                for k in 0..<count {
                    sum = sum.addingProduct(
                        left.data[row * left.rowStride + k * left.step], b.data[k * b.stride + column])
                }
                c.data[row * c.stride + column] = sum
            }
        }
    }

    package static func multiply(_ a: Matrix, panels b: UnsafePointer<Float>, into c: Matrix, accumulate: Bool) {
        PanelProducts.multiply(a, panels: b, into: c, accumulate: accumulate)
    }
}
