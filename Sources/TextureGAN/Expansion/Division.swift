import Imaging
import NNCore

/// How an image is cut, so that its expansion fits in memory.
enum Division {
    case whole
    case pieces(Pieces)

    /// The first of these that fits: the whole image; one piece; bands across the image; square pieces. All but the last
    /// give the bytes of the whole image, except where norms measure it.
    /// - Parameter memoryLimit: bytes for features and scratch, and for the rows of a band.
    /// - Throws: `ExpansionError` if nothing fits.
    init<Sample>(
        of image: Raster<Sample>, for generator: Generator, _ statistics: BatchNorm.Statistics, memoryLimit: Int
    ) throws(ExpansionError) {
        if Self.wholeFits(image, generator, memoryLimit: memoryLimit) {
            self = .whole
            return
        }
        let limit = memoryLimit / MemoryLayout<Float>.size
        let (height, width) = (image.paddedHeight, image.paddedWidth)
        let needed = PiecewiseInference.count(generator, height: height, width: width)
        if needed <= limit {
            self = .pieces(.one(of: image))
            return
        }
        guard !generator.measures(for: statistics) else {
            throw ExpansionError(neededBytes: needed * MemoryLayout<Float>.size)
        }
        if let bands = Pieces.bands(across: width, height: height, for: generator, limit: limit) {
            self = .pieces(bands)
            return
        }
        self = .pieces(try Pieces.squares(across: width, for: generator, limit: limit))
    }

    static func wholeFits<Sample>(_ image: Raster<Sample>, _ generator: Generator, memoryLimit: Int) -> Bool {
        let (height, width) = (image.paddedHeight, image.paddedWidth)
        // The input, and an output of twice its sides.
        let pictures = 5 * generator.channels * height * width
        let needed = pictures + generator.inferenceCount(height: height, width: width) + scratchFloats
        return needed <= memoryLimit / MemoryLayout<Float>.size
    }

    /// Scratch memory of kernels, mostly transformed weights.
    private static let scratchFloats = (48 << 20) / MemoryLayout<Float>.size
}

/// The pieces of an image that pass the whole generator one after another, in pixels of the input.
struct Pieces: Equatable {
    /// Without margins.
    let height: Int
    let width: Int
    /// Above and below.
    let marginY: Int
    /// Left and right.
    let marginX: Int

    /// The distance at which the tiles of all layers start together, in pixels of the input.
    private static let alignment = 16

    static func one<Sample>(of image: Raster<Sample>) -> Pieces {
        Pieces(height: image.paddedHeight, width: image.paddedWidth, marginY: 0, marginX: 0)
    }

    /// Bands as wide as the image, with the bytes of the whole image; nil if even bands as high as their margin do not
    /// fit.
    /// - Parameter limit: floats.
    static func bands(across width: Int, height: Int, for generator: Generator, limit: Int) -> Pieces? {
        let margin = tileMargin(for: generator)
        func fits(_ rows: Int) -> Bool {
            PiecewiseInference.count(generator, height: rows + 2 * margin, width: width)
                + band(rows: rows, width: width, generator) <= limit
        }
        guard fits(margin) else { return nil }
        var rows = margin
        while rows < height, fits(rows + alignment) { rows += alignment }
        // As many bands, of equal heights.
        let count = (height + rows - 1) / rows
        let even = ((height + count - 1) / count + alignment - 1) / alignment * alignment
        return Pieces(height: even, width: width, marginY: margin, marginX: 0)
    }

    /// Square pieces with a margin of only the receptive field: they agree with the whole image to the last rounding.
    /// - Parameters:
    ///   - width: of the image. The rows of the output that a row of pieces gives are held until it is complete.
    ///   - limit: floats.
    static func squares(across width: Int, for generator: Generator, limit: Int) throws(ExpansionError) -> Pieces {
        let margin = Expansion.margin(for: generator)
        func count(_ side: Int) -> Int {
            PiecewiseInference.count(generator, height: side + 2 * margin, width: side + 2 * margin)
                + band(rows: side, width: width, generator)
        }
        var side = alignment * 16
        while count(2 * side) <= limit { side *= 2 }
        guard count(side) <= limit else { throw ExpansionError(neededBytes: count(side) * MemoryLayout<Float>.size) }
        return Pieces(height: side, width: side, marginY: margin, marginX: margin)
    }

    /// Floats for the output's rows: twice the sides, and at most 2 bytes for a sample.
    static func band(rows: Int, width: Int, _ generator: Generator) -> Int { 2 * generator.channels * rows * width }

    func count(along length: Int, _ side: Int) -> Int { (length + side - 1) / side }

    /// A margin after which no byte depends on what lies beyond it.
    ///
    /// A kernel computes tiles of four pixels, and a tile is rounded differently if one of its inputs changes. So each
    /// convolution at a quarter of the size carries a change one tile farther, 16 pixels of the input. One more tile
    /// covers the layers before, and two cover the doublings.
    static func tileMargin(for generator: Generator) -> Int {
        let convolutions = 2 * generator.blocks.count + 1
        return alignment * (1 + convolutions + 2)
    }

    /// The receptive field, rounded up: seven pixels before the halvings; then, in fours, two for each block, one to
    /// widen, three for the doublings and the tail.
    static func fieldMargin(for generator: Generator) -> Int {
        let field = 7 + 4 * (2 * generator.blocks.count + 4)
        return (field + alignment - 1) / alignment * alignment
    }
}

extension Expansion {
    /// Pixels of input beyond a border that its expansion depends on.
    static func margin(for generator: Generator) -> Int { Pieces.fieldMargin(for: generator) }
}
