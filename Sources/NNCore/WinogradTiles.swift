/// Where the tiles of a convolution lie in its images: for each tile row and column, the offsets of its samples. The
/// tile rows of all images are numbered through.
///
/// Padding happens here: a sample outside the image has the offset of the pixel it stands for, or -1 for a zero.
struct TileTable: @unchecked Sendable {
    let tileColumns: Int
    /// Samples of a tile along each axis.
    let size: Int
    private let rows: UnsafeMutablePointer<Int>
    private let columns: UnsafeMutablePointer<Int>

    /// - Parameters:
    ///   - tileRows: of one image. - start: position of the first sample of tile 0, `step` that of tile 1 minus that of tile 0.
    init(
        in arena: Arena, of image: Tensor, tileRows: Int, tileColumns: Int,
        size: Int, start: Int, step: Int, padding: Padding
    ) {
        self.tileColumns = tileColumns
        self.size = size
        rows = arena.integers(image.images * tileRows * size)
        columns = arena.integers(tileColumns * size)
        for tile in 0..<image.images * tileRows {
            let top = tile / tileRows * image.height
            for i in 0..<size {
                let source = padding.source(of: tile % tileRows * step + start + i, length: image.height)
                rows[tile * size + i] = source < 0 ? -1 : (top + source) * image.width * image.channels
            }
        }
        for tile in 0..<tileColumns {
            for i in 0..<size {
                let source = padding.source(of: tile * step + start + i, length: image.width)
                columns[tile * size + i] = source < 0 ? -1 : source * image.channels
            }
        }
    }

    /// The offsets of the rows and columns of a tile, and whether some are zeros.
    @inline(__always)
    func offsets(of tile: Int) -> (rows: UnsafePointer<Int>, columns: UnsafePointer<Int>, hasZeros: Bool) {
        let rows = UnsafePointer(self.rows + tile / tileColumns * size)
        let columns = UnsafePointer(self.columns + tile % tileColumns * size)
        var sign = 0
        for i in 0..<size { sign |= rows[i] | columns[i] }
        return (rows, columns, sign < 0)
    }
}

extension Arena {
    /// Uninitialised memory for `count` integers.
    func integers(_ count: Int) -> UnsafeMutablePointer<Int> {
        let words = floats(count * (MemoryLayout<Int>.size / MemoryLayout<Float>.size))
        return UnsafeMutableRawPointer(words).bindMemory(to: Int.self, capacity: count)
    }
}

/// The first `lanes` floats, the rest zero.
@inline(__always)
func load8(_ source: UnsafePointer<Float>, lanes: Int) -> Float8 {
    if lanes >= 8 { return load8(source) }
    var value = Float8.zero
    var lane = 0
    if lanes >= 4 {
        value.lowHalf = UnsafeRawPointer(source).loadUnaligned(as: SIMD4<Float>.self)
        lane = 4
    }
    while lane < lanes {
        value[lane] = source[lane]
        lane += 1
    }
    return value
}

/// Stores the first `lanes` floats.
@inline(__always)
func store8(_ value: Float8, _ target: UnsafeMutablePointer<Float>, lanes: Int) {
    if lanes >= 8 { return store8(value, target) }
    var lane = 0
    if lanes >= 4 {
        UnsafeMutableRawPointer(target).storeBytes(of: value.lowHalf, as: SIMD4<Float>.self)
        lane = 4
    }
    while lane < lanes {
        target[lane] = value[lane]
        lane += 1
    }
}

/// An image read tile by tile.
struct TileSource: @unchecked Sendable {
    let data: UnsafePointer<Float>
    /// Values count as zero where this image of the same shape is not positive: the gradient of a ReLU.
    let mask: UnsafePointer<Float>?
    let channels: Int
    let table: TileTable

    /// Transforms all channels of a tile: `store(i, j, group, value)` gets the results for each group of 8 channels;
    /// lanes beyond the last channel are zero.
    @inline(__always)
    func transform<Map: AxisMap>(
        _ map: Map.Type, tile: Int, scratch: UnsafeMutablePointer<Float>,
        store: (Int, Int, Int, Float8) -> Void
    ) {
        let (rows, columns, hasZeros) = table.offsets(of: tile)
        let whole = channels / 8
        if let mask {
            for group in 0..<whole {
                let data = data + group * 8
                let mask = mask + group * 8
                NNCore.transform(Map.self, scratch: scratch) { i, j in
                    if rows[i] | columns[j] < 0 { return .zero }
                    let offset = rows[i] + columns[j]
                    return load8(data + offset).replacing(with: 0, where: load8(mask + offset) .<= 0)
                } store: {
                    store($0, $1, group, $2)
                }
            }
        } else if hasZeros {
            for group in 0..<whole {
                let data = data + group * 8
                NNCore.transform(Map.self, scratch: scratch) { i, j in
                    rows[i] | columns[j] < 0 ? .zero : load8(data + (rows[i] + columns[j]))
                } store: {
                    store($0, $1, group, $2)
                }
            }
        } else {
            for group in 0..<whole {
                let data = data + group * 8
                NNCore.transform(Map.self, scratch: scratch) { i, j in
                    load8(data + (rows[i] + columns[j]))
                } store: {
                    store($0, $1, group, $2)
                }
            }
        }
        let lanes = channels - whole * 8
        if lanes == 0 { return }
        NNCore.transform(Map.self, scratch: scratch) { i, j in
            if rows[i] | columns[j] < 0 { return .zero }
            let offset = rows[i] + columns[j] + whole * 8
            let value = load8(data + offset, lanes: lanes)
            guard let mask else { return value }
            return value.replacing(with: 0, where: load8(mask + offset, lanes: lanes) .<= 0)
        } store: {
            store($0, $1, whole, $2)
        }
    }
}
