import Imaging
import NNCore

/// How an image is cut, so that its expansion fits in memory.
enum Division {
    case whole
    case pieces(Pieces)

    /// The first of these that fits: the whole image; one piece; bands across the image; square pieces. All but the last
    /// give the bytes of the whole image, except where norms measure it.
    /// - Parameters:
    ///   - memoryLimit: bytes for features and scratch, and for the rows of a band.
    ///   - rowBytes: bytes of the result for a pixel of the input, if its rows from one piece count too; 0 if not.
    /// - Throws: `ExpansionError` if nothing fits.
    init<Sample>(
        of image: Raster<Sample>, for generator: Generator, _ statistics: BatchNorm.Statistics, memoryLimit: Int,
        rowBytes: Int = 0
    ) throws(ExpansionError) {
        let (height, width) = (image.paddedHeight, image.paddedWidth)
        let rows = rowBytes * height * width
        if Self.wholeBytes(generator, height: height, width: width) + rows <= memoryLimit {
            self = .whole
            return
        }
        let limit = memoryLimit / MemoryLayout<Float>.size
        let needed = PiecewiseInference.count(generator, height: height, width: width)
        if needed <= limit - rows / MemoryLayout<Float>.size {
            self = .pieces(.one(of: image))
            return
        }
        if !generator.measures(for: statistics) {
            if let bands = Pieces.bands(across: width, height: height, for: generator, limit: limit) {
                self = .pieces(bands)
                return
            }
            if let squares = Pieces.squares(across: width, for: generator, limit: limit, rowBytes: rowBytes) {
                self = .pieces(squares)
                return
            }
        }
        throw ExpansionError(
            neededBytes: Self.leastBytes(
                generator, statistics, height: height, width: width, rowBytes: rowBytes))
    }

    static func wholeFits<Sample>(_ image: Raster<Sample>, _ generator: Generator, memoryLimit: Int) -> Bool {
        wholeBytes(generator, height: image.paddedHeight, width: image.paddedWidth) <= memoryLimit
    }

    private static func wholeBytes(_ generator: Generator, height: Int, width: Int) -> Int {
        // The input, and an output of twice its sides.
        let pictures = 5 * generator.channels * height * width
        let floats = pictures + generator.inferenceCount(height: height, width: width) + scratchFloats
        return floats * MemoryLayout<Float>.size
    }

    /// The smallest memory limit that is enough for an image.
    /// - Parameters:
    ///   - height: rounded up like `Raster.paddedHeight`. `width` likewise.
    ///   - rowBytes: as for `init`.
    static func leastBytes(
        _ generator: Generator, _ statistics: BatchNorm.Statistics, height: Int, width: Int, rowBytes: Int
    ) -> Int {
        let rows = rowBytes * height * width
        let size = MemoryLayout<Float>.size
        let one = PiecewiseInference.count(generator, height: height, width: width) * size + rows
        // Rounding of the rows to whole floats.
        let least = min(one + size, wholeBytes(generator, height: height, width: width) + rows)
        guard !generator.measures(for: statistics) else { return least }
        return min(least, Pieces.leastSquareBytes(across: width, for: generator, rowBytes: rowBytes))
    }

    /// Scratch memory of kernels, mostly transformed weights.
    static let scratchFloats = (48 << 20) / MemoryLayout<Float>.size
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
            // The output's rows, at most 2 bytes for each of four pixels' channels for an input pixel.
            let band = 2 * generator.channels * rows * width
            return PiecewiseInference.count(generator, height: rows + 2 * margin, width: width) + band <= limit
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
    ///   - width: of the image.
    ///   - limit: floats.
    ///   - rowBytes: bytes of the result for a pixel of the input, whose rows across the image are held; 0 if they do not
    ///     count.
    /// - Returns: nil if even the smallest do not fit.
    static func squares(across width: Int, for generator: Generator, limit: Int, rowBytes: Int) -> Pieces? {
        let margin = Expansion.margin(for: generator)
        func fits(_ side: Int) -> Bool {
            squareBytes(side, across: width, for: generator, rowBytes: rowBytes) <= limit * MemoryLayout<Float>.size
        }
        guard fits(leastSquare) else { return nil }
        var side = leastSquare
        while fits(2 * side) { side *= 2 }
        return Pieces(height: side, width: side, marginY: margin, marginX: margin)
    }

    private static let leastSquare = alignment * 16

    private static func squareBytes(_ side: Int, across width: Int, for generator: Generator, rowBytes: Int) -> Int {
        let whole = side + 2 * Expansion.margin(for: generator)
        return PiecewiseInference.count(generator, height: whole, width: whole) * MemoryLayout<Float>.size
            + rowBytes * side * width
    }

    /// The least memory for squares, in bytes.
    static func leastSquareBytes(across width: Int, for generator: Generator, rowBytes: Int) -> Int {
        squareBytes(leastSquare, across: width, for: generator, rowBytes: rowBytes) + MemoryLayout<Float>.size
    }

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
