#if canImport(Glibc)
    import Glibc
#endif

/// Whether the fast kernels run, or the plain reference (`TEXLOOM_CONV=reference`).
enum ConvolutionPath: Sendable {
    case fast, reference

    static let current: ConvolutionPath =
        getenv("TEXLOOM_CONV").map { strcmp($0, "reference") == 0 } == true ? .reference : .fast
}

/// The entry points to a convolution, one for each direction: the shape decides which kernel runs.
extension ConvolutionShape {
    private enum Choice {
        /// Winograd's short transforms, by kernel and stride.
        case winograd3, winograd4, winograd3Stride2, winograd4Stride2
        /// From and to images, whose channels do not fill a vector.
        case fewInputs, fewOutputs
        case plain
    }

    private var choice: Choice {
        if ConvolutionPath.current == .reference { return .plain }
        if inputChannels < 8 { return .fewInputs }
        if outputChannels < 8 { return stride == 1 ? .fewOutputs : .plain }
        return switch (kernelSize, stride) {
        case (3, 1): .winograd3
        case (4, 1): .winograd4
        case (3, 2): .winograd3Stride2
        case (4, 2): .winograd4Stride2
        default: .plain
        }
    }

    /// `output = activation(input * weight + bias) [+ residual]`.
    /// - Parameter residual: shaped like `output`.
    package func forward(
        input: Tensor, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, _ activation: Activation = .identity,
        adding residual: Tensor? = nil, output: Tensor, in workspace: Workspace
    ) {
        residual?.requireShape(of: output)
        switch choice {
        case .winograd3:
            Winograd3x3.forward(
                input: input, padding: padding, weight: weight, output: output, bias: bias, activation,
                adding: residual, in: workspace)
        case .winograd4:
            Winograd4x4.forward(
                input: input, padding: padding, weight: weight, output: output, bias: bias, activation,
                adding: residual, in: workspace)
        case .winograd3Stride2:
            Winograd3x3Stride2.forward(
                input: input, padding: padding, weight: weight, output: output, bias: bias, activation,
                adding: residual, in: workspace)
        case .winograd4Stride2:
            Winograd4x4Stride2.forward(
                input: input, padding: padding, weight: weight, output: output, bias: bias, activation,
                adding: residual, in: workspace)
        case .fewInputs:
            FewInputsConvolution.forward(
                input: input, kernelSize: kernelSize, stride: stride, padding: padding, weight: weight, output: output,
                bias: bias, activation, adding: residual, in: workspace)
        case .fewOutputs:
            FewOutputsConvolution.forward(
                input: input, kernelSize: kernelSize, padding: padding, weight: weight, output: output, bias: bias,
                activation,
                adding: residual, in: workspace)
        case .plain:
            PlainConvolution.forward(
                self, input: input, weight: weight, bias: bias, output: output, in: workspace)
            Epilogue(activation, adding: residual).apply(to: output, in: workspace)
        }
    }

    /// Overwrites `dInput`.
    /// - Parameter rectified: the output of a ReLU that followed, whose gradient is taken first; `dOutput` may then be
    ///   overwritten.
    package func inputGradient(
        dOutput: Tensor, rectified: Tensor? = nil, weight: UnsafePointer<Float>, dInput: Tensor,
        in workspace: Workspace
    ) {
        switch choice {
        case .winograd3:
            Winograd3x3.inputGradient(
                dOutput: dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput,
                in: workspace)
            return
        case .fewInputs where padding.mode == .zero || padding.amount == 0:
            FewInputsConvolution.inputGradient(
                dOutput: dOutput, rectified: rectified, kernelSize: kernelSize, stride: stride, weight: weight,
                padding: padding,
                dInput: dInput, in: workspace)
            return
        default: break
        }
        if let rectified { activationGradient(output: rectified, dOutput: dOutput, .relu, in: workspace) }
        switch choice {
        case .winograd4:
            Winograd4x4.inputGradient(
                dOutput: dOutput, weight: weight, padding: padding, dInput: dInput, in: workspace)
        case .winograd3Stride2:
            Winograd3x3Stride2.inputGradient(
                dOutput: dOutput, weight: weight, padding: padding, dInput: dInput, in: workspace)
        case .winograd4Stride2:
            Winograd4x4Stride2.inputGradient(
                dOutput: dOutput, weight: weight, padding: padding, dInput: dInput, in: workspace)
        case .fewOutputs:
            FewOutputsConvolution.inputGradient(
                dOutput: dOutput, kernelSize: kernelSize, weight: weight, padding: padding, dInput: dInput,
                in: workspace)
        case .winograd3, .fewInputs, .plain:
            PlainConvolution.inputGradient(self, dOutput: dOutput, weight: weight, dInput: dInput, in: workspace)
        }
    }

    /// Adds to `dWeight`.
    package func weightGradient(
        input: Tensor, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        switch choice {
        case .winograd3:
            Winograd3x3.weightGradient(
                input: input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .winograd4:
            Winograd4x4.weightGradient(
                input: input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .winograd3Stride2:
            Winograd3x3Stride2.weightGradient(
                input: input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .winograd4Stride2:
            Winograd4x4Stride2.weightGradient(
                input: input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        case .fewInputs:
            FewInputsConvolution.weightGradient(
                input: input, kernelSize: kernelSize, stride: stride, padding: padding, dOutput: dOutput,
                dWeight: dWeight,
                in: workspace)
        case .fewOutputs:
            FewOutputsConvolution.weightGradient(
                input: input, kernelSize: kernelSize, padding: padding, dOutput: dOutput, dWeight: dWeight,
                in: workspace)
        case .plain:
            PlainConvolution.weightGradient(self, input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        }
    }
}
