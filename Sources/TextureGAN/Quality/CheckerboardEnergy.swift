import Imaging
import NNCore

/// How much of an image's detail follows the phases of its pixel grid, as the doublings of a generator can cause.
///
/// With r = lightness minus its mean over 8x8 pixels (which holds no wave of period 2, 4 or 8), n pixels at each phase
/// and m_i, e_i the means of r and r^2 over the pixels of phase i of `p x p`:
///
///     V(p) = (mean of m_i^2) / mean(r^2) - 1 / n  +  (variance of e_i) / mean(r^2)^2 - variance(r^2) / mean(r^2)^2 / n
///     figure = max over p of 2, 4, 8 of V(p) - max(0, V(p) of the exemplar), at least 0
///
/// The first part is the share of a fixed pattern in the energy of the detail; the second finds patterns whose strength
/// follows the picture. The subtracted terms are what chance alone yields. An exemplar with a period of 8 pixels is
/// compared with its own value.
/// - Source: Odena et al., "Deconvolution and Checkerboard Artifacts", Distill (2016), for the artifact; the formula is
///   ours.
struct CheckerboardEnergy: Sendable {
    private static let side = 8
    static let minSide = 3 * side

    private let exemplar: [Double]

    /// Nil if the exemplar is too small.
    init?(_ image: Image, in workspace: Workspace) {
        guard let values = Self.values(image, in: workspace) else { return nil }
        exemplar = values.map { max(0, $0) }
    }

    /// Nil if the image is too small.
    func value(_ image: Image, in workspace: Workspace) -> Float? {
        Self.values(image, in: workspace).map { own in
            Float(zip(own, exemplar).reduce(0) { max($0, $1.0 - $1.1) })
        }
    }

    /// V(2), V(4), V(8).
    private static func values(_ image: Image, in workspace: Workspace) -> [Double]? {
        guard min(image.width, image.height) >= minSide else { return nil }
        // Positions with a complete mean, the same number for each phase.
        let rows = (image.height - side + 1) / side
        let columns = (image.width - side + 1) / side
        let size = side * side
        // For each row of phases: sums of r, r^2 and r^4 at each phase.
        let sums = workspace.arena.scoped {
            let partial = UnsafeMutableRawPointer(workspace.arena.floats(rows * 3 * size * 2))
                .bindMemory(to: Double.self, capacity: rows * 3 * size)
            partial.update(repeating: 0, count: rows * 3 * size)
            workspace.pool.run(blocks: rows) { row in
                addPhases(image, firstRow: row * side, columns: columns, to: partial + row * 3 * size)
            }
            return (0..<3 * size).map { index in
                (0..<rows).reduce(0.0) { $0 + partial[$1 * 3 * size + index] }
            }
        }
        let pixels = Double(rows * columns * size)
        let energy = sums[size..<2 * size].reduce(0, +) / pixels
        guard energy > 0 else { return [0, 0, 0] }
        let spread = sums[2 * size..<3 * size].reduce(0, +) / pixels / (energy * energy) - 1
        return [2, 4, 8].map { period in
            var means = [Double](repeating: 0, count: period * period)
            var energies = means
            for phase in 0..<size {
                let index = phase / side % period * period + phase % side % period
                means[index] += sums[phase]
                energies[index] += sums[size + phase]
            }
            let phases = Double(period * period)
            let n = pixels / phases
            let fixed = means.reduce(0) { $0 + ($1 / n) * ($1 / n) } / phases / energy
            let following = energies.reduce(0) { $0 + ($1 / n / energy - 1) * ($1 / n / energy - 1) } / phases
            return fixed - 1 / n + following - spread / n
        }
    }

    /// Adds eight rows of pixels. Sums of R + G + B are integers, so they are exact.
    private static func addPhases(
        _ image: Image, firstRow: Int, columns: Int, to sums: UnsafeMutablePointer<Double>
    ) {
        let width = image.width
        let size = side * side
        image.pixels.withUnsafeBufferPointer { pixels in
            func lightness(_ y: Int, _ x: Int) -> Int32 {
                let index = 3 * (y * width + x)
                return Int32(pixels[index]) + Int32(pixels[index + 1]) + Int32(pixels[index + 2])
            }
            withUnsafeTemporaryAllocation(of: Int32.self, capacity: width) { column in
                for row in 0..<side {
                    let top = firstRow + row
                    for x in 0..<width {
                        if row == 0 {
                            column[x] = (0..<side).reduce(0) { $0 + lightness(top + $1, x) }
                        } else {
                            column[x] += lightness(top + side - 1, x) - lightness(top - 1, x)
                        }
                    }
                    var box = (0..<side - 1).reduce(Int32(0)) { $0 + column[$1] }
                    for x in 0..<columns * side {
                        box += column[x + side - 1]
                        let detail = Double(Int32(size) * lightness(top + side / 2, x + side / 2) - box)
                        let phase = row * side + x % side
                        let square = detail * detail
                        sums[phase] += detail
                        sums[size + phase] += square
                        sums[2 * size + phase] += square * square
                        box -= column[x]
                    }
                }
            }
        }
    }
}
