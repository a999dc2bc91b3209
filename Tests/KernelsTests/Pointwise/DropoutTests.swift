import TensorChecks
import Testing

@testable import Kernels
@testable import Tensors

@Suite struct DropoutTests {
    private func mask(_ count: Int, rate: Float, seed: UInt64 = 9, position: UInt64 = 0, threads: Int = 1) -> [Float] {
        let workspace = smallWorkspace(threads: threads)
        var stream = RandomStream(seed: seed, purpose: 4, position: position)
        let ones = Tensor(
            in: workspace.arena, [Float](repeating: 1, count: count), height: 1, width: count, channels: 1)
        Dropout(rate: rate, count: count, from: &stream).apply(to: ones, in: workspace)
        return ones.values
    }

    @Test(arguments: [0.1, 0.5, 0.75, 0.95] as [Float])
    func dropsTheStatedShareAndScalesTheRest(rate: Float) {
        let count = 200_000
        let values = mask(count, rate: rate)
        let kept = values.filter { $0 != 0 }
        #expect(kept.allSatisfy { $0 == 1 / (1 - rate) })
        // Five standard deviations of the share. The seed is fixed, so the result never varies.
        let deviation = (Double(rate) * Double(1 - rate) / Double(count)).squareRoot()
        #expect(abs(1 - Double(kept.count) / Double(count) - Double(rate)) < 5 * deviation + 1.0 / 65536)
    }

    @Test func neighboursAreDroppedIndependently() {
        let count = 160_000
        let values = mask(count, rate: 0.5).map { $0 > 0 ? 1.0 : -1.0 }
        for distance in [1, 2, 3, 7, 8, 16, 64] {
            var sum = 0.0
            for index in 0..<count - distance { sum += values[index] * values[index + distance] }
            #expect(abs(sum / Double(count)) < 5 / Double(count).squareRoot(), "at distance \(distance)")
        }
    }

    @Test func backwardAppliesTheMaskOfForward() {
        let workspace = smallWorkspace(threads: 2)
        var stream = RandomStream(seed: 3, purpose: 4)
        let (x, g) = (randomValues(1003, seed: 1), randomValues(1003, seed: 2))
        let features = Tensor(in: workspace.arena, x, height: 17, width: 59, channels: 1)
        let gradient = Tensor(in: workspace.arena, g, height: 17, width: 59, channels: 1)
        let dropout = Dropout(rate: 0.4, count: x.count, from: &stream)
        dropout.apply(to: features, in: workspace)
        _ = Dropout(rate: 0.4, count: 77, from: &stream)
        dropout.apply(to: gradient, in: workspace)
        let scale = 1 / (1 - 0.4 as Float)
        for index in x.indices {
            let kept = features.data[index] != 0
            #expect(features.data[index] == (kept ? x[index] * scale : 0))
            #expect(gradient.data[index] == (kept ? g[index] * scale : 0))
        }
    }

    @Test func theMaskDependsOnSeedAndPositionAlone() {
        let values = mask(30_000, rate: 0.5, position: 12)
        for threads in 2...3 { #expect(mask(30_000, rate: 0.5, position: 12, threads: threads) == values) }
        #expect(mask(30_000, rate: 0.5, position: 13) != values)
        #expect(mask(30_000, rate: 0.5, seed: 10, position: 12) != values)
        // A shorter tensor gets the beginning of the same mask.
        #expect(mask(1001, rate: 0.5, position: 12)[...] == values[..<1001])
    }

    @Test func drawsMoveTheStreamOnByTheBlocksTheyUse() {
        var stream = RandomStream(seed: 1, purpose: 4, position: 100)
        _ = Dropout(rate: 0.5, count: 8, from: &stream)
        #expect(stream.position == 101)
        _ = Dropout(rate: 0.5, count: 9, from: &stream)
        #expect(stream.position == 103)
    }

    @Test func rateZeroKeepsEverythingAsItIs() {
        #expect(mask(999, rate: 0).allSatisfy { $0 == 1 })
    }
}
