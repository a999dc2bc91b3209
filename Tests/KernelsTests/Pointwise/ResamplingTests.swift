import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct MaxPoolTests {
    static let sizes = [(2, 2, 1), (3, 3, 2), (5, 4, 3), (4, 7, 5), (9, 9, 8), (2, 3, 12)]

    /// The indices of a window's values, in reading order.
    private func window(_ y: Int, _ x: Int, _ channel: Int, _ width: Int, _ channels: Int) -> [Int] {
        [(0, 0), (0, 1), (1, 0), (1, 1)].map { ((2 * y + $0.0) * width + 2 * x + $0.1) * channels + channel }
    }

    @Test(
        "Each window's maximum comes out, and its gradient goes to the first maximum in reading order", arguments: sizes
    )
    func poolsAndItsGradientFindsTheMaximum(_ height: Int, _ width: Int, _ channels: Int) {
        let workspace = smallWorkspace(threads: 2)
        // Few distinct values, so that ties are common.
        for levels in [1, 2, 5, 1e6] as [Float] {
            let x = randomValues(height * width * channels, seed: 61).map { ($0 * levels).rounded(.down) }
            let input = Tensor(in: workspace.arena, x, height: height, width: width, channels: channels)
            let output = MaxPool.forward(input, in: workspace)
            #expect(output.height == height / 2 && output.width == width / 2 && output.channels == channels)
            let g = randomValues(output.count, seed: 62)
            var expected = [Float](repeating: 0, count: x.count)
            for y in 0..<output.height {
                for column in 0..<output.width {
                    for channel in 0..<channels {
                        let places = window(y, column, channel, width, channels)
                        let most = places.map { x[$0] }.max()!
                        #expect(output[y, column, channel] == most)
                        expected[places.first { x[$0] == most }!] = g[(y * output.width + column) * channels + channel]
                    }
                }
            }
            let dInput = Tensor(in: workspace.arena, like: input)
            dInput.buffer.update(repeating: .nan)
            let dOutput = Tensor(
                in: workspace.arena, g, height: output.height, width: output.width, channels: channels)
            MaxPool.backward(input: input, dOutput: dOutput, dInput: dInput, in: workspace)
            #expect(dInput.values == expected)
        }
    }

    @Test func isTheSameBytesForAnyNumberOfThreads() {
        let results = forOneToThreeThreads { workspace in
            let input = Tensor(
                in: workspace.arena, randomValues(41 * 37 * 6, seed: 63), height: 41, width: 37, channels: 6)
            let output = MaxPool.forward(input, in: workspace)
            let dInput = Tensor(in: workspace.arena, like: input)
            MaxPool.backward(input: input, dOutput: output, dInput: dInput, in: workspace)
            return output.values + dInput.values
        }
        #expect(results.one == results.two && results.one == results.three)
    }
}

@Suite struct NearestUpsampleTests {
    @Test(arguments: [(1, 1, 1), (1, 4, 3), (5, 2, 8), (7, 9, 5)])
    func everyPixelBecomesFourAndTheGradientIsTheirSum(_ height: Int, _ width: Int, _ channels: Int) {
        for threads in 1...3 {
            let workspace = smallWorkspace(threads: threads)
            let x = randomValues(height * width * channels, seed: 64)
            let input = Tensor(in: workspace.arena, x, height: height, width: width, channels: channels)
            let output = NearestUpsample.forward(input, in: workspace)
            #expect(output.height == 2 * height && output.width == 2 * width)
            var expected = [Double](repeating: 0, count: x.count)
            let g = randomValues(output.count, seed: 65)
            for y in 0..<2 * height {
                for column in 0..<2 * width {
                    for channel in 0..<channels {
                        #expect(output[y, column, channel] == input[y / 2, column / 2, channel])
                        expected[(y / 2 * width + column / 2) * channels + channel] +=
                            Double(g[(y * 2 * width + column) * channels + channel])
                    }
                }
            }
            let dInput = Tensor(in: workspace.arena, like: input)
            let dOutput = Tensor(
                in: workspace.arena, g, height: 2 * height, width: 2 * width, channels: channels)
            NearestUpsample.backward(dOutput: dOutput, dInput: dInput, in: workspace)
            #expect(Deviation(dInput.values, from: expected).maximum < 1e-6)
        }
    }
}
