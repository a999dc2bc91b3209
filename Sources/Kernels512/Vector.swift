import Tensors

/// The vectors that this module computes with: one register of AVX-512.
typealias Vector = SIMD16<Float>

/// The shape of the microkernel's register tiles, for thirty-two registers of sixteen floats. Sizes never decide the
/// order of a sum, so bytes do not depend on them.
enum RegisterTiles {
    /// Columns of a packed panel of weights, all of which one tile takes.
    static var panel: Int { 32 }
    /// Rows of the tiles; blocks of rows are made in multiples of `tall`. More rows would need more addresses than
    /// general registers hold.
    static var tall: Int { 8 }
    static var short: Int { 4 }
    /// Tiles of sixteen columns.
    typealias Tall16 = RegisterTile<Vector, 8, 1>
    typealias Short16 = RegisterTile<Vector, 4, 1>
    /// Tiles of a whole panel.
    typealias Tall32 = RegisterTile<Vector, 8, 2>
    typealias Short32 = RegisterTile<Vector, 4, 2>

    /// Whether the next tile is a short one, for the least waste over all rows.
    @inline(__always)
    static func isShort(rowsLeft: Int) -> Bool { rowsLeft <= 4 }
}

/// Loads the first `lanes` floats; the rest is zero.
@inline(__always)
func loadVector(_ source: UnsafePointer<Float>, lanes: Int) -> Vector {
    if lanes >= 16 { return loadVector(source) }
    if lanes <= 8 { return Vector(lowHalf: load8(source, lanes: lanes), highHalf: .zero) }
    return Vector(lowHalf: load8(source), highHalf: load8(source + 8, lanes: lanes - 8))
}

/// Stores the first `lanes` floats.
@inline(__always)
func storeVector(_ value: Vector, _ target: UnsafeMutablePointer<Float>, lanes: Int) {
    if lanes >= 16 { return storeVector(value, target) }
    store8(value.lowHalf, target, lanes: lanes)
    if lanes > 8 { store8(value.highHalf, target + 8, lanes: lanes - 8) }
}

/// Loads a vector's channel groups, which lie `groupStride` floats apart.
@inline(__always)
func loadGroups(_ source: UnsafePointer<Float>, groupStride: Int) -> Vector {
    if groupStride == 8 { return loadVector(source) }
    return Vector(lowHalf: load8(source), highHalf: load8(source + groupStride))
}

/// Stores the first `groups` of a vector's channel groups, `groupStride` floats apart.
@inline(__always)
func storeGroups(_ value: Vector, _ target: UnsafeMutablePointer<Float>, groupStride: Int, groups: Int) {
    if groups > 1 && groupStride == 8 { return storeVector(value, target) }
    store8(value.lowHalf, target)
    if groups > 1 { store8(value.highHalf, target + groupStride) }
}
