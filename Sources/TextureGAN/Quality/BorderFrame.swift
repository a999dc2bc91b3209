import Foundation
import NNCore

/// Whether a frame runs along an image's borders, as the padding of a generator's convolutions can leave one.
///
/// Features of a line of pixels parallel to a border: the mean colours of its eight parts, and the logs of the
/// differences along it and across it, of lightness and of colour. The four outermost lines are compared with the lines
/// 12 and more pixels inside:
///
///     d = sqrt( mean over borders and lines of (mean of 24 z^2 of colours + sum of 4 z^2 of differences) / 5 )
///     z = (x - mean inside) / sqrt(variance inside + just visible^2),  figure = d / max(1, d of the exemplar)
struct BorderFrame: Sendable {
    private static let depth = 4
    private static let inside = 12
    private static let maxInside = 64
    private static let minLines = 8
    private static let parts = 8
    private static let features = 3 * parts + 4
    /// Just visible differences: of colours in Oklab, and of logs (base 2) of differences.
    private static let visibleColour = 0.02
    private static let visibleLog = 0.2

    private let scale: Double

    /// - Parameter colours: Oklab. Nil if the exemplar is too small.
    init?(_ colours: Tensor) {
        guard let own = Self.frame(colours) else { return nil }
        scale = max(1, own)
    }

    /// Nil if the image is too small.
    func value(_ colours: Tensor) -> Float? {
        Self.frame(colours).map { Float($0 / scale) }
    }

    private static func frame(_ colours: Tensor) -> Double? {
        let end = min(maxInside, min(colours.height, colours.width) / 4)
        guard end >= inside + minLines else { return nil }
        var sum = 0.0
        for border in 0..<4 {
            let outer = (0..<depth).map { line(colours, border: border, distance: $0) }
            let inner = (inside..<end).map { line(colours, border: border, distance: $0) }
            for feature in 0..<features {
                let values = inner.map { $0[feature] }
                let mean = values.reduce(0, +) / Double(values.count)
                let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
                let weight = feature < 3 * parts ? 1 / Double(3 * parts) : 1
                for line in outer {
                    let difference = line[feature] - mean
                    sum += weight * difference * difference / (variance + 1)
                }
            }
        }
        return (sum / Double(4 * depth * 5)).squareRoot()
    }

    /// The features of a line, in units of just visible differences.
    private static func line(_ colours: Tensor, border: Int, distance: Int) -> [Double] {
        let (row, pixel) = (3 * colours.width, 3)
        // The first pixel of the outermost line, the step along it, and the step into the image.
        let (start, along, inwards, length) =
            switch border {
            case 0: (0, pixel, row, colours.width)
            case 1: ((colours.height - 1) * row, pixel, -row, colours.width)
            case 2: (0, row, pixel, colours.height)
            default: ((colours.width - 1) * pixel, row, -pixel, colours.height)
            }
        let first = colours.data + start + distance * inwards
        func colour(_ index: Int) -> SIMD3<Double> {
            let place = first + index * along
            return SIMD3(Double(place[0]), Double(place[1]), Double(place[2]))
        }
        var result: [Double] = []
        for part in 0..<parts {
            let range = part * length / parts..<(part + 1) * length / parts
            var mean = SIMD3<Double>.zero
            for index in range { mean += colour(index) }
            mean /= Double(range.count) * visibleColour
            result += [mean[0], mean[1], mean[2]]
        }
        func logs(_ count: Int, _ difference: (Int) -> SIMD3<Double>) -> [Double] {
            var squares = SIMD3<Double>.zero
            for index in 0..<count {
                let step = difference(index)
                squares += step * step
            }
            squares /= Double(count)
            return [squares[0], squares[1] + squares[2]].map { 0.5 * log2($0 + 1e-6) / visibleLog }
        }
        result += logs(length - 1) { colour($0 + 1) - colour($0) }
        result += logs(length) { index in
            let next = first + index * along + inwards
            return SIMD3(Double(next[0]), Double(next[1]), Double(next[2])) - colour(index)
        }
        return result
    }
}
