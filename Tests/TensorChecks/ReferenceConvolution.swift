import Kernels

/// Convolution in double precision by its definition: the reference for the fast kernels.
package struct ReferenceConvolution {
    let kernelSize: Int
    let stride: Int
    let padding: Padding

    package init(kernelSize: Int, stride: Int, padding: Padding) {
        self.kernelSize = kernelSize
        self.stride = stride
        self.padding = padding
    }

    package func outputLength(_ input: Int) -> Int { (input + 2 * padding.amount - kernelSize) / stride + 1 }

    /// Calls `body(input, weight, output)` with the offsets of each product of the convolution.
    package func forEachProduct(_ x: Image, outputChannels: Int, _ body: (Int, Int, Int) -> Void) {
        let width = outputLength(x.width)
        for oy in 0..<outputLength(x.height) {
            for ox in 0..<width {
                for r in 0..<kernelSize {
                    let y = padding.source(of: oy * stride + r - padding.amount, length: x.height)
                    if y < 0 { continue }
                    for s in 0..<kernelSize {
                        let x0 = padding.source(of: ox * stride + s - padding.amount, length: x.width)
                        if x0 < 0 { continue }
                        for c in 0..<x.channels {
                            let input = (y * x.width + x0) * x.channels + c
                            let weight = ((r * kernelSize + s) * x.channels + c) * outputChannels
                            let output = (oy * width + ox) * outputChannels
                            for k in 0..<outputChannels { body(input, weight + k, output + k) }
                        }
                    }
                }
            }
        }
    }

    package func forward(_ x: Image, weight: [Float], outputChannels: Int) -> [Double] {
        var y = [Double](repeating: 0, count: outputLength(x.height) * outputLength(x.width) * outputChannels)
        y.withUnsafeMutableBufferPointer { y in
            forEachProduct(x, outputChannels: outputChannels) { y[$2] += Double(x.values[$0]) * Double(weight[$1]) }
        }
        return y
    }

    package func inputGradient(_ x: Image, weight: [Float], outputChannels: Int, dOutput: [Float]) -> [Double] {
        var dx = [Double](repeating: 0, count: x.values.count)
        dx.withUnsafeMutableBufferPointer { dx in
            forEachProduct(x, outputChannels: outputChannels) { dx[$0] += Double(dOutput[$2]) * Double(weight[$1]) }
        }
        return dx
    }

    package func weightGradient(_ x: Image, outputChannels: Int, dOutput: [Float]) -> [Double] {
        var dw = [Double](repeating: 0, count: kernelSize * kernelSize * x.channels * outputChannels)
        dw.withUnsafeMutableBufferPointer { dw in
            forEachProduct(x, outputChannels: outputChannels) { dw[$1] += Double(x.values[$0]) * Double(dOutput[$2]) }
        }
        return dw
    }
}

/// An image of random values.
package struct Image {
    package let height: Int
    package let width: Int
    package let channels: Int
    package var values: [Float]

    package init(height: Int, width: Int, channels: Int, seed: UInt64) {
        self.height = height
        self.width = width
        self.channels = channels
        values = randomValues(height * width * channels, seed: seed)
    }
}

/// Uniform in [-1, 1), from splitmix64.
package func randomValues(_ count: Int, seed: UInt64) -> [Float] {
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

/// The deviation of a result from the reference, relative to the largest reference value.
package struct Deviation: CustomStringConvertible {
    package let rms: Double
    package let maximum: Double
    package let isFinite: Bool

    package init(_ values: [Float], from reference: [Double]) {
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

    package var description: String { "rms \(rms), max \(maximum)" }
}

extension Tensor {
    /// A tensor in an arena with the values of an array.
    package init(in arena: Arena, _ values: [Float], images: Int = 1, height: Int, width: Int, channels: Int) {
        self.init(in: arena, images: images, height: height, width: width, channels: channels)
        precondition(values.count == count)
        _ = buffer.update(fromContentsOf: values)
    }

    package var values: [Float] { Array(buffer) }
}
