/// Six points: 0, ±3/4, ±3/2, infinity. Half the error of the usual 0, ±1, ±2, infinity, and every constant below is
/// exact in float but the reciprocals of the weights.
private enum Six {
    static let p: Float = 0.75
    static let q: Float = 1.5
    static let p2: Float = 0.5625
    static let q2: Float = 2.25
    static let p3: Float = 0.421875
    static let q3: Float = 3.375
    /// Coefficients of x (x² - p²) (x² - q²).
    static let sum: Float = 2.8125
    static let product: Float = 1.265625
    /// 1 / product of the differences to the other points.
    static let n0: Float = 1 / 1.265625
    static let np: Float = 1 / -1.8984375
    static let nq: Float = 1 / 7.59375
}

enum SixPointInput: AxisMap {
    static var from: Int { 6 }
    static var to: Int { 6 }
    @inline(__always)
    static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
        let d0 = load(0)
        let d1 = load(1)
        let d2 = load(2)
        let d3 = load(3)
        let d4 = load(4)
        let d5 = load(5)
        let evenP = fma(d4, d2, -Six.q2)
        let oddP = fma(d3, d1, -Six.q2)
        let evenQ = fma(d4, d2, -Six.p2)
        let oddQ = fma(d3, d1, -Six.p2)
        store(0, fma(fma(d4, d2, -Six.sum), d0, Six.product))
        store(1, fma(evenP, oddP, Six.p))
        store(2, fma(evenP, oddP, -Six.p))
        store(3, fma(evenQ, oddQ, Six.q))
        store(4, fma(evenQ, oddQ, -Six.q))
        store(5, fma(fma(d5, d3, -Six.sum), d1, Six.product))
    }
}

enum SixPointInputTransposed: AxisMap {
    static var from: Int { 6 }
    static var to: Int { 6 }
    @inline(__always)
    static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
        let v0 = load(0)
        let v1 = load(1)
        let v2 = load(2)
        let v3 = load(3)
        let v4 = load(4)
        let v5 = load(5)
        let evenP = v1 + v2
        let oddP = v1 - v2
        let evenQ = v3 + v4
        let oddQ = v3 - v4
        store(0, times(v0, Six.product))
        store(1, fma(fma(times(v5, Six.product), oddP, -Six.p * Six.q2), oddQ, -Six.q * Six.p2))
        store(2, fma(fma(times(v0, -Six.sum), evenP, -Six.q2), evenQ, -Six.p2))
        store(3, fma(fma(times(v5, -Six.sum), oddP, Six.p), oddQ, Six.q))
        store(4, v0 + (evenP + evenQ))
        store(5, v5)
    }
}

/// F(4, 3): four results of a 3-tap filter from 6 products instead of 12.
enum F4x3: WinogradGradientAxis {
    static var stride: Int { 1 }
    static var kernelSize: Int { 3 }
    static var outputTile: Int { 4 }
    static var phases: Int { 1 }
    static var points: Int { 6 }
    typealias Input = SixPointInput
    typealias InputTransposed = SixPointInputTransposed

    enum Weight: AxisMap {
        static var from: Int { 3 }
        static var to: Int { 6 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let g0 = load(0)
            let g1 = load(1)
            let g2 = load(2)
            let evenP = times(fma(g0, g2, Six.p2), Six.np)
            let evenQ = times(fma(g0, g2, Six.q2), Six.nq)
            store(0, times(g0, Six.n0))
            store(1, fma(evenP, g1, Six.p * Six.np))
            store(2, fma(evenP, g1, -Six.p * Six.np))
            store(3, fma(evenQ, g1, Six.q * Six.nq))
            store(4, fma(evenQ, g1, -Six.q * Six.nq))
            store(5, g2)
        }
    }

    enum WeightTransposed: AxisMap {
        static var from: Int { 6 }
        static var to: Int { 3 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let u1 = load(1)
            let u2 = load(2)
            let u3 = load(3)
            let u4 = load(4)
            let evenP = times(u1 + u2, Six.np)
            let oddP = times(u1 - u2, Six.np)
            let evenQ = times(u3 + u4, Six.nq)
            let oddQ = times(u3 - u4, Six.nq)
            store(0, fma(evenP + evenQ, load(0), Six.n0))
            store(1, fma(times(oddP, Six.p), oddQ, Six.q))
            store(2, fma(fma(load(5), evenP, Six.p2), evenQ, Six.q2))
        }
    }

    enum Output: AxisMap {
        static var from: Int { 6 }
        static var to: Int { 4 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let m1 = load(1)
            let m2 = load(2)
            let m3 = load(3)
            let m4 = load(4)
            let evenP = m1 + m2
            let oddP = m1 - m2
            let evenQ = m3 + m4
            let oddQ = m3 - m4
            store(0, load(0) + (evenP + evenQ))
            store(1, fma(times(oddP, Six.p), oddQ, Six.q))
            store(2, fma(times(evenP, Six.p2), evenQ, Six.q2))
            store(3, fma(fma(load(5), oddP, Six.p3), oddQ, Six.q3))
        }
    }

    enum OutputTransposed: AxisMap {
        static var from: Int { 4 }
        static var to: Int { 6 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let y0 = load(0)
            let y1 = load(1)
            let y2 = load(2)
            let y3 = load(3)
            let evenP = fma(y0, y2, Six.p2)
            let oddP = fma(times(y1, Six.p), y3, Six.p3)
            let evenQ = fma(y0, y2, Six.q2)
            let oddQ = fma(times(y1, Six.q), y3, Six.q3)
            store(0, y0)
            store(1, evenP + oddP)
            store(2, evenP - oddP)
            store(3, evenQ + oddQ)
            store(4, evenQ - oddQ)
            store(5, y3)
        }
    }
}

/// F(3, 4): three results of a 4-tap filter from 6 products instead of 12.
enum F3x4: WinogradGradientAxis {
    static var stride: Int { 1 }
    static var kernelSize: Int { 4 }
    static var outputTile: Int { 3 }
    static var phases: Int { 1 }
    static var points: Int { 6 }
    typealias Input = SixPointInput
    typealias InputTransposed = SixPointInputTransposed

    enum Weight: AxisMap {
        static var from: Int { 4 }
        static var to: Int { 6 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let g0 = load(0)
            let g1 = load(1)
            let g2 = load(2)
            let g3 = load(3)
            let evenP = times(fma(g0, g2, Six.p2), Six.np)
            let oddP = times(fma(g1, g3, Six.p2), Six.p * Six.np)
            let evenQ = times(fma(g0, g2, Six.q2), Six.nq)
            let oddQ = times(fma(g1, g3, Six.q2), Six.q * Six.nq)
            store(0, times(g0, Six.n0))
            store(1, evenP + oddP)
            store(2, evenP - oddP)
            store(3, evenQ + oddQ)
            store(4, evenQ - oddQ)
            store(5, g3)
        }
    }

    enum WeightTransposed: AxisMap {
        static var from: Int { 6 }
        static var to: Int { 4 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let u1 = load(1)
            let u2 = load(2)
            let u3 = load(3)
            let u4 = load(4)
            let evenP = times(u1 + u2, Six.np)
            let oddP = times(u1 - u2, Six.p * Six.np)
            let evenQ = times(u3 + u4, Six.nq)
            let oddQ = times(u3 - u4, Six.q * Six.nq)
            store(0, fma(evenP + evenQ, load(0), Six.n0))
            store(1, oddP + oddQ)
            store(2, fma(times(evenP, Six.p2), evenQ, Six.q2))
            store(3, fma(fma(load(5), oddP, Six.p2), oddQ, Six.q2))
        }
    }

    enum Output: AxisMap {
        static var from: Int { 6 }
        static var to: Int { 3 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let m1 = load(1)
            let m2 = load(2)
            let m3 = load(3)
            let m4 = load(4)
            let evenP = m1 + m2
            let oddP = m1 - m2
            let evenQ = m3 + m4
            let oddQ = m3 - m4
            store(0, load(0) + (evenP + evenQ))
            store(1, fma(times(oddP, Six.p), oddQ, Six.q))
            store(2, fma(fma(load(5), evenP, Six.p2), evenQ, Six.q2))
        }
    }

    enum OutputTransposed: AxisMap {
        static var from: Int { 3 }
        static var to: Int { 6 }
        @inline(__always)
        static func apply(_ load: (Int) -> Vector, _ store: (Int, Vector) -> Void) {
            let y0 = load(0)
            let y1 = load(1)
            let y2 = load(2)
            let evenP = fma(y0, y2, Six.p2)
            let evenQ = fma(y0, y2, Six.q2)
            store(0, y0)
            store(1, fma(evenP, y1, Six.p))
            store(2, fma(evenP, y1, -Six.p))
            store(3, fma(evenQ, y1, Six.q))
            store(4, fma(evenQ, y1, -Six.q))
            store(5, y2)
        }
    }
}
