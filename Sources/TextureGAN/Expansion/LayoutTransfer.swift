import Imaging
import NNCore

/// The input of a texture transfer: blocks of an exemplar, laid so that light and colour follow another picture.
///
/// A generator knows its exemplar. It expands what looks like it, and paints molten patches from anything else. So it gets
/// the exemplar's own pixels, block by block, and then the light that still differs is moved. Of the blocks that are
/// nearly as good as the best one, chance picks one.
struct LayoutTransfer<Sample: PictureSample> {
    private let blocks: ExemplarBlocks<Sample>
    private let channels: Int

    /// The smallest side of an exemplar.
    static var minSide: Int { 16 }
    /// At strength 1, a block's fit to the layout counts so much; the rest is its fit to its neighbours, without which the
    /// joins are too rough to close.
    private static var mostWeight: Double { 0.85 }

    /// The most pixels that whole blocks have along a side to cover so many.
    static func mostCovered(_ length: Int) -> Int {
        max(ExemplarBlocks<Sample>.widest, length + ExemplarBlocks<Sample>.widestStep)
    }

    init(_ exemplar: Raster<Sample>) {
        precondition(min(exemplar.width, exemplar.height) >= Self.minSide)
        blocks = ExemplarBlocks(of: exemplar)
        channels = exemplar.channels
    }

    /// - Parameters:
    ///   - strength: how far the layout is followed: 0 not at all, 1 as far as blocks still fit each other.
    ///   - stream: chooses among the blocks that are nearly as good as the best.
    /// - Returns: A picture of the layout's size.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    func laid(by layout: Image, strength: Double, from stream: inout RandomStream) -> Raster<Sample> {
        let (side, overlap) = (blocks.side, blocks.overlap)
        let step = side - overlap
        func covered(_ length: Int) -> Int { max(side, (length - overlap + step - 1) / step * step + overlap) }
        let target = LayoutLight(
            of: layout, in: blocks.light, width: covered(layout.width), height: covered(layout.height))
        var result = Raster<Sample>(
            width: target.width, height: target.height, channels: channels,
            pixels: [Sample](repeating: 0, count: target.width * target.height * channels))
        for y in stride(from: 0, through: target.height - side, by: step) {
            for x in stride(from: 0, through: target.width - side, by: step) {
                func isKnown(_ row: Int, _ column: Int) -> Bool {
                    (x > 0 && column < overlap) || (y > 0 && row < overlap)
                }
                let costs = blocks.costs(
                    light: target.mean(x: x, y: y, side: side), weight: strength * Self.mostWeight, in: result, x: x,
                    y: y, isKnown: isKnown)
                var sides: ExemplarBlocks<Sample>.KnownSides = []
                if x > 0 { sides.insert(.left) }
                if y > 0 { sides.insert(.top) }
                blocks.lay(
                    Self.choice(costs, from: &stream), on: &result, x: x, y: y, sides, isKnown: isKnown)
            }
        }
        return target.moved(result, by: strength)
            .cropped(x: 0, y: 0, width: layout.width, height: layout.height)
    }

    /// One of the indices whose cost is at most a tenth above the least.
    private static func choice(_ costs: [Double], from stream: inout RandomStream) -> Int {
        let most = (costs.min() ?? 0) * 1.1
        let good = costs.indices.filter { costs[$0] <= most }
        return good[stream.integer(through: good.count - 1)]
    }
}

/// The light that a picture should have: that of a layout, in the colours of an exemplar.
///
/// A place as bright as a share of the layout gets the mean colour of the places of the exemplar that are as bright as that
/// share of it. So a pale layout uses all of the exemplar, and asks for no light that the exemplar does not have.
struct LayoutLight {
    let width: Int
    let height: Int
    private let colours: [SIMD3<Double>]

    private static let radius = ExemplarBlocks<UInt8>.radius
    private static let levels = 64

    /// - Parameters:
    ///   - light: the exemplar's.
    ///   - width: of the result. Beyond the layout, its borders are repeated. `height` likewise.
    init(of layout: Image, in light: [Int32], width: Int, height: Int) {
        self.width = width
        self.height = height
        let ramp = Self.ramp(light)
        let order = Self.ordered(layout.localMeans(radius: Self.radius))
        var mapped = [SIMD3<Double>](repeating: .zero, count: order.count)
        for (rank, index) in order.enumerated() {
            let level = Double(rank) / Double(order.count) * Double(Self.levels) - 0.5
            let lower = max(0, min(Self.levels - 2, Int(level)))
            let share = max(0, min(1, level - Double(lower)))
            mapped[index] = ramp[lower] + (ramp[lower + 1] - ramp[lower]) * share
        }
        var colours: [SIMD3<Double>] = []
        colours.reserveCapacity(width * height)
        for y in 0..<height {
            let row = min(y, layout.height - 1) * layout.width
            for x in 0..<width { colours.append(mapped[row + min(x, layout.width - 1)]) }
        }
        self.colours = colours
    }

    /// The exemplar's mean colours from dark to bright.
    private static func ramp(_ light: [Int32]) -> [SIMD3<Double>] {
        let order = ordered(light)
        return (0..<levels).map { (level: Int) -> SIMD3<Double> in
            let first = min(order.count - 1, level * order.count / levels)
            let end = max(first + 1, (level + 1) * order.count / levels)
            var sum = SIMD3<Double>.zero
            for pixel in order[first..<end] { sum += PixelLight.colour(light, pixel) }
            return sum / Double(end - first)
        }
    }

    /// Pixels from dark to bright; of equal ones the first comes first.
    private static func ordered(_ light: [Int32]) -> [Int] {
        let brightness = (0..<light.count / 3).map { (pixel: Int) -> Int32 in
            Brightness.of(light[3 * pixel], light[3 * pixel + 1], light[3 * pixel + 2])
        }
        return brightness.sortedIndices
    }

    /// The mean over a square.
    func mean(x: Int, y: Int, side: Int) -> SIMD3<Double> {
        var sum = SIMD3<Double>.zero
        for row in y..<y + side {
            for column in x..<x + side { sum += colours[row * width + column] }
        }
        return sum / Double(side * side)
    }

    /// A picture of this size whose light is moved by a share of the way to this one. Of a material, the albedo's.
    func moved<Sample>(_ picture: Raster<Sample>, by share: Double) -> Raster<Sample> {
        precondition(picture.width == width && picture.height == height)
        let light = picture.eightBits.localMeans(radius: Self.radius)
        var result = picture
        for pixel in 0..<width * height {
            result.move(pixel, by: (colours[pixel] - PixelLight.colour(light, pixel)) * share)
        }
        return result
    }
}
