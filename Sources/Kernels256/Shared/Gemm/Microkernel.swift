import Tensors

/// The microkernel: small matrix products held in registers, the inner loop of every convolution here.
///
/// Each result is the sum over `k` in ascending order by fused multiply-adds, so rows and columns may be cut anywhere
/// without changing a byte, and the width of the vectors changes none.
enum Microkernel {
    /// The left factor: element (row, k) is at `data[row * rowStride + k * step]`, so a transposed matrix needs no
    /// copy. Windows of an image need none either: a row can consist of several runs with a gap behind each.
    struct Left {
        let data: UnsafePointer<Float>
        let rowStride: Int
        let step: Int
        let runs: Int
        /// Floats between the end of a run and the start of the next.
        let gap: Int

        @inline(__always)
        init(_ data: UnsafePointer<Float>, rowStride: Int, step: Int, runs: Int = 1, gap: Int = 0) {
            self.data = data
            self.rowStride = rowStride
            self.step = step
            self.runs = runs
            self.gap = gap
        }

        @inline(__always)
        func from(row: Int) -> Left {
            Left(data + row * rowStride, rowStride: rowStride, step: step, runs: runs, gap: gap)
        }
    }

    /// `c[rows, columns] (+)= a[rows, count] * b[count, columns]`.
    ///
    /// - Parameters:
    ///   - count: of a run of `a`, if its rows have several.
    ///   - b: row `k` starts at `b + k * bStep`; readable up to a multiple of 8 columns.
    ///   - c: row `r` starts at `c + r * cStride`; written up to a multiple of 8 columns. Must not alias `a` or `b`.
    @inline(__always)
    static func multiply(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, columns: Int, accumulate: Bool
    ) {
        var column = 0
        while column < columns {
            column += multiply(
                a, rows: rows, count: count, b + column, bStep: bStep, into: c + column, cStride: cStride,
                columnsLeft: columns - column, accumulate: accumulate)
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
            if RegisterTiles.isShort(rowsLeft: left) {
                RegisterTiles.Short16.multiply(
                    a.from(row: row), rows: left, count: count, b, bStep: bStep, ahead: 0, into: c + row * cStride,
                    cStride: cStride, accumulate: accumulate)
                row += RegisterTiles.short
            } else {
                // The last rows prefetch the next panel, which the hardware prefetcher cannot predict.
                let ahead = left > RegisterTiles.tall ? 0 : bStep == 16 ? 16 * count * a.runs : 16
                RegisterTiles.Tall16.multiply(
                    a.from(row: row), rows: left, count: count, b, bStep: bStep, ahead: ahead, into: c + row * cStride,
                    cStride: cStride, accumulate: accumulate)
                row += RegisterTiles.tall
            }
        }
    }

    /// `c[rows, 8] (+)= a[rows, count] * b[count, 8]`: the last columns of a width that is no multiple of 16.
    @inline(never)
    static func multiply8(
        _ a: Left, rows: Int, count: Int, _ b: UnsafePointer<Float>, bStep: Int,
        into c: UnsafeMutablePointer<Float>, cStride: Int, accumulate: Bool
    ) {
        var row = 0
        while row < rows {
            let left = rows - row
            if left <= 4 {
                RegisterTile<Float8, 4, 1>.multiply(
                    a.from(row: row), rows: left, count: count, b, bStep: bStep, ahead: 0, into: c + row * cStride,
                    cStride: cStride, accumulate: accumulate)
                row += 4
            } else {
                RegisterTile<Float8, 8, 1>.multiply(
                    a.from(row: row), rows: left, count: count, b, bStep: bStep, ahead: 0, into: c + row * cStride,
                    cStride: cStride, accumulate: accumulate)
                row += 8
            }
        }
    }
}
