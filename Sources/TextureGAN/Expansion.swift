import Imaging
import NNCore

/// Using a generator: an image in, its texture at twice the size out.
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

    /// Without a frame.
    static func whole(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics, in workspace: Workspace
    ) -> Image {
        workspace.arena.scoped {
            let output = generator.infer(padded(image, in: workspace.arena), statistics: statistics, in: workspace)
            return Image(output, cropWidth: 2 * image.width, cropHeight: 2 * image.height)
        }
    }

    /// The layers' own padding, which training crops have at each of their borders, draws a frame of a few pixels around
    /// a picture. A generator without norms therefore gets the image with a margin that continues its texture, and what
    /// it makes of the margin is cropped away. With norms the margin would change the image's statistics.
    static let frame = 16

    private static func framed<Failure: Error>(
        _ image: Image, for generator: Generator, _ expand: (Image) throws(Failure) -> Image
    ) throws(Failure) -> Image {
        guard generator.head.norm == nil else { return try expand(image) }
        return try expand(BorderContinuation(margin: frame).extended(image)).cropped(
            x: 2 * frame, y: 2 * frame, width: 2 * image.width, height: 2 * image.height)
    }

    /// The same in bounded memory: what does not fit is computed in pieces.
    ///
    /// Without norms, or with running averages, any size fits; the bytes are the same as long as 200 bytes a pixel (at the recipe `paper`'s
    /// width) are granted, and agree to the last rounding with less. The image's own statistics need that much, cost
    /// some 1.6 times the work, and agree to the last rounding.
    /// - Parameter memoryLimit: bytes for features and scratch; weights and pictures not counted.
    /// - Throws: `ExpansionError` if the image cannot be expanded within the limit.
    public static func expand(
        _ image: Image, with generator: Generator, statistics: BatchNorm.Statistics, memoryLimit: Int,
        in workspace: Workspace
    ) throws(ExpansionError) -> Image {
        try framed(image, for: generator) { (image) throws(ExpansionError) in
            let limit = memoryLimit / MemoryLayout<Float>.size
            let (height, width) = (roundedUp(image.height), roundedUp(image.width))
            if count(ofWhole: generator, height: height, width: width) <= limit {
                return whole(image, with: generator, statistics: statistics, in: workspace)
            }
            let plan = try plan(for: generator, statistics, height: height, width: width, limit: limit)
            return inPieces(
                image, with: generator, statistics: statistics, side: plan.side, margin: plan.margin, in: workspace)
        }
    }

    /// With the image's own statistics, whole if that fits and otherwise in pieces, which take what they need.
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

    /// What an expansion may be granted in a workspace: its arena less a margin for the rounding of sizes.
    public static func memoryLimit(in workspace: Workspace) -> Int { workspace.arena.reservedBytes - 64 << 20 }

    private static func count(ofWhole generator: Generator, height: Int, width: Int) -> Int {
        15 * height * width + generator.inferenceCount(height: height, width: width) + scratchFloats
    }

    /// For scratch memory of kernels: transformed weights, mostly.
    private static let scratchFloats = (48 << 20) / MemoryLayout<Float>.size

    /// How far apart the tiles of all layers begin anew, in pixels of the input.
    private static let alignment = 16

    /// Sides of the pieces that go through the whole generator, and their margin; one piece if all fits.
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
    ///   - side: of the pieces that go through the whole generator, in pixels of the input.
    ///   - margin: around each; 0 if there is only one.
    ///   - progress: the share that is done of the piece under way.
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
                // What the piece contributes, and what it is computed from, in pixels of the input.
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

    /// The pixels from a corner on, in [-1, 1]; beyond the image they are mirrored back and forth, so that even a single
    /// row fills any height.
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

/// An image that is too large for the memory granted to its expansion.
public struct ExpansionError: Error, Sendable, CustomStringConvertible {
    /// Bytes that would do.
    public let neededBytes: Int
    public var description: String {
        "expanding this image needs \((neededBytes >> 20) + 1) MiB; grant more memory, or normalise by running averages"
    }
}
