import Foundation
import TensorChecks
import Testing

@testable import NNCore

@Suite struct LossTests {
    private let workspace = smallWorkspace(threads: 2)

    private func tensor(_ values: [Float]) -> Tensor {
        Tensor(in: workspace.arena, values, height: 1, width: values.count, channels: 1)
    }

    @Test(arguments: [0, 1] as [Float])
    func crossEntropyAndItsGradientAgreeWithTheDefinition(target: Float) {
        let logits = randomValues(37, seed: 81).map { 6 * $0 }
        func loss(_ x: [Double]) -> Double {
            let terms = x.map { x in
                let p = 1 / (1 + exp(-x))
                return target == 1 ? -log(p) : -log(1 - p)
            }
            return terms.reduce(0, +) / Double(x.count)
        }
        let gradient = tensor([Float](repeating: .nan, count: 37))
        let value = Loss.binaryCrossEntropy(
            logits: tensor(logits), target: target, weight: 0.5, gradient: gradient)
        #expect(abs(value / loss(logits.doubles) - 1) < 1e-9)
        let expected = GradientCheck.differences(at: logits.doubles) { 0.5 * loss($0) }
        #expect(Deviation(gradient.values, from: expected).maximum < 1e-6)
    }

    @Test("Extreme logits neither overflow nor lose their gradient")
    func crossEntropyOfExtremeLogits() {
        let logits: [Float] = [-1e4, -1000, -100, -40, 40, 100, 1000, 1e4, -3e38, 3e38]
        for target in [0, 1] as [Float] {
            let gradient = tensor([Float](repeating: .nan, count: logits.count))
            for (index, logit) in logits.enumerated() {
                // One at a time, because the largest would dominate a mean.
                let one = tensor([logit])
                let slope = tensor([.nan])
                let value = Loss.binaryCrossEntropy(logits: one, target: target, weight: 1, gradient: slope)
                let wrong = (logit > 0) == (target == 0)
                if wrong {
                    #expect(abs(value / abs(Double(logit)) - 1) < 1e-12)
                    #expect(slope.data[0] == (logit > 0 ? 1 : -1))
                } else {
                    #expect(value >= 0 && value < 1e-15)
                    #expect(abs(slope.data[0]) < 1e-15)
                }
                gradient.data[index] = slope.data[0]
            }
            #expect(gradient.values.allSatisfy { $0.isFinite })
        }
    }

    @Test func aLossOfNaNIsNaN() {
        let gradient = tensor([0, 0])
        #expect(
            Loss.binaryCrossEntropy(logits: tensor([.nan, 1]), target: 1, weight: 1, gradient: gradient).isNaN)
        #expect(Loss.leastSquares(logits: tensor([.nan, 1]), target: 1, weight: 1, gradient: gradient).isNaN)
        #expect(Loss.hinge(logits: tensor([.nan, 1]), isReal: true, weight: 1, gradient: gradient).isNaN)
        #expect(Loss.negativeMean(logits: tensor([.nan, 1]), weight: 1, gradient: gradient).isNaN)
        #expect(
            Loss.absoluteDifference(
                tensor([.nan, 1]), tensor([1, 1]), weight: 1, gradient: gradient, in: workspace
            ).isNaN)
    }

    @Test func leastSquaresAgreesWithTheDefinition() {
        let logits = randomValues(29, seed: 82).map { 3 * $0 }
        for target in [0, 1] as [Float] {
            func loss(_ x: [Double]) -> Double {
                x.reduce(0) { $0 + ($1 - Double(target)) * ($1 - Double(target)) } / Double(x.count)
            }
            let gradient = tensor([Float](repeating: .nan, count: 29))
            let value = Loss.leastSquares(logits: tensor(logits), target: target, weight: 0.5, gradient: gradient)
            #expect(abs(value / loss(logits.doubles) - 1) < 1e-6)
            let expected = GradientCheck.differences(at: logits.doubles) { 0.5 * loss($0) }
            #expect(Deviation(gradient.values, from: expected).maximum < 1e-6)
        }
    }

    @Test(arguments: [true, false])
    func hingeLossesAgreeWithTheirDefinitions(isReal: Bool) {
        // No logit is within a step of the kink; some are beyond it.
        let logits = randomValues(31, seed: 88).map { 3 * $0 }.filter { abs(abs($0) - 1) > 1e-3 }
        func loss(_ x: [Double]) -> Double {
            x.reduce(0) { $0 + max(0, isReal ? 1 - $1 : 1 + $1) } / Double(x.count)
        }
        let gradient = tensor([Float](repeating: .nan, count: logits.count))
        let value = Loss.hinge(logits: tensor(logits), isReal: isReal, weight: 0.5, gradient: gradient)
        #expect(abs(value / loss(logits.doubles) - 1) < 1e-6)
        let expected = GradientCheck.differences(at: logits.doubles) { 0.5 * loss($0) }
        #expect(Deviation(gradient.values, from: expected).maximum < 1e-6)
        #expect(gradient.values.contains(0) && gradient.values.contains { $0 != 0 })

        let mean = Loss.negativeMean(logits: tensor(logits), weight: 3, gradient: gradient)
        #expect(abs(mean + logits.doubles.reduce(0, +) / Double(logits.count)) < 1e-9)
        #expect(gradient.values.allSatisfy { $0 == -3 / Float(logits.count) })
    }

    @Test func absoluteDifferenceAgreesWithTheDefinition() {
        var (a, b) = (randomValues(40_001, seed: 83), randomValues(40_001, seed: 84))
        a[17] = b[17]
        b[40_000] = a[40_000]
        let gradient = tensor([Float](repeating: .nan, count: a.count))
        let value = Loss.absoluteDifference(
            tensor(a), tensor(b), weight: 100, gradient: gradient, in: workspace)
        let expected = zip(a, b).reduce(0) { $0 + abs(Double($1.0) - Double($1.1)) } / Double(a.count)
        #expect(abs(value / expected - 1) < 1e-6)
        let step = 100 / Float(a.count)
        let signs: [Float] = zip(a, b).map { $0 > $1 ? step : $0 < $1 ? -step : 0 }
        #expect(gradient.values == signs)
        #expect(gradient.data[17] == 0 && gradient.data[40_000] == 0)
    }

    @Test func meanSquareAgreesWithTheDefinition() {
        var (a, b) = (randomValues(20_000, seed: 85), randomValues(20_000, seed: 86))
        var gradient = [Float](repeating: .nan, count: a.count)
        let value = Loss.meanSquare(&a, &b, count: a.count, weight: 7, gradient: &gradient, in: workspace)
        let differences = zip(a, b).map { Double($0) - Double($1) }
        let mean = differences.reduce(0) { $0 + $1 * $1 } / 20_000
        #expect(abs(value / mean - 1) < 1e-6)
        #expect(Deviation(gradient, from: differences.map { 14 * $0 / 20_000 }).maximum < 1e-6)
    }

    @Test func lossesAreTheSameForAnyNumberOfThreads() {
        var (a, b) = (randomValues(70_000, seed: 87), randomValues(70_000, seed: 88))
        var values: [[Double]] = []
        for threads in 1...3 {
            let workspace = smallWorkspace(threads: threads)
            var gradient = [Float](repeating: 0, count: a.count)
            let x = Tensor(in: workspace.arena, a, height: 70, width: 1000, channels: 1)
            let y = Tensor(in: workspace.arena, b, height: 70, width: 1000, channels: 1)
            let square = Loss.meanSquare(&a, &b, count: a.count, weight: 1, gradient: &gradient, in: workspace)
            let absolute = Loss.absoluteDifference(x, y, weight: 1, gradient: x, in: workspace)
            values.append([square, absolute] + (gradient + x.values).doubles)
        }
        #expect(values[0] == values[1] && values[0] == values[2])
    }
}
