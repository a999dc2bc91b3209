import TensorChecks
import Testing

@testable import NNCore

@Suite struct ParameterTests {
    @Test func filesHoldConvolutionsAsOutInKernelKernel() {
        let parameter = Parameter("w", .convolution(kernelSize: 2, inputChannels: 3, outputChannels: 5), trained: true)
        #expect(parameter.layout.fileShape == [5, 3, 2, 2])
        parameter.load(fileOrder: (0..<60).map(Float.init))
        // The layout in memory is [ky][kx][in][out].
        for (ky, kx, input, output) in [(0, 0, 0, 0), (1, 0, 2, 4), (0, 1, 1, 3), (1, 1, 2, 0)] {
            let inFile = ((output * 3 + input) * 2 + ky) * 2 + kx
            #expect(parameter.value[((ky * 2 + kx) * 3 + input) * 5 + output] == Float(inFile))
        }
        #expect(parameter.fileOrder() == (0..<60).map(Float.init))
    }

    @Test func hesDeviationCountsTheInputsOfOneOutput() {
        let convolution = Parameter(
            "w", .convolution(kernelSize: 3, inputChannels: 8, outputChannels: 5), trained: true)
        #expect(abs(convolution.heDeviation - Float(2.0 / 72).squareRoot()) < 1e-7)
        // For a transposed convolution, [in, out, 3, 3], PyTorch also takes the fan-in from the second axis.
        let transposed = TransposedConvolution("up", inputChannels: 8, outputChannels: 4)
        #expect(abs(transposed.weight.heDeviation - Float(2.0 / 36).squareRoot()) < 1e-7)
    }

    @Test func aParameterMovesAShareOfTheWayToAnother() {
        let workspace = smallWorkspace(threads: 2)
        let (a, b) = (Parameter("a", .vector(40_000), trained: false), Parameter("b", .vector(40_000), trained: true))
        let (from, to) = (randomValues(40_000, seed: 1), randomValues(40_000, seed: 2))
        a.load(fileOrder: from)
        b.load(fileOrder: to)
        a.move(towards: b, by: 0.125, in: workspace)
        #expect(a.fileOrder() == zip(from, to).map { $0 + 0.125 * ($1 - $0) })
        #expect(b.fileOrder() == to)
        a.copy(b)
        #expect(a.fileOrder() == to)
    }

    @Test func initialValuesAreNormalAndFollowTheStreamInTheFilesOrder() {
        var stream = RandomStream(seed: 7, purpose: 1)
        let parameter = Parameter(
            "w", .convolution(kernelSize: 3, inputChannels: 32, outputChannels: 64), trained: true)
        parameter.fillNormal(mean: 1, deviation: 0.02, from: &stream)
        let values = parameter.fileOrder().doubles
        var again = RandomStream(seed: 7, purpose: 1)
        #expect(parameter.fileOrder().prefix(5).allSatisfy { $0 == 1 + 0.02 * again.normal() })
        let mean = values.reduce(0, +) / Double(values.count)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
        #expect(abs(mean - 1) < 5 * 0.02 / Double(values.count).squareRoot())
        #expect(abs(variance.squareRoot() / 0.02 - 1) < 0.02)
        // The share within one deviation distinguishes a normal distribution from others with the same variance.
        let near = Double(values.filter { abs($0 - 1) < 0.02 }.count) / Double(values.count)
        #expect(abs(near - 0.6827) < 0.02)
    }

    /// NNCore reads files, so its traps stay in every build (decision 14).
    @Test func preconditionsHoldInOptimisedBuilds() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure) {
                let (long, short) = (
                    Parameter("long", .vector(8), trained: false), Parameter("short", .vector(4), trained: false)
                )
                long.copy(short)
            })
        #expect(result.exitStatus != .exitCode(0))
    }
}
