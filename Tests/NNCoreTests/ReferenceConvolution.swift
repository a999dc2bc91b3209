@testable import NNCore

/// Convolution in double precision, by its definition: what the fast kernels are compared with.
struct ReferenceConvolution {
    let taps: Int
    let stride: Int
    let padding: Padding

    func outputLength(_ input: Int) -> Int { (input + 2 * padding.amount - taps) / stride + 1 }

    /// Calls `body(input, weight, output)` with the offsets of each product of the convolution.
    func forEachProduct(_ x: Image, outputs: Int, _ body: (Int, Int, Int) -> Void) {
        let width = outputLength(x.width)
        for oy in 0..<outputLength(x.height) {
            for ox in 0..<width {
                for r in 0..<taps {
                    let y = padding.source(of: oy * stride + r - padding.amount, length: x.height)
                    if y < 0 { continue }
                    for s in 0..<taps {
                        let x0 = padding.source(of: ox * stride + s - padding.amount, length: x.width)
                        if x0 < 0 { continue }
                        for c in 0..<x.channels {
                            let input = (y * x.width + x0) * x.channels + c
                            let weight = ((r * taps + s) * x.channels + c) * outputs
                            let output = (oy * width + ox) * outputs
                            for k in 0..<outputs { body(input, weight + k, output + k) }
                        }
                    }
                }
            }
        }
    }

    func forward(_ x: Image, weight: [Float], outputs: Int) -> [Double] {
        var y = [Double](repeating: 0, count: outputLength(x.height) * outputLength(x.width) * outputs)
        y.withUnsafeMutableBufferPointer { y in
            forEachProduct(x, outputs: outputs) { y[$2] += Double(x.values[$0]) * Double(weight[$1]) }
        }
        return y
    }

    func inputGradient(_ x: Image, weight: [Float], outputs: Int, dOutput: [Float]) -> [Double] {
        var dx = [Double](repeating: 0, count: x.values.count)
        dx.withUnsafeMutableBufferPointer { dx in
            forEachProduct(x, outputs: outputs) { dx[$0] += Double(dOutput[$2]) * Double(weight[$1]) }
        }
        return dx
    }

    func weightGradient(_ x: Image, outputs: Int, dOutput: [Float]) -> [Double] {
        var dw = [Double](repeating: 0, count: taps * taps * x.channels * outputs)
        dw.withUnsafeMutableBufferPointer { dw in
            forEachProduct(x, outputs: outputs) { dw[$1] += Double(x.values[$0]) * Double(dOutput[$2]) }
        }
        return dw
    }
}

/// An image of random values.
struct Image {
    let height: Int
    let width: Int
    let channels: Int
    var values: [Float]

    init(height: Int, width: Int, channels: Int, seed: UInt64) {
        self.height = height
        self.width = width
        self.channels = channels
        values = randomValues(height * width * channels, seed: seed)
    }
}

/// Uniform in [-1, 1), by splitmix64.
func randomValues(_ count: Int, seed: UInt64) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        return Float(z >> 40) / Float(1 << 23) - 1
    }
}

/// How far a result is from the reference, relative to the largest reference value.
struct Deviation: CustomStringConvertible {
    let rms: Double
    let maximum: Double
    let isFinite: Bool

    init(_ values: [Float], from reference: [Double]) {
        precondition(values.count == reference.count)
        let scale = max(reference.reduce(0) { max($0, abs($1)) }, .leastNormalMagnitude)
        var squares = 0.0
        var most = 0.0
        for (value, expected) in zip(values, reference) {
            let error = abs(Double(value) - expected) / scale
            squares += error * error
            most = max(most, error)
        }
        isFinite = values.allSatisfy(\.isFinite)
        rms = (squares / Double(max(values.count, 1))).squareRoot()
        maximum = most
    }

    var description: String { "rms \(rms), max \(maximum)" }
}

extension Tensor {
    /// A tensor in an arena with the values of an array.
    init(in arena: Arena, _ values: [Float], images: Int = 1, height: Int, width: Int, channels: Int) {
        self.init(in: arena, images: images, height: height, width: width, channels: channels)
        precondition(values.count == count)
        _ = buffer.update(fromContentsOf: values)
    }

    var values: [Float] { Array(buffer) }
}
