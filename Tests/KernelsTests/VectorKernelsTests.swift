import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

/// The kernels for AVX-512 against those for AVX2: the same bits.
@Suite(.enabled(if: VectorInstructions.runsAVX512))
struct VectorKernelsTests {
    private func kernel(
        _ method: ConvolutionMethod, _ kernelSize: Int, _ stride: Int, _ instructions: VectorInstructions
    ) -> ConvolutionKernel {
        let kernels = instructions.kernels
        return ConvolutionKernel(
            kernelSize: kernelSize, stride: stride,
            forward: { input, padding, weight, output, workspace in
                kernels.forward(
                    method, input: input, padding: padding, weight: weight, output: output, bias: weight,
                    .leakyReLU(slope: 0.2), adding: nil, in: workspace)
            },
            inputGradient: { dOutput, weight, padding, dInput, workspace in
                kernels.inputGradient(
                    method, dOutput: dOutput, rectified: nil, weight: weight, padding: padding, dInput: dInput,
                    in: workspace)
            },
            weightGradient: { input, padding, dOutput, dWeight, workspace in
                kernels.weightGradient(
                    method, input: input, padding: padding, dOutput: dOutput, dWeight: dWeight, in: workspace)
            })
    }

    private func check(_ method: ConvolutionMethod, _ kernelSize: Int, _ stride: Int, _ cases: [ConvolutionCase]) {
        let (narrow, wide) = (kernel(method, kernelSize, stride, .avx2), kernel(method, kernelSize, stride, .avx512))
        for shape in cases where narrow.takes(shape) {
            let isZero = shape.padding.mode == .zero || shape.padding.amount == 0
            var takesInputGradient = true
            if case .fewInputs = method { takesInputGradient = isZero }
            let expected = narrow.run(shape, threads: 1, inputGradient: takesInputGradient)
            let found = wide.run(shape, threads: 2, inputGradient: takesInputGradient)
            #expect(bits(found.y) == bits(expected.y), "\(method) forward \(shape)")
            #expect(
                !takesInputGradient || bits(found.dx) == bits(expected.dx), "\(method) input gradient \(shape)")
            #expect(bits(found.dw) == bits(expected.dw), "\(method) weight gradient \(shape)")
        }
    }

    private func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

    @Test(arguments: [
        (ConvolutionMethod.winograd3x3, 3, 1), (.winograd4x4, 4, 1), (.winograd3x3Stride2, 3, 2),
        (.winograd4x4Stride2, 4, 2),
    ])
    func winogradConvolutionsHaveTheSameBits(_ method: ConvolutionMethod, _ kernelSize: Int, _ stride: Int) {
        check(method, kernelSize, stride, ConvolutionCase.table(paddings: [Padding(1), Padding(1, .reflect), .none]))
    }

    @Test(arguments: [
        (ConvolutionMethod.fewInputs(kernelSize: 7), 7, 1), (.fewInputs(kernelSize: 4, stride: 2), 4, 2),
        (.fewInputs(kernelSize: 3), 3, 1),
    ])
    func convolutionsOfFewInputsHaveTheSameBits(_ method: ConvolutionMethod, _ kernelSize: Int, _ stride: Int) {
        let cases = FewChannelsTests.cases(Padding(1), pairs: FewChannelsTests.pairs)
        check(method, kernelSize, stride, cases)
    }

    @Test(arguments: [7, 3])
    func convolutionsToFewOutputsHaveTheSameBits(_ kernelSize: Int) {
        let cases = FewChannelsTests.cases(
            Padding(kernelSize / 2, .reflect), pairs: [(64, 3), (8, 3), (12, 1), (20, 3), (40, 7)])
        check(.fewOutputs(kernelSize: kernelSize), kernelSize, 1, cases)
    }

    @Test(arguments: [(1, 1, 1), (7, 30, 19), (13, 5, 24), (33, 70, 45), (9, 64, 136)])
    func matrixProductsHaveTheSameBits(_ rows: Int, _ inner: Int, _ columns: Int) {
        var (a, b) = (randomValues(rows * inner, seed: 5), randomValues(inner * columns, seed: 6))
        let start = randomValues(rows * columns, seed: 7)
        for transposed in [false, true] {
            let results = VectorInstructions.allCases.map { instructions in
                var c = start
                a.withUnsafeMutableBufferPointer { a in
                    b.withUnsafeMutableBufferPointer { b in
                        c.withUnsafeMutableBufferPointer { c in
                            instructions.kernels.multiply(
                                Matrix(
                                    a.baseAddress!, rows: transposed ? inner : rows,
                                    columns: transposed ? rows : inner),
                                transposed: transposed, Matrix(b.baseAddress!, rows: inner, columns: columns),
                                into: Matrix(c.baseAddress!, rows: rows, columns: columns), accumulate: transposed)
                        }
                    }
                }
                return c
            }
            #expect(bits(results[0]) == bits(results[1]))
            for index in 0..<rows * columns {
                let (row, column) = (index / columns, index % columns)
                let expected = (0..<inner).reduce(transposed ? Double(start[index]) : 0) {
                    let left = transposed ? a[$1 * rows + row] : a[row * inner + $1]
                    return $0 + Double(left) * Double(b[$1 * columns + column])
                }
                #expect(abs(Double(results[0][index]) - expected) < 1e-5 * Double(inner))
            }
        }
    }

    @Test(arguments: [(1000, 64), (300, 37), (5, 8)])
    func gramMatricesAndTheirGradientsHaveTheSameBits(_ pixels: Int, _ channels: Int) {
        let results = VectorInstructions.allCases.map { instructions in
            let workspace = smallWorkspace(threads: 2)
            let features = Tensor(in: workspace.arena, height: 1, width: pixels, channels: channels)
            _ = features.buffer.update(fromContentsOf: randomValues(features.count, seed: 8))
            let gradient = Tensor(in: workspace.arena, like: features)
            _ = gradient.buffer.update(fromContentsOf: randomValues(features.count, seed: 9))
            let gram = workspace.arena.floats(channels * channels)
            instructions.kernels.gramMatrix(features, into: gram, in: workspace)
            instructions.kernels.gramGradient(
                features, dGram: gram, into: gradient, accumulate: true, in: workspace)
            return (0..<channels * channels).map { gram[$0].bitPattern } + gradient.buffer.map(\.bitPattern)
        }
        #expect(results[0] == results[1])
    }
}

@Suite struct VectorInstructionsTests {
    @Test func theWidestThatTheProcessorRunsIsChosenUnlessTheEnvironmentForcesOne() throws {
        func choice(_ value: String?, _ runsAVX512: Bool) throws -> VectorInstructions {
            try VectorInstructions.choice(value, runsAVX512: runsAVX512).get()
        }
        #expect(try choice(nil, true) == .avx512 && choice("", true) == .avx512 && choice(nil, false) == .avx2)
        #expect(try choice("avx2", true) == .avx2 && choice("avx512", true) == .avx512)
        #expect(throws: VectorInstructions.Refusal.self) { try choice("avx512", false) }
        #expect(throws: VectorInstructions.Refusal.self) { try choice("sse2", true) }
    }
}
