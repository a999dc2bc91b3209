import TensorChecks
import Testing

@testable import NNCore

/// The two enlarging layers, by their definitions in PyTorch's terms and weight layouts.
@Suite struct EnlargingConvolutionTests {
    struct Size: CustomTestStringConvertible {
        var height: Int
        var width: Int
        var inputChannels: Int
        var outputChannels: Int
        var testDescription: String { "\(height)x\(width) \(inputChannels)->\(outputChannels)" }
    }

    static let sizes = [
        Size(height: 1, width: 1, inputChannels: 1, outputChannels: 1),
        Size(height: 1, width: 5, inputChannels: 3, outputChannels: 8),
        Size(height: 4, width: 2, inputChannels: 8, outputChannels: 3),
        Size(height: 5, width: 7, inputChannels: 12, outputChannels: 5),
        Size(height: 6, width: 6, inputChannels: 24, outputChannels: 20),
    ]

    /// ConvTranspose2d(kernel 3, stride 2, padding 1, output padding 1); weight `[in, out, 3, 3]`.
    static func transposed(_ x: [Double], _ weight: [Double], _ size: Size) -> [Double] {
        let (height, width) = (2 * size.height, 2 * size.width)
        var y = [Double](repeating: 0, count: height * width * size.outputChannels)
        for iy in 0..<size.height {
            for ix in 0..<size.width {
                for ky in 0..<3 {
                    for kx in 0..<3 {
                        let (oy, ox) = (2 * iy - 1 + ky, 2 * ix - 1 + kx)
                        guard oy >= 0, ox >= 0, oy < height, ox < width else { continue }
                        for input in 0..<size.inputChannels {
                            let value = x[(iy * size.width + ix) * size.inputChannels + input]
                            for output in 0..<size.outputChannels {
                                y[(oy * width + ox) * size.outputChannels + output] +=
                                    value * weight[((input * size.outputChannels + output) * 3 + ky) * 3 + kx]
                            }
                        }
                    }
                }
            }
        }
        return y
    }

    /// Upsample(2, nearest), then Conv2d(kernel 3, padding 1); weight `[out, in, 3, 3]`.
    static func upsampled(_ x: [Double], _ weight: [Double], _ size: Size) -> [Double] {
        let (height, width) = (2 * size.height, 2 * size.width)
        var y = [Double](repeating: 0, count: height * width * size.outputChannels)
        for oy in 0..<height {
            for ox in 0..<width {
                for ky in 0..<3 {
                    for kx in 0..<3 {
                        let (iy, ix) = (oy - 1 + ky, ox - 1 + kx)
                        guard iy >= 0, ix >= 0, iy < height, ix < width else { continue }
                        for input in 0..<size.inputChannels {
                            let value = x[(iy / 2 * size.width + ix / 2) * size.inputChannels + input]
                            for output in 0..<size.outputChannels {
                                y[(oy * width + ox) * size.outputChannels + output] +=
                                    value * weight[((output * size.inputChannels + input) * 3 + ky) * 3 + kx]
                            }
                        }
                    }
                }
            }
        }
        return y
    }

    private func check(
        _ layer: any ConvolutionLayer, _ size: Size, _ reference: ([Double], [Double], Size) -> [Double]
    ) {
        let workspace = smallWorkspace(threads: 2)
        let arena = workspace.arena
        let parameter = layer.parameters[0]
        let x = randomValues(size.height * size.width * size.inputChannels, seed: 21)
        let weight = randomValues(parameter.count, seed: 22)
        parameter.load(fileOrder: weight)
        let input = Tensor(in: arena, x, height: size.height, width: size.width, channels: size.inputChannels)
        let output = layer.forward(input, in: workspace)
        #expect(
            output.height == 2 * size.height && output.width == 2 * size.width && output.channels == size.outputChannels
        )
        #expect(Deviation(output.values, from: reference(x.doubles, weight.doubles, size)).maximum < 1e-5)

        let dOutput = randomValues(output.count, seed: 23)
        let gradient = Tensor(
            in: arena, dOutput, height: output.height, width: output.width, channels: output.channels)
        let dInput = Tensor(in: arena, like: input)
        dInput.buffer.update(repeating: .nan)
        for _ in 0..<2 { layer.accumulateGradients(input: input, dOutput: gradient, in: workspace) }
        layer.inputGradient(dOutput: gradient, dInput: dInput, in: workspace)
        func project(_ output: [Double]) -> Double { zip(output, dOutput).reduce(0) { $0 + $1.0 * Double($1.1) } }
        // The function is linear in each argument, so differences by steps of 1 are exact. The layer accumulates twice,
        // so the gradient doubles. The test checks a spread of single elements, because each costs a whole reference
        // pass.
        let dWeight = parameter.fileOrder(parameter.gradient)
        var (expected, found): ([Double], [Float]) = ([], [])
        for index in Swift.stride(from: 0, to: weight.count, by: max(1, weight.count / 40)) {
            var unit = [Double](repeating: 0, count: weight.count)
            unit[index] = 1
            expected.append(2 * project(reference(x.doubles, unit, size)))
            found.append(dWeight[index])
        }
        #expect(Deviation(found, from: expected).maximum < 1e-5)
        (expected, found) = ([], [])
        for index in Swift.stride(from: 0, to: x.count, by: max(1, x.count / 40)) {
            var unit = [Double](repeating: 0, count: x.count)
            unit[index] = 1
            expected.append(project(reference(unit, weight.doubles, size)))
            found.append(dInput.data[index])
        }
        #expect(Deviation(found, from: expected).maximum < 1e-5)
    }

    @Test(arguments: sizes)
    func transposedConvolutionIsPyTorchs(_ size: Size) {
        check(
            TransposedConvolution("up", inputChannels: size.inputChannels, outputChannels: size.outputChannels), size,
            Self.transposed)
    }

    @Test(arguments: sizes)
    func upsampledConvolutionIsNearestUpsamplingThenAConvolution(_ size: Size) {
        check(
            Convolution.upsampled("up", inputChannels: size.inputChannels, outputChannels: size.outputChannels), size,
            Self.upsampled)
    }
}
