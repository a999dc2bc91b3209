import NNCore

/// The distance between the distributions of an image's patches and the exemplar's: the sliced Wasserstein distance at
/// the scales of a Laplacian pyramid.
///
/// In each band (three and the rest), in opponent colours, 4096 patches of 7x7 of each image are projected on 64 random
/// directions; x and y are the sorted projections of exemplar and image:
///
///     D = mean over bands of sqrt( mean over directions of mean (x - y)^2  /  mean over directions of variance(x) )
///
/// 0 for equal patches; 1 in a band where the image is empty (a blur in the finest).
/// - Source: Karras et al., "Progressive Growing of GANs" (2018), section 5; the division by the exemplar's variance,
///   which makes textures comparable, is ours.
struct PatchDistance: Sendable {
    private static let side = 7
    private static let perSide = 64
    private static let directions = 64
    private static let maxBands = 3
    private static let matrix = makeDirections()
    /// The variance of rounding to 8 bits, a lower bound for the variances.
    private static let rounding = 1.0 / 12

    /// Sorted projections, `[bands + 1][directions][patches]`.
    private let exemplar: [[Float]]
    private let variances: [Double]
    private let bands: Int

    /// - Parameter image: opponent colours. Nil if it is smaller than a patch.
    init?(_ image: Tensor, in workspace: Workspace) {
        let side = min(image.height, image.width)
        guard side >= Self.side else { return nil }
        bands = (0...Self.maxBands).last { side >> $0 >= Self.side }!
        exemplar = Self.projections(image, bands: bands, in: workspace)
        variances = exemplar.map { sorted in
            let count = sorted.count / Self.directions
            let sum = (0..<Self.directions).reduce(0.0) { sum, direction in
                let values = sorted[direction * count..<(direction + 1) * count]
                let mean = values.reduce(0.0) { $0 + Double($1) } / Double(count)
                return sum + values.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(count)
            }
            return max(sum / Double(Self.directions), Self.rounding)
        }
    }

    /// Nil if the image is too small for the exemplar's scales.
    func value(_ image: Tensor, in workspace: Workspace) -> Float? {
        guard min(image.height, image.width) >> bands >= Self.side else { return nil }
        let own = Self.projections(image, bands: bands, in: workspace)
        var sum = 0.0
        for (index, variance) in variances.enumerated() {
            let (x, y) = (exemplar[index], own[index])
            sum += (Double(squaredDistance(x, y, count: x.count)) / Double(x.count) / variance).squareRoot()
        }
        return Float(sum / Double(variances.count))
    }

    private static func projections(_ image: Tensor, bands: Int, in workspace: Workspace) -> [[Float]] {
        workspace.arena.scoped {
            var result: [[Float]] = []
            var level = image
            for _ in 0..<bands {
                let smooth = Tensor(in: workspace.arena, like: level)
                BinomialPyramid.smooth(level, into: smooth, in: workspace)
                let next = BinomialPyramid.halved(smooth, in: workspace)
                result.append(sortedProjections(of: level, minus: smooth, in: workspace))
                level = next
            }
            result.append(sortedProjections(of: level, minus: nil, in: workspace))
            return result
        }
    }

    private static func sortedProjections(
        of image: Tensor, minus smooth: Tensor?, in workspace: Workspace
    ) -> [Float] {
        let corners = StratifiedPositions(
            perSide: perSide, side: side, height: image.height, width: image.width, .patchPositions
        ).corners
        let rowCount = side * image.channels
        let size = side * rowCount
        let count = corners.count
        return workspace.arena.scoped {
            let lanes = PanelProduct.width
            precondition(count % lanes == 0)
            // `[count / 16, size, 16]`
            let patches = workspace.arena.floats(count * size)
            let projected = workspace.arena.floats(directions * count)
            workspace.pool.run(over: count, grain: 256) { range in
                for patch in range {
                    for row in 0..<side {
                        let start = ((corners[patch].y + row) * image.width + corners[patch].x) * image.channels
                        let target = patches + (patch / lanes * size + row * rowCount) * lanes + patch % lanes
                        for i in 0..<rowCount {
                            target[i * lanes] = image.data[start + i] - (smooth.map { $0.data[start + i] } ?? 0)
                        }
                    }
                }
            }
            matrix.withUnsafeBufferPointer { values in
                let axes = Matrix(UnsafeMutablePointer(mutating: values.baseAddress!), rows: directions, columns: size)
                workspace.pool.run(over: count / lanes, grain: 16) { panels in
                    PanelProduct.multiply(
                        axes, panels: patches + panels.lowerBound * size * lanes,
                        into: Matrix(
                            projected + panels.lowerBound * lanes, rows: directions, columns: panels.count * lanes,
                            stride: count))
                }
            }
            workspace.pool.run(blocks: directions) { direction in
                var values = UnsafeMutableBufferPointer(start: projected + direction * count, count: count)
                values.sort()
            }
            return Array(UnsafeBufferPointer(start: projected, count: directions * count))
        }
    }

    /// Unit vectors, one a row.
    private static func makeDirections() -> [Float] {
        var stream = QualityStream.patchDirections.stream
        return (0..<directions).flatMap { _ in
            let values = (0..<side * side * 3).map { _ in stream.normal() }
            let length = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return values.map { $0 / length }
        }
    }
}
