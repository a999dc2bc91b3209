import COpenBLAS

/// The microkernel: small matrix products held in registers, the inner loop of every convolution here.
///
/// Twelve accumulators of eight floats, two loads and six broadcasts per twelve fused multiply-adds keep both FMA pipes
/// of an AVX2 core busy. Each result is the sum over `k` in ascending order, so rows and columns may be cut anywhere
/// without changing a byte.
enum Microkernel {
    /// The left factor: element (row, k) is at `data[row * rowStride + k * step]`, so a transposed matrix needs no
    /// copy.
    struct Left {
        let data: UnsafePointer<Float>
        let rowStride: Int
        let step: Int

        @inline(__always)
        init(_ data: UnsafePointer<Float>, rowStride: Int, step: Int) {
            self.data = data
            self.rowStride = rowStride
            self.step = step
        }
    }

    /// `c[rows, columns] (+)= a[rows, count] * b[count, columns]`.
    ///
    /// - Parameters:
    ///   - b: row `k` starts at `b + k * bStep`; readable up to a multiple of 8 columns.
    ///   - c: row `r` starts at `c + r * cStride`; written up to a multiple of 8 columns. Must not alias `a` or `b`.
    @inline(__always)
    static func multiply(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, columns: Int, accumulate: Bool
    ) {
        var column = 0
        if columns > 16 && columns <= 24 {
            return multiply24(
                a, rows: rows, count: count, b, bStep: bStep, into: c, cStride: cStride, accumulate: accumulate)
        }
        while column + 8 < columns {
            multiply16(
                a, rows: rows, count: count, b + column, bStep: bStep, into: c + column, cStride: cStride,
                accumulate: accumulate)
            column += 16
        }
        if column < columns {
            multiply8(
                a, rows: rows, count: count, b + column, bStep: bStep, into: c + column, cStride: cStride,
                accumulate: accumulate)
        }
    }

    /// `c[rows, 16] (+)= a[rows, count] * b[count, 16]`.
    @inline(never)
    static func multiply16(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        var row = 0
        while row < rows {
            let left = rows - row
            let rest = Left(a.data + row * a.rowStride, rowStride: a.rowStride, step: a.step)
            // 6s and 4s with the least waste; rows past the last repeat it.
            if left <= 4 || left == 7 || left == 8 {
                four(
                    count, rest, rows: left, b, bStep: bStep, c + row * cStride, cStride: cStride,
                    accumulate: accumulate)
                row += 4
            } else {
                // The last rows prefetch the next panel, which the hardware prefetcher cannot predict.
                six(
                    count, rest, rows: left, b, bStep: bStep, ahead: left > 6 ? 0 : bStep == 16 ? 16 * count : 16,
                    c + row * cStride, cStride: cStride, accumulate: accumulate)
                row += 6
            }
        }
    }

    /// `c[rows, 24] (+)= a[rows, count] * b[count, 24]`.
    @inline(never)
    static func multiply24(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        for row in stride(from: 0, to: rows, by: 4) {
            fourWide(
                count, Left(a.data + row * a.rowStride, rowStride: a.rowStride, step: a.step), rows: rows - row, b,
                bStep: bStep, c + row * cStride, cStride: cStride, accumulate: accumulate)
        }
    }

    /// `c[rows, 8] (+)= a[rows, count] * b[count, 8]`: the last half panel of a width that is no multiple of 16.
    @inline(never)
    static func multiply8(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        var row = 0
        while row < rows {
            let left = rows - row
            let rest = Left(a.data + row * a.rowStride, rowStride: a.rowStride, step: a.step)
            if left <= 4 {
                fourNarrow(
                    count, rest, rows: left, b, bStep: bStep, c + row * cStride, cStride: cStride,
                    accumulate: accumulate)
                row += 4
            } else {
                eightNarrow(
                    count, rest, rows: left, b, bStep: bStep, c + row * cStride, cStride: cStride,
                    accumulate: accumulate)
                row += 8
            }
        }
    }

    /// 6 x 16.
    @inline(__always)
    private static func six(
        _ count: Int, _ a: Left, rows: Int, _ b: UnsafePointer<Float>, bStep: Int, ahead: Int,
        _ c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        let last = rows - 1
        let a0 = a.data
        let a1 = a.data + min(1, last) * a.rowStride
        let a2 = a.data + min(2, last) * a.rowStride
        let a3 = a.data + min(3, last) * a.rowStride
        let a4 = a.data + min(4, last) * a.rowStride
        let a5 = a.data + min(5, last) * a.rowStride
        let c0 = c
        let c1 = c + min(1, last) * cStride
        let c2 = c + min(2, last) * cStride
        let c3 = c + min(3, last) * cStride
        let c4 = c + min(4, last) * cStride
        let c5 = c + min(5, last) * cStride
        var s0x = Float8.zero
        var s0y = Float8.zero
        var s1x = Float8.zero
        var s1y = Float8.zero
        var s2x = Float8.zero
        var s2y = Float8.zero
        var s3x = Float8.zero
        var s3y = Float8.zero
        var s4x = Float8.zero
        var s4y = Float8.zero
        var s5x = Float8.zero
        var s5y = Float8.zero
        if accumulate {
            s0x = load8(c0)
            s0y = load8(c0 + 8)
            s1x = load8(c1)
            s1y = load8(c1 + 8)
            s2x = load8(c2)
            s2y = load8(c2 + 8)
            s3x = load8(c3)
            s3y = load8(c3 + 8)
            s4x = load8(c4)
            s4y = load8(c4 + 8)
            s5x = load8(c5)
            s5y = load8(c5 + 8)
        }
        var b = b
        var k = 0
        for _ in 0..<count {
            let bx = load8(b)
            let by = load8(b + 8)
            texloom_prefetch(b + ahead)
            let f0 = Float8(repeating: a0[k])
            s0x = s0x.addingProduct(bx, f0)
            s0y = s0y.addingProduct(by, f0)
            let f1 = Float8(repeating: a1[k])
            s1x = s1x.addingProduct(bx, f1)
            s1y = s1y.addingProduct(by, f1)
            let f2 = Float8(repeating: a2[k])
            s2x = s2x.addingProduct(bx, f2)
            s2y = s2y.addingProduct(by, f2)
            let f3 = Float8(repeating: a3[k])
            s3x = s3x.addingProduct(bx, f3)
            s3y = s3y.addingProduct(by, f3)
            let f4 = Float8(repeating: a4[k])
            s4x = s4x.addingProduct(bx, f4)
            s4y = s4y.addingProduct(by, f4)
            let f5 = Float8(repeating: a5[k])
            s5x = s5x.addingProduct(bx, f5)
            s5y = s5y.addingProduct(by, f5)
            b += bStep
            k += a.step
        }
        store8(s0x, c0)
        store8(s0y, c0 + 8)
        store8(s1x, c1)
        store8(s1y, c1 + 8)
        store8(s2x, c2)
        store8(s2y, c2 + 8)
        store8(s3x, c3)
        store8(s3y, c3 + 8)
        store8(s4x, c4)
        store8(s4y, c4 + 8)
        store8(s5x, c5)
        store8(s5y, c5 + 8)
    }

    /// 4 x 16.
    @inline(__always)
    private static func four(
        _ count: Int, _ a: Left, rows: Int, _ b: UnsafePointer<Float>, bStep: Int,
        _ c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        let last = rows - 1
        let a0 = a.data
        let a1 = a.data + min(1, last) * a.rowStride
        let a2 = a.data + min(2, last) * a.rowStride
        let a3 = a.data + min(3, last) * a.rowStride
        let c0 = c
        let c1 = c + min(1, last) * cStride
        let c2 = c + min(2, last) * cStride
        let c3 = c + min(3, last) * cStride
        var s0x = Float8.zero
        var s0y = Float8.zero
        var s1x = Float8.zero
        var s1y = Float8.zero
        var s2x = Float8.zero
        var s2y = Float8.zero
        var s3x = Float8.zero
        var s3y = Float8.zero
        if accumulate {
            s0x = load8(c0)
            s0y = load8(c0 + 8)
            s1x = load8(c1)
            s1y = load8(c1 + 8)
            s2x = load8(c2)
            s2y = load8(c2 + 8)
            s3x = load8(c3)
            s3y = load8(c3 + 8)
        }
        var b = b
        var k = 0
        for _ in 0..<count {
            let bx = load8(b)
            let by = load8(b + 8)
            let f0 = Float8(repeating: a0[k])
            s0x = s0x.addingProduct(bx, f0)
            s0y = s0y.addingProduct(by, f0)
            let f1 = Float8(repeating: a1[k])
            s1x = s1x.addingProduct(bx, f1)
            s1y = s1y.addingProduct(by, f1)
            let f2 = Float8(repeating: a2[k])
            s2x = s2x.addingProduct(bx, f2)
            s2y = s2y.addingProduct(by, f2)
            let f3 = Float8(repeating: a3[k])
            s3x = s3x.addingProduct(bx, f3)
            s3y = s3y.addingProduct(by, f3)
            b += bStep
            k += a.step
        }
        store8(s0x, c0)
        store8(s0y, c0 + 8)
        store8(s1x, c1)
        store8(s1y, c1 + 8)
        store8(s2x, c2)
        store8(s2y, c2 + 8)
        store8(s3x, c3)
        store8(s3y, c3 + 8)
    }

    /// 4 x 24.
    @inline(__always)
    private static func fourWide(
        _ count: Int, _ a: Left, rows: Int, _ b: UnsafePointer<Float>, bStep: Int,
        _ c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        let last = rows - 1
        let a0 = a.data
        let a1 = a.data + min(1, last) * a.rowStride
        let a2 = a.data + min(2, last) * a.rowStride
        let a3 = a.data + min(3, last) * a.rowStride
        let c0 = c
        let c1 = c + min(1, last) * cStride
        let c2 = c + min(2, last) * cStride
        let c3 = c + min(3, last) * cStride
        var s0x = Float8.zero
        var s0y = Float8.zero
        var s0z = Float8.zero
        var s1x = Float8.zero
        var s1y = Float8.zero
        var s1z = Float8.zero
        var s2x = Float8.zero
        var s2y = Float8.zero
        var s2z = Float8.zero
        var s3x = Float8.zero
        var s3y = Float8.zero
        var s3z = Float8.zero
        if accumulate {
            s0x = load8(c0)
            s0y = load8(c0 + 8)
            s0z = load8(c0 + 16)
            s1x = load8(c1)
            s1y = load8(c1 + 8)
            s1z = load8(c1 + 16)
            s2x = load8(c2)
            s2y = load8(c2 + 8)
            s2z = load8(c2 + 16)
            s3x = load8(c3)
            s3y = load8(c3 + 8)
            s3z = load8(c3 + 16)
        }
        var b = b
        var k = 0
        for _ in 0..<count {
            let bx = load8(b)
            let by = load8(b + 8)
            let bz = load8(b + 16)
            let f0 = Float8(repeating: a0[k])
            s0x = s0x.addingProduct(bx, f0)
            s0y = s0y.addingProduct(by, f0)
            s0z = s0z.addingProduct(bz, f0)
            let f1 = Float8(repeating: a1[k])
            s1x = s1x.addingProduct(bx, f1)
            s1y = s1y.addingProduct(by, f1)
            s1z = s1z.addingProduct(bz, f1)
            let f2 = Float8(repeating: a2[k])
            s2x = s2x.addingProduct(bx, f2)
            s2y = s2y.addingProduct(by, f2)
            s2z = s2z.addingProduct(bz, f2)
            let f3 = Float8(repeating: a3[k])
            s3x = s3x.addingProduct(bx, f3)
            s3y = s3y.addingProduct(by, f3)
            s3z = s3z.addingProduct(bz, f3)
            b += bStep
            k += a.step
        }
        store8(s0x, c0)
        store8(s0y, c0 + 8)
        store8(s0z, c0 + 16)
        store8(s1x, c1)
        store8(s1y, c1 + 8)
        store8(s1z, c1 + 16)
        store8(s2x, c2)
        store8(s2y, c2 + 8)
        store8(s2z, c2 + 16)
        store8(s3x, c3)
        store8(s3y, c3 + 8)
        store8(s3z, c3 + 16)
    }

    /// 8 x 8.
    @inline(__always)
    private static func eightNarrow(
        _ count: Int, _ a: Left, rows: Int, _ b: UnsafePointer<Float>, bStep: Int,
        _ c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        let last = rows - 1
        let a0 = a.data
        let a1 = a.data + min(1, last) * a.rowStride
        let a2 = a.data + min(2, last) * a.rowStride
        let a3 = a.data + min(3, last) * a.rowStride
        let a4 = a.data + min(4, last) * a.rowStride
        let a5 = a.data + min(5, last) * a.rowStride
        let a6 = a.data + min(6, last) * a.rowStride
        let a7 = a.data + min(7, last) * a.rowStride
        let c0 = c
        let c1 = c + min(1, last) * cStride
        let c2 = c + min(2, last) * cStride
        let c3 = c + min(3, last) * cStride
        let c4 = c + min(4, last) * cStride
        let c5 = c + min(5, last) * cStride
        let c6 = c + min(6, last) * cStride
        let c7 = c + min(7, last) * cStride
        var s0x = Float8.zero
        var s1x = Float8.zero
        var s2x = Float8.zero
        var s3x = Float8.zero
        var s4x = Float8.zero
        var s5x = Float8.zero
        var s6x = Float8.zero
        var s7x = Float8.zero
        if accumulate {
            s0x = load8(c0)
            s1x = load8(c1)
            s2x = load8(c2)
            s3x = load8(c3)
            s4x = load8(c4)
            s5x = load8(c5)
            s6x = load8(c6)
            s7x = load8(c7)
        }
        var b = b
        var k = 0
        for _ in 0..<count {
            let bx = load8(b)
            let f0 = Float8(repeating: a0[k])
            s0x = s0x.addingProduct(bx, f0)
            let f1 = Float8(repeating: a1[k])
            s1x = s1x.addingProduct(bx, f1)
            let f2 = Float8(repeating: a2[k])
            s2x = s2x.addingProduct(bx, f2)
            let f3 = Float8(repeating: a3[k])
            s3x = s3x.addingProduct(bx, f3)
            let f4 = Float8(repeating: a4[k])
            s4x = s4x.addingProduct(bx, f4)
            let f5 = Float8(repeating: a5[k])
            s5x = s5x.addingProduct(bx, f5)
            let f6 = Float8(repeating: a6[k])
            s6x = s6x.addingProduct(bx, f6)
            let f7 = Float8(repeating: a7[k])
            s7x = s7x.addingProduct(bx, f7)
            b += bStep
            k += a.step
        }
        store8(s0x, c0)
        store8(s1x, c1)
        store8(s2x, c2)
        store8(s3x, c3)
        store8(s4x, c4)
        store8(s5x, c5)
        store8(s6x, c6)
        store8(s7x, c7)
    }

    /// 4 x 8.
    @inline(__always)
    private static func fourNarrow(
        _ count: Int, _ a: Left, rows: Int, _ b: UnsafePointer<Float>, bStep: Int,
        _ c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        let last = rows - 1
        let a0 = a.data
        let a1 = a.data + min(1, last) * a.rowStride
        let a2 = a.data + min(2, last) * a.rowStride
        let a3 = a.data + min(3, last) * a.rowStride
        let c0 = c
        let c1 = c + min(1, last) * cStride
        let c2 = c + min(2, last) * cStride
        let c3 = c + min(3, last) * cStride
        var s0x = Float8.zero
        var s1x = Float8.zero
        var s2x = Float8.zero
        var s3x = Float8.zero
        if accumulate {
            s0x = load8(c0)
            s1x = load8(c1)
            s2x = load8(c2)
            s3x = load8(c3)
        }
        var b = b
        var k = 0
        for _ in 0..<count {
            let bx = load8(b)
            let f0 = Float8(repeating: a0[k])
            s0x = s0x.addingProduct(bx, f0)
            let f1 = Float8(repeating: a1[k])
            s1x = s1x.addingProduct(bx, f1)
            let f2 = Float8(repeating: a2[k])
            s2x = s2x.addingProduct(bx, f2)
            let f3 = Float8(repeating: a3[k])
            s3x = s3x.addingProduct(bx, f3)
            b += bStep
            k += a.step
        }
        store8(s0x, c0)
        store8(s1x, c1)
        store8(s2x, c2)
        store8(s3x, c3)
    }
}
