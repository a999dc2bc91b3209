extension Microkernel {
    /// The first of the columns that are left, as many as one tile takes; returns their number.
    @inline(__always)
    static func multiply(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, columnsLeft: Int, accumulate: Bool
    ) -> Int {
        if columnsLeft > 16 && columnsLeft <= 24 {
            multiply24(a, rows: rows, count: count, b, bStep: bStep, into: c, cStride: cStride, accumulate: accumulate)
            return 24
        }
        if columnsLeft > 8 {
            multiply16(a, rows: rows, count: count, b, bStep: bStep, into: c, cStride: cStride, accumulate: accumulate)
            return 16
        }
        multiply8(a, rows: rows, count: count, b, bStep: bStep, into: c, cStride: cStride, accumulate: accumulate)
        return 8
    }

    /// `c[rows, 24] (+)= a[rows, count] * b[count, 24]`.
    @inline(never)
    private static func multiply24(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        for row in stride(from: 0, to: rows, by: 4) {
            RegisterTile<Vector, 4, 3>.multiply(
                a.from(row: row), rows: rows - row, count: count, b, bStep: bStep, ahead: 0, into: c + row * cStride,
                cStride: cStride, accumulate: accumulate)
        }
    }
}
