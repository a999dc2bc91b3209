/// F(4, 2) on five points, ±1/2, ±3/2, infinity: four results of a 2-tap filter from 5 products instead of 8.
///
/// A filter of stride 2 is made of these. Point 0 is missing on purpose: two symmetric pairs halve the error.
enum Five {
    static let p: Float = 0.5
    static let q: Float = 1.5
    static let p2: Float = 0.25
    static let q2: Float = 2.25
    static let p3: Float = 0.125
    static let q3: Float = 3.375
    /// Coefficients of (x² - p²) (x² - q²).
    static let sum: Float = 2.5
    static let product: Float = 0.5625
    /// 1 / product of the differences of the positive point to the other points; that of the negative is its negative.
    static let np: Float = -1 / 2
    static let nq: Float = 1 / 6

    @inline(__always)
    static func input(
        _ d0: Vector, _ d1: Vector, _ d2: Vector, _ d3: Vector, _ d4: Vector, at first: Int,
        _ store: (Int, Vector) -> Void
    ) {
        let oddP = fma(d3, d1, -q2)
        let evenP = fma(d2, d0, -q2)
        let oddQ = fma(d3, d1, -p2)
        let evenQ = fma(d2, d0, -p2)
        store(first, fma(oddP, evenP, p))
        store(first + 1, fma(oddP, evenP, -p))
        store(first + 2, fma(oddQ, evenQ, q))
        store(first + 3, fma(oddQ, evenQ, -q))
        store(first + 4, fma(fma(d4, d2, -sum), d0, product))
    }

    @inline(__always)
    static func inputTransposed(
        at first: Int, _ load: (Int) -> Vector
    ) -> (Vector, Vector, Vector, Vector, Vector) {
        let v0 = load(first)
        let v1 = load(first + 1)
        let v2 = load(first + 2)
        let v3 = load(first + 3)
        let v4 = load(first + 4)
        let plusP = v0 + v1
        let minusP = v0 - v1
        let plusQ = v2 + v3
        let minusQ = v2 - v3
        return (
            fma(fma(times(v4, product), minusP, -p * q2), minusQ, -q * p2),
            fma(times(plusP, -q2), plusQ, -p2),
            fma(fma(times(v4, -sum), minusP, p), minusQ, q),
            plusP + plusQ,
            v4
        )
    }

    @inline(__always)
    static func weight(_ g0: Vector, _ g1: Vector, at first: Int, _ store: (Int, Vector) -> Void) {
        let evenP = times(g0, np)
        let evenQ = times(g0, nq)
        store(first, fma(evenP, g1, p * np))
        store(first + 1, fma(-evenP, g1, p * np))
        store(first + 2, fma(evenQ, g1, q * nq))
        store(first + 3, fma(-evenQ, g1, q * nq))
        store(first + 4, g1)
    }

    @inline(__always)
    static func weightTransposed(at first: Int, _ load: (Int) -> Vector) -> (Vector, Vector) {
        let u0 = load(first)
        let u1 = load(first + 1)
        let u2 = load(first + 2)
        let u3 = load(first + 3)
        return (
            fma(times(u0 - u1, np), u2 - u3, nq),
            fma(fma(load(first + 4), u0 + u1, p * np), u2 + u3, q * nq)
        )
    }

    @inline(__always)
    static func output(at first: Int, _ load: (Int) -> Vector) -> (Vector, Vector, Vector, Vector) {
        let m0 = load(first)
        let m1 = load(first + 1)
        let m2 = load(first + 2)
        let m3 = load(first + 3)
        let plusP = m0 + m1
        let minusP = m0 - m1
        let plusQ = m2 + m3
        let minusQ = m2 - m3
        return (
            plusP + plusQ,
            fma(times(minusP, p), minusQ, q),
            fma(times(plusP, p2), plusQ, q2),
            fma(fma(load(first + 4), minusP, p3), minusQ, q3)
        )
    }

    @inline(__always)
    static func outputTransposed(
        _ y0: Vector, _ y1: Vector, _ y2: Vector, _ y3: Vector, at first: Int, _ store: (Int, Vector) -> Void
    ) {
        let evenP = fma(y0, y2, p2)
        let oddP = fma(times(y1, p), y3, p3)
        let evenQ = fma(y0, y2, q2)
        let oddQ = fma(times(y1, q), y3, q3)
        store(first, evenP + oddP)
        store(first + 1, evenP - oddP)
        store(first + 2, evenQ + oddQ)
        store(first + 3, evenQ - oddQ)
        store(first + 4, y3)
    }
}

/// Four results of a 4-tap filter of stride 2: F(4, 2) on the even samples plus F(4, 2) on the odd ones, 10 products
/// instead of 16.
enum F4x4Stride2: WinogradGradientAxis {
    static var stride: Int { 2 }
    static var kernelSize: Int { 4 }
    static var outputTile: Int { 4 }
    static var phases: Int { 2 }
    static var points: Int { 5 }

    enum Input: AxisMap {
        static var from: Int { 10 }
        static var to: Int { 10 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            Five.input(load(0), load(2), load(4), load(6), load(8), at: 0, store)
            Five.input(load(1), load(3), load(5), load(7), load(9), at: 5, store)
        }
    }

    enum InputTransposed: AxisMap {
        static var from: Int { 10 }
        static var to: Int { 10 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let even = Five.inputTransposed(at: 0, load)
            let odd = Five.inputTransposed(at: 5, load)
            store(0, even.0)
            store(1, odd.0)
            store(2, even.1)
            store(3, odd.1)
            store(4, even.2)
            store(5, odd.2)
            store(6, even.3)
            store(7, odd.3)
            store(8, even.4)
            store(9, odd.4)
        }
    }

    enum Weight: AxisMap {
        static var from: Int { 4 }
        static var to: Int { 10 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            Five.weight(load(0), load(2), at: 0, store)
            Five.weight(load(1), load(3), at: 5, store)
        }
    }

    enum WeightTransposed: AxisMap {
        static var from: Int { 10 }
        static var to: Int { 4 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let even = Five.weightTransposed(at: 0, load)
            let odd = Five.weightTransposed(at: 5, load)
            store(0, even.0)
            store(1, odd.0)
            store(2, even.1)
            store(3, odd.1)
        }
    }

    enum Output: AxisMap {
        static var from: Int { 5 }
        static var to: Int { 4 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let y = Five.output(at: 0, load)
            store(0, y.0)
            store(1, y.1)
            store(2, y.2)
            store(3, y.3)
        }
    }

    enum OutputTransposed: AxisMap {
        static var from: Int { 4 }
        static var to: Int { 5 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            Five.outputTransposed(load(0), load(1), load(2), load(3), at: 0, store)
        }
    }
}

/// Four results of a 3-tap filter of stride 2: the middle tap directly (4 products), the outer two by F(4, 2) (5
/// products); 9 instead of 12. The first four points share the middle tap as their weight.
enum F4x3Stride2: WinogradGradientAxis {
    static var stride: Int { 2 }
    static var kernelSize: Int { 3 }
    static var outputTile: Int { 4 }
    static var phases: Int { 1 }
    static var points: Int { 9 }
    static var weightPoints: Int { 6 }
    @inline(__always)
    static func weightPoint(_ point: Int) -> Int { max(0, point - 3) }

    enum Input: AxisMap {
        static var from: Int { 9 }
        static var to: Int { 9 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            store(0, load(1))
            store(1, load(3))
            store(2, load(5))
            store(3, load(7))
            Five.input(load(0), load(2), load(4), load(6), load(8), at: 4, store)
        }
    }

    enum InputTransposed: AxisMap {
        static var from: Int { 9 }
        static var to: Int { 9 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let outer = Five.inputTransposed(at: 4, load)
            store(0, outer.0)
            store(1, load(0))
            store(2, outer.1)
            store(3, load(1))
            store(4, outer.2)
            store(5, load(2))
            store(6, outer.3)
            store(7, load(3))
            store(8, outer.4)
        }
    }

    enum Weight: AxisMap {
        static var from: Int { 3 }
        static var to: Int { 6 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            store(0, load(1))
            Five.weight(load(0), load(2), at: 1, store)
        }
    }

    enum WeightTransposed: AxisMap {
        static var from: Int { 6 }
        static var to: Int { 3 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let outer = Five.weightTransposed(at: 1, load)
            store(0, outer.0)
            store(1, load(0))
            store(2, outer.1)
        }
    }

    enum Output: AxisMap {
        static var from: Int { 9 }
        static var to: Int { 4 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let outer = Five.output(at: 4, load)
            store(0, load(0) + outer.0)
            store(1, load(1) + outer.1)
            store(2, load(2) + outer.2)
            store(3, load(3) + outer.3)
        }
    }

    enum OutputTransposed: AxisMap {
        static var from: Int { 4 }
        static var to: Int { 9 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let y0 = load(0)
            let y1 = load(1)
            let y2 = load(2)
            let y3 = load(3)
            store(0, y0)
            store(1, y1)
            store(2, y2)
            store(3, y3)
            Five.outputTransposed(y0, y1, y2, y3, at: 4, store)
        }
    }
}
