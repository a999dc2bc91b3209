/// A linear map along one axis of a tile, on eight channels at a time.
protocol AxisMap {
    /// Number of vectors in.
    static var from: Int { get }
    /// Number of vectors out.
    static var to: Int { get }
    static func apply(_ load: (Int) -> Float8, _ store: (Int, Float8) -> Void)
}

/// A short convolution along one axis by Winograd's method: `outputs` neighbouring results of a filter of `taps` taps
/// are computed with fewer multiplications than `outputs * taps`, by evaluating tile and filter as polynomials at a few
/// points, multiplying there and interpolating.
///
/// Written as three linear maps `y = Output(Input(d) * Weight(g))`; their transposes give the gradients:
/// `dd = Input'(Weight(g) * Output'(dy))` and `dg = Weight'(Input(d) * Output'(dy))`.
///
/// A filter of stride 2 is the sum of two filters of stride 1, one on the even and one on the odd samples (the two
/// `phases`); a plane of the transformed tile then holds the channels of both.
///
/// Points and their scaling were chosen for float accuracy (see each axis).
/// - Source: Lavin & Gray, arXiv:1509.09308; error and points: Barabasz et al., arXiv:1803.10986.
protocol WinogradAxis {
    static var stride: Int { get }
    static var taps: Int { get }
    /// Results per tile.
    static var outputs: Int { get }
    static var phases: Int { get }
    /// Products per tile and phase.
    static var points: Int { get }
    /// Different right factors of them: points in a row may share one.
    static var weightPoints: Int { get }
    static func weightPoint(_ point: Int) -> Int
    /// Samples -> `phases * points`, phase by phase.
    associatedtype Input: AxisMap
    /// Taps -> `phases * weightPoints`.
    associatedtype Weight: AxisMap
    /// Points -> results.
    associatedtype Output: AxisMap
}

/// One whose gradients are computed as well.
protocol WinogradGradientAxis: WinogradAxis {
    associatedtype InputTransposed: AxisMap
    associatedtype WeightTransposed: AxisMap
    associatedtype OutputTransposed: AxisMap
}

extension WinogradAxis {
    static var weightPoints: Int { points }
    @inline(__always)
    static func weightPoint(_ point: Int) -> Int { point }
}

/// `a + b * c`, rounded once.
@inline(__always)
func fma(_ a: Float8, _ b: Float8, _ c: Float) -> Float8 { a.addingProduct(b, Float8(repeating: c)) }
@inline(__always)
func times(_ a: Float8, _ c: Float) -> Float8 { a * Float8(repeating: c) }

/// Applies a map to columns, then to rows: `store(i, j)` gets the `to x to` results of the `from x from` loads.
///
/// - Parameter scratch: `to * from * 8` floats.
@inline(__always)
func transform<Map: AxisMap>(
    _: Map.Type, scratch: UnsafeMutablePointer<Float>,
    load: (Int, Int) -> Float8, store: (Int, Int, Float8) -> Void
) {
    for j in 0..<Map.from {
        Map.apply({ load($0, j) }, { store8($1, scratch + ($0 * Map.from + j) * 8) })
    }
    for i in 0..<Map.to {
        Map.apply({ load8(scratch + (i * Map.from + $0) * 8) }, { store(i, $0, $1) })
    }
}
