import Imaging

/// Makes a photograph periodic, so that its expansion tiles.
///
/// Where the image's opposite borders meet, a band is filled with blocks of the image. They fit what lies on both sides,
/// and their light leads from one side to the other: plates of middling size lie between large and small ones. Then the
/// light that still differs is moved. A regular pattern is cut to whole periods before.
public enum PeriodicImage {
    /// The smallest side of an image that can be made periodic, along either axis, and of the part that it becomes.
    public static let minSide = 16

    /// How much a block's light counts; the rest is its fit to its neighbours.
    private static let weight = 0.7
    /// The same where both sides are in step, so that a block can continue the rows of both.
    private static let weightInStep = 0.3

    /// A part of the image that repeats along `axes`: as much of a regular pattern as makes whole periods, to two pixels.
    /// Of any other image it is all, except up to three columns and rows, which leave sides that are multiples of 4.
    /// - Parameter width: the part's width if it repeats along x: a multiple of 4, at least `minSide` and at most `widest`;
    ///   nil to choose it. The middle of the image remains. `height` likewise.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public static func made<Sample>(
        from image: Raster<Sample>, along axes: TorusAxes, width: Int? = nil, height: Int? = nil
    ) -> Raster<Sample> {
        var result = image
        if axes.contains(.x) {
            result = joined(result, width: width, blocks: image, repeatsDown: false)
        }
        if axes.contains(.y) {
            result = joined(
                result.transposed(), width: height, blocks: image.transposed(), repeatsDown: axes.contains(.x)
            ).transposed()
        }
        return result
    }

    /// The greatest width of a periodic part of an image of some width, or height.
    public static func widest(of side: Int) -> Int { side / 4 * 4 }

    /// The middle of the image, periodic from left to right.
    /// - Parameters:
    ///   - width: nil to choose it.
    ///   - exemplar: where blocks come from; as wide as the image.
    ///   - repeatsDown: whether the image's last row is followed by its first.
    private static func joined<Sample>(
        _ image: Raster<Sample>, width: Int?, blocks exemplar: Raster<Sample>, repeatsDown: Bool
    ) -> Raster<Sample> {
        let wholePeriods = width == nil ? WholePeriods.width(of: exemplar).map { ($0 + 2) / 4 * 4 } : nil
        let width = width ?? wholePeriods ?? widest(of: image.width)
        precondition(width % 4 == 0 && (minSide...image.width).contains(width) && image.height >= minSide)
        let window = image.middle(width: width, height: image.height)
        let blocks = ExemplarBlocks(of: exemplar, limit: min(width, image.height))
        // The join lies in the middle of the canvas.
        let canvas = window.rolled(x: width / 2, y: 0)
        let band = JoinBand(of: canvas, width: 2 * blocks.side - blocks.overlap, repeatsDown: repeatsDown)
        let weight = wholePeriods == nil ? weight : weightInStep
        return band.movingLight(of: filled(canvas, band, with: blocks, weight: weight), over: blocks.overlap)
            .rolled(x: width / 2, y: 0)
    }

    /// Lays the band, two blocks beside each other, from the top.
    private static func filled<Sample>(
        _ canvas: Raster<Sample>, _ band: JoinBand, with blocks: ExemplarBlocks<Sample>, weight: Double
    ) -> Raster<Sample> {
        var result = canvas
        let (side, overlap) = (blocks.side, blocks.overlap)
        var known = [Bool](repeating: true, count: canvas.width * canvas.height)
        for y in 0..<canvas.height {
            for x in band.columns.dropFirst(overlap).dropLast(overlap) { known[y * canvas.width + x] = false }
        }
        let rows = rows(canvas.height, side, overlap, repeatsDown: band.repeatsDown)
        for (number, y) in rows.enumerated() {
            for x in [band.columns.lowerBound, band.columns.upperBound - side] {
                func place(_ row: Int, _ column: Int) -> Int {
                    (y + row) % canvas.height * canvas.width + x + column
                }
                func isKnown(_ row: Int, _ column: Int) -> Bool { known[place(row, column)] }
                let costs = blocks.costs(
                    light: band.mean(x: x, y: y, side: side), weight: weight, in: result, x: x, y: y, isKnown: isKnown)
                let best = costs.indices.min { (costs[$0], $0) < (costs[$1], $1) } ?? 0
                var sides: ExemplarBlocks<Sample>.KnownSides = [.left]
                if x > band.columns.lowerBound { sides.insert(.right) }
                if number > 0 { sides.insert(.top) }
                if band.repeatsDown, number == rows.count - 1, number > 0 { sides.insert(.bottom) }
                blocks.lay(best, on: &result, x: x, y: y, sides, isKnown: isKnown)
                for row in 0..<side {
                    for column in 0..<side { known[place(row, column)] = true }
                }
            }
        }
        return result
    }

    /// The first rows of the blocks.
    private static func rows(_ height: Int, _ side: Int, _ overlap: Int, repeatsDown: Bool) -> [Int] {
        let step = side - overlap
        if repeatsDown {
            let count = (height + step - 1) / step
            return (0..<count).map { $0 * height / count }
        }
        let all = Array(stride(from: 0, through: height - side, by: step))
        return all[all.count - 1] == height - side ? all : all + [height - side]
    }
}

/// The columns around a join in the middle of a picture, and the light that leads from one side to the other.
private struct JoinBand {
    let columns: Range<Int>
    /// Whether the picture's last row is followed by its first.
    let repeatsDown: Bool
    /// Of each pixel of the band, row by row.
    private let light: [SIMD3<Double>]

    init<Sample>(of picture: Raster<Sample>, width: Int, repeatsDown: Bool) {
        let first = (picture.width - width) / 2
        columns = first..<first + width
        self.repeatsDown = repeatsDown
        // Away from the join, which is no light of the picture.
        let window = picture.rolled(x: picture.width / 2, y: 0)
        let known = Self.light(window, repeatsDown)
        var light: [SIMD3<Double>] = []
        light.reserveCapacity(picture.height * width)
        for y in 0..<picture.height {
            func colour(_ x: Int) -> SIMD3<Double> {
                let column = (x + picture.width / 2 + picture.width) % picture.width
                return PixelLight.colour(known, y * picture.width + column)
            }
            let (left, right) = (colour(first - 1), colour(first + width))
            for x in 0..<width {
                let t = (Double(x) + 0.5) / Double(width)
                let share = t * t * (3 - 2 * t)
                light.append(left + (right - left) * share)
            }
        }
        self.light = light
    }

    private static func light<Sample>(_ picture: Raster<Sample>, _ repeatsDown: Bool) -> [Int32] {
        let radius = ExemplarBlocks<Sample>.radius
        guard repeatsDown else { return picture.eightBits.localMeans(radius: radius) }
        let (width, height) = (picture.width, picture.height)
        let more = picture.window(x: 0, y: -radius, width: width, height: height + 2 * radius)
        let light = more.eightBits.localMeans(radius: radius)
        return Array(light[3 * width * radius..<3 * width * (radius + height)])
    }

    /// The mean over a square of the picture inside the band.
    func mean(x: Int, y: Int, side: Int) -> SIMD3<Double> {
        let height = light.count / columns.count
        var sum = SIMD3<Double>.zero
        for row in y..<y + side {
            let start = row % height * columns.count + x - columns.lowerBound
            for column in start..<start + side { sum += light[column] }
        }
        return sum / Double(side * side)
    }

    /// The picture with this light in the band; at both ends of it the change fades over some columns.
    func movingLight<Sample>(of picture: Raster<Sample>, over fade: Int) -> Raster<Sample> {
        let found = Self.light(picture, repeatsDown)
        var result = picture
        for y in 0..<picture.height {
            for x in 0..<columns.count {
                let pixel = y * picture.width + columns.lowerBound + x
                let share = min(1, Double(min(x + 1, columns.count - x)) / Double(fade))
                result.move(pixel, by: (light[y * columns.count + x] - PixelLight.colour(found, pixel)) * share)
            }
        }
        return result
    }
}
