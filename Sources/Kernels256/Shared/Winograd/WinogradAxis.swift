/// A linear map along one axis of a tile, on a vector of channels at a time.
protocol AxisMap {
    /// Number of vectors in.
    static var from: Int { get }
    /// Number of vectors out.
    static var to: Int { get }
    static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void)
}

/// A short convolution along one axis by Winograd's method, F(m, r) in the literature: m = `outputTile` neighbouring
/// results of a kernel of r = `kernelSize` taps with fewer than m r multiplications. Tile and kernel are evaluated as
/// polynomials at a few points, multiplied there, and interpolated.
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
    static var kernelSize: Int { get }
    /// Results per tile.
    static var outputTile: Int { get }
    static var phases: Int { get }
    /// Multiplications per tile and phase.
    static var points: Int { get }
    /// Distinct right factors: neighbouring points may share one.
    static var weightPoints: Int { get }
    static func weightPoint(_ point: Int) -> Int
    /// Samples -> `phases * points`, phase by phase.
    associatedtype Input: AxisMap
    /// Taps -> `phases * weightPoints`.
    associatedtype Weight: AxisMap
    /// Points -> results.
    associatedtype Output: AxisMap
}

/// An axis with the transposed maps that gradients need.
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
func fma(_ a: Vector, _ b: Vector, _ c: Float) -> Vector { a.addingProduct(b, Vector(repeating: c)) }
@inline(__always)
func times(_ a: Vector, _ c: Float) -> Vector { a * Vector(repeating: c) }

/// Applies a map to columns, then to rows: `store(i, j)` gets the `to x to` results of the `from x from` loads.
///
/// - Parameter scratch: `to * from` vectors.
@inline(__always)
func transformTile<Map: AxisMap>(
    _: Map.Type, scratch: UnsafeMutablePointer<Float>,
    load: (Int, Int) -> Vector, store: (Int, Int, Vector) -> Void
) {
    for j in 0..<Map.from {
        Map.apply({ load($0, j) }, { storeVector($1, scratch + ($0 * Map.from + j) * vectorLanes) })
    }
    for i in 0..<Map.to {
        Map.apply({ loadVector(scratch + (i * Map.from + $0) * vectorLanes) }, { store(i, $0, $1) })
    }
}
