import Testing

@testable import NNCore

/// The im2col kernels, by the same driver as the fast ones.
private func plainKernel(taps: Int, stride: Int) -> ConvolutionKernel {
    @Sendable func shape(_ input: Tensor, _ output: Tensor, _ padding: Padding) -> ConvolutionShape {
        ConvolutionShape(
            inHeight: input.height, inWidth: input.width, inChannels: input.channels, outChannels: output.channels,
            kernel: taps, stride: stride, padding: padding)
    }
    return ConvolutionKernel(
        taps: taps, stride: stride,
        forward: { input, padding, weight, output, workspace in
            PlainConvolution.forward(
                shape(input, output, padding), input: input, weight: weight, bias: nil, output: output, in: workspace)
        },
        inputGradient: { dOutput, weight, padding, dInput, workspace in
            PlainConvolution.inputGradient(
                shape(dInput, dOutput, padding), dOutput: dOutput, weight: weight, dInput: dInput, in: workspace)
        },
        weightGradient: { input, padding, dOutput, dWeight, workspace in
            PlainConvolution.weightGradient(
                shape(input, dOutput, padding), input: input, dOutput: dOutput, dWeight: dWeight, in: workspace)
        })
}

/// A kernel and the odd shapes it is tried on.
struct PlainCase: CustomTestStringConvertible {
    var taps: Int
    var stride: Int
    var shapes: [ConvolutionCase]

    var testDescription: String { "\(taps)x\(taps) stride \(stride)" }

    static let paddings: [Padding] =
        [.none] + (1...3).flatMap { amount in PaddingMode.allCases.map { Padding(amount, $0) } }

    static let table: [PlainCase] = [1, 3, 4, 7].flatMap { taps in
        (1...3).map { stride in
            let sizes = [(1, 1), (2, 5), (5, 2), (4, 7), (8, 6), (9, 11), (13, 4)]
            let widths = [(1, 1), (3, 8), (8, 3), (5, 12), (12, 5), (1, 8), (17, 2)]
            var shapes: [ConvolutionCase] = []
            for (index, padding) in paddings.enumerated() {
                for (offset, (height, width)) in sizes.enumerated() {
                    let (inputs, outputs) = widths[(index + 2 * offset + taps) % widths.count]
                    shapes.append(
                        ConvolutionCase(
                            images: 1 + (index + offset) % 2, height: height, width: width, inputs: inputs,
                            outputs: outputs, padding: padding))
                }
            }
            let kernel = plainKernel(taps: taps, stride: stride)
            return PlainCase(taps: taps, stride: stride, shapes: shapes.filter(kernel.takes))
        }
    }
}

@Suite struct PlainConvolutionTests {
    @Test("Every kernel, stride and padding agrees with its definition in all directions", arguments: PlainCase.table)
    func agreesWithItsDefinition(_ plain: PlainCase) {
        #expect(plain.shapes.count >= 20)
        let kernel = plainKernel(taps: plain.taps, stride: plain.stride)
        for shape in plain.shapes { kernel.check(shape, rms: 1e-6, maximum: 1e-5) }
    }

    @Test("Blocks that fill several parts are the same bytes for 1, 2 and 3 threads")
    func isTheSameForAnyNumberOfThreads() {
        for (taps, stride) in [(3, 1), (3, 2), (4, 2), (7, 1)] {
            for (inputs, outputs) in [(3, 5), (20, 12)] {
                plainKernel(taps: taps, stride: stride).checkThreads(
                    ConvolutionCase(
                        height: 52, width: 47, inputs: inputs, outputs: outputs, padding: Padding(1, .reflect)))
            }
        }
    }
}

/// A convolution layer: sizes and its own parameters.
struct LayerCase: CustomTestStringConvertible {
    var height: Int
    var width: Int
    var inputs: Int
    var outputs: Int
    var taps: Int
    var stride: Int
    var padding: Padding

    var testDescription: String {
        "\(height)x\(width) \(inputs)->\(outputs), \(taps)x\(taps) stride \(stride) padding \(padding.amount) "
            + "\(padding.mode)"
    }

    /// The layers of the method on small images.
    static let table: [LayerCase] = PaddingMode.allCases.flatMap { mode in
        [
            LayerCase(height: 9, width: 12, inputs: 3, outputs: 8, taps: 7, stride: 1, padding: Padding(3, mode)),
            LayerCase(height: 4, width: 5, inputs: 8, outputs: 3, taps: 7, stride: 1, padding: Padding(3, mode)),
            LayerCase(height: 7, width: 10, inputs: 12, outputs: 5, taps: 3, stride: 1, padding: Padding(1, mode)),
            LayerCase(height: 2, width: 2, inputs: 24, outputs: 20, taps: 3, stride: 1, padding: Padding(1, mode)),
            LayerCase(height: 8, width: 6, inputs: 5, outputs: 12, taps: 3, stride: 2, padding: Padding(1, mode)),
            LayerCase(height: 8, width: 14, inputs: 3, outputs: 8, taps: 4, stride: 2, padding: Padding(1, mode)),
            LayerCase(height: 5, width: 4, inputs: 8, outputs: 1, taps: 4, stride: 1, padding: Padding(1, mode)),
            LayerCase(height: 11, width: 7, inputs: 2, outputs: 3, taps: 4, stride: 3, padding: Padding(2, mode)),
        ]
    }
}

@Suite struct ConvolutionLayerTests {
    @Test(
        "Layers with bias agree with the definition, add to their gradients, and pass finite differences",
        arguments: LayerCase.table)
    func layerIsCorrect(_ shape: LayerCase) {
        let layer = Convolution(
            "layer", inputs: shape.inputs, outputs: shape.outputs, kernel: shape.taps, stride: shape.stride,
            padding: shape.padding, bias: true)
        let reference = ReferenceConvolution(taps: shape.taps, stride: shape.stride, padding: shape.padding)
        let x = Image(height: shape.height, width: shape.width, channels: shape.inputs, seed: 11)
        let weight = randomValues(layer.weight.count, seed: 12)
        let bias = randomValues(shape.outputs, seed: 13)
        let workspace = smallWorkspace(threads: 2)

        func forward(_ x: [Float], _ weight: [Float], _ bias: [Float]) -> [Float] {
            layer.weight.value.update(from: weight, count: weight.count)
            layer.bias!.value.update(from: bias, count: bias.count)
            return workspace.arena.scoped {
                let input = Tensor(
                    in: workspace.arena, x, height: shape.height, width: shape.width, channels: shape.inputs)
                return layer.forward(input, in: workspace).values
            }
        }

        let output = forward(x.values, weight, bias)
        var expected = reference.forward(x, weight: weight, outputs: shape.outputs)
        for index in expected.indices { expected[index] += Double(bias[index % shape.outputs]) }
        #expect(Deviation(output, from: expected).maximum < 1e-5)

        let dOutput = randomValues(output.count, seed: 14)
        let start = randomValues(weight.count, seed: 15)
        layer.weight.gradient!.update(from: start, count: start.count)
        layer.bias!.gradient!.update(repeating: 0.5, count: shape.outputs)
        let input = Tensor(
            in: workspace.arena, x.values, height: shape.height, width: shape.width, channels: shape.inputs)
        let gradient = Tensor(
            in: workspace.arena, dOutput, height: reference.outputLength(shape.height),
            width: reference.outputLength(shape.width), channels: shape.outputs)
        let dInput = Tensor(in: workspace.arena, like: input)
        dInput.buffer.update(repeating: .nan)
        layer.accumulateGradients(input: input, dOutput: gradient, in: workspace)
        layer.inputGradient(dOutput: gradient, dInput: dInput, in: workspace)
        #expect(gradient.values == dOutput, "the output's gradient is only read")

        let dWeight = zip(UnsafeBufferPointer(start: layer.weight.gradient, count: start.count), start).map { $0 - $1 }
        let dBias = UnsafeBufferPointer(start: layer.bias!.gradient, count: shape.outputs).map { $0 - 0.5 }
        let weightReference = reference.weightGradient(x, outputs: shape.outputs, dOutput: dOutput)
        #expect(Deviation(dWeight, from: weightReference).maximum < 1e-5)
        let inputReference = reference.inputGradient(
            x, weight: weight, outputs: shape.outputs, dOutput: dOutput)
        #expect(Deviation(dInput.values, from: inputReference).maximum < 1e-5)

        // A convolution is linear in each of its arguments, so a large step costs nothing.
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
            Convolution("wide", inputs: 20, outputs: 12, kernel: 3, padding: Padding(1, .reflect), bias: true),
            Convolution("head", inputs: 20, outputs: 3, kernel: 7, padding: Padding(3, .reflect)),
            Convolution("strided", inputs: 20, outputs: 8, kernel: 4, stride: 2, padding: Padding(1), bias: true),
            TransposedConvolution("up", inputs: 20, outputs: 12, bias: true),
            UpsampledConvolution("nearest", inputs: 20, outputs: 12, bias: true),
            Convolution(
                "spectral", inputs: 20, outputs: 12, kernel: 4, padding: Padding(1), bias: true, hasSpectralNorm: true),
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
