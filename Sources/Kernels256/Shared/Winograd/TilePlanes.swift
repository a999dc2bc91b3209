import Tensors

/// Transformed tiles: for each plane and each chunk of channel groups a dense matrix of one row per tile.
///
/// Products read one contiguous chunk of a plane at a time, which the hardware prefetchers follow.
struct TilePlanes: @unchecked Sendable {
    let data: UnsafeMutablePointer<Float>
    /// Floats of a channel group with all its phases.
    let groupWidth: Int
    let groupsPerChunk: Int
    let chunkStride: Int
    let planeStride: Int

    /// - Parameters:
    ///   - rows: tiles.
    ///   - groups: channel groups of a tile.
    init(
        at data: UnsafeMutablePointer<Float>, rows: Int, groups: Int, groupWidth: Int, groupsPerChunk: Int
    ) {
        self.data = data
        self.groupWidth = groupWidth
        self.groupsPerChunk = groupsPerChunk
        chunkStride = rows * groupsPerChunk * groupWidth
        planeStride = Self.planeStride(
            rows: rows, groups: groups, groupWidth: groupWidth, groupsPerChunk: groupsPerChunk)
    }

    init(in arena: Arena, planes: Int, rows: Int, groups: Int, groupWidth: Int, groupsPerChunk: Int) {
        let stride = Self.planeStride(
            rows: rows, groups: groups, groupWidth: groupWidth, groupsPerChunk: groupsPerChunk)
        self.init(
            at: arena.floats(planes * stride), rows: rows, groups: groups, groupWidth: groupWidth,
            groupsPerChunk: groupsPerChunk)
    }

    /// Floats per plane: 16 more than needed, because planes a power of two apart would evict each other from L1.
    static func planeStride(rows: Int, groups: Int, groupWidth: Int, groupsPerChunk: Int) -> Int {
        let chunks = (groups + groupsPerChunk - 1) / groupsPerChunk
        return chunks * rows * groupsPerChunk * groupWidth + 16
    }

    /// Floats between rows of a chunk.
    @inline(__always)
    var rowStride: Int { groupsPerChunk * groupWidth }

    /// A channel group of a row in plane 0.
    @inline(__always)
    func group(_ group: Int, row: Int) -> UnsafeMutablePointer<Float> {
        let chunk = group / groupsPerChunk
        return data + chunk * chunkStride + row * rowStride + (group - chunk * groupsPerChunk) * groupWidth
    }

    /// A chunk of a plane.
    @inline(__always)
    func chunk(_ chunk: Int, plane: Int) -> UnsafeMutablePointer<Float> {
        data + plane * planeStride + chunk * chunkStride
    }
}
