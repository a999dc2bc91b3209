import NNCore

/// How much of an image is copied from the exemplar unchanged.
///
/// At 576 places, three windows (one, its right neighbour, the one below) are looked up among all windows of the
/// exemplar. A place counts as copied if the three nearest windows have the same arrangement in the exemplar. The
/// matches of new texture are scattered; those of a copy are neighbours. Among equally near windows, the first one is
/// the match of the first window, and any of them matches the others.
///
/// Rotated, mirrored or enlarged copies are not detected, and a texture that repeats exactly counts as copied.
/// - Source: the coherence of nearest neighbours is Ashikhmin's, "Synthesizing Natural Textures" (2001).
struct Copying: Sendable {
    private static let perSide = 24
    private static let baseSide = 16
    private static let maxPositions = 1 << 17
    /// A descriptor and the number that turns a scalar product into a distance; see `init`.
    private static let columns = WindowDescriptors.count + 1

    /// The distance between windows of the exemplar, in pixels in both directions. Windows grow with it, so that a copy
    /// between two of them is still recognised.
    private let step: Int
    private let side: Int
    private let perRow: Int
    private let rows: Int
    /// `[panels of 16 windows, columns, 16]`
    private let exemplar: [Float]

    /// Nil if the exemplar is too small.
    init?(_ image: WindowDescriptors, in workspace: Workspace) {
        var step = 1
        func count(_ length: Int) -> Int { (length - Self.baseSide * step) / step + 1 }
        while count(image.height) * count(image.width) > Self.maxPositions { step += 1 }
        let side = Self.baseSide * step
        guard min(image.height, image.width) >= 2 * side else { return nil }
        let (rows, perRow) = (count(image.height), count(image.width))
        let lanes = PanelProduct.width
        let panels = PanelProduct.panels(columns: rows * perRow)
        var exemplar = [Float](repeating: 0, count: panels * Self.columns * lanes)
        exemplar.withUnsafeMutableBufferPointer { target in
            let target = target.baseAddress!
            workspace.pool.run(over: panels, grain: 32) { range in
                withUnsafeTemporaryAllocation(of: Float.self, capacity: Self.columns) { values in
                    let values = values.baseAddress!
                    for index in range.lowerBound * lanes..<min(range.upperBound * lanes, rows * perRow) {
                        image.describe(y: index / perRow * step, x: index % perRow * step, side: side, into: values)
                        // (-2 d, |d|^2) times (q, 1) is |q - d|^2 - |q|^2.
                        var square: Float = 0
                        for column in 0..<WindowDescriptors.count {
                            square += values[column] * values[column]
                            values[column] *= -2
                        }
                        values[WindowDescriptors.count] = square
                        let place = target + index / lanes * Self.columns * lanes + index % lanes
                        for column in 0..<Self.columns { place[column * lanes] = values[column] }
                    }
                }
            }
            // Columns that fill the last panel are never nearest.
            for index in rows * perRow..<panels * lanes {
                target[((index / lanes + 1) * Self.columns - 1) * lanes + index % lanes] = .greatestFiniteMagnitude
            }
        }
        self.exemplar = exemplar
        self.step = step
        self.side = side
        self.perRow = perRow
        self.rows = rows
    }

    /// Nil if the image is too small.
    func value(_ image: WindowDescriptors, in workspace: Workspace) -> Float? {
        // The three windows touch. If they overlapped, their matches would be neighbours in new texture too.
        let span = 2 * side
        guard min(image.height, image.width) >= span else { return nil }
        let corners = StratifiedPositions(
            perSide: Self.perSide, side: span, height: image.height, width: image.width, .copyPositions
        ).corners
        let offsets = [(y: 0, x: 0), (y: 0, x: side), (y: side, x: 0)]
        let windows = corners.flatMap { corner in offsets.map { (y: corner.y + $0.y, x: corner.x + $0.x) } }
        return workspace.arena.scoped {
            let queries = workspace.arena.floats(windows.count * Self.columns)
            for (index, window) in windows.enumerated() {
                let query = queries + index * Self.columns
                image.describe(y: window.y, x: window.x, side: side, into: query)
                query[WindowDescriptors.count] = 1
            }
            let found = nearest(to: queries, count: windows.count, workspace)
            var copied = 0
            for place in corners.indices {
                let first = found[place * offsets.count]
                let origin = (y: first.window / perRow, x: first.window % perRow)
                let isCoherent = offsets.indices.dropFirst().allSatisfy { index in
                    let number = place * offsets.count + index
                    return hasNearest(
                        queries + number * Self.columns, found[number].distance,
                        around: (
                            y: origin.y * step + offsets[index].y, x: origin.x * step + offsets[index].x
                        ))
                }
                if isCoherent { copied += 1 }
            }
            return Float(copied) / Float(corners.count)
        }
    }

    /// Whether a window within `step` pixels of a place is as near to the query as the nearest of all windows.
    private func hasNearest(_ query: UnsafePointer<Float>, _ least: Float, around place: (y: Int, x: Int)) -> Bool {
        func candidates(_ centre: Int, _ count: Int) -> ClosedRange<Int>? {
            let first = max(0, (centre - step + step - 1) / step)
            let last = min(count - 1, (centre + step) / step)
            return first <= last ? first...last : nil
        }
        guard let ys = candidates(place.y, rows), let xs = candidates(place.x, perRow) else { return false }
        let lanes = PanelProduct.width
        return ys.contains { y in
            xs.contains { x in
                let window = y * perRow + x
                let start = window / lanes * Self.columns * lanes + window % lanes
                // The same chain as the product's: the same bits.
                var sum: Float = 0
                for column in 0..<Self.columns {
                    sum = sum.addingProduct(exemplar[start + column * lanes], query[column])
                }
                return sum <= least
            }
        }
    }

    /// The exemplar's nearest window to each query: its number, and its squared distance less the query's own square.
    /// The first of equal ones.
    private func nearest(
        to queries: UnsafeMutablePointer<Float>, count: Int, _ workspace: Workspace
    ) -> [(window: Int, distance: Float)] {
        let (grain, chunk) = (48, 2048)
        let total = exemplar.count / Self.columns
        var result = [(window: Int, distance: Float)](repeating: (0, .infinity), count: count)
        workspace.arena.scoped {
            let scratch = workspace.arena.floats(workspace.pool.threads * grain * chunk)
            result.withUnsafeMutableBufferPointer { result in
                exemplar.withUnsafeBufferPointer { exemplar in
                    let (result, exemplar) = (result.baseAddress!, exemplar.baseAddress!)
                    workspace.pool.run(over: count, grain: grain) { range, lane in
                        let rows = Matrix(
                            queries + range.lowerBound * Self.columns, rows: range.count, columns: Self.columns)
                        let distances = scratch + lane * grain * chunk
                        for start in stride(from: 0, to: total, by: chunk) {
                            let columns = min(chunk, total - start)
                            PanelProduct.multiply(
                                rows, panels: exemplar + start * Self.columns,
                                into: Matrix(distances, rows: range.count, columns: columns))
                            for row in 0..<range.count {
                                let (place, value) = smallest(distances + row * columns, count: columns)
                                if value < result[range.lowerBound + row].distance {
                                    result[range.lowerBound + row] = (start + place, value)
                                }
                            }
                        }
                    }
                }
            }
        }
        return result
    }
}

/// The smallest value and its first place.
private func smallest(_ values: UnsafePointer<Float>, count: Int) -> (place: Int, value: Float) {
    var lanes = SIMD16<Float>(repeating: .infinity)
    var index = 0
    while index + 16 <= count {
        let next = UnsafeRawPointer(values + index).loadUnaligned(as: SIMD16<Float>.self)
        lanes.replace(with: next, where: next .< lanes)
        index += 16
    }
    var least = lanes.min()
    while index < count {
        least = min(least, values[index])
        index += 1
    }
    var place = 0
    while place < count - 1, values[place] != least { place += 1 }
    return (place, least)
}
