import NNCore
import Testing

@testable import TextureGAN

@Suite struct CropSamplerTests {
    @Test func cropsReachEveryPositionBothEndsIncludedAndAreUniform() {
        let k = 4
        var sampler = CropSampler(k: k, width: 13, height: 10, stream: RandomStream(seed: 3, purpose: 3))
        let draws = 30_000
        var counts = [[Int: Int]](repeating: [:], count: 4)
        for _ in 0..<draws {
            let crops = sampler.next()
            for (axis, value) in [crops.targetY, crops.targetX, crops.sourceY, crops.sourceX].enumerated() {
                counts[axis][value, default: 0] += 1
            }
        }
        for (axis, limit) in [10 - 2 * k, 13 - 2 * k, k, k].enumerated() {
            #expect(counts[axis].keys.sorted() == Array(0...limit))
            let expected = Double(draws) / Double(limit + 1)
            let chiSquare = counts[axis].values.reduce(0) {
                $0 + (Double($1) - expected) * (Double($1) - expected) / expected
            }
            #expect(chiSquare < Double(limit) + 6 * Double(2 * limit).squareRoot())
        }
    }

    @Test func anExemplarOfExactlyTwoKHasOneTarget() {
        var sampler = CropSampler(k: 8, width: 16, height: 16, stream: RandomStream(seed: 3, purpose: 3))
        for _ in 0..<100 {
            let crops = sampler.next()
            #expect(crops.targetY == 0 && crops.targetX == 0)
        }
    }

    @Test func windowsAreTheirPixels() {
        let arena = Arena(reservedBytes: 1 << 30)
        let image = Tensor(in: arena, height: 5, width: 7, channels: 3)
        for index in 0..<image.count { image.data[index] = Float(index) }
        let window = image.window(y: 2, x: 3, height: 3, width: 4, in: arena)
        for y in 0..<3 {
            for x in 0..<4 {
                for channel in 0..<3 { #expect(window[y, x, channel] == image[y + 2, x + 3, channel]) }
            }
        }
    }
}
