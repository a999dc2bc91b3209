import TensorChecks
import Testing

@testable import NNCore

@Suite struct SpectralNormTests {
    private func layer() -> Convolution {
        let layer = Convolution(
            "layer", inputChannels: 5, outputChannels: 12, kernelSize: 4, stride: 2, padding: Padding(1), bias: true,
            hasSpectralNorm: true)
        var stream = RandomStream(seed: 3, purpose: 2)
        layer.weight.fillNormal(mean: 0.1, deviation: 1, from: &stream)
        layer.spectralNorm!.initialise(from: &stream)
        return layer
    }

    /// `left^T W right` for a weight `[outputChannels, inputChannels * kernel * kernel]`, all in the file's order.
    private func sigma(_ weight: [Double], _ norm: SpectralNorm) -> Double {
        let (left, right) = (norm.left.fileOrder(), norm.right.fileOrder())
        var sum = 0.0
        for (row, u) in left.enumerated() {
            for (column, v) in right.enumerated() { sum += Double(u) * weight[row * right.count + column] * Double(v) }
        }
        return sum
    }

    /// Power iteration in double precision until it converges.
    private func largestSingularValue(_ weight: [Double], rows: Int) -> Double {
        let columns = weight.count / rows
        var u = [Double](repeating: 1, count: rows)
        var length = 0.0
        for _ in 0..<5000 {
            var v = [Double](repeating: 0, count: columns)
            for index in weight.indices { v[index % columns] += weight[index] * u[index / columns] }
            length = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
            u = [Double](repeating: 0, count: rows)
            for index in weight.indices { u[index / columns] += weight[index] * v[index % columns] / length }
            length = u.reduce(0) { $0 + $1 * $1 }.squareRoot()
            for row in u.indices { u[row] /= length }
        }
        return length
    }

    @Test func theVectorsHaveLengthOneAndComeToTheLargestSingularValue() {
        let (layer, workspace) = (layer(), smallWorkspace())
        let norm = layer.spectralNorm!
        let weight = layer.weight.fileOrder().doubles
        let largest = largestSingularValue(weight, rows: 12)
        for vector in [norm.left, norm.right] {
            #expect(abs(dot(vector.fileOrder(), vector.fileOrder()) - 1) < 1e-5)
        }
        #expect(norm.right.layout.fileShape == [1, 5, 4, 4])
        #expect(sigma(weight, norm) > 0.9 * largest && sigma(weight, norm) < 1.0001 * largest)
        for _ in 0..<500 { norm.iterate() }
        #expect(abs(sigma(weight, norm) / largest - 1) < 1e-4)
        norm.normalise(in: workspace)
        #expect(Deviation(norm.normalised.fileOrder(), from: weight.map { $0 / largest }).maximum < 1e-4)
        #expect(layer.weight.fileOrder().doubles == weight, "the weight keeps its values")
    }

    @Test func anIterationIsPyTorchs() {
        let layer = layer()
        let norm = layer.spectralNorm!
        let weight = layer.weight.fileOrder().doubles
        // u = W v and v = W' u, each scaled to length 1.
        func unit(_ vector: [Double]) -> [Double] {
            let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return vector.map { $0 / length }
        }
        norm.right.load(fileOrder: randomValues(80, seed: 9))
        let v = norm.right.fileOrder().doubles
        let u = unit((0..<12).map { row in (0..<80).reduce(0) { $0 + weight[row * 80 + $1] * v[$1] } })
        let next = unit((0..<80).map { column in (0..<12).reduce(0) { $0 + weight[$1 * 80 + column] * u[$1] } })
        norm.iterate()
        #expect(Deviation(norm.left.fileOrder(), from: u).maximum < 1e-5)
        #expect(Deviation(norm.right.fileOrder(), from: next).maximum < 1e-5)
    }

    @Test("The gradient is that of the weight over u'Wv, u and v held, and adds up")
    func theGradientPassesDifferences() {
        let (layer, workspace) = (layer(), smallWorkspace(threads: 2))
        let norm = layer.spectralNorm!
        let x = Image(height: 10, width: 8, channels: 5, seed: 4)
        let dOutput = randomValues(5 * 4 * 12, seed: 5)
        let input = Tensor(in: workspace.arena, x.values, height: 10, width: 8, channels: 5)
        let gradient = Tensor(in: workspace.arena, dOutput, height: 5, width: 4, channels: 12)
        let output = layer.forward(input, in: workspace)
        // The convolution is linear in the normalised weight, and the reference knows that weight's gradient.
        let reference = ReferenceConvolution(kernelSize: 4, stride: 2, padding: Padding(1))
        let inMemory = reference.weightGradient(x, outputChannels: 12, dOutput: dOutput)
        let holder = Parameter("holder", layer.weight.layout, trained: false)
        holder.value.update(from: inMemory.map { Float($0) }, count: inMemory.count)
        let dNormalised = holder.fileOrder().doubles
        func function(_ weight: [Double]) -> Double {
            zip(weight, dNormalised).reduce(0) { $0 + $1.0 * $1.1 } / sigma(weight, norm)
        }
        let weight = layer.weight.fileOrder().doubles
        #expect(abs(dot(output.values, dOutput) / function(weight) - 1) < 1e-4)
        for _ in 0..<2 { layer.accumulateGradients(input: input, dOutput: gradient, in: workspace) }
        let expected = GradientCheck.differences(at: weight) { 2 * function($0) }
        #expect(Deviation(layer.weight.fileOrder(layer.weight.gradient), from: expected).maximum < 1e-4)
        // The gradient has no component along the weight itself.
        let along = zip(layer.weight.fileOrder(layer.weight.gradient).doubles, weight).reduce(0) { $0 + $1.0 * $1.1 }
        #expect(abs(along) < 1e-3)
    }

    @Test func theInputsGradientIsThatOfTheNormalisedWeight() {
        let (layer, workspace) = (layer(), smallWorkspace(threads: 2))
        let plain = Convolution(
            "plain", inputChannels: 5, outputChannels: 12, kernelSize: 4, stride: 2, padding: Padding(1))
        let input = Tensor(in: workspace.arena, randomValues(400, seed: 4), height: 10, width: 8, channels: 5)
        let output = layer.forward(input, in: workspace)
        plain.weight.copy(layer.spectralNorm!.normalised)
        #expect(plain.forward(input, in: workspace).values == output.values)
        let dOutput = Tensor(in: workspace.arena, like: output)
        _ = dOutput.buffer.update(fromContentsOf: randomValues(dOutput.count, seed: 5))
        let (dInput, expected) = (Tensor(in: workspace.arena, like: input), Tensor(in: workspace.arena, like: input))
        layer.inputGradient(dOutput: dOutput, dInput: dInput, in: workspace)
        plain.inputGradient(dOutput: dOutput, dInput: expected, in: workspace)
        #expect(dInput.values == expected.values)
    }
}
