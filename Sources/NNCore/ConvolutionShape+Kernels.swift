import Foundation

/// Which kernels run: the fast ones, or the plain reference with `TEXLOOM_CONV=reference`.
enum ConvolutionPath: Sendable {
    case fast, reference

    static let current: ConvolutionPath =
        ProcessInfo.processInfo.environment["TEXLOOM_CONV"] == "reference" ? .reference : .fast
}

/// The one entry point to a convolution in each direction: the shape decides which kernel runs.
extension ConvolutionShape {
    private enum Kernels {
        /// Winograd's short transforms, for the kernels and strides that have them.
        case winograd(any WinogradDirections.Type)
        /// From and to images, where channels alone do not fill a vector.
        case fewInputs, fewOutputs
        case plain
    }

    private var kernels: Kernels {
        if ConvolutionPath.current == .reference { return .plain }
        if inChannels < 8 { return .fewInputs }
        if outChannels < 8 { return stride == 1 ? .fewOutputs : .plain }
        return switch (kernel, stride) {
        case (3, 1): .winograd(WinogradConvolution<F4x3>.self)
        case (4, 1): .winograd(WinogradConvolution<F3x4>.self)
        case (3, 2): .winograd(WinogradConvolution<F4x3Stride2>.self)
        case (4, 2): .winograd(WinogradConvolution<F4x4Stride2>.self)
        default: .plain
        }
    }

    /// - Parameter relu: whether a ReLU follows.
    func forward(
        input: Tensor, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, relu: Bool = false, output: Tensor,
        in workspace: Workspace
    ) {
        switch kernels {
        case .winograd(let kernels):
            kernels.forward(
                input, padding: padding, weight: weight, swapped: false, output: output,
                epilogue: Epilogue(bias: bias, relu: relu), in: workspace)
            return
        case .fewInputs:
            FewInputsConvolution.forward(
                input: input, taps: kernel, stride: stride, padding: padding, weight: weight, output: output, bias: bias,
                relu: relu, in: workspace)
            return
        case .fewOutputs:
            FewOutputsConvolution.forward(
                input: input, taps: kernel, padding: padding, weight: weight, output: output, bias: bias, in: workspace)
        case .plain:
            PlainConvolution.forward(
                self, input: input, weight: weight, bias: bias, output: output, in: workspace)
        }
        if relu { activate(output, .relu, in: workspace) }
    }

    /// Overwrites `dInput`.
    /// - Parameter rectified: the output of a ReLU that followed, whose gradient is taken first; `dOutput` may then be
    ///   overwritten.
    func inputGradient(
        dOutput: Tensor, rectified: Tensor? = nil, weight: UnsafePointer<Float>, dInput: Tensor,
        in workspace: Workspace
    ) {
        switch kernels {
        case .winograd(let kernels):
            kernels.inputGradient(
                dOutput, rectified: rectified, weight: weight, swapped: false, padding: padding, dInput: dInput,
                in: workspace)
            return
        case .fewInputs where stride == 1 && (padding.mode == .zero || padding.amount == 0):
            FewInputsConvolution.inputGradient(
                dOutput: dOutput, rectified: rectified, taps: kernel, weight: weight, padding: padding, dInput: dInput,
                in: workspace)
            return
        case .fewInputs, .fewOutputs, .plain:
            if let rectified { activationGradient(output: rectified, dOutput: dOutput, .relu, in: workspace) }
        }
        if case .fewOutputs = kernels {
            FewOutputsConvolution.inputGradient(
                dOutput: dOutput, taps: kernel, weight: weight, padding: padding, dInput: dInput, in: workspace)
        } else {
            PlainConvolution.inputGradient(self, dOutput: dOutput, weight: weight, dInput: dInput, in: workspace)
        }
    }

    /// Adds to `dWeight`.
    func weightGradient(
        input: Tensor, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        switch kernels {
        case .winograd(let kernels):
            kernels.weightGradient(
                input, padding: padding, dOutput: dOutput, dWeight: dWeight, swapped: false, in: workspace)
        case .fewInputs:
            FewInputsConvolution.weightGradient(
                input: input, taps: kernel, stride: stride, padding: padding, dOutput: dOutput, dWeight: dWeight,
                in: workspace)
        case .fewOutputs:
            FewOutputsConvolution.weightGradient(
                input: input, taps: kernel, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .plain:
            PlainConvolution.weightGradient(self, input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        }
    }
}

/// The directions of a convolution by short transforms, whatever the transform.
protocol WinogradDirections {
    static func forward(
        _ input: Tensor, padding: Padding, weight: UnsafePointer<Float>, swapped: Bool, output: Tensor,
        epilogue: Epilogue, in workspace: Workspace)

    static func inputGradient(
        _ dOutput: Tensor, rectified: Tensor?, weight: UnsafePointer<Float>, swapped: Bool, padding: Padding,
        dInput: Tensor, in workspace: Workspace)

    static func weightGradient(
        _ input: Tensor, padding: Padding, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, swapped: Bool,
        in workspace: Workspace)
}

extension WinogradConvolution: WinogradDirections {}
