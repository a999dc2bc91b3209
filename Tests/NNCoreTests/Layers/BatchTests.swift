import TensorChecks
import Testing

@testable import NNCore

/// A batch gives the same results as its images one by one.
@Suite struct BatchTests {
    private let workspace = smallWorkspace(threads: 2)
    private var arena: Arena { workspace.arena }

    private func random(like tensor: Tensor, seed: UInt64) -> Tensor {
        let result = Tensor(in: arena, like: tensor)
        _ = result.buffer.update(fromContentsOf: randomValues(result.count, seed: seed))
        return result
    }

    private func batch(height: Int, width: Int, channels: Int) -> Tensor {
        func image(_ seed: UInt64) -> Tensor {
            Tensor(
                in: arena, randomValues(height * width * channels, seed: seed), height: height, width: width,
                channels: channels)
        }
        return Tensor(in: arena, image(1), image(2))
    }

    @Test func imagesOfABatchAreTheOnesItWasMadeOf() {
        let batch = batch(height: 3, width: 5, channels: 2)
        #expect(batch.images == 2 && batch.pixels == 30 && batch.count == 60)
        #expect(batch.image(0).values == randomValues(30, seed: 1))
        #expect(batch.image(1).values == randomValues(30, seed: 2))
        #expect(!batch.hasShape(of: batch.image(0)) && batch.hasShape(of: Tensor(in: arena, like: batch)))
    }

    @Test func resamplingWorksImageByImage() {
        for (height, width) in [(4, 6), (5, 7), (3, 2)] {
            let input = batch(height: height, width: width, channels: 3)
            let pooled = MaxPool.forward(input, in: workspace)
            let enlarged = NearestUpsample.forward(input, in: workspace)
            let dOutput = random(like: enlarged, seed: 3)
            let dInput = Tensor(in: arena, like: input)
            NearestUpsample.backward(dOutput: dOutput, dInput: dInput, in: workspace)
            for index in 0..<2 {
                let image = input.image(index)
                #expect(pooled.image(index).values == MaxPool.forward(image, in: workspace).values)
                #expect(enlarged.image(index).values == NearestUpsample.forward(image, in: workspace).values)
                let dImage = Tensor(in: arena, like: image)
                NearestUpsample.backward(dOutput: dOutput.image(index), dInput: dImage, in: workspace)
                #expect(dInput.image(index).values == dImage.values)
            }
        }
    }

    @Test("Statistics are each image's own, and running averages move with the first image, then with the second")
    func normsKnowNothingOfTheOtherImage() {
        func layer() -> BatchNorm {
            let layer = BatchNorm("bn", channels: 5)
            layer.gamma.load(fileOrder: randomValues(5, seed: 4))
            layer.beta.load(fileOrder: randomValues(5, seed: 5))
            return layer
        }
        let (together, apart) = (layer(), layer())
        let input = batch(height: 6, width: 7, channels: 5)
        let residual = random(like: input, seed: 6)
        let dOutput = random(like: input, seed: 7)
        let single = Tensor(in: arena, input.image(0), input.image(1))
        let (output, expected) = (Tensor(in: arena, like: input), Tensor(in: arena, like: input))
        let saved = together.forward(
            input, .relu, adding: residual, statistics: .training, into: output, in: workspace)
        let savedApart = (0..<2).map {
            apart.forward(
                single.image($0), .relu, adding: residual.image($0), statistics: .training, into: expected.image($0),
                in: workspace)
        }
        #expect(output.values == expected.values)
        together.backward(saved, dOutput: dOutput, .relu, parameterGradients: true, in: workspace)
        for (index, saved) in savedApart.enumerated() {
            apart.backward(saved, dOutput: dOutput.image(index), .relu, parameterGradients: true, in: workspace)
        }
        #expect(input.values == single.values)
        for (one, other) in zip(together.parameters, apart.parameters) {
            #expect(one.fileOrder() == other.fileOrder(), "\(one.name)")
            if one.isTrained { #expect(one.fileOrder(one.gradient) == other.fileOrder(other.gradient)) }
        }
    }

    @Test func layersWorkImageByImageAndAddUpTheirGradients() {
        let layers: [any ConvolutionLayer] = [
            Convolution(
                "wide", inputChannels: 20, outputChannels: 12, kernelSize: 3, padding: Padding(1, .reflect), bias: true),
            Convolution(
                "strided", inputChannels: 20, outputChannels: 8, kernelSize: 4, stride: 2, padding: Padding(1),
                bias: true),
            Convolution(
                "plain", inputChannels: 20, outputChannels: 8, kernelSize: 5, padding: Padding(2, .reflect), bias: true),
            Convolution("few", inputChannels: 20, outputChannels: 1, kernelSize: 4, padding: Padding(1), bias: true),
            TransposedConvolution("up", inputChannels: 20, outputChannels: 12, bias: true),
            Convolution.upsampled("nearest", inputChannels: 20, outputChannels: 12, bias: true),
            Convolution(
                "spectral", inputChannels: 20, outputChannels: 12, kernelSize: 4, padding: Padding(1), bias: true,
                hasSpectralNorm: true),
        ]
        for layer in layers {
            for (index, parameter) in layer.parameters.enumerated() {
                parameter.load(fileOrder: randomValues(parameter.count, seed: UInt64(index + 11)))
            }
            func gradients() -> [Double] {
                defer { layer.parameters.forEach { $0.zeroGradient() } }
                return layer.parameters.filter(\.isTrained).flatMap { $0.fileOrder($0.gradient) }.map(Double.init)
            }
            let input = batch(height: 14, width: 10, channels: 20)
            let output = layer.forward(input, in: workspace)
            let dOutput = random(like: output, seed: 8)
            let dInput = Tensor(in: arena, like: input)
            layer.accumulateGradients(input: input, dOutput: dOutput, in: workspace)
            layer.inputGradient(dOutput: dOutput, dInput: dInput, in: workspace)
            let sum = gradients()
            for index in 0..<2 {
                let expected = layer.forward(input.image(index), in: workspace)
                let dImage = Tensor(in: arena, like: input.image(index))
                layer.accumulateGradients(
                    input: input.image(index), dOutput: dOutput.image(index), in: workspace)
                layer.inputGradient(dOutput: dOutput.image(index), dInput: dImage, in: workspace)
                let name = "\(layer.parameters[0].name)"
                let (y, dx) = (expected.values.map(Double.init), dImage.values.map(Double.init))
                #expect(Deviation(output.image(index).values, from: y).maximum < 1e-5, "\(name)")
                #expect(Deviation(dInput.image(index).values, from: dx).maximum < 1e-5, "\(name)")
            }
            #expect(Deviation(sum.map { Float($0) }, from: gradients()).maximum < 1e-5)
        }
    }
}
