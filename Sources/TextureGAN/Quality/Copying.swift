import NNCore

/// How much of an image was taken from the exemplar as it is.
///
/// At 576 places three windows, one beside and one below the first, are looked up among all windows of the exemplar. A
/// place counts as copied if the three nearest lie to one another in the exemplar as they do in the image. New texture
/// finds its likes here and there; what was copied finds them side by side.
///
/// Turned, mirrored or enlarged copies are not found, and a texture that repeats exactly counts as copied.
/// - Source: the coherence of nearest neighbours is Ashikhmin's, "Synthesizing Natural Textures" (2001).
struct Copying: Sendable {
    private static let perSide = 24
    private static let baseSide = 16
    private static let maxPositions = 1 << 17
    /// A descriptor with what makes a scalar product a distance: see `init`.
    private static let columns = WindowDescriptors.count + 1

    /// Windows of the exemplar begin at every so many pixels, in both directions; with coarser steps they are larger,
    /// so that one in between is still recognised.
    private let step: Int
    private let side: Int
    private let perRow: Int
    /// `[windows, columns]`
    private let exemplar: [Float]

    /// Nil if the exemplar is too small.
    init?(_ image: WindowDescriptors, in workspace: Workspace) {
        guard min(image.height, image.width) >= 2 * Self.baseSide else { return nil }
        var step = 1
        func count(_ length: Int) -> Int { (length - Self.baseSide * step) / step + 1 }
        while count(image.height) * count(image.width) > Self.maxPositions { step += 1 }
        guard min(image.height, image.width) >= Self.baseSide * step + Self.baseSide else { return nil }
        let side = Self.baseSide * step
        let (rows, perRow) = (count(image.height), count(image.width))
        var exemplar = [Float](repeating: 0, count: rows * perRow * Self.columns)
        exemplar.withUnsafeMutableBufferPointer { target in
            let target = target.baseAddress!
            workspace.pool.run(blocks: rows) { row in
                for column in 0..<perRow {
                    let values = target + (row * perRow + column) * Self.columns
                    image.describe(y: row * step, x: column * step, side: side, into: values)
                    // (-2 d, |d|^2) times (q, 1) is |q - d|^2 - |q|^2.
                    var square: Float = 0
                    for index in 0..<WindowDescriptors.count {
                        square += values[index] * values[index]
                        values[index] *= -2
                    }
                    values[WindowDescriptors.count] = square
                }
            }
        }
        self.exemplar = exemplar
        self.step = step
        self.side = side
        self.perRow = perRow
    }

    /// Nil if the image is too small.
    func value(_ image: WindowDescriptors, in workspace: Workspace) -> Float? {
        let span = side + Self.baseSide
        guard min(image.height, image.width) >= span else { return nil }
        let corners = StratifiedPositions(
            perSide: Self.perSide, side: span, height: image.height, width: image.width, .copyPositions
        ).corners
        let offsets = [(y: 0, x: 0), (y: 0, x: Self.baseSide), (y: Self.baseSide, x: 0)]
        let queries = corners.flatMap { corner in offsets.map { (y: corner.y + $0.y, x: corner.x + $0.x) } }
        let found = nearest(queries, in: image, workspace)
        var copied = 0
        for place in corners.indices {
            let origins = offsets.indices.map { index in
                let window = found[place * offsets.count + index]
                return (y: window / perRow * step - offsets[index].y, x: window % perRow * step - offsets[index].x)
            }
            let isCoherent = origins.dropFirst().allSatisfy {
                abs($0.y - origins[0].y) <= step && abs($0.x - origins[0].x) <= step
            }
            if isCoherent { copied += 1 }
        }
        return Float(copied) / Float(corners.count)
    }

    /// The number of the exemplar's window that is nearest to each of the image's.
    private func nearest(
        _ windows: [(y: Int, x: Int)], in image: WindowDescriptors, _ workspace: Workspace
    ) -> [Int] {
        let (grain, chunk) = (48, 2048)
        let total = exemplar.count / Self.columns
        var result = [Int](repeating: 0, count: windows.count)
        workspace.arena.scoped {
            let scratch = workspace.arena.floats(workspace.pool.threads * grain * chunk)
            let queries = workspace.arena.floats(windows.count * Self.columns)
            result.withUnsafeMutableBufferPointer { result in
                exemplar.withUnsafeBufferPointer { exemplar in
                    let result = result.baseAddress!
                    let all = UnsafeMutablePointer(mutating: exemplar.baseAddress!)
                    workspace.pool.run(over: windows.count, grain: grain) { range, lane in
                        for index in range {
                            let query = queries + index * Self.columns
                            image.describe(y: windows[index].y, x: windows[index].x, side: side, into: query)
                            query[WindowDescriptors.count] = 1
                        }
                        let rows = Matrix(
                            queries + range.lowerBound * Self.columns, rows: range.count, columns: Self.columns)
                        let distances = scratch + lane * grain * chunk
                        var least = [Float](repeating: .infinity, count: range.count)
                        for start in stride(from: 0, to: total, by: chunk) {
                            let count = min(chunk, total - start)
                            multiply(
                                rows, transposed: false,
                                Matrix(all + start * Self.columns, rows: count, columns: Self.columns),
                                transposed: true, into: Matrix(distances, rows: range.count, columns: count))
                            for row in 0..<range.count {
                                let (place, value) = smallest(distances + row * count, count: count)
                                if value < least[row] {
                                    least[row] = value
                                    result[range.lowerBound + row] = start + place
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

/// The smallest of some numbers and where it first is.
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
