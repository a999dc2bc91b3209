import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct FewChannelsTests {
    /// Few channels on either side, as in the first and last layers, at various sizes.
    static func cases(_ padding: Padding, pairs: [(Int, Int)]) -> [ConvolutionCase] {
        [(4, 4), (5, 5), (7, 7), (8, 13), (31, 17), (70, 66)].enumerated().flatMap { index, size in
            pairs.indices.filter { ($0 + index) % 2 == 0 }.map { pair in
                ConvolutionCase(
                    images: 1 + pair % 3, height: size.0, width: size.1, inputChannels: pairs[pair].0,
                    outputChannels: pairs[pair].1, padding: padding)
            }
        }
    }

    static func fewInputs(kernelSize: Int, stride: Int) -> ConvolutionKernel {
        ConvolutionKernel(
            kernelSize: kernelSize, stride: stride,
            forward: {
                ConvolutionMethod.fewInputs(kernelSize: kernelSize, stride: stride).forward(
                    input: $0, padding: $1, weight: $2, output: $3, in: $4)
            },
            inputGradient: {
                ConvolutionMethod.fewInputs(kernelSize: kernelSize, stride: stride).inputGradient(
                    dOutput: $0, weight: $1, padding: $2, dInput: $3, in: $4)
            },
            weightGradient: {
                ConvolutionMethod.fewInputs(kernelSize: kernelSize, stride: stride).weightGradient(
                    input: $0, padding: $1, dOutput: $2, dWeight: $3, in: $4)
            })
    }

    static func fewOutputs(kernelSize: Int) -> ConvolutionKernel {
        ConvolutionKernel(
            kernelSize: kernelSize, stride: 1,
            forward: {
                ConvolutionMethod.fewOutputs(kernelSize: kernelSize).forward(
                    input: $0, padding: $1, weight: $2, output: $3, in: $4)
            },
            inputGradient: {
                ConvolutionMethod.fewOutputs(kernelSize: kernelSize).inputGradient(
                    dOutput: $0, weight: $1, padding: $2, dInput: $3, in: $4)
            },
            weightGradient: {
                ConvolutionMethod.fewOutputs(kernelSize: kernelSize).weightGradient(
                    input: $0, padding: $1, dOutput: $2, dWeight: $3, in: $4)
            })
    }

    /// The last two are those of materials.
    static let pairs = [(3, 64), (3, 8), (1, 12), (3, 20), (4, 3), (9, 16), (14, 20)]

    @Test(
        "7x7 and 3x3 convolutions with few inputs agree with their definition",
        arguments: [(7, Padding(3)), (3, Padding(1)), (7, .none), (4, Padding(1))])
    func fewInputsAgreeWithTheirDefinition(_ kernelSize: Int, _ padding: Padding) {
        let kernel = Self.fewInputs(kernelSize: kernelSize, stride: 1)
        for shape in Self.cases(padding, pairs: Self.pairs) where kernel.takes(shape) {
            kernel.check(shape, rms: 5e-7, maximum: 4e-6)
        }
    }

    @Test(
        "Reflected, replicated and strided convolutions with few inputs agree with their definition",
        arguments: [
            (7, 1, Padding(3, .reflect)), (7, 1, Padding(3, .replicate)), (4, 2, Padding(1)), (3, 2, Padding(1)),
            (5, 3, .none), (3, 2, Padding(1, .reflect)),
        ])
    func paddedFewInputsAgreeWithTheirDefinition(_ kernelSize: Int, _ stride: Int, _ padding: Padding) {
        let kernel = Self.fewInputs(kernelSize: kernelSize, stride: stride)
        for shape in Self.cases(padding, pairs: Self.pairs) where kernel.takes(shape) {
            kernel.check(shape, rms: 5e-7, maximum: 4e-6, inputGradient: padding.mode == .zero || padding.amount == 0)
        }
    }

    @Test(
        "7x7 and 3x3 convolutions with few outputs agree with their definition",
        arguments: [
            (7, Padding(3, .reflect)), (7, Padding(3, .replicate)), (7, Padding(3)), (3, Padding(1, .reflect)),
            (7, .none),
        ])
    func fewOutputsAgreeWithTheirDefinition(_ kernelSize: Int, _ padding: Padding) {
        let kernel = Self.fewOutputs(kernelSize: kernelSize)
        for shape in Self.cases(padding, pairs: Self.pairs.map { ($1, $0) }) where kernel.takes(shape) {
            kernel.check(shape, rms: 5e-7, maximum: 4e-6)
        }
    }

    @Test func resultsAreTheSameBytesForAnyNumberOfThreads() {
        for shape in Self.cases(Padding(3, .reflect), pairs: [(64, 3), (20, 3)]) {
            let kernel = Self.fewOutputs(kernelSize: 7)
            if kernel.takes(shape) { kernel.checkThreads(shape) }
        }
        for shape in Self.cases(Padding(3), pairs: [(3, 64), (3, 20)]) {
            Self.fewInputs(kernelSize: 7, stride: 1).checkThreads(shape)
        }
    }

    @Test func theGradientOfAReLUTakenOnTheWayEqualsASeparatePass() {
        let workspace = Workspace(threads: 2, arena: Arena(reservedBytes: 1 << 30))
        let arena = workspace.arena
        func tensor(_ values: [Float]) -> Tensor {
            Tensor(in: arena, values, images: 2, height: 18, width: 21, channels: 12)
        }
        let dOutput = tensor(randomValues(2 * 18 * 21 * 12, seed: 1))
        let rectified = tensor(randomValues(2 * 18 * 21 * 12, seed: 2))
        let masked = tensor(dOutput.values)
        for i in 0..<masked.count where rectified.data[i] <= 0 { masked.data[i] = 0 }
        let weight = randomValues(9 * 3 * 12, seed: 3)
        let expected = Tensor(in: arena, images: 2, height: 18, width: 21, channels: 3)
        let actual = Tensor(in: arena, like: expected)
        ConvolutionMethod.fewInputs(kernelSize: 3).inputGradient(
            dOutput: masked, weight: weight, padding: Padding(1), dInput: expected, in: workspace)
        ConvolutionMethod.fewInputs(kernelSize: 3).inputGradient(
            dOutput: dOutput, rectified: rectified, weight: weight, padding: Padding(1), dInput: actual,
            in: workspace)
        #expect(expected.values == actual.values)
    }
}
