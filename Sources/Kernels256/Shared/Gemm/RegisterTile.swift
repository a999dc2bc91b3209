import CProcessor
import Tensors

/// A product whose result stays in registers: `rows` rows of `vectors` vectors each.
///
/// Enough independent accumulators to keep both FMA pipes of a core busy. The compiler unrolls the loops over rows and
/// vectors, whose lengths are constants, and keeps the arrays in registers.
enum RegisterTile<V: SIMD, let rows: Int, let vectors: Int> where V.Scalar == Float {
    /// `c[rows, columns] (+)= a[rows, count] * b[count, columns]`, of which only the first `valid` rows exist: rows past
    /// the last repeat it.
    /// - Parameters:
    ///   - ahead: distance in floats from a row of `b` to what is fetched into the cache meanwhile.
    @inline(__always)
    static func multiply(
        _ a: Microkernel.Left, rows valid: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int, ahead: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        var sums = InlineArray<rows, InlineArray<vectors, V>>(repeating: InlineArray(repeating: .zero))
        var left = InlineArray<rows, UnsafePointer<Float>>(repeating: a.data)
        for row in 0..<rows { left[row] = a.data + min(row, valid - 1) * a.rowStride }
        if accumulate {
            for row in 0..<rows {
                let source = c + min(row, valid - 1) * cStride
                for x in 0..<vectors { sums[row][x] = load(source + x * V.scalarCount) }
            }
        }
        var b = b
        var k = 0
        for _ in 0..<a.runs {
            for _ in 0..<count {
                var right = InlineArray<vectors, V>(repeating: .zero)
                for x in 0..<vectors {
                    right[x] = load(b + x * V.scalarCount)
                    if x * V.scalarCount % 16 == 0 { texloom_prefetch(b + ahead + x * V.scalarCount) }
                }
                for row in 0..<rows {
                    let factor = V(repeating: left[row][k])
                    for x in 0..<vectors { sums[row][x] = sums[row][x].addingProduct(right[x], factor) }
                }
                b += bStep
                k += a.step
            }
            k += a.gap
        }
        for row in 0..<rows {
            let target = c + min(row, valid - 1) * cStride
            for x in 0..<vectors { store(sums[row][x], target + x * V.scalarCount) }
        }
    }

    @inline(__always)
    private static func load(_ source: UnsafePointer<Float>) -> V {
        UnsafeRawPointer(source).loadUnaligned(as: V.self)
    }

    @inline(__always)
    private static func store(_ value: V, _ target: UnsafeMutablePointer<Float>) {
        UnsafeMutableRawPointer(target).storeBytes(of: value, as: V.self)
    }
}
