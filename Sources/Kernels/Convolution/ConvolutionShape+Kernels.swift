import Tensors

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
    /// The fast method for this shape; nil if it has none.
    private var method: ConvolutionMethod? {
        if ConvolutionPath.current == .reference { return nil }
        if inputChannels < 8 { return .fewInputs(kernelSize: kernelSize, stride: stride) }
        if outputChannels < 8 { return stride == 1 ? .fewOutputs(kernelSize: kernelSize) : nil }
        return switch (kernelSize, stride) {
        case (3, 1): .winograd3x3
        case (4, 1): .winograd4x4
        case (3, 2): .winograd3x3Stride2
        case (4, 2): .winograd4x4Stride2
        // To and from the maps of a material.
        case (7, 1) where outputChannels < 16: .fewOutputs(kernelSize: kernelSize)
        case (7, 1) where inputChannels < 16: .fewInputs(kernelSize: kernelSize, stride: stride)
        default: nil
        }
    }

    /// The same convolution of an input that is enlarged already.
    private var afterEnlargement: ConvolutionShape {
        ConvolutionShape(
            inputHeight: padding.enlargement * inputHeight, inputWidth: padding.enlargement * inputWidth,
            inputChannels: inputChannels, outputChannels: outputChannels, kernelSize: kernelSize, stride: stride,
            padding: Padding(padding.amount, padding.mode))
    }

    /// `afterEnlargement`, if the kernel needs a copy of the enlarged input. Winograd's tiles read the input itself.
    private var enlarged: ConvolutionShape? {
        padding.enlargement == 1 || method == .winograd3x3 ? nil : afterEnlargement
    }

    /// `output = activation(input * weight + bias) [+ residual]`.
    /// - Parameter residual: shaped like `output`.
    package func forward(
        input: Tensor, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?, _ activation: Activation = .identity,
        adding residual: Tensor? = nil, output: Tensor, in workspace: Workspace
    ) {
        residual?.requireShape(of: output)
        if let enlarged {
            return workspace.arena.scoped {
                enlarged.forward(
                    input: NearestUpsample.forward(input, in: workspace), weight: weight, bias: bias, activation,
                    adding: residual, output: output, in: workspace)
            }
        }
        if let method {
            method.forward(
                input: input, padding: padding, weight: weight, output: output, bias: bias, activation,
                adding: residual, in: workspace)
        } else {
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
        if padding.enlargement > 1 {
            return workspace.arena.scoped {
                let large = Tensor(
                    in: workspace.arena, images: dInput.images, height: 2 * dInput.height, width: 2 * dInput.width,
                    channels: dInput.channels)
                afterEnlargement.inputGradient(
                    dOutput: dOutput, rectified: rectified, weight: weight, dInput: large, in: workspace)
                NearestUpsample.backward(dOutput: large, dInput: dInput, in: workspace)
            }
        }
        var method = method
        if case .fewInputs = method, padding.mode != .zero && padding.amount > 0 { method = nil }
        var rectified = rectified
        if let mask = rectified, !takesRectified(method) {
            activationGradient(output: mask, dOutput: dOutput, .relu, in: workspace)
            rectified = nil
        }
        if let method {
            method.inputGradient(
                dOutput: dOutput, rectified: rectified, weight: weight, padding: padding, dInput: dInput,
                in: workspace)
        } else {
            PlainConvolution.inputGradient(self, dOutput: dOutput, weight: weight, dInput: dInput, in: workspace)
        }
    }

    /// Whether the method takes the gradient of a ReLU on the way.
    private func takesRectified(_ method: ConvolutionMethod?) -> Bool {
        switch method {
        case .winograd3x3, .fewInputs: true
        default: false
        }
    }

    /// Adds to `dWeight`.
    package func weightGradient(
        input: Tensor, dOutput: Tensor, dWeight: UnsafeMutablePointer<Float>, in workspace: Workspace
    ) {
        if let enlarged {
            return workspace.arena.scoped {
                enlarged.weightGradient(
                    input: NearestUpsample.forward(input, in: workspace), dOutput: dOutput, dWeight: dWeight,
                    in: workspace)
            }
        }
        if let method {
            method.weightGradient(
                input: input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
        } else {
            PlainConvolution.weightGradient(self, input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        }
    }
}
