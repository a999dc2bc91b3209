import Foundation
import Imaging

/// Whether an image shows a join where its opposite borders meet, if it is laid side by side with itself.
///
/// Between two neighbouring columns, the features are the logs of the squared Oklab differences between the means of 1, 4
/// and 16 columns on either side, for eight parts of the column. With mean and variance over the places inside,
///
///     s = sqrt( 2 mean over features of max(0, z)^2 ),  z = (x - mean) / sqrt(variance + 0.2^2)
///     seam = s at the join / s that 95 % of the places inside stay below
///
/// Up to 1, the join looks like any other place.
public struct Seam: Sendable, Equatable {
    /// At the join of left and right; nil if the image has fewer than 96 columns.
    public let x: Float?
    /// At the join of top and bottom.
    public let y: Float?

    private static let scales = [1, 4, 16]
    private static let parts = 8
    /// Places nearer to the join than this are not inside.
    private static let apart = 32
    private static let minSide = 96

    public init(_ image: Image) {
        x = Self.value(image)
        y = Self.value(image.transposed())
    }

    private static func value(_ image: Image) -> Float? {
        let width = image.width
        guard width >= minSide, image.height >= parts else { return nil }
        let features = differences(image)
        var sums = [Double](repeating: 0, count: width)
        for logs in features {
            let inside = logs[apart...width - apart]
            let mean = inside.reduce(0, +) / Double(inside.count)
            let variance = inside.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(inside.count)
            for place in 0..<width {
                let z = max(0, logs[place] - mean) / (variance + 0.04).squareRoot()
                sums[place] += 2 * z * z / Double(features.count)
            }
        }
        let inside = sums[apart...width - apart].sorted()
        return Float((sums[0] / max(1e-9, inside[inside.count * 95 / 100])).squareRoot())
    }

    /// For each scale and part, the logs at every place: between its column and the previous one.
    private static func differences(_ image: Image) -> [[Double]] {
        let (width, most) = (image.width, 16)
        var sums = [[Double]](repeating: [Double](repeating: 0, count: width), count: scales.count * parts)
        // Running sums of a row, repeated at both ends.
        var running = [SIMD3<Double>](repeating: .zero, count: width + 2 * most + 1)
        for y in 0..<image.height {
            for index in 0..<width + 2 * most {
                let place = (y * width + (index + width - most) % width) * 3
                let colour = ColourDistance.oklab(
                    image.pixels[place], image.pixels[place + 1], image.pixels[place + 2])
                running[index + 1] =
                    running[index] + SIMD3(Double(colour[0]), Double(colour[1]), Double(colour[2]))
            }
            let part = y * parts / image.height
            for (number, scale) in scales.enumerated() {
                for x in 0..<width {
                    let middle = running[x + most]
                    let step =
                        (running[x + most + scale] - middle - (middle - running[x + most - scale])) / Double(scale)
                    sums[number * parts + part][x] += (step * step).sum()
                }
            }
        }
        let rows = Double(image.height) / Double(parts)
        return sums.map { $0.map { log2($0 / rows + 4e-6) } }
    }
}
