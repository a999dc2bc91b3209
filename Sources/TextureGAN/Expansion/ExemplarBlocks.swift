import Imaging

/// Square blocks of an exemplar that are laid side by side, overlapping: image quilting.
///
/// A block is chosen by its light, the mean colour in and around it, and by how well its pixels fit those that are there
/// already. It fades in over these. A generator closes the joins.
/// - Source: Efros & Freeman, *Image Quilting for Texture Synthesis and Transfer*, SIGGRAPH 2001. To compare light is
///   ours (docs/decisions/0021).
struct ExemplarBlocks<Sample: PictureSample> {
    /// Of a block.
    let side: Int
    /// Pixels by which blocks overlap.
    let overlap: Int
    /// The mean colour around each pixel of the exemplar: red, green, blue.
    let light: [Int32]
    private let exemplar: Raster<Sample>
    /// The upper 8 bits of the exemplar's colours; of a material, of its albedo.
    private let colours: Image
    private let corners: [(x: Int, y: Int)]
    /// The light of each block.
    private let means: [SIMD3<Double>]

    /// Wide enough for a few pebbles or bricks: smaller blocks are put together of interiors, without joints.
    static var widest: Int { 48 }
    /// From one of the widest blocks to the next.
    static var widestStep: Int { widest - overlap(of: widest) }
    /// The smallest side of an exemplar.
    static var minSide: Int { 4 }
    private static func overlap(of side: Int) -> Int { side / 3 }
    private static var mostCorners: Int { 4096 }
    /// Pixels over which light is averaged, to each side. Less would be detail: the bright middle of a stone.
    static var radius: Int { 16 }

    /// - Parameter limit: the greatest side of two blocks beside each other.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    init(of exemplar: Raster<Sample>, limit: Int = .max) {
        let (width, height) = (exemplar.width, exemplar.height)
        let room = min(width, height, limit)
        precondition(room >= Self.minSide)
        let side = max(4, min(Self.widest, room / 8 * 4))
        let colours = exemplar.eightBits
        let light = colours.localMeans(radius: Self.radius)
        func count(_ step: Int) -> Int { ((width - side) / step + 1) * ((height - side) / step + 1) }
        var step = 1
        while count(step) > Self.mostCorners { step += 1 }
        let corners = stride(from: 0, through: height - side, by: step).flatMap { y in
            stride(from: 0, through: width - side, by: step).map { x in (x: x, y: y) }
        }
        means = corners.map { (corner: (x: Int, y: Int)) -> SIMD3<Double> in
            var sum = SIMD3<Double>.zero
            for y in corner.y..<corner.y + side {
                for x in corner.x..<corner.x + side { sum += PixelLight.colour(light, y * width + x) }
            }
            return sum / Double(side * side)
        }
        self.side = side
        overlap = Self.overlap(of: side)
        self.light = light
        self.exemplar = exemplar
        self.colours = colours
        self.corners = corners
    }

    /// What each block costs at a place of a picture: mean squared differences of 8 bits.
    /// - Parameters:
    ///   - light: the light to have there, which counts by `weight`; the fit to the picture counts by the rest.
    ///   - y: the picture's rows are followed by its first row again.
    ///   - isKnown: whether a pixel of the picture, by its row and column in the block, is there already.
    func costs(
        light: SIMD3<Double>, weight: Double, in picture: Raster<Sample>, x: Int, y: Int,
        isKnown: (_ row: Int, _ column: Int) -> Bool
    ) -> [Double] {
        // Every second pixel of every second row.
        var (offsets, known) = ([Int](), [Int32]())
        let shift = Sample.bitWidth - 8
        for row in stride(from: 0, to: side, by: 2) {
            for column in stride(from: 0, to: side, by: 2) where isKnown(row, column) {
                offsets.append(3 * (row * colours.width + column))
                let first = ((y + row) % picture.height * picture.width + x + column) * picture.channels
                for channel in 0..<3 { known.append(Int32(picture.pixels[first + channel] >> shift)) }
            }
        }
        let share = known.isEmpty ? 0 : (1 - weight) / Double(known.count)
        return colours.pixels.withUnsafeBufferPointer { pixels in
            corners.indices.map { (index: Int) -> Double in
                let start = 3 * (corners[index].y * colours.width + corners[index].x)
                var sum: Int32 = 0
                for (pixel, offset) in offsets.enumerated() {
                    for channel in 0..<3 {
                        let difference = Int32(pixels[start + offset + channel]) - known[3 * pixel + channel]
                        sum &+= difference &* difference
                    }
                }
                let ofLight = means[index] - light
                return weight * (ofLight * ofLight).sum() / 3 + share * Double(sum)
            }
        }
    }

    /// The sides of a block at which the picture is there already.
    struct KnownSides: OptionSet {
        let rawValue: Int
        static var left: KnownSides { KnownSides(rawValue: 1) }
        static var right: KnownSides { KnownSides(rawValue: 2) }
        static var top: KnownSides { KnownSides(rawValue: 4) }
        static var bottom: KnownSides { KnownSides(rawValue: 8) }
    }

    /// Copies a block to a place of a picture. It fades in from its known sides where pixels are known.
    func lay(
        _ index: Int, on picture: inout Raster<Sample>, x: Int, y: Int, _ sides: KnownSides,
        isKnown: (_ row: Int, _ column: Int) -> Bool
    ) {
        let (corner, channels, full) = (corners[index], exemplar.channels, overlap + 1)
        func share(_ offset: Int, _ start: Bool, _ end: Bool) -> Int {
            min(full, start ? offset + 1 : full, end ? side - offset : full)
        }
        let whole = full * full
        for row in 0..<side {
            let down = share(row, sides.contains(.top), sides.contains(.bottom))
            for column in 0..<side {
                let across = share(column, sides.contains(.left), sides.contains(.right))
                let new = isKnown(row, column) ? down * across : whole
                let target = ((y + row) % picture.height * picture.width + x + column) * channels
                let source = ((corner.y + row) * exemplar.width + corner.x + column) * channels
                for channel in 0..<channels {
                    let sum =
                        Int(picture.pixels[target + channel]) * (whole - new)
                        + Int(exemplar.pixels[source + channel]) * new
                    picture.pixels[target + channel] = Sample((sum + whole / 2) / whole)
                }
            }
        }
    }
}

/// Mean colours around pixels, as ``Raster/localMeans(radius:)`` gives them for 8 bits.
enum PixelLight {
    static func colour(_ light: [Int32], _ pixel: Int) -> SIMD3<Double> {
        SIMD3(Double(light[3 * pixel]), Double(light[3 * pixel + 1]), Double(light[3 * pixel + 2]))
    }
}

extension Raster {
    /// Adds to the first three channels of a pixel, in levels of 8 bits.
    mutating func move(_ pixel: Int, by difference: SIMD3<Double>) {
        let scale = Double(Sample.max) / 255
        for channel in 0..<3 {
            let value = Double(pixels[pixel * channels + channel]) + difference[channel] * scale
            pixels[pixel * channels + channel] = Sample(max(0, min(Double(Sample.max), value.rounded())))
        }
    }
}
