import TensorChecks
import Testing

@testable import NNCore

/// Bias, activation and residual. A convolution applies them when it stores its result.
@Suite struct EpilogueTests {
    /// One layer for each kernel, with sizes for few and for many tiles.
    static let layers: [@Sendable () -> any ConvolutionLayer] = [
        {
            Convolution(
                "3x3", inputChannels: 20, outputChannels: 12, kernelSize: 3, padding: Padding(1, .reflect), bias: true)
        },
        {
            Convolution(
                "3x3, stride 2", inputChannels: 20, outputChannels: 12, kernelSize: 3, stride: 2, padding: Padding(1),
                bias: true)
        },
        { Convolution("4x4", inputChannels: 20, outputChannels: 12, kernelSize: 4, padding: Padding(1), bias: true) },
        {
            Convolution(
                "4x4, stride 2", inputChannels: 20, outputChannels: 9, kernelSize: 4, stride: 2, padding: Padding(1),
                bias: true)
        },
        {
            Convolution(
                "from few", inputChannels: 3, outputChannels: 20, kernelSize: 7, padding: Padding(3, .reflect),
                bias: true)
        },
        {
            Convolution(
                "to few", inputChannels: 20, outputChannels: 3, kernelSize: 7, padding: Padding(3, .reflect), bias: true
            )
        },
        {
            Convolution(
                "plain", inputChannels: 20, outputChannels: 8, kernelSize: 5, padding: Padding(2, .reflect), bias: true)
        },
        { TransposedConvolution("transposed", inputChannels: 20, outputChannels: 12, bias: true) },
        { Convolution.upsampled("nearest", inputChannels: 20, outputChannels: 12, bias: true) },
    ]

    @Test(
        "Bias, activation and residual on the way out are the bits of separate passes", arguments: layers.indices,
        [8, 70])
    func theEpilogueIsThatOfSeparatePasses(_ index: Int, side: Int) {
        let layer = Self.layers[index]()
        let workspace = smallWorkspace(threads: 2)
        let arena = workspace.arena
        for (index, parameter) in layer.parameters.enumerated() {
            parameter.load(fileOrder: randomValues(parameter.count, seed: UInt64(index + 1)))
        }
        let bias = layer.bias!.fileOrder()
        let inputChannels = layer.parameters[0].name.hasPrefix("from few") ? 3 : 20
        let input = Tensor(in: arena, images: 2, height: side, width: side - 2, channels: inputChannels)
        _ = input.buffer.update(fromContentsOf: randomValues(input.count, seed: 5))
        layer.bias!.fill(0)
        let plain = layer.forward(input, in: workspace)
        layer.bias!.load(fileOrder: bias)
        let residual = Tensor(in: arena, like: plain)
        _ = residual.buffer.update(fromContentsOf: randomValues(residual.count, seed: 6))
        for activation in [Activation.identity, .relu, .leakyReLU(slope: 0.2), .leakyReLU(slope: 0.25, gain: 1.5)] {
            let (gain, slope) = (activation.positiveSlope, activation.negativeSlope)
            for added in [nil, residual] {
                let output = layer.forward(input, activation, adding: added, in: workspace)
                let expected = plain.values.enumerated().map { index, value in
                    let value = value + bias[index % bias.count]
                    return (value > 0 ? gain * value : slope * value) + (added?.data[index] ?? 0)
                }
                // The plain kernel adds its products to the bias; the others add the bias to their sum.
                let agrees =
                    layer.parameters[0].name.hasPrefix("plain")
                    ? Deviation(output.values, from: expected.doubles).maximum < 1e-6 : output.values == expected
                #expect(agrees, "\(layer.parameters[0].name), \(activation)")
            }
        }
    }
}
