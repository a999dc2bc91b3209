import Foundation
import NNCore

/// Whether an image looks at each place like its exemplar at the same fraction of width and height: the rings around
/// the pith, the light of the lamps, plates that shrink from top to bottom.
///
/// Both images are cut into 16 x 16 cells; windows are 4 x 4 cells, at all positions. A window has five groups of
/// statistics: mean lightness and colours in Oklab, the log (base 2) of the contrast, the size of the detail (mean band
/// of a Laplacian pyramid of lightness, in octaves), and its direction (from the structure tensor). For each group,
///
///     r^2 = (mean |x_I - x_E|^2 - 3 chance) / (max(spread, chance) + visible^2),  at least 0
///
/// spread is the variance of x_E over the exemplar. chance is the variance of a window's x_E that comes from its few
/// elements, measured by its four quarters a b c d: ((a - b - c + d) / 4)^2, in which gradients cancel. visible is a
/// just visible difference. The figure is the fourth root of the mean of r^4 over the groups.
///
/// The factor three is for elements larger than half a window, which are not independent in its quarters.
/// - Source: the structure tensor is Förstner & Gülch's (1987); the rest is ours.
struct LocalStructure: Sendable {
    private static let cells = 16
    private static let window = 4
    private static let maxBands = 4
    /// Channels of a cell: lightness, colours, energies of the bands, structure tensor.
    private static let bands = 3
    private static let tensor = bands + maxBands
    private static let channels = tensor + 3

    /// Just visible differences of lightness, colour (Oklab), contrast, size (octaves), direction.
    private static let visible = [0.03, 0.02, 0.35, 0.25, 0.2]

    /// Lightness; green to red and blue to yellow; contrast; size; direction, twice the angle.
    private typealias Statistics = SIMD8<Double>
    private static let groups = [[0], [1, 2], [3], [4], [5, 6]]

    private let usedBands: Int
    /// The windows' statistics, by rows.
    private let exemplar: [Statistics]
    /// For each group `max(spread, chance) + visible^2`, and three times chance.
    private let scales: [Double]
    private let chances: [Double]

    /// - Parameter colours: Oklab, with their lightness. Nil if the exemplar is too small.
    init?(_ colours: Tensor, lightness: Tensor, in workspace: Workspace) {
        let side = min(colours.height, colours.width)
        usedBands = (0...Self.maxBands).last { $0 == 0 || side >> ($0 - 1) >= Self.cells }!
        guard usedBands >= 2 else { return nil }
        let cells = Self.describe(colours, lightness, bands: usedBands, in: workspace)
        let whole = Self.windows(cells, side: Self.window, bands: usedBands)
        let half = Self.window / 2
        let parts = Self.windows(cells, side: half, bands: usedBands)
        let (perSide, partsPerSide) = (Self.cells - Self.window + 1, Self.cells - half + 1)
        let crossed: [Statistics] = (0..<perSide * perSide).map { index in
            let first = index / perSide * partsPerSide + index % perSide
            let below = first + half * partsPerSide
            return (parts[first] - parts[first + half] - parts[below] + parts[below + half]) / 4
        }
        let mean = whole.reduce(Statistics.zero, +) / Double(whole.count)
        exemplar = whole
        let chance = Self.meanSquares(crossed)
        chances = chance.map { 3 * $0 }
        let spread = Self.meanSquares(whole.map { $0 - mean })
        scales = Self.groups.indices.map { group in
            max(spread[group], chance[group]) + Self.visible[group] * Self.visible[group]
        }
    }

    /// Nil if the image is too small.
    func value(_ colours: Tensor, lightness: Tensor, in workspace: Workspace) -> Float? {
        guard min(colours.height, colours.width) >> (usedBands - 1) >= Self.cells else { return nil }
        let cells = Self.describe(colours, lightness, bands: usedBands, in: workspace)
        let own = Self.windows(cells, side: Self.window, bands: usedBands)
        let distances = Self.meanSquares(zip(own, exemplar).map { $0 - $1 })
        let ratios = Self.groups.indices.map { max(0, distances[$0] - chances[$0]) / scales[$0] }
        return Float((ratios.reduce(0) { $0 + $1 * $1 } / Double(ratios.count)).squareRoot().squareRoot())
    }

    /// For each group the mean square length.
    private static func meanSquares(_ values: [Statistics]) -> [Double] {
        let sum = values.reduce(Statistics.zero) { $0 + $1 * $1 } / Double(values.count)
        return groups.map { $0.reduce(0) { $0 + sum[$1] } }
    }

    /// Means of each cell's channels, `[cells, cells, channels]`.
    private static func describe(
        _ colours: Tensor, _ lightness: Tensor, bands used: Int, in workspace: Workspace
    ) -> [Double] {
        workspace.arena.scoped {
            let size = cells * cells * channels
            let result = UnsafeMutableRawPointer(workspace.arena.floats(2 * size))
                .bindMemory(to: Double.self, capacity: size)
            result.update(repeating: 0, count: size)
            addMeans(of: colours, to: result, channel: 0, in: workspace) { y, x in
                let colour = colours.data + 3 * (y * colours.width + x)
                return SIMD4(colour[0], colour[1], colour[2], 0)
            }
            var level = lightness
            for band in 0..<used {
                let (image, smooth) = (level, Tensor(in: workspace.arena, like: level))
                BinomialPyramid.smooth(image, into: smooth, in: workspace)
                addMeans(of: image, to: result, channel: bands + band, count: 1, in: workspace) { y, x in
                    let place = y * image.width + x
                    let detail = image.data[place] - smooth.data[place]
                    return SIMD4(detail * detail, 0, 0, 0)
                }
                if band == 1 {
                    addMeans(of: image, to: result, channel: tensor, in: workspace) { y, x in
                        func at(_ y: Int, _ x: Int) -> Float {
                            smooth.data[
                                min(max(y, 0), smooth.height - 1) * smooth.width + min(max(x, 0), smooth.width - 1)]
                        }
                        let across = (at(y, x + 1) - at(y, x - 1)) / 2
                        let down = (at(y + 1, x) - at(y - 1, x)) / 2
                        return SIMD4(across * across, down * down, across * down, 0)
                    }
                }
                level = BinomialPyramid.halved(smooth, in: workspace)
            }
            return Array(UnsafeBufferPointer(start: result, count: size))
        }
    }

    /// Sets `count` channels of each cell to the means of a function of the pixel over the cell.
    private static func addMeans(
        of image: Tensor, to result: UnsafeMutablePointer<Double>, channel: Int, count: Int = 3,
        in workspace: Workspace, _ value: (_ y: Int, _ x: Int) -> SIMD4<Float>
    ) {
        workspace.pool.run(blocks: cells) { row in
            let (top, bottom) = (row * image.height / cells, (row + 1) * image.height / cells)
            for column in 0..<cells {
                let (left, right) = (column * image.width / cells, (column + 1) * image.width / cells)
                var sums = SIMD4<Double>.zero
                for y in top..<bottom {
                    var line = SIMD4<Float>.zero
                    for x in left..<right { line += value(y, x) }
                    sums += SIMD4<Double>(line)
                }
                sums /= Double((bottom - top) * (right - left))
                let target = result + (row * cells + column) * channels + channel
                for index in 0..<count { target[index] = sums[index] }
            }
        }
    }

    /// The statistics of all windows of `side x side` cells, by rows.
    private static func windows(_ cells: [Double], side: Int, bands used: Int) -> [Statistics] {
        let perSide = Self.cells - side + 1
        return (0..<perSide * perSide).map { index in
            var means = [Double](repeating: 0, count: channels)
            for cell in 0..<side * side {
                let place = (index / perSide + cell / side) * Self.cells + index % perSide + cell % side
                for channel in 0..<channels { means[channel] += cells[place * channels + channel] }
            }
            for channel in 0..<channels { means[channel] /= Double(side * side) }
            // Energies below the rounding to 8 bits carry no information.
            var (energy, moment) = (0.0, 0.0)
            for band in 0..<used {
                energy += means[bands + band] + 1e-7
                moment += Double(band) * (means[bands + band] + 1e-7)
            }
            let (across, down) = (means[tensor], means[tensor + 1])
            let trace = across + down + 1e-6
            return Statistics(
                means[0], means[1], means[2], 0.5 * log2(energy + 1e-5), moment / energy, (across - down) / trace,
                2 * means[tensor + 2] / trace, 0)
        }
    }
}
