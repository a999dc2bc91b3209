import TensorChecks
import Testing

@testable import NNCore

/// A convolution layer: its sizes and parameters.
struct LayerCase: CustomTestStringConvertible {
    var height: Int
    var width: Int
    var inputChannels: Int
    var outputChannels: Int
    var kernelSize: Int
    var stride: Int
    var padding: Padding

    var testDescription: String {
        "\(height)x\(width) \(inputChannels)->\(outputChannels), \(kernelSize)x\(kernelSize) stride \(stride) padding \(padding.amount) "
            + "\(padding.mode)"
    }

    /// The method's layers on small images.
    static let table: [LayerCase] = PaddingMode.allCases.flatMap { mode in
        [
            LayerCase(
                height: 9, width: 12, inputChannels: 3, outputChannels: 8, kernelSize: 7, stride: 1,
                padding: Padding(3, mode)),
            LayerCase(
                height: 4, width: 5, inputChannels: 8, outputChannels: 3, kernelSize: 7, stride: 1,
                padding: Padding(3, mode)),
            LayerCase(
                height: 7, width: 10, inputChannels: 12, outputChannels: 5, kernelSize: 3, stride: 1,
                padding: Padding(1, mode)),
            LayerCase(
                height: 2, width: 2, inputChannels: 24, outputChannels: 20, kernelSize: 3, stride: 1,
                padding: Padding(1, mode)),
            LayerCase(
                height: 8, width: 6, inputChannels: 5, outputChannels: 12, kernelSize: 3, stride: 2,
                padding: Padding(1, mode)),
            LayerCase(
                height: 8, width: 14, inputChannels: 3, outputChannels: 8, kernelSize: 4, stride: 2,
                padding: Padding(1, mode)),
            LayerCase(
                height: 5, width: 4, inputChannels: 8, outputChannels: 1, kernelSize: 4, stride: 1,
                padding: Padding(1, mode)),
            LayerCase(
                height: 11, width: 7, inputChannels: 2, outputChannels: 3, kernelSize: 4, stride: 3,
                padding: Padding(2, mode)),
        ]
    }
}

@Suite struct ConvolutionLayerTests {
    @Test(
        "Layers with bias agree with the definition, add to their gradients, and pass finite differences",
        arguments: LayerCase.table)
    func layerIsCorrect(_ shape: LayerCase) {
        let layer = Convolution(
            "layer", inputChannels: shape.inputChannels, outputChannels: shape.outputChannels,
            kernelSize: shape.kernelSize, stride: shape.stride,
            padding: shape.padding, bias: true)
        let reference = ReferenceConvolution(kernelSize: shape.kernelSize, stride: shape.stride, padding: shape.padding)
        let x = Image(height: shape.height, width: shape.width, channels: shape.inputChannels, seed: 11)
        let weight = randomValues(layer.weight.count, seed: 12)
        let bias = randomValues(shape.outputChannels, seed: 13)
        let workspace = smallWorkspace(threads: 2)

        func forward(_ x: [Float], _ weight: [Float], _ bias: [Float]) -> [Float] {
            layer.weight.value.update(from: weight, count: weight.count)
            layer.bias!.value.update(from: bias, count: bias.count)
            return workspace.arena.scoped {
                let input = Tensor(
                    in: workspace.arena, x, height: shape.height, width: shape.width, channels: shape.inputChannels)
                return layer.forward(input, in: workspace).values
            }
        }

        let output = forward(x.values, weight, bias)
        var expected = reference.forward(x, weight: weight, outputChannels: shape.outputChannels)
        for index in expected.indices { expected[index] += Double(bias[index % shape.outputChannels]) }
        #expect(Deviation(output, from: expected).maximum < 1e-5)

        let dOutput = randomValues(output.count, seed: 14)
        let start = randomValues(weight.count, seed: 15)
        layer.weight.gradient!.update(from: start, count: start.count)
        layer.bias!.gradient!.update(repeating: 0.5, count: shape.outputChannels)
        let input = Tensor(
            in: workspace.arena, x.values, height: shape.height, width: shape.width, channels: shape.inputChannels)
        let gradient = Tensor(
            in: workspace.arena, dOutput, height: reference.outputLength(shape.height),
            width: reference.outputLength(shape.width), channels: shape.outputChannels)
        let dInput = Tensor(in: workspace.arena, like: input)
        dInput.buffer.update(repeating: .nan)
        layer.accumulateGradients(input: input, dOutput: gradient, in: workspace)
        layer.inputGradient(dOutput: gradient, dInput: dInput, in: workspace)
        #expect(gradient.values == dOutput, "the output's gradient is only read")

        let dWeight = zip(UnsafeBufferPointer(start: layer.weight.gradient, count: start.count), start).map { $0 - $1 }
        let dBias = UnsafeBufferPointer(start: layer.bias!.gradient, count: shape.outputChannels).map { $0 - 0.5 }
        let weightReference = reference.weightGradient(x, outputChannels: shape.outputChannels, dOutput: dOutput)
        #expect(Deviation(dWeight, from: weightReference).maximum < 1e-5)
        let inputReference = reference.inputGradient(
            x, weight: weight, outputChannels: shape.outputChannels, dOutput: dOutput)
        #expect(Deviation(dInput.values, from: inputReference).maximum < 1e-5)

        // A convolution is linear in each argument, so a large step costs no accuracy.
        #expect(
            GradientCheck.projectionError(at: x.values, gradient: dInput.values, step: 0.5) {
                dot(forward($0, weight, bias), dOutput)
            } < 1e-4)
        #expect(
            GradientCheck.projectionError(at: weight, gradient: dWeight, step: 0.5) {
                dot(forward(x.values, $0, bias), dOutput)
            } < 1e-4)
        #expect(
            GradientCheck.projectionError(at: bias, gradient: dBias, step: 0.5) {
                dot(forward(x.values, weight, $0), dOutput)
            } < 1e-4)
    }

    @Test("Layers are the same bytes for 1, 2 and 3 threads")
    func layersAreTheSameForAnyNumberOfThreads() {
        let layers: [any ConvolutionLayer] = [
            Convolution(
                "wide", inputChannels: 20, outputChannels: 12, kernelSize: 3, padding: Padding(1, .reflect), bias: true),
            Convolution("head", inputChannels: 20, outputChannels: 3, kernelSize: 7, padding: Padding(3, .reflect)),
            Convolution(
                "strided", inputChannels: 20, outputChannels: 8, kernelSize: 4, stride: 2, padding: Padding(1),
                bias: true),
            TransposedConvolution("up", inputChannels: 20, outputChannels: 12, bias: true),
            Convolution.upsampled("nearest", inputChannels: 20, outputChannels: 12, bias: true),
            Convolution(
                "spectral", inputChannels: 20, outputChannels: 12, kernelSize: 4, padding: Padding(1), bias: true,
                hasSpectralNorm: true),
        ]
        for layer in layers {
            for (index, parameter) in layer.parameters.enumerated() {
                parameter.load(fileOrder: randomValues(parameter.count, seed: UInt64(index + 1)))
            }
            let results = forOneToThreeThreads { workspace in
                let arena = workspace.arena
                let input = Tensor(
                    in: arena, randomValues(40 * 36 * 20, seed: 5), height: 40, width: 36, channels: 20)
                let output = layer.forward(input, in: workspace)
                let dOutput = Tensor(
                    in: arena, randomValues(output.count, seed: 6), height: output.height, width: output.width,
                    channels: output.channels)
                let dInput = Tensor(in: arena, like: input)
                layer.parameters.forEach { $0.zeroGradient() }
                layer.accumulateGradients(input: input, dOutput: dOutput, in: workspace)
                layer.inputGradient(dOutput: dOutput, dInput: dInput, in: workspace)
                return output.values + dInput.values
                    + layer.parameters.filter(\.isTrained)
                    .flatMap { UnsafeBufferPointer(start: $0.gradient, count: $0.count) }
            }
            #expect(results.one == results.two && results.one == results.three, "\(layer.parameters[0].name)")
        }
    }
}
