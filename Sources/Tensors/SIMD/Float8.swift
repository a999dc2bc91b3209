/// Eight neighbouring channels: one vector register of AVX2.
@usableFromInline
package typealias Float8 = SIMD8<Float>

@inlinable
@inline(__always)
package func load8(_ source: UnsafePointer<Float>) -> Float8 { UnsafeRawPointer(source).loadUnaligned(as: Float8.self) }

@inlinable
@inline(__always)
package func store8(_ value: Float8, _ target: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(target).storeBytes(of: value, as: Float8.self)
}

/// Loads the first `lanes` floats; the rest is zero.
@inlinable
@inline(__always)
package func load8(_ source: UnsafePointer<Float>, lanes: Int) -> Float8 {
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
@inlinable
@inline(__always)
package func store8(_ value: Float8, _ target: UnsafeMutablePointer<Float>, lanes: Int) {
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
