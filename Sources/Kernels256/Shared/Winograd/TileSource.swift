import Tensors

/// An image read tile by tile.
struct TileSource: @unchecked Sendable {
    let data: UnsafePointer<Float>
    /// Values count as zero where this image of the same shape is not positive, as in the gradient of a ReLU.
    let mask: UnsafePointer<Float>?
    let channels: Int
    let table: TileTable

    /// Transforms all channels of a tile: `store(i, j, group, groups, value)` gets the results of each
    /// vector, which holds `groups` groups of 8 channels from `group`; lanes beyond the last channel are zero.
    @inline(__always)
    func transform<Map: AxisMap>(
        _ map: Map.Type, tile: Int, scratch: UnsafeMutablePointer<Float>,
        store: (Int, Int, Int, Int, Vector) -> Void
    ) {
        let (rows, columns, hasZeros) = table.offsets(of: tile)
        let whole = channels / vectorLanes
        if let mask {
            for vector in 0..<whole {
                let data = data + vector * vectorLanes
                let mask = mask + vector * vectorLanes
                transformTile(Map.self, scratch: scratch) { i, j in
                    if rows[i] | columns[j] < 0 { return .zero }
                    let offset = rows[i] + columns[j]
                    return loadVector(data + offset).replacing(with: 0, where: loadVector(mask + offset) .<= 0)
                } store: {
                    store($0, $1, vector * groupsPerVector, groupsPerVector, $2)
                }
            }
        } else if hasZeros {
            for vector in 0..<whole {
                let data = data + vector * vectorLanes
                transformTile(Map.self, scratch: scratch) { i, j in
                    rows[i] | columns[j] < 0 ? .zero : loadVector(data + (rows[i] + columns[j]))
                } store: {
                    store($0, $1, vector * groupsPerVector, groupsPerVector, $2)
                }
            }
        } else {
            for vector in 0..<whole {
                let data = data + vector * vectorLanes
                transformTile(Map.self, scratch: scratch) { i, j in
                    loadVector(data + (rows[i] + columns[j]))
                } store: {
                    store($0, $1, vector * groupsPerVector, groupsPerVector, $2)
                }
            }
        }
        let rest = channels - whole * vectorLanes
        if rest == 0 { return }
        transformTile(Map.self, scratch: scratch) { i, j in
            if rows[i] | columns[j] < 0 { return .zero }
            let offset = rows[i] + columns[j] + whole * vectorLanes
            let value = loadVector(data + offset, lanes: rest)
            guard let mask else { return value }
            return value.replacing(with: 0, where: loadVector(mask + offset, lanes: rest) .<= 0)
        } store: {
            store($0, $1, whole * groupsPerVector, (rest + 7) / 8, $2)
        }
    }
}
