/// Neighbouring channels that a vector holds.
@inline(__always)
var vectorLanes: Int { Vector.scalarCount }

/// Transformed tiles hold their channels in groups of 8, whatever the vectors' width: their order is that of the sums.
/// A vector takes this many groups.
@inline(__always)
var groupsPerVector: Int { vectorLanes / 8 }

/// At most `groups` of `all` channel groups, so that no vector is cut unless it is the last.
@inline(__always)
func wholeVectors(groups: Int, of all: Int) -> Int {
    groups >= all ? all : min(all, max(1, groups / groupsPerVector) * groupsPerVector)
}

@inline(__always)
func loadVector(_ source: UnsafePointer<Float>) -> Vector { UnsafeRawPointer(source).loadUnaligned(as: Vector.self) }

@inline(__always)
func storeVector(_ value: Vector, _ target: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: Vector.self)
}
