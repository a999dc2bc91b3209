import Imaging
import NNCore

/// Expands an image with a generator: its texture at twice the size.
///
/// The input's pixels are not kept; the result is a new texture that follows the input's structure.
///
/// Functions of pictures of 8 and of 16 bits are compiled for both (`@_specialize`): called from another module, generic
/// code would be a hundred times slower.
public enum Expansion {
    /// Exactly twice the size for any size: the input is padded by reflection to multiples of 4 (at the right and the
    /// bottom), the output cropped. An image that does not fit in the memory is computed in pieces.
    ///
    /// Without norms, or with running averages, any size fits. With 200 bytes for each pixel (at the recipe `paper`'s
    /// width), or with enough for bands across the image, the bytes are the same; with less they agree to the last
    /// rounding. The image's own statistics need the 200 bytes, cost about 1.6 times the work, and agree to the last
    /// rounding.
    /// - Parameters:
    ///   - statistics: `.image`, the image's own, or `.running`, the training's averages; the same without norms.
    ///   - memoryLimit: bytes for features and scratch, without weights and pictures.
    ///   - rowBytes: bytes of the result for a pixel of the input, if the rows of a piece count too; 0 if not.
    ///   - progress: gets the finished share, piece by piece. What it throws ends the expansion.
    /// - Throws: `ExpansionError` if the image cannot be expanded within the limit, or what `progress` throws.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public static func expand<Sample>(
        _ image: Raster<Sample>, with generator: Generator, statistics: BatchNorm.Statistics, memoryLimit: Int,
        rowBytes: Int = 0, in workspace: Workspace, progress: (Double) throws -> Void = { _ in }
    ) throws -> Raster<Sample> {
        let (input, window) = framed(image, for: generator, width: 2 * image.width, height: 2 * image.height)
        let division = try Division(
            of: input, for: generator, statistics, memoryLimit: memoryLimit, rowBytes: rowBytes)
        return try gathered(window, image.channels) {
            try run(
                division, input, window, with: generator, statistics: statistics, in: workspace, progress: progress,
                to: $0)
        }
    }

    /// The same row by row, for results that do not fit in memory: it holds the image, and the rows of one piece.
    /// - Parameters:
    ///   - image: given away, so that its memory can be used for the image with its frame.
    ///   - width: of the result: twice the image's, or less, to leave out columns at the right. `height` likewise.
    ///   - sink: takes the result's rows from the top, some at a time.
    /// - Throws: `ExpansionError` before the first row, or what `progress` or the sink throws.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    public static func rows<Sample>(
        of image: consuming Raster<Sample>, width: Int, height: Int, with generator: Generator,
        statistics: BatchNorm.Statistics, memoryLimit: Int, rowBytes: Int = 0, in workspace: Workspace,
        progress: (Double) throws -> Void = { _ in }, to sink: (UnsafeBufferPointer<Sample>) throws -> Void
    ) throws {
        precondition((1...2 * image.width).contains(width) && (1...2 * image.height).contains(height))
        let (input, window) = framed(image, for: generator, width: width, height: height)
        _ = consume image
        let division = try Division(
            of: input, for: generator, statistics, memoryLimit: memoryLimit, rowBytes: rowBytes)
        try run(
            division, input, window, with: generator, statistics: statistics, in: workspace, progress: progress,
            to: sink)
    }

    /// A part of the output, without a frame.
    static func unframed<Sample>(
        _ image: Raster<Sample>, _ window: OutputWindow, with generator: Generator, statistics: BatchNorm.Statistics,
        memoryLimit: Int, rowBytes: Int, in workspace: Workspace, progress: (Double) throws -> Void
    ) throws -> Raster<Sample> {
        let division = try Division(
            of: image, for: generator, statistics, memoryLimit: memoryLimit, rowBytes: rowBytes)
        return try gathered(window, image.channels) {
            try run(
                division, image, window, with: generator, statistics: statistics, in: workspace, progress: progress,
                to: $0)
        }
    }

    /// Expands with the image's own statistics: whole if that fits, otherwise in one piece, which may exceed the limit.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    static func snapshot<Sample>(
        _ image: Raster<Sample>, with generator: Generator, memoryLimit: Int, in workspace: Workspace,
        progress: (Double) -> Void
    ) -> Raster<Sample> {
        let (input, window) = framed(image, for: generator, width: 2 * image.width, height: 2 * image.height)
        let division: Division =
            Division.wholeFits(input, generator, memoryLimit: memoryLimit) ? .whole : .pieces(.one(of: input))
        return withoutFailure {
            try gathered(window, image.channels) {
                try run(
                    division, input, window, with: generator, statistics: .image, in: workspace, progress: progress,
                    to: $0)
            }
        }
    }

    /// The memory limit of an expansion in a workspace: its arena less a margin for rounding.
    public static func memoryLimit(in workspace: Workspace) -> Int { workspace.arena.reservedBytes - 64 << 20 }

    // MARK: The frame

    /// Pixels of margin around an image for a generator without norms. The layers' padding, which training crops have
    /// at each border, draws a frame of a few pixels around a picture; the margin continues the image's texture, and
    /// its expansion is cropped away. With norms the margin would change the image's statistics.
    static let frame = 16

    /// The generator's input, and the part of its output that counts.
    private static func framed<Sample>(
        _ image: Raster<Sample>, for generator: Generator, width: Int, height: Int
    ) -> (Raster<Sample>, OutputWindow) {
        guard generator.head.norm == nil else { return (image, OutputWindow(x: 0, y: 0, width: width, height: height)) }
        let input = BorderContinuation(margin: frame).extended(image)
        return (input, OutputWindow(x: 2 * frame, y: 2 * frame, width: width, height: height))
    }

    // MARK: Running

    private static func gathered<Sample>(
        _ window: OutputWindow, _ channels: Int,
        _ expand: (_ sink: (UnsafeBufferPointer<Sample>) -> Void) throws -> Void
    ) throws -> Raster<Sample> {
        var pixels: [Sample] = []
        pixels.reserveCapacity(window.width * window.height * channels)
        try expand { pixels += $0 }
        return Raster(width: window.width, height: window.height, channels: channels, pixels: pixels)
    }

    /// Without a frame. Only tests call it from another module.
    /// - Parameters:
    ///   - window: the part of the output that counts.
    ///   - progress: called with the finished share, after each layer of the whole or each step of a piece.
    ///   - sink: takes the window's rows from the top.
    @_specialize(where Sample == UInt8)
    @_specialize(where Sample == UInt16)
    static func run<Sample>(
        _ division: Division, _ image: Raster<Sample>, _ window: OutputWindow, with generator: Generator,
        statistics: BatchNorm.Statistics, in workspace: Workspace,
        progress: (Double) throws -> Void = { _ in },
        to sink: (UnsafeBufferPointer<Sample>) throws -> Void
    ) throws {
        guard case .pieces(let pieces) = division else {
            let start = workspace.arena.mark
            defer { workspace.arena.release(to: start) }
            let output = try generator.infer(
                image.padded(in: workspace.arena), statistics: statistics, in: workspace, progress: progress)
            var band = Band<Sample>(of: window, rows: 0..<window.height, channels: image.channels)
            let part = PiecewiseInference.Part(
                piece: output, rows: 0..<output.height, columns: 0..<output.width, y: 0, x: 0)
            band.add(part, top: 0, left: 0, columns: 0..<output.width)
            try band.pixels.withUnsafeBufferPointer(sink)
            return
        }
        let inference = PiecewiseInference(generator: generator, statistics: statistics, workspace: workspace)
        let (height, width) = (image.paddedHeight, image.paddedWidth)
        let (down, across) = (pieces.count(along: height, pieces.height), pieces.count(along: width, pieces.width))
        for row in 0..<down {
            // The piece in pixels of the input; with its margins below.
            let rows = row * pieces.height..<min(height, (row + 1) * pieces.height)
            let top = max(0, rows.lowerBound - pieces.marginY)
            var band = Band<Sample>(of: window, rows: window.rows(ofInput: rows), channels: image.channels)
            for column in 0..<across where !band.rows.isEmpty {
                let columns = column * pieces.width..<min(width, (column + 1) * pieces.width)
                let left = max(0, columns.lowerBound - pieces.marginX)
                let source = PiecewiseInference.Source(
                    height: min(height, rows.upperBound + pieces.marginY) - top,
                    width: min(width, columns.upperBound + pieces.marginX) - left, channels: image.channels
                ) { crop, y, x in
                    image.write(from: (top + y, left + x), to: crop)
                }
                let before = Double(row * across + column)
                try inference.run(source) {
                    try progress((before + $0) / Double(down * across))
                } _: { part in
                    band.add(
                        part, top: 2 * top, left: 2 * left, columns: 2 * columns.lowerBound..<2 * columns.upperBound)
                }
            }
            if !band.rows.isEmpty { try band.pixels.withUnsafeBufferPointer(sink) }
        }
    }
}

/// The result of work that throws only what its closures throw, with closures that throw nothing.
func withoutFailure<Result>(_ body: () throws -> Result) -> Result {
    do {
        return try body()
    } catch {
        preconditionFailure("\(error)")
    }
}

/// An image is too large for the memory limit of its expansion.
public struct ExpansionError: Error, Sendable, CustomStringConvertible {
    /// A sufficient limit.
    public let neededBytes: Int
    public var description: String {
        "expanding this image needs \((neededBytes >> 20) + 1) MiB; grant more memory, or normalise by running averages"
    }
}
