import Kernels

/// Compares gradients with differences of function values.
package enum GradientCheck {
    /// The gradient of `function` by central differences, element by element, in double precision. For the smooth
    /// functions of these tests, the error is about 1e-9.
    package static func differences(
        at point: [Double], step: Double = 1e-5, _ function: ([Double]) -> Double
    ) -> [Double] {
        var moved = point
        return point.indices.map { index in
            moved[index] = point[index] + step
            let above = function(moved)
            moved[index] = point[index] - step
            let below = function(moved)
            moved[index] = point[index]
            return (above - below) / (2 * step)
        }
    }

    /// The largest error of `gradient` along three random directions of signs, relative to the gradient's norm, which
    /// is the expected size of a derivative in such a direction.
    ///
    /// `function` runs float32 kernels. A step of 1e-2 balances their rounding (about 1e-6 / step) against curvature
    /// (about step^2), so expect errors near 1e-3 and treat 1e-2 as a failure. Functions that are linear in the point
    /// allow any step.
    package static func projectionError(
        at point: [Float], gradient: [Float], step: Float = 1e-2, _ function: ([Float]) -> Double
    ) -> Double {
        var worst = 0.0
        let norm = dot(gradient, gradient).squareRoot()
        for seed in 1...3 {
            let direction = randomValues(point.count, seed: UInt64(seed) &* 7919).map { $0 < 0 ? -1 : 1 as Float }
            let above = function(zip(point, direction).map { $0 + step * $1 })
            let below = function(zip(point, direction).map { $0 - step * $1 })
            let difference = (above - below) / (2 * Double(step))
            worst = max(worst, abs(difference - dot(gradient, direction)) / max(norm, 1e-12))
        }
        return worst
    }
}

/// The sum of products in double precision. It projects an output onto fixed weights.
package func dot(_ a: [Float], _ b: [Float]) -> Double {
    precondition(a.count == b.count)
    var sum = 0.0
    for (x, y) in zip(a, b) { sum += Double(x) * Double(y) }
    return sum
}

extension Array<Float> {
    package var doubles: [Double] { map(Double.init) }
}

/// A workspace with a small address range, so that many can exist at once.
package func smallWorkspace(threads: Int = 1) -> Workspace {
    Workspace(threads: threads, arena: Arena(reservedBytes: 1 << 30))
}

/// The bits of `body`'s results with 1, 2 and 3 threads.
package func forOneToThreeThreads(_ body: (Workspace) -> [Float]) -> (one: [UInt32], two: [UInt32], three: [UInt32]) {
    func bits(_ threads: Int) -> [UInt32] { body(smallWorkspace(threads: threads)).map(\.bitPattern) }
    return (bits(1), bits(2), bits(3))
}
