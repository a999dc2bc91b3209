import Imaging

/// Makes a photograph periodic, so that its expansion tiles.
///
/// The first columns of a window, and the columns that follow its last one, both continue the texture. They are laid
/// over each other. Light and colour pass from one end into the other over the whole overlap. Detail is joined along the
/// path where it differs least. Of all windows, the one with the best path counts.
/// - Source: Efros & Freeman, *Image Quilting for Texture Synthesis and Transfer*, SIGGRAPH 2001; Burt & Adelson, *A
///   Multiresolution Spline With Application to Image Mosaics*, 1983.
public enum PeriodicImage {
    /// The smallest side of an image that can be made periodic along it.
    public static let minSide = 16

    /// Columns over which the two ends overlap, at most.
    private static let overlap = 32
    /// Columns over which the detail of one end passes into the other's at the path.
    private static let feather = 4
    /// Light and colour are means over this many pixels to each side.
    private static let radius = 8

    /// A part of the image that repeats along `axes`. Its sides along them are multiples of 4.
    /// - Parameter width: the part's width if it repeats along x: a multiple of 4 of at most `widest`; nil for the best
    ///   of the large ones. `height` likewise.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public static func made<Sample>(
        from image: Raster<Sample>, along axes: TorusAxes, width: Int? = nil, height: Int? = nil
    ) -> Raster<Sample> {
        var result = image
        if axes.contains(.x) { result = joined(result, width: width) }
        if axes.contains(.y) { result = joined(result.transposed(), width: height).transposed() }
        return result
    }

    /// The greatest width of a periodic part of an image of some width, or height.
    public static func widest(of side: Int) -> Int { (side - min(overlap, side / 4)) / 4 * 4 }

    /// The image, periodic from left to right.
    private static func joined<Sample>(_ image: Raster<Sample>, width wanted: Int?) -> Raster<Sample> {
        precondition(image.width >= minSide)
        let overlap = min(overlap, image.width / 4)
        let light = means(image)
        // Few enough candidates for large images.
        let step = max(4, image.width / 128 / 4 * 4)
        let widest = wanted ?? widest(of: image.width)
        precondition(widest % 4 == 0 && (4...image.width - overlap).contains(widest))
        let narrowest = wanted ?? max(4, widest * 7 / 8)
        var best: (cost: Double, left: Int, width: Int, path: [Int])?
        for width in stride(from: widest, through: narrowest, by: -step) {
            for left in stride(from: 0, through: image.width - overlap - width, by: step) {
                let costs = differences(image, light, left, left + width, overlap)
                let path = path(through: costs, overlap: overlap)
                // A narrower window loses more of the picture.
                let cost = Double(path.cost) / Double(width)
                if cost < best?.cost ?? .infinity { best = (cost, left, width, path.columns) }
            }
        }
        guard let best else { preconditionFailure("the widest window is always a candidate") }
        return join(image, light, left: best.left, width: best.width, overlap: overlap, path: best.path)
    }

    /// Light and colour: each channel's mean over a square, of the part of it inside the image.
    private static func means<Sample>(_ image: Raster<Sample>) -> [Int32] {
        let channels = image.channels
        let across = boxed(
            image.pixels.map { Int32($0) }, image.width, image.height, step: channels, line: image.width * channels,
            channels)
        return boxed(across, image.height, image.width, step: image.width * channels, line: channels, channels)
    }

    /// Means along lines of `length` pixels, `step` values apart.
    private static func boxed(_ values: [Int32], _ length: Int, _ lines: Int, step: Int, line: Int, _ channels: Int)
        -> [Int32]
    {
        var result = values
        var sums = [Int](repeating: 0, count: length + 1)
        for index in 0..<lines {
            for channel in 0..<channels {
                let start = index * line + channel
                for place in 0..<length { sums[place + 1] = sums[place] + Int(values[start + place * step]) }
                for place in 0..<length {
                    let (first, end) = (max(0, place - radius), min(length, place + radius + 1))
                    result[start + place * step] = Int32((sums[end] - sums[first]) / (end - first))
                }
            }
        }
        return result
    }

    /// The squared differences of detail between the columns from `left` and those from `right`, `[height, overlap]`, of
    /// its upper 8 bits.
    private static func differences<Sample>(
        _ image: Raster<Sample>, _ light: [Int32], _ left: Int, _ right: Int, _ overlap: Int
    ) -> [Int32] {
        let channels = image.channels
        var result = [Int32](repeating: 0, count: image.height * overlap)
        for y in 0..<image.height {
            let (a, b) = ((y * image.width + left) * channels, (y * image.width + right) * channels)
            for x in 0..<overlap {
                var sum: Int32 = 0
                for channel in channels * x..<channels * (x + 1) {
                    let one = Int32(image.pixels[a + channel]) - Int32(light[a + channel])
                    let other = Int32(image.pixels[b + channel]) - Int32(light[b + channel])
                    let difference = (one - other) >> (Sample.bitWidth - 8)
                    sum += difference * difference
                }
                result[y * overlap + x] = sum
            }
        }
        return result
    }

    /// The path from top to bottom with the least sum, that moves by at most one column a row and ends within one column
    /// of its start. Of equal ones the leftmost counts.
    private static func path(through costs: [Int32], overlap: Int) -> (cost: Int, columns: [Int]) {
        let free = path(through: costs, overlap: overlap, from: nil)
        // A closed path passes cheaply where the free one does.
        return path(through: costs, overlap: overlap, from: free.columns[free.columns.count / 2])
    }

    private static func path(
        through costs: [Int32], overlap: Int, from start: Int?
    ) -> (cost: Int, columns: [Int]) {
        let height = costs.count / overlap
        let never = Int.max / 2
        var sums = costs.map(Int.init)
        if let start { for x in 0..<overlap where x != start { sums[x] = never } }
        func around(_ x: Int) -> ClosedRange<Int> { max(0, x - 1)...min(overlap - 1, x + 1) }
        for y in 1..<max(1, height) {
            for x in 0..<overlap {
                var least = never
                for before in around(x) { least = min(least, sums[(y - 1) * overlap + before]) }
                sums[y * overlap + x] = min(never, sums[y * overlap + x] + least)
            }
        }
        func least(_ y: Int, _ range: ClosedRange<Int>) -> Int {
            range.min { sums[y * overlap + $0] < sums[y * overlap + $1] } ?? range.lowerBound
        }
        var column = least(height - 1, start.map(around) ?? 0...overlap - 1)
        let cost = sums[(height - 1) * overlap + column]
        var columns = [column]
        for y in stride(from: height - 2, through: 0, by: -1) {
            column = least(y, around(column))
            columns.append(column)
        }
        return (cost, columns.reversed())
    }

    /// The window, its first columns joined with those after its end.
    private static func join<Sample>(
        _ image: Raster<Sample>, _ light: [Int32], left: Int, width: Int, overlap: Int, path: [Int]
    ) -> Raster<Sample> {
        let channels = image.channels
        var result = image.cropped(x: left, y: 0, width: width, height: image.height)
        for y in 0..<image.height {
            for x in 0..<overlap {
                // 0: the columns after the window's end; 1: its own.
                let ofLight = (Double(x) + 0.5) / Double(overlap)
                let ofDetail = max(0, min(1, (Double(x - path[y]) + 0.5) / Double(feather) + 0.5))
                for channel in 0..<channels {
                    let own = (y * image.width + left + x) * channels + channel
                    let following = own + width * channels
                    let (light0, light1) = (Double(light[following]), Double(light[own]))
                    let detail0 = Double(image.pixels[following]) - light0
                    let detail1 = Double(image.pixels[own]) - light1
                    let value =
                        light0 + (light1 - light0) * ofLight + detail0 + (detail1 - detail0) * ofDetail
                    result.pixels[(y * width + x) * channels + channel] = Sample(
                        max(0, min(Double(Sample.max), value.rounded())))
                }
            }
        }
        return result
    }
}
