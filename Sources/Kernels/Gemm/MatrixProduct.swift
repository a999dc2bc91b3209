import Tensors
import COpenBLAS

/// Makes OpenBLAS run on the calling thread: its own threads below our pool's cost 40 % of the speed.
private let singleThreadedBLAS: Void = openblas_set_num_threads(1)

/// `c = a b` (or `c += a b`), each of `a` and `b` transposed on request: by OpenBLAS, on the calling thread.
///
/// The bytes do not depend on other threads.
@inline(__always)
public func multiply(
    _ a: Matrix, transposed transposeA: Bool = false, _ b: Matrix, transposed transposeB: Bool = false,
    into c: Matrix, accumulate: Bool = false
) {
    _ = singleThreadedBLAS
    let inner = transposeA ? a.rows : a.columns
    require(
        c.rows == (transposeA ? a.columns : a.rows) && c.columns == (transposeB ? b.rows : b.columns)
            && inner == (transposeB ? b.columns : b.rows),
        "a product of \(a.rows)x\(a.columns) and \(b.rows)x\(b.columns) into \(c.rows)x\(c.columns)")
    // OpenBLAS's kernels for small products on CPUs with AVX-512 allocate on every call, unless the inner dimension is
    // below 32 or a factor is transposed.
    let isSmall = !transposeA && !transposeB && inner >= 32 && c.rows * c.columns * inner <= 1_000_000
    let step = isSmall ? 31 : max(1, inner)
    var first = 0
    repeat {
        cblas_sgemm(
            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans,
            Int32(c.rows), Int32(c.columns), Int32(min(step, inner - first)), 1,
            transposeA ? a.data : a.data + first, Int32(a.stride), b.data + first * b.stride, Int32(b.stride),
            accumulate || first > 0 ? 1 : 0, c.data, Int32(c.stride))
        first += step
    } while first < inner
}
