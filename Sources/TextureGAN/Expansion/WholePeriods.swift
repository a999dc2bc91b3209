import Imaging

/// Finds where a regular pattern, of bricks or of a weave, repeats near the end of an image, so that a tile can hold whole
/// periods of it.
enum WholePeriods {
    /// The least correlation of an image with itself, moved by whole periods. Bricks have 0.4 to 0.8; images without a
    /// regular pattern have up to 0.2 somewhere.
    private static let least = 0.3
    /// Pixels over which light is averaged, to each side.
    private static let radius = 8
    /// Columns that must overlap to be compared.
    private static let overlap = 8
    /// Rows that are compared, spread over the image.
    private static let rows = 512

    /// The greatest part of an image's width after which its pattern repeats; nil without a regular pattern.
    ///
    /// Compares the image with itself, moved by three quarters of its width and more. So a part of several periods counts
    /// only if the pattern is still in step after all of them, and rows of bricks that alternate count by twos. Light, the
    /// mean colour around a pixel, does not count.
    static func width<Sample>(of image: Raster<Sample>) -> Int? {
        let width = image.width
        let parts = 3 * width / 4..<max(3 * width / 4, width - overlap + 1)
        let columns = Self.columns(of: image.eightBits)
        let squares = columns.map { $0.reduce(0) { $0 + Int($1) * Int($1) } }
        let correlations = parts.map { part -> Double in
            var product = 0
            for x in 0..<width - part {
                var sum = 0
                for (left, right) in zip(columns[x], columns[part + x]) { sum += Int(left) * Int(right) }
                product += sum
            }
            let (left, right) = (squares[..<(width - part)].reduce(0, +), squares[part...].reduce(0, +))
            return left > 0 && right > 0 ? Double(product) / (Double(left) * Double(right)).squareRoot() : 0
        }
        guard let best = correlations.max(), best >= least else { return nil }
        // Of almost equal ones the greatest loses least of the image.
        let index = correlations.indices.last { index in
            correlations[index] >= 0.9 * best
                && correlations[index] >= (index > 0 ? correlations[index - 1] : 0)
        }
        return index.map { parts.lowerBound + $0 }
    }

    /// The detail of each column: what remains of its samples without the light.
    private static func columns(of image: Image) -> [[Int32]] {
        let light = image.localMeans(radius: radius)
        let step = max(1, image.height / rows)
        return (0..<image.width).map { x in
            stride(from: 0, to: image.height, by: step).flatMap { y in
                (0..<3).map { channel in
                    let sample = 3 * (y * image.width + x) + channel
                    return Int32(image.pixels[sample]) - light[sample]
                }
            }
        }
    }
}
