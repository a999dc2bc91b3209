import Tensors

/// The vectors that this module computes with: one register of AVX2.
typealias Vector = SIMD8<Float>

/// The shape of the microkernel's register tiles, for sixteen registers of eight floats. Sizes never decide the order of
/// a sum, so bytes do not depend on them.
enum RegisterTiles {
    /// Columns of a packed panel of weights, all of which one tile takes.
    static var panel: Int { 16 }
    /// Rows of the tiles; blocks of rows are made in multiples of `tall`.
    static var tall: Int { 6 }
    static var short: Int { 4 }
    /// Tiles of sixteen columns.
    typealias Tall16 = RegisterTile<Vector, 6, 2>
    typealias Short16 = RegisterTile<Vector, 4, 2>

    /// Whether the next tile is a short one, for the least waste over all rows.
    @inline(__always)
    static func isShort(rowsLeft: Int) -> Bool { rowsLeft <= 4 || rowsLeft == 7 || rowsLeft == 8 }
}

/// Loads the first `lanes` floats; the rest is zero.
@inline(__always)
func loadVector(_ source: UnsafePointer<Float>, lanes: Int) -> Vector { load8(source, lanes: lanes) }

/// Stores the first `lanes` floats.
@inline(__always)
func storeVector(_ value: Vector, _ target: UnsafeMutablePointer<Float>, lanes: Int) {
    store8(value, target, lanes: lanes)
}

/// Loads a vector's channel groups, which lie `groupStride` floats apart.
@inline(__always)
func loadGroups(_ source: UnsafePointer<Float>, groupStride: Int) -> Vector { load8(source) }

/// Stores the first `groups` of a vector's channel groups, `groupStride` floats apart.
@inline(__always)
func storeGroups(_ value: Vector, _ target: UnsafeMutablePointer<Float>, groupStride: Int, groups: Int) {
    store8(value, target)
}
