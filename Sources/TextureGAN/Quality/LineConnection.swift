import Foundation
import NNCore

/// Whether lines close as the exemplar's do: cracks around their plates, outlines around scales, rings around a pith.
///
/// Dark lines and light ones are where the second difference across them (the larger eigenvalue of the Hessian of the
/// smoothed lightness, or minus the smaller one) is among the largest 30, 20 or 12 % of an image, at two levels of a
/// pyramid. Windows at 6 x 6 places fall into regions between those lines, connected by edges; a region that leaks into
/// the next one is as large as both. With o the mean over the windows of log2(sum of size^2 / sum of size),
///
///     D = sum over levels and kinds of line of  w  mean over shares of |o_I - o_E|  /  sum of w
///
/// w is the square of the exemplar's strength of such lines. In octaves: 1 is regions twice as large, or half.
/// - Source: ridges by the Hessian are Lindeberg's, "Edge Detection and Ridge Detection with Automatic Scale Selection"
///   (1998); the rest is ours.
struct LineConnection: Sendable {
    private static let levels = 2
    /// Shares of the pixels that count as lines.
    private static let shares = [0.3, 0.2, 0.12]
    private static let strongShare = 1
    private static let maxSide = 64
    private static let minSide = 16
    private static let perSide = 6

    private struct Lines {
        /// One value for each share.
        var openness: [Double]
        /// The mean over the strongest fifth.
        var strength: Double
    }

    private let side: Int
    /// Dark and light lines of the first level, then of the second.
    private let exemplar: [[Double]]
    private let weights: [Double]

    /// Nil if the exemplar is too small, or flat.
    init?(lightness: Tensor, in workspace: Workspace) {
        side = min(Self.maxSide, min(lightness.height, lightness.width) / 3)
        guard side >= Self.minSide else { return nil }
        let own = Self.lines(lightness, side: side, in: workspace)
        let strengths = own.map { $0.strength * $0.strength }
        let sum = strengths.reduce(0, +)
        guard sum > 0 else { return nil }
        exemplar = own.map(\.openness)
        weights = strengths.map { $0 / sum }
    }

    /// Nil if the image is too small.
    func value(lightness: Tensor, in workspace: Workspace) -> Float? {
        guard min(lightness.height, lightness.width) >= side else { return nil }
        let own = Self.lines(lightness, side: side, in: workspace)
        var sum = 0.0
        for (kind, lines) in own.enumerated() {
            let differences = zip(lines.openness, exemplar[kind]).map { abs($0 - $1) }
            sum += weights[kind] * differences.reduce(0, +) / Double(differences.count)
        }
        return Float(sum)
    }

    private static func lines(_ lightness: Tensor, side: Int, in workspace: Workspace) -> [Lines] {
        workspace.arena.scoped {
            var result: [Lines] = []
            var level = lightness
            for index in 0..<levels {
                let smooth = Tensor(in: workspace.arena, like: level)
                BinomialPyramid.smooth(level, into: smooth, in: workspace)
                let (dark, light) = ridges(smooth, in: workspace)
                for ridge in [dark, light] { result.append(measure(ridge, side: side >> index, in: workspace)) }
                level = BinomialPyramid.halved(smooth, in: workspace)
            }
            return result
        }
    }

    /// Second differences across dark lines and across light ones, at each pixel.
    private static func ridges(_ image: Tensor, in workspace: Workspace) -> (dark: Tensor, light: Tensor) {
        let (dark, light) = (Tensor(in: workspace.arena, like: image), Tensor(in: workspace.arena, like: image))
        let width = image.width
        workspace.pool.run(over: image.height, grain: 16) { rows in
            for y in rows {
                let row = image.data + y * width
                let above = image.data + max(0, y - 1) * width
                let below = image.data + min(image.height - 1, y + 1) * width
                for x in 0..<width {
                    let (left, right) = (max(0, x - 1), min(width - 1, x + 1))
                    let across = row[left] - 2 * row[x] + row[right]
                    let down = above[x] - 2 * row[x] + below[x]
                    let both = (below[right] - below[left] - above[right] + above[left]) / 4
                    let mean = (across + down) / 2
                    let half = (across - down) / 2
                    let spread = (half * half + both * both).squareRoot()
                    dark.data[y * width + x] = mean + spread
                    light.data[y * width + x] = spread - mean
                }
            }
        }
        return (dark, light)
    }

    private static func measure(_ ridge: Tensor, side: Int, in workspace: Workspace) -> Lines {
        let count = ridge.pixels
        let thresholds = orderStatistics(
            ridge.data, count: count, ranks: shares.map { Int((1 - $0) * Double(count - 1)) })
        let strong = thresholds[strongShare]
        var (sum, number) = (0.0, 0)
        for pixel in 0..<count where ridge.data[pixel] > strong {
            sum += Double(ridge.data[pixel])
            number += 1
        }
        let windows = perSide * perSide
        let openness = workspace.arena.scoped {
            let values = UnsafeMutableRawPointer(workspace.arena.floats(2 * shares.count * windows))
                .bindMemory(to: Double.self, capacity: shares.count * windows)
            workspace.pool.run(blocks: shares.count * windows) { block in
                let window = block % windows
                let y = window / perSide * (ridge.height - side) / (perSide - 1)
                let x = window % perSide * (ridge.width - side) / (perSide - 1)
                values[block] = meanRegion(
                    ridge.data + y * ridge.width + x, stride: ridge.width, side: side,
                    below: thresholds[block / windows])
            }
            return shares.indices.map { share in
                (0..<windows).reduce(0.0) { $0 + values[share * windows + $1] } / Double(windows)
            }
        }
        return Lines(openness: openness, strength: number > 0 ? sum / Double(number) : 0)
    }

    /// log2 of the mean size of the regions of a window that are not above a threshold, weighted by their size.
    private static func meanRegion(
        _ ridge: UnsafePointer<Float>, stride: Int, side: Int, below threshold: Float
    ) -> Double {
        withUnsafeTemporaryAllocation(of: Bool.self, capacity: side * side) { isFree in
            withUnsafeTemporaryAllocation(of: Int32.self, capacity: side * side) { stack in
                for place in 0..<side * side {
                    isFree[place] = !(ridge[place / side * stride + place % side] > threshold)
                }
                var (squares, total) = (0, 0)
                for seed in 0..<side * side where isFree[seed] {
                    // A pixel goes on the stack once: it is no longer free then.
                    var (depth, size) = (1, 0)
                    stack[0] = Int32(seed)
                    isFree[seed] = false
                    func visit(_ place: Int) {
                        guard isFree[place] else { return }
                        isFree[place] = false
                        stack[depth] = Int32(place)
                        depth += 1
                    }
                    while depth > 0 {
                        depth -= 1
                        let place = Int(stack[depth])
                        size += 1
                        if place % side > 0 { visit(place - 1) }
                        if place % side < side - 1 { visit(place + 1) }
                        if place >= side { visit(place - side) }
                        if place < side * (side - 1) { visit(place + side) }
                    }
                    squares += size * size
                    total += size
                }
                return total > 0 ? log2(Double(squares) / Double(total)) : 0
            }
        }
    }
}

/// The values at given ranks in ascending order, without sorting: by the upper, then the lower half of their bits.
func orderStatistics(_ values: UnsafePointer<Float>, count: Int, ranks: [Int]) -> [Float] {
    func key(_ value: Float) -> UInt32 {
        let bits = value.bitPattern
        return bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
    }
    func bucket(_ counts: [Int], _ rank: inout Int) -> UInt32 {
        var index = 0
        while rank >= counts[index] {
            rank -= counts[index]
            index += 1
        }
        return UInt32(index)
    }
    var upper = [Int](repeating: 0, count: 1 << 16)
    for index in 0..<count { upper[Int(key(values[index]) >> 16)] += 1 }
    return ranks.map { rank in
        var rank = rank
        let high = bucket(upper, &rank)
        var lower = [Int](repeating: 0, count: 1 << 16)
        for index in 0..<count where key(values[index]) >> 16 == high { lower[Int(key(values[index]) & 0xFFFF)] += 1 }
        let found = high << 16 | bucket(lower, &rank)
        return Float(bitPattern: found & 0x8000_0000 != 0 ? found & 0x7FFF_FFFF : ~found)
    }
}
