import Imaging

/// Where a periodic image begins, chosen by its pixels alone: images that differ only by a roll of a multiple of 4
/// pixels begin with the same pixels.
///
/// Kernels work in tiles, and a pixel's rounding depends on its place in a tile. An image that is rolled to its
/// canonical place first is computed in the same tiles wherever it began.
enum CanonicalPlace {
    /// The generator halves twice, so its output follows rolls of 4 pixels.
    private static let block = 4

    /// The first pixel. Each side along `axes` is a multiple of 4; the place along the others is 0.
    ///
    /// Ranks all windows of 1, 2, 4, ... blocks by those of half the side, like a suffix array by prefix doubling, until
    /// the first window is unique. If it never is, the image repeats within itself, and all places are alike.
    /// - Source: Manber & Myers, *Suffix arrays*, 1993; Karp, Miller & Rosenberg, 1972.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    static func of<Sample>(_ image: Raster<Sample>, along axes: TorusAxes) -> (x: Int, y: Int) {
        let columns = axes.contains(.x) ? image.width / block : 1
        let rows = axes.contains(.y) ? image.height / block : 1
        let (width, height) = (image.width / columns, image.height / rows)
        func pixels(_ index: Int) -> [Sample] {
            image.cropped(x: index % columns * width, y: index / columns * height, width: width, height: height).pixels
        }
        let blocks = (0..<rows * columns).map(pixels)
        var ranks = ranked(blocks) { $0.lexicographicallyPrecedes($1) }
        var step = 1
        while step < max(rows, columns), ranks.count(where: { $0 == 0 }) > 1 {
            let keys = ranks.indices.map { index in
                let (y, x) = (index / columns, index % columns)
                let (below, right) = ((y + step) % rows, (x + step) % columns)
                return [
                    ranks[index], ranks[y * columns + right], ranks[below * columns + x],
                    ranks[below * columns + right],
                ]
            }
            ranks = ranked(keys) { $0.lexicographicallyPrecedes($1) }
            step *= 2
        }
        let first = ranks.firstIndex(of: 0) ?? 0
        return (axes.contains(.x) ? first % columns * block : 0, axes.contains(.y) ? first / columns * block : 0)
    }

    /// The number of smaller values, equal values counted once.
    private static func ranked<Value: Equatable>(_ values: [Value], _ precedes: (Value, Value) -> Bool) -> [Int] {
        let order = values.indices.sorted { precedes(values[$0], values[$1]) }
        var ranks = [Int](repeating: 0, count: values.count)
        for (before, index) in zip(order, order.dropFirst()) {
            ranks[index] = ranks[before] + (values[before] == values[index] ? 0 : 1)
        }
        return ranks
    }
}
