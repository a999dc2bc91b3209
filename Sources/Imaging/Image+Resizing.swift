extension Raster {
    /// The image at another size: each pixel is the mean of the area that it covers when shrinking, bicubic
    /// (Catmull-Rom) when enlarging.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public func resized(width newWidth: Int, height newHeight: Int) -> Raster {
        precondition(newWidth > 0 && newHeight > 0)
        let columns = Self.weights(from: width, to: newWidth)
        let rows = Self.weights(from: height, to: newHeight)
        // Rows first into floats, then columns.
        var narrow = [Float](repeating: 0, count: newWidth * height * channels)
        for y in 0..<height {
            for x in 0..<newWidth {
                let target = (y * newWidth + x) * channels
                for (offset, weight) in columns[x].weights.enumerated() {
                    let source = (y * width + Self.clamped(columns[x].first + offset, width)) * channels
                    for channel in 0..<channels { narrow[target + channel] += weight * Float(pixels[source + channel]) }
                }
            }
        }
        var result = [Sample](repeating: 0, count: newWidth * newHeight * channels)
        for y in 0..<newHeight {
            for index in 0..<newWidth * channels {
                var sum: Float = 0
                for (offset, weight) in rows[y].weights.enumerated() {
                    sum += weight * narrow[Self.clamped(rows[y].first + offset, height) * newWidth * channels + index]
                }
                result[y * newWidth * channels + index] = Sample(min(max(sum.rounded(), 0), Float(Sample.max)))
            }
        }
        return Raster(width: newWidth, height: newHeight, channels: channels, pixels: result)
    }

    /// The image with its longest side at most `longestSide`; never enlarged.
    public func thumbnail(longestSide: Int) -> Raster {
        let longest = max(width, height)
        guard longest > longestSide else { return self }
        let scale = Double(longestSide) / Double(longest)
        return resized(
            width: max(1, Int((Double(width) * scale).rounded())),
            height: max(1, Int((Double(height) * scale).rounded())))
    }

    private static func clamped(_ index: Int, _ length: Int) -> Int { min(max(index, 0), length - 1) }

    /// For each new position: the first old one, and the weights from there.
    private static func weights(from old: Int, to new: Int) -> [(first: Int, weights: [Float])] {
        let ratio = Double(old) / Double(new)
        return (0..<new).map { position in
            if ratio >= 1 {
                let (start, end) = (Double(position) * ratio, Double(position + 1) * ratio)
                let first = Int(start)
                let last = min(old - 1, Int(end.rounded(.up)) - 1)
                let covered = (first...max(first, last)).map { index in
                    Float((min(end, Double(index + 1)) - max(start, Double(index))) / ratio)
                }
                return (first, covered)
            }
            let centre = (Double(position) + 0.5) * ratio - 0.5
            let base = Int(centre.rounded(.down))
            let t = centre - Double(base)
            return (
                base - 1,
                [
                    Float(((-0.5 * t + 1) * t - 0.5) * t), Float((1.5 * t - 2.5) * t * t + 1),
                    Float(((-1.5 * t + 2) * t + 0.5) * t), Float((0.5 * t - 0.5) * t * t),
                ]
            )
        }
    }
}
