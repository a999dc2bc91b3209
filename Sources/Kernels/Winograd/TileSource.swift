/// An image read tile by tile.
struct TileSource: @unchecked Sendable {
    let data: UnsafePointer<Float>
    /// Values count as zero where this image of the same shape is not positive, as in the gradient of a ReLU.
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
                Kernels.transform(Map.self, scratch: scratch) { i, j in
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
                Kernels.transform(Map.self, scratch: scratch) { i, j in
                    rows[i] | columns[j] < 0 ? .zero : load8(data + (rows[i] + columns[j]))
                } store: {
                    store($0, $1, group, $2)
                }
            }
        } else {
            for group in 0..<whole {
                let data = data + group * 8
                Kernels.transform(Map.self, scratch: scratch) { i, j in
                    load8(data + (rows[i] + columns[j]))
                } store: {
                    store($0, $1, group, $2)
                }
            }
        }
        let lanes = channels - whole * 8
        if lanes == 0 { return }
        Kernels.transform(Map.self, scratch: scratch) { i, j in
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
