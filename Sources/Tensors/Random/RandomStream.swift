#if canImport(Glibc)
    import Glibc
#endif

/// A counter-based stream of random numbers: Philox 4x32-10.
///
/// The numbers are a pure function of seed, purpose and position: the position alone restores a stream, and draws for
/// one purpose never disturb another.
/// - Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
public struct RandomStream: Sendable, Equatable, BitwiseCopyable {
    public let seed: UInt64
    /// Selects one of the seed's streams: one for each use.
    public let purpose: UInt32
    /// Blocks of four 32-bit numbers drawn so far. It wraps around, so no value from a checkpoint is out of range.
    public var position: UInt64

    public init(seed: UInt64, purpose: UInt32, position: UInt64 = 0) {
        self.seed = seed
        self.purpose = purpose
        self.position = position
    }

    /// The block of four numbers at a position.
    @inlinable
    @inline(__always)
    public func block(at position: UInt64) -> SIMD4<UInt32> {
        // Scalars, because building a vector each round costs four times the arithmetic.
        var x0 = UInt32(truncatingIfNeeded: position)
        var x1 = UInt32(truncatingIfNeeded: position >> 32)
        var x2 = purpose
        var x3: UInt32 = 0
        var key0 = UInt32(truncatingIfNeeded: seed)
        var key1 = UInt32(truncatingIfNeeded: seed >> 32)
        for _ in 0..<10 {
            let product0 = UInt64(x0) &* 0xD251_1F53
            let product1 = UInt64(x2) &* 0xCD9E_8D57
            x0 = UInt32(truncatingIfNeeded: product1 >> 32) ^ x1 ^ key0
            x1 = UInt32(truncatingIfNeeded: product1)
            x2 = UInt32(truncatingIfNeeded: product0 >> 32) ^ x3 ^ key1
            x3 = UInt32(truncatingIfNeeded: product0)
            key0 &+= 0x9E37_79B9
            key1 &+= 0xBB67_AE85
        }
        return SIMD4(x0, x1, x2, x3)
    }

    /// The next block of four numbers.
    public mutating func next() -> SIMD4<UInt32> {
        defer { position &+= 1 }
        return block(at: position)
    }

    /// Skips positions for a kernel that computes their blocks itself; returns the first.
    public mutating func reserve(blocks: Int) -> UInt64 {
        defer { position &+= UInt64(blocks) }
        return position
    }

    /// An integer in `0...limit`; the bias is below 2^-32.
    public mutating func integer(through limit: Int) -> Int {
        let bits = next()
        let wide = UInt64(bits[0]) << 32 | UInt64(bits[1])
        return Int(wide.multipliedFullWidth(by: UInt64(limit) + 1).high)
    }

    /// Uniform in [0, 1).
    public mutating func uniform() -> Float { Float(next()[0] >> 8) * 0x1p-24 }

    /// Normal with mean 0 and deviation 1 (Box-Muller in double precision).
    public mutating func normal() -> Float {
        let bits = next()
        let radius = (Double(bits[0]) + 1) * 0x1p-32
        let angle = Double(bits[1]) * 0x1p-32
        return Float((-2 * log(radius)).squareRoot() * cos(2 * Double.pi * angle))
    }
}
