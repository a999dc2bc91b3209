import Tensors

/// Products with a matrix packed into panels for our own microkernel. Each result is a chain of fused multiply-adds in
/// ascending order of the inner dimension, so it does not depend on the kernels that OpenBLAS picks for a CPU type,
/// and equal columns have equal results.
enum PanelProducts {
    /// Columns of a panel.
    static let width = 16

    /// The number of panels that hold `columns`.
    @inline(__always)
    private static func panels(columns: Int) -> Int { (columns + width - 1) / width }

    /// `c[row, 16 panel + lane] (+)= sum over k of a[row, k] * b[panel][k][lane]`.
    /// - Parameters:
    ///   - b: `[c.columns / 16, a.columns, 16]`; lanes past the last column must be readable and finite.
    ///   - c: `columns` a multiple of 16. Must not alias `a` or `b`.
    static func multiply(_ a: Matrix, panels b: UnsafePointer<Float>, into c: Matrix, accumulate: Bool) {
        require(
            c.columns % width == 0 && c.rows == a.rows,
            "\(a.rows) rows times panels of \(width) into \(c.rows)x\(c.columns)")
        for panel in 0..<c.columns / width {
            Microkernel.multiply16(
                Microkernel.Left(a.data, rowStride: a.stride, step: 1), rows: a.rows, count: a.columns,
                b + panel * a.columns * width, bStep: width, into: c.data + panel * width, cStride: c.stride,
                accumulate: accumulate)
        }
    }

    /// Rows of `a` at a time: one panel of them fits into the L1 cache.
    private static let grain = 128

    /// Floats that `multiplyBySelf` needs as scratch.
    static func scratch(columns: Int) -> Int { panels(columns: columns) * width * (grain + columns) }

    /// `c = a' a`: the upper triangle with the diagonal; elements below keep their values.
    /// - Parameter scratch: `scratch(columns:)` floats.
    static func multiplyBySelf(_ a: Matrix, into c: Matrix, scratch: UnsafeMutablePointer<Float>) {
        let columns = a.columns
        require(c.rows == columns && c.columns == columns, "\(columns) columns into \(c.rows)x\(c.columns)")
        let count = panels(columns: columns)
        // As wide as the panels, so that stores need no mask.
        let sums = Matrix(scratch, rows: columns, columns: count * width)
        let packed = scratch + columns * count * width
        for first in stride(from: 0, to: a.rows, by: grain) {
            let rows = min(grain, a.rows - first)
            let part = a.data + first * a.stride
            for panel in 0..<count {
                for row in 0..<rows {
                    let target = packed + (panel * rows + row) * width
                    let source = part + row * a.stride + panel * width
                    let valid = min(width, columns - panel * width)
                    for lane in 0..<valid { target[lane] = source[lane] }
                    for lane in valid..<width { target[lane] = 0 }
                }
                Microkernel.multiply16(
                    Microkernel.Left(part, rowStride: 1, step: a.stride), rows: min(columns, (panel + 1) * width),
                    count: rows, packed + panel * rows * width, bStep: width, into: sums.data + panel * width,
                    cStride: sums.stride, accumulate: first > 0)
            }
        }
        for row in 0..<columns {
            (c.data + row * c.stride + row).update(from: sums.data + row * sums.stride + row, count: columns - row)
        }
    }
}
