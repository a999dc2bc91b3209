import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

let winograd3x3 = ConvolutionKernel(
    kernelSize: 3, stride: 1,
    forward: { ConvolutionMethod.winograd3x3.forward(input: $0, padding: $1, weight: $2, output: $3, in: $4) },
    inputGradient: {
        ConvolutionMethod.winograd3x3.inputGradient(dOutput: $0, weight: $1, padding: $2, dInput: $3, in: $4)
    },
    weightGradient: {
        ConvolutionMethod.winograd3x3.weightGradient(input: $0, padding: $1, dOutput: $2, dWeight: $3, in: $4)
    })

let winograd4x4 = ConvolutionKernel(
    kernelSize: 4, stride: 1,
    forward: { ConvolutionMethod.winograd4x4.forward(input: $0, padding: $1, weight: $2, output: $3, in: $4) },
    inputGradient: {
        ConvolutionMethod.winograd4x4.inputGradient(dOutput: $0, weight: $1, padding: $2, dInput: $3, in: $4)
    },
    weightGradient: {
        ConvolutionMethod.winograd4x4.weightGradient(input: $0, padding: $1, dOutput: $2, dWeight: $3, in: $4)
    })

let winograd4x4Stride2 = ConvolutionKernel(
    kernelSize: 4, stride: 2,
    forward: { ConvolutionMethod.winograd4x4Stride2.forward(input: $0, padding: $1, weight: $2, output: $3, in: $4) },
    inputGradient: {
        ConvolutionMethod.winograd4x4Stride2.inputGradient(dOutput: $0, weight: $1, padding: $2, dInput: $3, in: $4)
    },
    weightGradient: {
        ConvolutionMethod.winograd4x4Stride2.weightGradient(input: $0, padding: $1, dOutput: $2, dWeight: $3, in: $4)
    })

let winograd3x3Stride2 = ConvolutionKernel(
    kernelSize: 3, stride: 2,
    forward: { ConvolutionMethod.winograd3x3Stride2.forward(input: $0, padding: $1, weight: $2, output: $3, in: $4) },
    inputGradient: {
        ConvolutionMethod.winograd3x3Stride2.inputGradient(dOutput: $0, weight: $1, padding: $2, dInput: $3, in: $4)
    },
    weightGradient: {
        ConvolutionMethod.winograd3x3Stride2.weightGradient(input: $0, padding: $1, dOutput: $2, dWeight: $3, in: $4)
    })

@Suite struct WinogradTests {
    static let cases3x3 = ConvolutionCase.table(
        paddings: [.none, Padding(1, .zero), Padding(1, .reflect), Padding(1, .replicate), Padding(2, .zero)]
    ).filter(winograd3x3.takes)

    @Test("3x3 convolutions agree with their definition in all three directions", arguments: cases3x3)
    func winograd3x3AgreesWithItsDefinition(_ shape: ConvolutionCase) {
        winograd3x3.check(shape, rms: 1.5e-6, maximum: 6e-6)
    }

    @Test(
        "At the networks' own widths and tile counts, 3x3 convolutions agree with their definition",
        arguments: [
            // conv5_1 and smaller; two parts of tiles and many panels; more than 256 tiles of wide features.
            ConvolutionCase(height: 8, width: 8, inputChannels: 512, outputChannels: 512),
            ConvolutionCase(
                height: 40, width: 40, inputChannels: 128, outputChannels: 72, padding: Padding(1, .reflect)),
            ConvolutionCase(images: 2, height: 48, width: 48, inputChannels: 128, outputChannels: 64),
        ])
    func winograd3x3AgreesAtTheNetworksWidths(_ shape: ConvolutionCase) {
        winograd3x3.check(shape, rms: 1.5e-6, maximum: 6e-6)
    }

    @Test("Results are the same bytes for 1, 2 and 3 threads", arguments: cases3x3.suffix(60))
    func winograd3x3IsTheSameForAnyNumberOfThreads(_ shape: ConvolutionCase) {
        winograd3x3.checkThreads(shape)
    }

    static let otherCases = ConvolutionCase.table(
        paddings: [.none, Padding(1, .zero), Padding(1, .reflect), Padding(2, .replicate)])

    @Test("4x4 convolutions agree with their definition", arguments: otherCases.filter(winograd4x4.takes))
    func winograd4x4AgreesWithItsDefinition(_ shape: ConvolutionCase) {
        winograd4x4.check(shape, rms: 1.5e-6, maximum: 6e-6)
    }

    @Test(
        "4x4 stride-2 convolutions agree with their definition", arguments: otherCases.filter(winograd4x4Stride2.takes))
    func winograd4x4Stride2AgreesWithItsDefinition(_ shape: ConvolutionCase) {
        winograd4x4Stride2.check(shape, rms: 1.5e-6, maximum: 6e-6)
    }

    @Test(
        "3x3 stride-2 convolutions agree with their definition", arguments: otherCases.filter(winograd3x3Stride2.takes))
    func winograd3x3Stride2AgreesWithItsDefinition(_ shape: ConvolutionCase) {
        winograd3x3Stride2.check(shape, rms: 1.5e-6, maximum: 6e-6)
    }

    @Test(
        "At the networks' own widths, 4x4 and strided convolutions agree with their definition",
        arguments: [
            ConvolutionCase(height: 12, width: 12, inputChannels: 256, outputChannels: 136),
            ConvolutionCase(images: 2, height: 36, width: 34, inputChannels: 64, outputChannels: 128),
        ])
    func otherKernelsAgreeAtTheNetworksWidths(_ shape: ConvolutionCase) {
        for kernel in [winograd4x4, winograd4x4Stride2, winograd3x3Stride2] {
            kernel.check(shape, rms: 1.5e-6, maximum: 6e-6)
        }
    }

    @Test(
        "Strided kernels, too, give the same bytes", arguments: ConvolutionCase.table(paddings: [Padding(1)]).suffix(5))
    func stridedKernelsAreTheSameForAnyNumberOfThreads(_ shape: ConvolutionCase) {
        for kernel in [winograd4x4, winograd4x4Stride2, winograd3x3Stride2] {
            kernel.checkThreads(shape)
        }
    }

    @Test("Bias and ReLU on the way out, and the gradient of the ReLU on the way in, equal separate passes")
    func fusedReLUEqualsSeparatePasses() {
        for (side, inputChannels, outputChannels) in [(16, 24, 20), (66, 16, 12), (68, 64, 80)] {
            let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 4 << 30))
            let arena = workspace.arena
            let x = Tensor(
                in: arena, randomValues(side * side * inputChannels, seed: 1), height: side, width: side,
                channels: inputChannels)
            let weight = randomValues(9 * inputChannels * outputChannels, seed: 2)
            let bias = randomValues(outputChannels, seed: 3)
            let plain = Tensor(in: arena, height: side, width: side, channels: outputChannels)
            let fused = Tensor(in: arena, like: plain)
            ConvolutionMethod.winograd3x3.forward(
                input: x, padding: Padding(1), weight: weight, output: plain, in: workspace)
            ConvolutionMethod.winograd3x3.forward(
                input: x, padding: Padding(1), weight: weight, output: fused, bias: bias, .relu, in: workspace)
            for i in 0..<plain.count { plain.data[i] = max(plain.data[i] + bias[i % outputChannels], 0) }
            #expect(plain.values == fused.values)
            #expect(fused.values.contains(0) && fused.values.contains { $0 > 0 })

            let dOutput = Tensor(
                in: arena, randomValues(fused.count, seed: 4), height: side, width: side, channels: outputChannels)
            let masked = Tensor(in: arena, dOutput.values, height: side, width: side, channels: outputChannels)
            for i in 0..<masked.count where fused.data[i] <= 0 { masked.data[i] = 0 }
            let expected = Tensor(in: arena, like: x)
            let actual = Tensor(in: arena, like: x)
            ConvolutionMethod.winograd3x3.inputGradient(
                dOutput: masked, weight: weight, padding: Padding(1), dInput: expected, in: workspace)
            ConvolutionMethod.winograd3x3.inputGradient(
                dOutput: dOutput, rectified: fused, weight: weight, padding: Padding(1), dInput: actual, in: workspace)
            #expect(expected.values == actual.values)
        }
    }
}
