import Testing

@testable import Kernels
@testable import Tensors

/// The im2col kernels, in the same driver as the fast ones.
private func plainKernel(kernelSize: Int, stride: Int) -> ConvolutionKernel {
    @Sendable func shape(_ input: Tensor, _ output: Tensor, _ padding: Padding) -> ConvolutionShape {
        ConvolutionShape(
            inputHeight: input.height, inputWidth: input.width, inputChannels: input.channels,
            outputChannels: output.channels,
            kernelSize: kernelSize, stride: stride, padding: padding)
    }
    return ConvolutionKernel(
        kernelSize: kernelSize, stride: stride,
        forward: { input, padding, weight, output, workspace in
            PlainConvolution.forward(
                shape(input, output, padding), input: input, weight: weight, bias: nil, output: output, in: workspace)
        },
        inputGradient: { dOutput, weight, padding, dInput, workspace in
            PlainConvolution.inputGradient(
                shape(dInput, dOutput, padding), dOutput: dOutput, weight: weight, dInput: dInput, in: workspace)
        },
        weightGradient: { input, padding, dOutput, dWeight, workspace in
            PlainConvolution.weightGradient(
                shape(input, dOutput, padding), input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        })
}

/// A kernel and an odd shape to try it on.
struct PlainCase: CustomTestStringConvertible {
    var kernelSize: Int
    var stride: Int
    var shapes: [ConvolutionCase]

    var testDescription: String { "\(kernelSize)x\(kernelSize) stride \(stride)" }

    static let paddings: [Padding] =
        [.none] + (1...3).flatMap { amount in PaddingMode.allCases.map { Padding(amount, $0) } }

    static let table: [PlainCase] = [1, 3, 4, 7].flatMap { kernelSize in
        (1...3).map { stride in
            let sizes = [(1, 1), (2, 5), (5, 2), (4, 7), (8, 6), (9, 11), (13, 4)]
            let widths = [(1, 1), (3, 8), (8, 3), (5, 12), (12, 5), (1, 8), (17, 2)]
            var shapes: [ConvolutionCase] = []
            for (index, padding) in paddings.enumerated() {
                for (offset, (height, width)) in sizes.enumerated() {
                    let (inputChannels, outputChannels) = widths[(index + 2 * offset + kernelSize) % widths.count]
                    shapes.append(
                        ConvolutionCase(
                            images: 1 + (index + offset) % 2, height: height, width: width,
                            inputChannels: inputChannels,
                            outputChannels: outputChannels, padding: padding))
                }
            }
            let kernel = plainKernel(kernelSize: kernelSize, stride: stride)
            return PlainCase(kernelSize: kernelSize, stride: stride, shapes: shapes.filter(kernel.takes))
        }
    }
}

@Suite struct PlainConvolutionTests {
    @Test("Every kernel, stride and padding agrees with its definition in all directions", arguments: PlainCase.table)
    func agreesWithItsDefinition(_ plain: PlainCase) {
        #expect(plain.shapes.count >= 20)
        let kernel = plainKernel(kernelSize: plain.kernelSize, stride: plain.stride)
        for shape in plain.shapes { kernel.check(shape, rms: 1e-6, maximum: 1e-5) }
    }

    @Test("Blocks that fill several parts are the same bytes for 1, 2 and 3 threads")
    func isTheSameForAnyNumberOfThreads() {
        for (kernelSize, stride) in [(3, 1), (3, 2), (4, 2), (7, 1)] {
            for (inputChannels, outputChannels) in [(3, 5), (20, 12)] {
                plainKernel(kernelSize: kernelSize, stride: stride).checkThreads(
                    ConvolutionCase(
                        height: 52, width: 47, inputChannels: inputChannels, outputChannels: outputChannels,
                        padding: Padding(1, .reflect)))
            }
        }
    }
}
