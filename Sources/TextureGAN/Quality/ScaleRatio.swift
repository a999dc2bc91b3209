import Foundation
import NNCore

/// How much an image looks enlarged compared with its exemplar: 1 is texture at the exemplar's scale, 2 the exemplar
/// blown up to twice the size.
///
/// With the variogram `g(d) = mean |I(x + d) - I(x)|^2` of opponent colours along four directions, an enlargement by s
/// has `g(d) = g_exemplar(d / s)`. The figure is the s between 1/2 and 2^1.5 with the least variance of
///
///     log g(d) - log g_exemplar(d / s)
///
/// over directions and lags d; a difference in contrast does not change the variance.
/// - Source: Matheron, "Principles of geostatistics" (1963), for variograms.
struct ScaleRatio: Sendable {
    private static let minSide = 16
    private static let maxSamples = 1 << 18
    /// Candidates are 2^(step / 64).
    private static let steps = -64...96
    /// Smaller differences are rounding to 8 bits.
    private static let rounding = 1.0 / 6

    private struct Direction {
        let dy: Int
        let dx: Int
    }
    private static let directions = [
        Direction(dy: 0, dx: 1), Direction(dy: 1, dx: 0), Direction(dy: 1, dx: 1), Direction(dy: 1, dx: -1),
    ]

    /// log2 of the length and log of the variogram, by direction and lag.
    private typealias Curve = [(length: Double, value: Double)]
    private let exemplar: [[(length: Double, value: Double)]]
    private let maxLag: Int

    /// Nil if the exemplar is too small, or flat and so without a scale.
    init?(_ image: Tensor, in workspace: Workspace) {
        let side = min(image.height, image.width)
        guard side >= Self.minSide else { return nil }
        maxLag = min(64, max(8, side / 8))
        // At every lag: between lags farther apart, interpolation errs, and would favour shifts that need none.
        exemplar = Self.variograms(image, lags: Array(1...maxLag), maxLag: maxLag, in: workspace)
        guard exemplar.contains(where: { $0.contains { $0.value > log(2 * Self.rounding) } }) else { return nil }
    }

    /// Nil if the image is too small.
    func value(_ image: Tensor, in workspace: Workspace) -> Float? {
        guard min(image.height, image.width) > maxLag else { return nil }
        let own = Self.variograms(image, lags: Self.quarterOctaves(to: maxLag), maxLag: maxLag, in: workspace)
        var best = (step: 0, variance: Double.infinity)
        // From 1 outwards: among equals the smallest change wins.
        for step in Self.steps.sorted(by: { abs($0) < abs($1) }) {
            let shift = Double(step) / 64
            var differences: [Double] = []
            for (curve, reference) in zip(own, exemplar) {
                for point in curve {
                    if let expected = Self.interpolated(reference, at: point.length - shift) {
                        differences.append(point.value - expected)
                    }
                }
            }
            let mean = differences.reduce(0, +) / Double(differences.count)
            let variance =
                differences.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(differences.count)
            if variance < best.variance { best = (step, variance) }
        }
        return Float(exp2(Double(best.step) / 64))
    }

    private static func interpolated(_ curve: Curve, at length: Double) -> Double? {
        guard length >= curve[0].length - 1e-9, length <= curve[curve.count - 1].length + 1e-9 else { return nil }
        let next = max(1, curve.firstIndex { $0.length >= length } ?? curve.count - 1)
        let (a, b) = (curve[next - 1], curve[next])
        return a.value + (b.value - a.value) * (length - a.length) / (b.length - a.length)
    }

    /// Lags about a quarter of an octave apart, so that every size of detail has the same weight.
    private static func quarterOctaves(to maxLag: Int) -> [Int] {
        var lags: [Int] = []
        for quarter in 0... {
            let lag = Int(exp2(Double(quarter) / 4).rounded())
            if lag > maxLag { break }
            if lag != lags.last { lags.append(lag) }
        }
        return lags
    }

    private static func variograms(_ image: Tensor, lags: [Int], maxLag: Int, in workspace: Workspace) -> [Curve] {
        let curves: [(lags: [Int], unit: Double)] = directions.map { direction in
            let unit = Double(direction.dx * direction.dx + direction.dy * direction.dy).squareRoot()
            return (lags.filter { Double($0) * unit <= Double(maxLag) }, unit)
        }
        let tasks = curves.enumerated().flatMap { index, curve in curve.lags.map { (direction: index, lag: $0) } }
        let values = workspace.arena.scoped {
            let means = workspace.arena.floats(tasks.count)
            workspace.pool.run(blocks: tasks.count) { task in
                means[task] = meanSquare(of: image, lag: tasks[task].lag, directions[tasks[task].direction])
            }
            return tasks.indices.map { means[$0] }
        }
        var next = values.makeIterator()
        return curves.map { curve in
            curve.lags.map { (log2(Double($0) * curve.unit), log(Double(next.next()!) + rounding)) }
        }
    }

    /// The mean of |I(x + d) - I(x)|^2; a large image is sampled by rows.
    private static func meanSquare(of image: Tensor, lag: Int, _ direction: Direction) -> Float {
        let (dy, dx) = (direction.dy * lag, direction.dx * lag)
        let count = image.width - abs(dx)
        let rows = image.height - dy
        // Odd, so that both phases of the rows are seen.
        let step = max(1, image.pixels / maxSamples) | 1
        var sum = 0.0
        for y in stride(from: 0, to: rows, by: step) {
            let first = image.data + 3 * (y * image.width + max(0, -dx))
            let second = image.data + 3 * ((y + dy) * image.width + max(0, dx))
            sum += Double(squaredDistance(first, second, count: 3 * count))
        }
        return Float(sum / Double(count * ((rows + step - 1) / step)))
    }
}

/// The sum of squared differences, in sixteen sums that are added at the end.
func squaredDistance(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
    var sums = SIMD16<Float>.zero
    var index = 0
    while index + 16 <= count {
        let difference =
            UnsafeRawPointer(a + index).loadUnaligned(as: SIMD16<Float>.self)
            - UnsafeRawPointer(b + index).loadUnaligned(as: SIMD16<Float>.self)
        sums += difference * difference
        index += 16
    }
    var total = sums.sum()
    while index < count {
        total += (a[index] - b[index]) * (a[index] - b[index])
        index += 1
    }
    return total
}
