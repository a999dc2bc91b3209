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
                transpose8(source + column * second + row, stride: second, to: target, stride: 16)
                transpose8(source + (column + 8) * second + row, stride: second, to: target + 8, stride: 16)
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

/// Transposes an 8 x 8 block.
@inline(__always)
private func transpose8(
    _ source: UnsafePointer<Float>, stride sourceStride: Int, to target: UnsafeMutablePointer<Float>, stride: Int
) {
    // Interleaving rows i and i + 4 three times sorts the block by column.
    @inline(__always)
    func zip(_ a: Float8, _ b: Float8) -> (Float8, Float8) {
        var low = Float8.zero
        low.evenHalf = a.lowHalf
        low.oddHalf = b.lowHalf
        var high = Float8.zero
        high.evenHalf = a.highHalf
        high.oddHalf = b.highHalf
        return (low, high)
    }
    let r0 = load8(source)
    let r1 = load8(source + sourceStride)
    let r2 = load8(source + sourceStride * 2)
    let r3 = load8(source + sourceStride * 3)
    let r4 = load8(source + sourceStride * 4)
    let r5 = load8(source + sourceStride * 5)
    let r6 = load8(source + sourceStride * 6)
    let r7 = load8(source + sourceStride * 7)
    let (a0, a1) = zip(r0, r4)
    let (a2, a3) = zip(r1, r5)
    let (a4, a5) = zip(r2, r6)
    let (a6, a7) = zip(r3, r7)
    let (b0, b1) = zip(a0, a4)
    let (b2, b3) = zip(a1, a5)
    let (b4, b5) = zip(a2, a6)
    let (b6, b7) = zip(a3, a7)
    let (c0, c1) = zip(b0, b4)
    let (c2, c3) = zip(b1, b5)
    let (c4, c5) = zip(b2, b6)
    let (c6, c7) = zip(b3, b7)
    store8(c0, target)
    store8(c1, target + stride)
    store8(c2, target + stride * 2)
    store8(c3, target + stride * 3)
    store8(c4, target + stride * 4)
    store8(c5, target + stride * 5)
    store8(c6, target + stride * 6)
    store8(c7, target + stride * 7)
}
