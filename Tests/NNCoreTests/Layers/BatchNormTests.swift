import TensorChecks
import Testing

@testable import NNCore

/// Batch normalisation in double precision, by its definition.
private struct ReferenceBatchNorm {
    var gamma: [Double]
    var beta: [Double]
    var gain: Double
    var slope: Double

    static func moments(_ x: [Double], channels: Int) -> (mean: [Double], variance: [Double]) {
        let pixels = Double(x.count / channels)
        var mean = [Double](repeating: 0, count: channels)
        var variance = mean
        for (index, value) in x.enumerated() { mean[index % channels] += value / pixels }
        for (index, value) in x.enumerated() {
            variance[index % channels] += (value - mean[index % channels]) * (value - mean[index % channels]) / pixels
        }
        return (mean, variance)
    }

    func forward(
        _ x: [Double], moments given: (mean: [Double], variance: [Double])? = nil, residual: [Double]? = nil
    ) -> [Double] {
        let channels = gamma.count
        let (mean, variance) = given ?? Self.moments(x, channels: channels)
        return x.enumerated().map { index, value in
            let channel = index % channels
            let normal = (value - mean[channel]) / (variance[channel] + 1e-5).squareRoot()
            let before = gamma[channel] * normal + beta[channel]
            return (before > 0 ? gain * before : slope * before) + (residual?[index] ?? 0)
        }
    }
}

@Suite struct BatchNormTests {
    struct Case: CustomTestStringConvertible {
        var height: Int
        var width: Int
        var channels: Int
        var activation: Activation
        var testDescription: String { "\(height)x\(width)x\(channels) \(activation)" }
    }

    static let table: [Case] = [
        Activation.identity, .relu, .leakyReLU(slope: 0.2), .leakyReLU(slope: 0.25, gain: 1.5),
    ].flatMap { activation in
        [(1, 2, 1), (2, 2, 3), (3, 5, 8), (7, 4, 5), (6, 9, 12)].map {
            Case(height: $0.0, width: $0.1, channels: $0.2, activation: activation)
        }
    }

    private func layer(_ channels: Int) -> BatchNorm {
        let layer = BatchNorm("bn", channels: channels)
        layer.gamma.load(fileOrder: randomValues(channels, seed: 31).map { 1 + 0.5 * $0 })
        layer.beta.load(fileOrder: randomValues(channels, seed: 32).map { 0.3 * $0 })
        return layer
    }

    private func reference(_ layer: BatchNorm, _ activation: Activation) -> ReferenceBatchNorm {
        ReferenceBatchNorm(
            gamma: layer.gamma.fileOrder().doubles, beta: layer.beta.fileOrder().doubles,
            gain: Double(activation.positiveSlope), slope: Double(activation.negativeSlope))
    }

    private func tensor(_ values: [Float], _ shape: Case, _ workspace: Workspace) -> Tensor {
        Tensor(in: workspace.arena, values, height: shape.height, width: shape.width, channels: shape.channels)
    }

    @Test("Output agrees with the definition, with and without a residual", arguments: table)
    func forwardAgreesWithTheDefinition(_ shape: Case) {
        let workspace = smallWorkspace(threads: 2)
        let layer = layer(shape.channels)
        let reference = reference(layer, shape.activation)
        let x = randomValues(shape.height * shape.width * shape.channels, seed: 33)
        let skip = randomValues(x.count, seed: 34)
        let output = tensor(x, shape, workspace)
        output.buffer.update(repeating: .nan)
        let input = tensor(x, shape, workspace)
        _ = layer.forward(input, shape.activation, statistics: .image, into: output, in: workspace)
        #expect(Deviation(output.values, from: reference.forward(x.doubles)).maximum < 1e-5)
        #expect(input.values == x)
        _ = layer.forward(
            input, shape.activation, adding: tensor(skip, shape, workspace), statistics: .image, into: output,
            in: workspace)
        #expect(
            Deviation(output.values, from: reference.forward(x.doubles, residual: skip.doubles)).maximum < 1e-5)
        // In place, as in inference.
        _ = layer.forward(input, shape.activation, statistics: .image, into: input, in: workspace)
        #expect(Deviation(input.values, from: reference.forward(x.doubles)).maximum < 1e-5)
    }

    @Test("Gradients of input, gamma and beta agree with differences of the definition", arguments: table)
    func backwardAgreesWithDifferences(_ shape: Case) {
        let workspace = smallWorkspace(threads: 2)
        let layer = layer(shape.channels)
        let reference = reference(layer, shape.activation)
        let x = randomValues(shape.height * shape.width * shape.channels, seed: 35)
        let dOutput = randomValues(x.count, seed: 36)
        func project(_ output: [Double]) -> Double { zip(output, dOutput).reduce(0) { $0 + $1.0 * Double($1.1) } }

        for statistics in [BatchNorm.Statistics.training, .image] {
            let input = tensor(x, shape, workspace)
            let gradient = tensor(dOutput, shape, workspace)
            let output = Tensor(in: workspace.arena, like: input)
            layer.gamma.gradient!.update(repeating: 0.25, count: shape.channels)
            layer.beta.gradient!.update(repeating: -0.5, count: shape.channels)
            let saved = layer.forward(input, shape.activation, statistics: statistics, into: output, in: workspace)
            layer.backward(saved, dOutput: gradient, shape.activation, parameterGradients: true, in: workspace)
            #expect(gradient.values == dOutput)

            let dInput = GradientCheck.differences(at: x.doubles) { project(reference.forward($0)) }
            // A pair of pixels normalises to +-1 for any values, so its true gradient is pure cancellation.
            let tolerance = shape.height * shape.width < 4 ? 2e-3 : 2e-5
            let scale = dInput.map(abs).max()!
            if scale > 1e-3 { #expect(Deviation(input.values, from: dInput).maximum < tolerance) }
            let dGamma = GradientCheck.differences(at: reference.gamma) { gamma in
                var moved = reference
                moved.gamma = gamma
                return project(moved.forward(x.doubles)) + gamma.reduce(0, +) / 4
            }
            let dBeta = GradientCheck.differences(at: reference.beta) { beta in
                var moved = reference
                moved.beta = beta
                return project(moved.forward(x.doubles)) - beta.reduce(0, +) / 2
            }
            #expect(Deviation(layer.gamma.fileOrder(layer.gamma.gradient), from: dGamma).maximum < 2e-5)
            #expect(Deviation(layer.beta.fileOrder(layer.beta.gradient), from: dBeta).maximum < 2e-5)
        }
    }

    @Test func frozenBackwardLeavesParameterGradientsAlone() {
        let shape = Self.table[8]
        let workspace = smallWorkspace()
        let layer = layer(shape.channels)
        let x = randomValues(shape.height * shape.width * shape.channels, seed: 37)
        let results = [true, false].map { wanted in
            layer.gamma.zeroGradient()
            layer.beta.zeroGradient()
            let input = tensor(x, shape, workspace)
            let output = Tensor(in: workspace.arena, like: input)
            let saved = layer.forward(input, .relu, statistics: .image, into: output, in: workspace)
            layer.backward(
                saved, dOutput: tensor(randomValues(x.count, seed: 38), shape, workspace), .relu,
                parameterGradients: wanted, in: workspace)
            return (input.values, layer.gamma.fileOrder(layer.gamma.gradient))
        }
        #expect(results[0].0 == results[1].0)
        #expect(results[0].1.contains { $0 != 0 } && results[1].1.allSatisfy { $0 == 0 })
    }

    @Test("Running averages move by 0.1 towards the mean and the unbiased variance, for the statistics 'batch' alone")
    func runningAveragesAreAsInPyTorch() {
        let shape = Case(height: 3, width: 5, channels: 4, activation: .relu)
        let workspace = smallWorkspace()
        let layer = layer(shape.channels)
        var mean = [Double](repeating: 0, count: 4)
        var variance = [Double](repeating: 1, count: 4)
        for step in 0..<5 {
            let x = randomValues(60, seed: UInt64(40 + step)).map { 3 * $0 + 1 }
            let input = tensor(x, shape, workspace)
            let output = Tensor(in: workspace.arena, like: input)
            _ = layer.forward(input, .relu, statistics: .training, into: output, in: workspace)
            let moments = ReferenceBatchNorm.moments(x.doubles, channels: 4)
            for channel in 0..<4 {
                mean[channel] += 0.1 * (moments.mean[channel] - mean[channel])
                variance[channel] += 0.1 * (moments.variance[channel] * 15 / 14 - variance[channel])
            }
        }
        #expect(Deviation(layer.runningMean!.fileOrder(), from: mean).maximum < 1e-6)
        #expect(Deviation(layer.runningVariance!.fileOrder(), from: variance).maximum < 1e-6)

        let x = randomValues(60, seed: 50)
        let input = tensor(x, shape, workspace)
        let output = Tensor(in: workspace.arena, like: input)
        for statistics in [BatchNorm.Statistics.image, .running] {
            _ = layer.forward(input, .relu, statistics: statistics, into: output, in: workspace)
        }
        #expect(Deviation(layer.runningMean!.fileOrder(), from: mean).maximum < 1e-6)
        let expected = reference(layer, .relu).forward(x.doubles, moments: (mean, variance))
        #expect(Deviation(output.values, from: expected).maximum < 1e-5)
    }

    @Test func instanceNormalisationHasNoMemoryAndAlwaysUsesTheImagesOwnStatistics() {
        let shape = Case(height: 3, width: 5, channels: 4, activation: .identity)
        let workspace = smallWorkspace()
        let layer = BatchNorm("in", channels: 4, tracksStatistics: false)
        #expect(layer.parameters.map(\.name) == ["in.weight", "in.bias"])
        let x = randomValues(60, seed: 51).map { 2 * $0 + 7 }
        let outputs = [BatchNorm.Statistics.training, .image, .running].map { statistics in
            let output = tensor(x, shape, workspace)
            _ = layer.forward(
                tensor(x, shape, workspace), .identity, statistics: statistics, into: output, in: workspace)
            return output.values
        }
        #expect(outputs[0] == outputs[1] && outputs[0] == outputs[2])
        #expect(Deviation(outputs[0], from: reference(layer, .identity).forward(x.doubles)).maximum < 1e-5)
    }

    @Test("A mean a thousand deviations away leaves the variance right to four digits")
    func largeMeansCostNoDigitsOfTheVariance() {
        let shape = Case(height: 64, width: 64, channels: 5, activation: .identity)
        let workspace = smallWorkspace(threads: 2)
        let layer = BatchNorm("bn", channels: 5)
        let x = randomValues(64 * 64 * 5, seed: 52).map { $0 + 1000 }
        let output = tensor(x, shape, workspace)
        _ = layer.forward(tensor(x, shape, workspace), .identity, statistics: .training, into: output, in: workspace)
        let moments = ReferenceBatchNorm.moments(x.doubles, channels: 5)
        for channel in 0..<5 {
            let variance = (Double(layer.runningVariance!.value[channel]) - 0.9) / 0.1 * 4095 / 4096
            // The average is rounded near 1, but only a tenth of it comes from the batch.
            #expect(abs(variance / moments.variance[channel] - 1) < 1e-4)
            #expect(abs(Double(layer.runningMean!.value[channel]) / 0.1 - moments.mean[channel]) < 1e-2)
        }
        #expect(Deviation(output.values, from: reference(layer, .identity).forward(x.doubles)).maximum < 2e-3)
    }

    @Test func constantImagesNormaliseToBetaWithoutNaN() {
        let shape = Case(height: 4, width: 4, channels: 2, activation: .identity)
        let workspace = smallWorkspace()
        let layer = layer(2)
        let input = tensor([Float](repeating: 0.75, count: 32), shape, workspace)
        let output = Tensor(in: workspace.arena, like: input)
        let saved = layer.forward(input, .identity, statistics: .training, into: output, in: workspace)
        let beta = layer.beta.fileOrder()
        for (index, value) in output.values.enumerated() { #expect(abs(value - beta[index % 2]) < 1e-4) }
        layer.backward(
            saved, dOutput: tensor(randomValues(32, seed: 53), shape, workspace), .identity, parameterGradients: true,
            in: workspace)
        #expect(input.values.allSatisfy { $0.isFinite })
    }

    @Test func isTheSameBytesForAnyNumberOfThreads() {
        let shape = Case(height: 70, width: 61, channels: 12, activation: .relu)
        let results = forOneToThreeThreads { workspace in
            let layer = self.layer(12)
            let x = randomValues(shape.height * shape.width * 12, seed: 54)
            let input = self.tensor(x, shape, workspace)
            let output = Tensor(in: workspace.arena, like: input)
            let saved = layer.forward(
                input, .relu, adding: self.tensor(x, shape, workspace), statistics: .training, into: output,
                in: workspace)
            layer.backward(
                saved, dOutput: self.tensor(randomValues(x.count, seed: 55), shape, workspace), .relu,
                parameterGradients: true, in: workspace)
            return output.values + input.values + layer.gamma.fileOrder(layer.gamma.gradient)
                + layer.beta.fileOrder(layer.beta.gradient) + layer.runningVariance!.fileOrder()
        }
        #expect(results.one == results.two && results.one == results.three)
    }
}
