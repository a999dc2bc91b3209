import CProcessor
import Tensors

/// Convolution weights `[kernelSize, kernelSize, first, second]` as the right factor of the products: a matrix of `rows
/// x columns` per tap, read in groups of 8 rows and panels of 16 columns.
struct WeightView: @unchecked Sendable {
    let data: UnsafePointer<Float>
    let kernelSize: Int
    let first: Int
    let second: Int
    /// False: rows are the first channels and columns the second. True: rows are the second and columns the first.
    let transposed: Bool
    /// Reverses the order of the taps: turns the kernel by 180 degrees.
    let turned: Bool

    var rows: Int { transposed ? second : first }
    var columns: Int { transposed ? first : second }

    /// Copies rows `row..<row + 8` and columns `column..<column + 16` of all taps to `target` as `[kernelArea, 8, 16]`;
    /// elements outside the matrix become zero.
    @inline(__always)
    func copy(row: Int, column: Int, to target: UnsafeMutablePointer<Float>) {
        let kernelArea = kernelSize * kernelSize
        let height = min(8, rows - row)
        let width = min(16, columns - column)
        for tap in 0..<kernelArea {
            let source = data + (turned ? kernelArea - 1 - tap : tap) * first * second
            let target = target + tap * 128
            if height < 8 || width < 16 {
                for i in 0..<8 {
                    for j in 0..<16 {
                        let inside = i < height && j < width
                        let at = transposed ? (column + j) * second + row + i : (row + i) * second + column + j
                        target[i * 16 + j] = inside ? source[at] : 0
                    }
                }
            } else if transposed {
                for j in 0..<16 { texloom_prefetch(source + (column + j) * second + row + 16) }
                texloom_transpose8(source + column * second + row, second, target, 16)
                texloom_transpose8(source + (column + 8) * second + row, second, target + 8, 16)
            } else {
                for i in 0..<8 {
                    let source = source + (row + i) * second + column
                    // The next group's row: short pieces far apart, which the hardware prefetcher cannot predict.
                    texloom_prefetch(source + 8 * second)
                    store8(load8(source), target + i * 16)
                    store8(load8(source + 8), target + i * 16 + 8)
                }
            }
        }
    }
}
