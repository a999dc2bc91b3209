import Imaging
import NNCore

/// Expands an image with a generator: its texture at twice the size.
///
/// The input's pixels are not kept; the result is a new texture that follows the input's structure.
public enum Expansion {
    /// Exactly twice the size for any size: the input is padded by reflection to multiples of 4 (at the right and the
    /// bottom), the output cropped.
    /// - Parameter statistics: `.image`, the image's own, or `.running`, the training's averages; the same without
    ///   norms.
    public static func expand(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics = .image, in workspace: Workspace
    ) -> Image {
        framed(image, for: generator) { image in whole(image, with: generator, statistics: statistics, in: workspace) }
    }

    /// Expands without a frame.
    static func whole(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics, in workspace: Workspace
    ) -> Image {
        workspace.arena.scoped {
            let output = generator.infer(padded(image, in: workspace.arena), statistics: statistics, in: workspace)
            return Image(output, cropWidth: 2 * image.width, cropHeight: 2 * image.height)
        }
    }

    /// Pixels of margin around an image for a generator without norms. The layers' padding, which training crops have
    /// at each border, draws a frame of a few pixels around a picture; the margin continues the image's texture, and
    /// its expansion is cropped away. With norms the margin would change the image's statistics.
    static let frame = 16

    private static func framed<Failure: Error>(
        _ image: Image, for generator: Generator, _ expand: (Image) throws(Failure) -> Image
    ) throws(Failure) -> Image {
        guard generator.head.norm == nil else { return try expand(image) }
        return try expand(BorderContinuation(margin: frame).extended(image)).cropped(
            x: 2 * frame, y: 2 * frame, width: 2 * image.width, height: 2 * image.height)
    }

    /// The same in bounded memory: an image that does not fit is computed in pieces.
    ///
    /// Without norms, or with running averages, any size fits; with 200 bytes for each pixel (at the recipe `paper`'s
    /// width) the bytes are the same, with less they agree to the last rounding. The image's own statistics need that
    /// much, cost about 1.6 times the work, and agree to the last rounding.
    /// - Parameter memoryLimit: bytes for features and scratch, without weights and pictures.
    /// - Throws: `ExpansionError` if the image cannot be expanded within the limit.
    public static func expand(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics, memoryLimit: Int,
        in workspace: Workspace
    ) throws(ExpansionError) -> Image {
        try framed(image, for: generator) { (image) throws(ExpansionError) in
            try unframed(image, with: generator, statistics: statistics, memoryLimit: memoryLimit, in: workspace)
        }
    }

    /// The same without a frame.
    static func unframed(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics, memoryLimit: Int,
        in workspace: Workspace
    ) throws(ExpansionError) -> Image {
        let limit = memoryLimit / MemoryLayout<Float>.size
        let (height, width) = (roundedUp(image.height), roundedUp(image.width))
        if count(ofWhole: generator, height: height, width: width) <= limit {
            return whole(image, with: generator, statistics: statistics, in: workspace)
        }
        let plan = try plan(for: generator, statistics, height: height, width: width, limit: limit)
        return inPieces(
            image, with: generator, statistics: statistics, side: plan.side, margin: plan.margin, in: workspace)
    }

    /// Expands with the image's own statistics: whole if that fits, otherwise in pieces, which may exceed the limit.
    static func snapshot(
        _ image: Image, with generator: Generator, memoryLimit: Int, in workspace: Workspace,
        progress: (Double) -> Void
    ) -> Image {
        framed(image, for: generator) { image in
            let (height, width) = (roundedUp(image.height), roundedUp(image.width))
            guard count(ofWhole: generator, height: height, width: width) > memoryLimit / MemoryLayout<Float>.size
            else {
                return whole(image, with: generator, statistics: .image, in: workspace)
            }
            return inPieces(
                image, with: generator, statistics: .image, side: max(height, width), margin: 0, in: workspace,
                progress: progress)
        }
    }

    /// The memory limit of an expansion in a workspace: its arena less a margin for rounding.
    public static func memoryLimit(in workspace: Workspace) -> Int { workspace.arena.reservedBytes - 64 << 20 }

    private static func count(ofWhole generator: Generator, height: Int, width: Int) -> Int {
        15 * height * width + generator.inferenceCount(height: height, width: width) + scratchFloats
    }

    /// Scratch memory of kernels, mostly transformed weights.
    private static let scratchFloats = (48 << 20) / MemoryLayout<Float>.size

    /// The distance at which the tiles of all layers start together, in pixels of the input.
    private static let alignment = 16

    /// The side and margin of pieces that pass the whole generator; one piece if everything fits.
    private static func plan(
        for generator: Generator, _ statistics: BatchNorm.Statistics, height: Int, width: Int, limit: Int
    ) throws(ExpansionError) -> (side: Int, margin: Int) {
        let needed = PiecewiseInference.count(generator, height: height, width: width)
        if needed <= limit { return (max(height, width), 0) }
        guard !generator.measures(for: statistics) else {
            throw ExpansionError(neededBytes: needed * MemoryLayout<Float>.size)
        }
        let margin = margin(for: generator)
        var side = alignment * 16
        func count(_ side: Int) -> Int {
            PiecewiseInference.count(generator, height: side + 2 * margin, width: side + 2 * margin)
        }
        while count(2 * side) <= limit { side *= 2 }
        guard count(side) <= limit else { throw ExpansionError(neededBytes: count(side) * MemoryLayout<Float>.size) }
        return (side, margin)
    }

    /// The receptive field, rounded up: seven pixels before the halvings; then, in fours, two for each block, one to
    /// widen, three for the doublings and the tail.
    static func margin(for generator: Generator) -> Int {
        let field = 7 + 4 * (2 * generator.blocks.count + 4)
        return (field + alignment - 1) / alignment * alignment
    }

    /// - Parameters:
    ///   - side: side of the pieces that pass the whole generator, in pixels of the input.
    ///   - margin: margin around each piece; 0 for a single piece.
    ///   - progress: called with the finished share of the current piece.
    static func inPieces(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics, side: Int, margin: Int,
        in workspace: Workspace, progress: (Double) -> Void = { _ in }
    ) -> Image {
        let inference = PiecewiseInference(generator: generator, statistics: statistics, workspace: workspace)
        let (height, width) = (2 * image.height, 2 * image.width)
        let (fullHeight, fullWidth) = (roundedUp(image.height), roundedUp(image.width))
        var pixels = [UInt8](repeating: 0, count: width * height * 3)
        for y in stride(from: 0, to: fullHeight, by: side) {
            for x in stride(from: 0, to: fullWidth, by: side) {
                // The part of the image that the piece covers, in pixels of the input; with its margin below.
                let rows = y..<min(fullHeight, y + side)
                let columns = x..<min(fullWidth, x + side)
                let (top, left) = (max(0, y - margin), max(0, x - margin))
                let source = PiecewiseInference.Source(
                    height: min(fullHeight, rows.upperBound + margin) - top,
                    width: min(fullWidth, columns.upperBound + margin) - left, channels: 3
                ) { crop, y, x in
                    write(image, from: (top + y, left + x), to: crop)
                }
                inference.run(source, progress: progress) { part in
                    for row in part.rows {
                        let y = 2 * top + part.y + row - part.rows.lowerBound
                        guard rows.contains(y / 2), y < height else { continue }
                        for column in part.columns {
                            let x = 2 * left + part.x + column - part.columns.lowerBound
                            guard columns.contains(x / 2), x < width else { continue }
                            for channel in 0..<3 {
                                pixels[(y * width + x) * 3 + channel] = Image.eightBits(
                                    part.piece.data[(row * part.piece.width + column) * 3 + channel])
                            }
                        }
                    }
                }
            }
        }
        return Image(width: width, height: height, pixels: pixels)
    }

    /// A side rounded up to a multiple of 4, and to at least 16, below which reflection by the network's own padding
    /// would run out of pixels.
    private static func roundedUp(_ side: Int) -> Int { max(16, (side + 3) / 4 * 4) }

    /// The image in [-1, 1], its sides rounded up.
    private static func padded(_ image: Image, in arena: Arena) -> Tensor {
        let result = Tensor(
            in: arena, height: roundedUp(image.height), width: roundedUp(image.width), channels: 3)
        write(image, from: (0, 0), to: result)
        return result
    }

    /// Writes the pixels from `corner`, in [-1, 1]. Beyond the image they are mirrored back and forth, so that even a
    /// single row fills any height.
    private static func write(_ image: Image, from corner: (y: Int, x: Int), to target: Tensor) {
        for y in 0..<target.height {
            let row = mirroredPosition(corner.y + y, image.height) * image.width
            for x in 0..<target.width {
                let source = (row + mirroredPosition(corner.x + x, image.width)) * 3
                for channel in 0..<3 {
                    target.data[(y * target.width + x) * 3 + channel] =
                        Float(image.pixels[source + channel]) / 127.5 - 1
                }
            }
        }
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
