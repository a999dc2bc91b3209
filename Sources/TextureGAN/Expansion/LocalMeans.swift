import Imaging

extension Raster {
    /// Light and colour: each channel's mean over the square of `2 radius + 1` pixels around a pixel, of the part of it
    /// inside the image.
    func localMeans(radius: Int) -> [Int32] {
        let across = Self.means(
            pixels.map { Int32($0) }, length: width, step: channels, lines: height, apart: width * channels, channels,
            radius)
        return Self.means(
            across, length: height, step: width * channels, lines: width, apart: channels, channels, radius)
    }

    /// Means along lines of `length` pixels, `step` values apart; the lines begin `apart` values apart.
    private static func means(
        _ values: [Int32], length: Int, step: Int, lines: Int, apart: Int, _ channels: Int, _ radius: Int
    ) -> [Int32] {
        var result = values
        var sums = [Int](repeating: 0, count: length + 1)
        for line in 0..<lines {
            for channel in 0..<channels {
                let start = line * apart + channel
                for place in 0..<length { sums[place + 1] = sums[place] + Int(values[start + place * step]) }
                for place in 0..<length {
                    let (first, end) = (max(0, place - radius), min(length, place + radius + 1))
                    result[start + place * step] = Int32((sums[end] - sums[first]) / (end - first))
                }
            }
        }
        return result
    }
}
