/// A piecewise linear activation, defined by its slopes on either side of 0.
public enum Activation: Sendable, Hashable {
    case identity
    case relu
    /// `gain x`, and `gain slope x` on the negative side.
    case leakyReLU(slope: Float, gain: Float = 1)

    @inlinable
    @inline(__always)
    public var positiveSlope: Float {
        if case .leakyReLU(_, let gain) = self { gain } else { 1 }
    }

    @inlinable
    @inline(__always)
    public var negativeSlope: Float {
        switch self {
        case .identity: 1
        case .relu: 0
        case .leakyReLU(let slope, let gain): gain * slope
        }
    }
}
