import NNCore

/// How much of the exemplar also appears in the image: the share of 1024 windows (16x16) of the exemplar that have a
/// window of the image, of 1024, closer than their fifth neighbour in the exemplar.
///
/// Two samples of the same texture yield 1 - 2^-5 = 0.97 on average. The figure falls when the image lacks a part of
/// the exemplar (large stones, a dark corner).
/// - Source: Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models" (2020), "coverage".
struct Coverage: Sendable {
    private static let perSide = 32
    private static let side = 16
    private static let neighbour = 5

    private let exemplar: [Float]
    /// Each window's squared distance to its fifth neighbour.
    private let radii: [Float]

    /// Nil if the exemplar is too small.
    init?(_ image: WindowDescriptors, in workspace: Workspace) {
        guard let windows = Self.sample(image) else { return nil }
        exemplar = windows
        radii = Self.rows(windows, windows, in: workspace) { distances in
            // The nearest window is the window itself.
            distances.sorted()[Self.neighbour]
        }
    }

    /// Nil if the image is too small.
    func value(_ image: WindowDescriptors, in workspace: Workspace) -> Float? {
        guard let windows = Self.sample(image) else { return nil }
        let nearest = Self.rows(exemplar, windows, in: workspace) { $0.min()! }
        return Float(zip(nearest, radii).count { $0 <= $1 }) / Float(radii.count)
    }

    private static func sample(_ image: WindowDescriptors) -> [Float]? {
        guard min(image.height, image.width) >= 2 * side else { return nil }
        let corners = StratifiedPositions(
            perSide: perSide, side: side, height: image.height, width: image.width, .coveragePositions
        ).corners
        var result = [Float](repeating: 0, count: corners.count * WindowDescriptors.count)
        result.withUnsafeMutableBufferPointer { target in
            for (index, corner) in corners.enumerated() {
                image.describe(
                    y: corner.y, x: corner.x, side: side, into: target.baseAddress! + index * WindowDescriptors.count)
            }
        }
        return result
    }

    /// The results of `reduce` for each window of `a`, given its squared distances to all windows of `b`.
    private static func rows(
        _ a: [Float], _ b: [Float], in workspace: Workspace, _ reduce: (UnsafeMutableBufferPointer<Float>) -> Float
    ) -> [Float] {
        let columns = WindowDescriptors.count
        let (count, others) = (a.count / columns, b.count / columns)
        return workspace.arena.scoped {
            let result = workspace.arena.floats(count)
            let scratch = workspace.arena.floats(workspace.pool.threads * others)
            a.withUnsafeBufferPointer { a in
                b.withUnsafeBufferPointer { b in
                    let (a, b) = (a.baseAddress!, b.baseAddress!)
                    workspace.pool.run(over: count, grain: 32) { range, lane in
                        let distances = UnsafeMutableBufferPointer(start: scratch + lane * others, count: others)
                        for row in range {
                            for other in 0..<others {
                                distances[other] = squaredDistance(
                                    a + row * columns, b + other * columns, count: columns)
                            }
                            result[row] = reduce(distances)
                        }
                    }
                }
            }
            return Array(UnsafeBufferPointer(start: result, count: count))
        }
    }
}
