import Foundation
import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct ActivationTests {
    static let activations: [Activation] = [
        .identity, .relu, .leakyReLU(slope: 0.2), .leakyReLU(slope: 0.25, gain: 1.5),
    ]

    @Test(arguments: activations)
    func activationsAndTheirGradientsFollowTheSlopes(_ activation: Activation) {
        let workspace = smallWorkspace(threads: 2)
        let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
        let x = randomValues(5 * 7 * 3, seed: 1) + [0, -0, .leastNonzeroMagnitude]
        let g = randomValues(x.count, seed: 2)
        let tensor = Tensor(in: workspace.arena, x, height: 6, width: 6, channels: 3)
        let gradient = Tensor(in: workspace.arena, g, height: 6, width: 6, channels: 3)
        Epilogue(activation).apply(to: tensor, in: workspace)
        #expect(tensor.values == x.map { $0 > 0 ? gain * $0 : slope * $0 })
        activationGradient(output: tensor, dOutput: gradient, activation, in: workspace)
        #expect(gradient.values == zip(x, g).map { $0 > 0 ? gain * $1 : slope * $1 })
    }

    @Test func theSlopesOfALeakyReLUAreThoseOfItsGain() {
        #expect(Activation.leakyReLU(slope: 0.25, gain: 1.5).positiveSlope == 1.5)
        #expect(Activation.leakyReLU(slope: 0.25, gain: 1.5).negativeSlope == 0.375)
        #expect(Activation.leakyReLU(slope: 0.2).positiveSlope == 1 && Activation.relu.negativeSlope == 0)
    }

    @Test(
        "The activation's gradient and its sums in one pass are the bits of two passes", arguments: activations,
        [1, 3, 8, 20])
    func activationGradientWithSumsIsThatOfTwoPasses(_ activation: Activation, channels: Int) {
        let count = 60 * 41 * channels
        let (output, g) = (randomValues(count, seed: 11), randomValues(count, seed: 12))
        func run(threads: Int) -> (gradient: [Float], expected: [Float], sums: [Float], expectedSums: [Float]) {
            let workspace = smallWorkspace(threads: threads)
            func tensor(_ values: [Float]) -> Tensor {
                Tensor(in: workspace.arena, values, height: 60, width: 41, channels: channels)
            }
            let (expected, replaced, dOutput) = (tensor(g), tensor(output), tensor(g))
            var (sums, expectedSums) = ([Float](repeating: 2, count: channels), [Float](repeating: 2, count: channels))
            activationGradient(output: tensor(output), dOutput: expected, activation, in: workspace)
            addColumnSums(of: expected, to: &expectedSums, in: workspace)
            activationGradient(
                replacing: replaced, dOutput: dOutput, activation, addingSumsTo: &sums, in: workspace)
            #expect(dOutput.values == g, "it is only read")
            let again = tensor(output)
            activationGradient(replacing: again, dOutput: dOutput, activation, addingSumsTo: nil, in: workspace)
            #expect(again.values == replaced.values)
            return (replaced.values, expected.values, sums, expectedSums)
        }
        let results = (1...3).map(run)
        #expect(results[0].gradient == results[0].expected && results[0].sums == results[0].expectedSums)
        for other in results.dropFirst() {
            #expect(other.gradient == results[0].gradient && other.sums == results[0].sums)
        }
    }

    @Test func reluOfNaNDoesNotHideIt() {
        // max(x, 0) would turn NaN into 0 and hide a diverged network.
        let workspace = smallWorkspace()
        let tensor = Tensor(in: workspace.arena, [.nan, 1], height: 1, width: 2, channels: 1)
        Epilogue(.relu).apply(to: tensor, in: workspace)
        #expect(tensor.data[0].isNaN)
    }

    @Test func hyperbolicTangentIsAccurateAndItsGradientPassesDifferences() {
        let workspace = smallWorkspace(threads: 2)
        var x: [Float] = [0, 1e-20, -1e-7, 88, -88, .infinity, -.infinity, 0.3, 9.010_913, 9.999_999, 10]
        for step in -2000..<2000 { x += [Float(step) / 100, Float(step) / 8000] }
        let tensor = Tensor(in: workspace.arena, x, height: 1, width: x.count, channels: 1)
        tanh(tensor, in: workspace)
        for (value, result) in zip(x, tensor.values) {
            let expected = Foundation.tanh(Double(value))
            #expect(abs(Double(result) - expected) <= 0.501 * Double(Float(expected).ulp), "at \(value)")
        }
        let g = randomValues(x.count, seed: 3)
        let gradient = Tensor(in: workspace.arena, g, height: 1, width: x.count, channels: 1)
        tanhGradient(output: tensor, dOutput: gradient, in: workspace)
        let expected = zip(x, g).map { value, g in
            let step = 1e-5
            return value.isFinite
                ? Double(g) * (Foundation.tanh(Double(value) + step) - Foundation.tanh(Double(value) - step))
                    / (2 * step) : 0
        }
        #expect(Deviation(gradient.values, from: expected).maximum < 1e-6)
    }

    @Test func addAddsAndNormIsTheEuclideanNorm() {
        let workspace = smallWorkspace(threads: 3)
        let (a, b) = (randomValues(50_000, seed: 4), randomValues(50_000, seed: 5))
        let target = Tensor(in: workspace.arena, a, height: 100, width: 100, channels: 5)
        add(Tensor(in: workspace.arena, b, height: 100, width: 100, channels: 5), to: target, in: workspace)
        #expect(target.values == zip(a, b).map { $0 + $1 })
        let sum = zip(a, b).map { $0 + $1 }
        #expect(abs(norm(of: target, in: workspace) / dot(sum, sum).squareRoot() - 1) < 1e-12)
    }

    @Test func columnSumsAddToWhatIsThere() {
        let workspace = smallWorkspace(threads: 2)
        for (pixels, channels) in [(1, 1), (7, 3), (5000, 12)] {
            let x = randomValues(pixels * channels, seed: 6)
            var sums = [Float](repeating: 2, count: channels)
            addColumnSums(
                of: Tensor(in: workspace.arena, x, height: pixels, width: 1, channels: channels), to: &sums,
                in: workspace)
            var expected = [Double](repeating: 2, count: channels)
            for (index, value) in x.enumerated() { expected[index % channels] += Double(value) }
            #expect(Deviation(sums, from: expected).maximum < 1e-5)
        }
    }

    @Test func orderedSumIsTheSameForAnyNumberOfThreads() {
        let values = randomValues(100_003, seed: 7)
        let sums = (1...3).map { threads in
            orderedSum(over: values.count, in: smallWorkspace(threads: threads)) { range in
                range.reduce(0.0) { $0 + Double(values[$1]) }
            }
        }
        #expect(sums[0] == sums[1] && sums[0] == sums[2])
        #expect(abs(sums[0] - values.doubles.reduce(0, +)) < 1e-9)
    }

    @Test func pointwiseKernelsAreTheSameBytesForAnyNumberOfThreads() {
        let results = forOneToThreeThreads { workspace in
            let x = Tensor(in: workspace.arena, randomValues(90_000, seed: 8), height: 300, width: 100, channels: 3)
            let g = Tensor(in: workspace.arena, randomValues(90_000, seed: 9), height: 300, width: 100, channels: 3)
            Epilogue(.leakyReLU(slope: 0.2)).apply(to: x, in: workspace)
            activationGradient(output: x, dOutput: g, .leakyReLU(slope: 0.2), in: workspace)
            tanh(x, in: workspace)
            tanhGradient(output: x, dOutput: g, in: workspace)
            add(g, to: x, in: workspace)
            var sums = [Float](repeating: 0, count: 3)
            addColumnSums(of: x, to: &sums, in: workspace)
            return x.values + g.values + sums
        }
        #expect(results.one == results.two && results.one == results.three)
    }
}
