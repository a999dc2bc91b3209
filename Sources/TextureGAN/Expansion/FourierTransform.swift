import Foundation

/// The discrete Fourier transform of complex numbers, of a power of two of them, in place.
struct FourierTransform {
    let count: Int
    private let cosines: [Double]
    private let sines: [Double]
    /// Each index with its bits reversed.
    private let order: [Int]

    /// - Parameter least: `count` is the next power of two.
    init(atLeast least: Int) {
        var count = 1
        while count < least { count *= 2 }
        self.count = count
        let angles = (0..<count / 2).map { 2 * Double.pi * Double($0) / Double(count) }
        cosines = angles.map { cos($0) }
        sines = angles.map { sin($0) }
        var order = [Int](repeating: 0, count: count)
        for index in 0..<count { order[index] = order[index / 2] / 2 + (index % 2) * (count / 2) }
        self.order = order
    }

    /// Replaces the values x(n) by the sums of `x(n) exp(-2 pi i k n / count)`.
    func apply(_ real: inout [Double], _ imaginary: inout [Double]) {
        precondition(real.count == count && imaginary.count == count)
        real.withUnsafeMutableBufferPointer { real in
            imaginary.withUnsafeMutableBufferPointer { imaginary in
                for index in 0..<count where order[index] > index {
                    real.swapAt(index, order[index])
                    imaginary.swapAt(index, order[index])
                }
                var half = 1
                while half < count {
                    let step = count / (2 * half)
                    for start in stride(from: 0, to: count, by: 2 * half) {
                        for offset in 0..<half {
                            let (cosine, sine) = (cosines[offset * step], sines[offset * step])
                            let (first, second) = (start + offset, start + offset + half)
                            let x = real[second] * cosine + imaginary[second] * sine
                            let y = imaginary[second] * cosine - real[second] * sine
                            (real[second], imaginary[second]) = (real[first] - x, imaginary[first] - y)
                            (real[first], imaginary[first]) = (real[first] + x, imaginary[first] + y)
                        }
                    }
                    half *= 2
                }
            }
        }
    }
}
