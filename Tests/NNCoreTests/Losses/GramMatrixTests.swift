import TensorChecks
import Testing

@testable import NNCore

@Suite struct GramMatrixTests {
    static let sizes = [(1, 1, 1), (1, 1, 5), (3, 5, 2), (7, 4, 8), (24, 23, 3), (40, 39, 12)]

    /// `F F^T / (H W)` in double precision.
    private func gram(_ x: [Double], channels: Int) -> [Double] {
        var result = [Double](repeating: 0, count: channels * channels)
        let pixels = x.count / channels
        for pixel in 0..<pixels {
            for a in 0..<channels {
                for b in 0..<channels {
                    result[a * channels + b] += x[pixel * channels + a] * x[pixel * channels + b] / Double(pixels)
                }
            }
        }
        return result
    }

    @Test(arguments: sizes)
    func agreesWithTheDefinition(_ height: Int, _ width: Int, _ channels: Int) {
        let workspace = smallWorkspace(threads: 2)
        let x = randomValues(height * width * channels, seed: 71)
        let features = Tensor(in: workspace.arena, x, height: height, width: width, channels: channels)
        var found = [Float](repeating: .nan, count: channels * channels)
        GramMatrix.forward(features, into: &found, in: workspace)
        #expect(Deviation(found, from: gram(x.doubles, channels: channels)).maximum < 2e-6)
    }

    @Test(arguments: [(1, 1, 5), (3, 5, 2), (5, 4, 7)])
    func theGradientOfAStyleLossAgreesWithDifferences(_ height: Int, _ width: Int, _ channels: Int) {
        let workspace = smallWorkspace(threads: 2)
        let x = randomValues(height * width * channels, seed: 72)
        let target = gram(randomValues(x.count, seed: 73).doubles, channels: channels)
        func loss(_ x: [Double]) -> Double {
            zip(gram(x, channels: channels), target).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
                / Double(channels * channels)
        }
        let features = Tensor(in: workspace.arena, x, height: height, width: width, channels: channels)
        var (own, other) = ([Float](repeating: 0, count: channels * channels), target.map { Float($0) })
        GramMatrix.forward(features, into: &own, in: workspace)
        // In place, as in the style loss.
        let value = own.withUnsafeMutableBufferPointer { own in
            Loss.meanSquare(
                own.baseAddress!, &other, count: own.count, weight: 1, gradient: own.baseAddress!, in: workspace)
        }
        #expect(abs(value / loss(x.doubles) - 1) < 1e-5)
        let expected = GradientCheck.differences(at: x.doubles, loss)
        let start = randomValues(x.count, seed: 74)
        for accumulate in [false, true] {
            let dFeatures = Tensor(in: workspace.arena, start, height: height, width: width, channels: channels)
            GramMatrix.backward(features, dGram: &own, into: dFeatures, accumulate: accumulate, in: workspace)
            let sum = zip(expected, start).map { $0 + (accumulate ? Double($1) : 0) }
            #expect(Deviation(dFeatures.values, from: sum).maximum < 1e-5)
        }
    }

    @Test func isTheSameBytesForAnyNumberOfThreads() {
        let results = forOneToThreeThreads { workspace in
            let features = Tensor(
                in: workspace.arena, randomValues(90 * 80 * 12, seed: 75), height: 90, width: 80, channels: 12)
            var gram = [Float](repeating: 0, count: 144)
            GramMatrix.forward(features, into: &gram, in: workspace)
            let dFeatures = Tensor(in: workspace.arena, like: features)
            GramMatrix.backward(features, dGram: &gram, into: dFeatures, accumulate: false, in: workspace)
            return gram + dFeatures.values
        }
        #expect(results.one == results.two && results.one == results.three)
    }
}
