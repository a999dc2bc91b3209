extension Microkernel {
    /// The first of the columns that are left, as many as one tile takes; returns their number.
    @inline(__always)
    static func multiply(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, columnsLeft: Int, accumulate: Bool
    ) -> Int {
        if columnsLeft > 24 {
            multiply32(a, rows: rows, count: count, b, bStep: bStep, into: c, cStride: cStride, accumulate: accumulate)
            return 32
        }
        if columnsLeft > 8 {
            multiply16(a, rows: rows, count: count, b, bStep: bStep, into: c, cStride: cStride, accumulate: accumulate)
            return 16
        }
        multiply8(a, rows: rows, count: count, b, bStep: bStep, into: c, cStride: cStride, accumulate: accumulate)
        return 8
    }

    /// `c[rows, 32] (+)= a[rows, count] * b[count, 32]`.
    @inline(never)
    private static func multiply32(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        var row = 0
        while row < rows {
            let left = rows - row
            // The last rows prefetch the next panel, which the hardware prefetcher cannot predict.
            let ahead = left > RegisterTiles.tall ? 0 : bStep == 32 ? 32 * count * a.runs : 32
            if RegisterTiles.isShort(rowsLeft: left) {
                RegisterTiles.Short32.multiply(
                    a.from(row: row), rows: left, count: count, b, bStep: bStep, ahead: ahead, into: c + row * cStride,
                    cStride: cStride, accumulate: accumulate)
                row += RegisterTiles.short
            } else {
                RegisterTiles.Tall32.multiply(
                    a.from(row: row), rows: left, count: count, b, bStep: bStep, ahead: ahead, into: c + row * cStride,
                    cStride: cStride, accumulate: accumulate)
                row += RegisterTiles.tall
            }
        }
    }
}
