import Foundation
import TensorChecks
import Testing

@testable import NNCore

@Suite struct AdamTests {
    /// Adam in double precision, as published.
    private struct Reference {
        var value, first, second: [Double]
        var steps = 0.0

        mutating func step(_ gradient: [Float], rate: Double, beta1: Double, beta2: Double) {
            steps += 1
            for index in value.indices {
                let g = Double(gradient[index])
                first[index] = beta1 * first[index] + (1 - beta1) * g
                second[index] = beta2 * second[index] + (1 - beta2) * g * g
                let mean = first[index] / (1 - pow(beta1, steps))
                let square = second[index] / (1 - pow(beta2, steps))
                value[index] -= rate * mean / (square.squareRoot() + 1e-8)
            }
        }
    }

    @Test("Twenty steps with changing rates agree with double precision, and every gradient is zeroed")
    func twentyStepsAgreeWithTheDefinition() {
        let workspace = smallWorkspace(threads: 2)
        let parameters = [
            Parameter("weight", .convolution(kernelSize: 3, inputChannels: 5, outputChannels: 7), trained: true),
            Parameter("bias", .vector(40_000), trained: true),
        ]
        var references = parameters.enumerated().map { index, parameter in
            let start = randomValues(parameter.count, seed: UInt64(index + 91))
            parameter.value.update(from: start, count: start.count)
            let zeros = [Double](repeating: 0, count: start.count)
            return Reference(value: start.doubles, first: zeros, second: zeros)
        }
        var adam = Adam(beta1: 0.5, beta2: 0.999)
        for step in 1...20 {
            let rate: Float = step < 10 ? 2e-2 : 2e-2 / Float(step)
            for (index, parameter) in parameters.enumerated() {
                // Magnitudes over ten orders, and exact zeros.
                let gradient = randomValues(parameter.count, seed: UInt64(100 * step + index)).enumerated().map {
                    $0.offset % 50 == 0 ? 0 : $0.element * pow(10, Float($0.offset % 10 - 8))
                }
                parameter.gradient!.update(from: gradient, count: gradient.count)
                references[index].step(
                    gradient, rate: Double(rate), beta1: 0.5, beta2: Double(0.999 as Float))
            }
            adam.step(parameters, rate: rate, in: workspace)
        }
        #expect(adam.steps == 20)
        for (parameter, reference) in zip(parameters, references) {
            let count = parameter.count
            let moved = zip(UnsafeBufferPointer(start: parameter.value, count: count), reference.value)
            // The parameters are near 1: twenty roundings of half a unit in the last place, and Adam's own roundings.
            #expect(moved.allSatisfy { abs(Double($0) - $1) < 3e-6 })
            #expect(
                Deviation(Array(UnsafeBufferPointer(start: parameter.firstMoment, count: count)), from: reference.first)
                    .maximum < 1e-6)
            #expect(
                Deviation(
                    Array(UnsafeBufferPointer(start: parameter.secondMoment, count: count)), from: reference.second
                )
                .maximum < 1e-6)
            #expect(UnsafeBufferPointer(start: parameter.gradient, count: count).allSatisfy { $0 == 0 })
        }
    }

    @Test func theFirstStepMovesEveryParameterByTheRateWhateverTheGradientsSize() {
        let workspace = smallWorkspace()
        let parameter = Parameter("p", .vector(4), trained: true)
        let gradient: [Float] = [1e-3, -1, 1e5, -1e-4]
        parameter.gradient!.update(from: gradient, count: 4)
        var adam = Adam(beta1: 0.5, beta2: 0.999)
        adam.step([parameter], rate: 0.1, in: workspace)
        for (value, expected) in zip(parameter.fileOrder(), [-0.1, 0.1, -0.1, 0.1] as [Float]) {
            #expect(abs(value - expected) < 2e-5)
        }
    }

    @Test func parametersThatAreNotTrainedStayAsTheyAre() {
        let workspace = smallWorkspace()
        let frozen = Parameter("running_mean", .vector(8), trained: false)
        frozen.fill(3)
        var adam = Adam(beta1: 0.5, beta2: 0.999)
        adam.step([frozen], rate: 1, in: workspace)
        #expect(frozen.fileOrder() == [Float](repeating: 3, count: 8))
    }

    @Test func continuingFromSavedMomentsAndStepsIsTheSameAsNotStopping() {
        let workspace = smallWorkspace(threads: 2)
        func gradient(_ step: Int) -> [Float] { randomValues(500, seed: UInt64(step)) }
        let whole = Parameter("p", .vector(500), trained: true)
        var adam = Adam(beta1: 0.5, beta2: 0.999)
        var resumed = Parameter("p", .vector(500), trained: true)
        var second = Adam(beta1: 0.5, beta2: 0.999)
        for step in 1...6 {
            whole.gradient!.update(from: gradient(step), count: 500)
            adam.step([whole], rate: 1e-2, in: workspace)
            resumed.gradient!.update(from: gradient(step), count: 500)
            second.step([resumed], rate: 1e-2, in: workspace)
            if step == 3 {
                let copy = Parameter("p", .vector(500), trained: true)
                copy.load(fileOrder: resumed.fileOrder())
                copy.load(fileOrder: resumed.fileOrder(resumed.firstMoment), into: copy.firstMoment)
                copy.load(fileOrder: resumed.fileOrder(resumed.secondMoment), into: copy.secondMoment)
                resumed = copy
                let steps = second.steps
                second = Adam(beta1: 0.5, beta2: 0.999)
                second.steps = steps
            }
        }
        #expect(whole.fileOrder() == resumed.fileOrder())
    }
}
