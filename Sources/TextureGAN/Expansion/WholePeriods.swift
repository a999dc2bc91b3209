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
        let first = 3 * image.width / 4
        let parts = first..<max(first, image.width - overlap + 1)
        let correlations = correlations(of: image.eightBits, movedBy: parts)
        guard let best = correlations.max(), best >= least else { return nil }
        // Of almost equal ones the greatest loses least of the image.
        let index = correlations.indices.last { index in
            correlations[index] >= 0.9 * best
                && correlations[index] >= (index > 0 ? correlations[index - 1] : 0)
        }
        return index.map { parts.lowerBound + $0 }
    }

    /// The correlation of an image's detail, which is what remains without the light, with itself moved by each part.
    ///
    /// The time of sums would grow with the square of the width, so Fourier transforms take them. The sums are whole
    /// numbers, and the error of the transforms is below a tenth, so rounded ones are exact.
    static func correlations(of image: Image, movedBy parts: Range<Int>) -> [Double] {
        let (width, first) = (image.width, parts.lowerBound)
        // Columns at the left that meet columns at the right.
        let count = width - first
        let light = image.localMeans(radius: radius)
        let transform = FourierTransform(atLeast: 2 * count)
        let zeros = [Double](repeating: 0, count: transform.count)
        var (real, imaginary) = (zeros, zeros)
        // Squares of the first columns, and of the last columns.
        var (left, right) = ([Int](repeating: 0, count: count + 1), [Int](repeating: 0, count: count + 1))
        for y in stride(from: 0, to: image.height, by: max(1, image.height / rows)) {
            for channel in 0..<3 {
                var (a, b) = (zeros, zeros)
                for x in 0..<count {
                    let sample = 3 * (y * width + x) + channel
                    let other = sample + 3 * first
                    let (one, two) = (
                        Int(image.pixels[sample]) - Int(light[sample]), Int(image.pixels[other]) - Int(light[other])
                    )
                    (a[x], b[x]) = (Double(one), Double(two))
                    left[x + 1] += one * one
                    right[x] += two * two
                }
                transform.apply(&a, &b)
                // The two real sequences' transforms lie in the even and odd parts of this one.
                for k in 0..<transform.count {
                    let mirror = (transform.count - k) % transform.count
                    let (p, q) = (a[k] + a[mirror], b[k] - b[mirror])
                    let (r, s) = (b[k] + b[mirror], a[k] - a[mirror])
                    real[k] += (p * r - q * s) / 4
                    imaginary[k] += (p * s + q * r) / 4
                }
            }
        }
        transform.apply(&real, &imaginary)
        for x in 0..<count { left[x + 1] += left[x] }
        for x in (0..<count).reversed() { right[x] += right[x + 1] }
        return parts.map { part in
            let product = (real[part - first] / Double(transform.count)).rounded()
            let (left, right) = (left[width - part], right[part - first])
            return left > 0 && right > 0 ? product / (Double(left) * Double(right)).squareRoot() : 0
        }
    }
}
