/// The hyperbolic tangent of `value`, within 0.501 units in the last place.
///
/// The C library's `tanhf` rounds differently from release to release. A training that moves between machines would end
/// with other bytes.
@inline(__always)
func hyperbolicTangent(_ value: Float) -> Float {
    let doubled = 2 * Double(value.magnitude)
    // The result rounds to 1. NaN stays NaN, so that it does not hide a diverged network.
    guard doubled < 20 else { return value.isNaN ? value : Float(signOf: value, magnitudeOf: 1) }
    // e^(2|x|) = 2^n e^r, where |r| is at most ln(2) / 2.
    let n = (doubled * 1.442_695_040_888_963_4).rounded(.toNearestOrEven)
    let r = doubled.addingProduct(-n, 0.693_147_180_559_945_3)
    // The Taylor series of (e^r - 1) / r. Its rest is below 1e-12.
    var series = 1.0 / 3_628_800
    series = (1.0 / 362_880).addingProduct(series, r)
    series = (1.0 / 40_320).addingProduct(series, r)
    series = (1.0 / 5_040).addingProduct(series, r)
    series = (1.0 / 720).addingProduct(series, r)
    series = (1.0 / 120).addingProduct(series, r)
    series = (1.0 / 24).addingProduct(series, r)
    series = (1.0 / 6).addingProduct(series, r)
    series = (1.0 / 2).addingProduct(series, r)
    series = 1.0.addingProduct(series, r)
    // e^(2|x|) - 1, without cancellation near 0.
    let power = Double(sign: .plus, exponent: Int(n), significand: 1)
    let excess = (power - 1).addingProduct(power, r * series)
    return Float(signOf: value, magnitudeOf: Float(excess / (excess + 2)))
}
