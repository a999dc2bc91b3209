import Imaging
import NNCore

/// Doubles pictures within a memory limit.
public struct PictureExpander {
    let generator: Generator
    let statistics: NormStatistics
    /// Along which results tile; nil for results that do not.
    let axes: TorusAxes?
    /// Nil for a limit that depends on the process and on the result.
    let memoryMiB: Int?
    /// The memory that the process may use for this.
    let availableBytes: Int
    let workspace: Workspace

    /// MiB for results of more than the standard size, unless the norms need more.
    private static let largeResultMiB = 512

    /// - Parameters:
    ///   - axes: along which results tile; nil for results that do not.
    ///   - memoryMiB: nil for a limit that depends on `availableBytes` and on the result.
    ///   - availableBytes: the memory that the process may use for this.
    public init(
        generator: Generator, statistics: NormStatistics, axes: TorusAxes?, memoryMiB: Int?, availableBytes: Int,
        workspace: Workspace
    ) {
        self.generator = generator
        self.statistics = statistics
        self.axes = axes
        self.memoryMiB = memoryMiB
        self.availableBytes = availableBytes
        self.workspace = workspace
    }

    /// Doubles a picture as planned and writes the rows of the result.
    /// - Parameter progress: called with the finished share.
    /// - Throws: `ExpansionFailure` saying how much memory is needed, or what the sink throws.
    func expand<Sample>(
        _ input: consuming Raster<Sample>, by plan: DoublingPlan, to output: some PictureSink,
        progress: @escaping (Double) -> Void
    ) throws -> ExpandedPicture {
        let began = ContinuousClock.now
        let limit = memoryLimit(forWidth: plan.width, height: plan.height)
        func share(_ doubling: Int) -> (Double) -> Void { { progress(plan.share(after: doubling - 1, and: $0)) } }
        try output.open()
        var picture = input
        for doubling in 1..<plan.doublings {
            picture = try doubled(
                consume picture, to: plan.size(after: doubling), limit, progress: share(doubling))
            // The next picture needs the memory more.
            workspace.arena.returnPages(above: 0)
        }
        var seam: Seam?
        if axes != nil {
            let tile = try doubled(
                consume picture, to: plan.size(after: plan.doublings), limit, progress: share(plan.doublings))
            seam = Seam(tile.eightBits)
            try tile.pixels.withUnsafeBufferPointer { try output.write($0) }
        } else {
            try rows(of: consume picture, (plan.width, plan.height), limit, progress: share(plan.doublings)) {
                try output.write($0)
            }
        }
        try output.finish()
        return ExpandedPicture(
            width: plan.width, height: plan.height, depth: Sample.bitWidth,
            seconds: (ContinuousClock.now - began) / .seconds(1), axes: axes ?? [], seam: seam)
    }

    private func doubled<Sample>(
        _ picture: consuming Raster<Sample>, to size: (width: Int, height: Int), _ limit: Int,
        progress: (Double) -> Void
    ) throws -> Raster<Sample> {
        if let axes {
            return try withinMemory(limit, picture.width, picture.height) {
                try Expansion.seamless(
                    picture, along: axes, with: generator, statistics: statistics.norms, memoryLimit: limit,
                    in: workspace,
                    progress: progress)
            }.cropped(x: 0, y: 0, width: size.width, height: size.height)
        }
        var pixels: [Sample] = []
        let channels = picture.channels
        pixels.reserveCapacity(size.width * size.height * channels)
        try rows(of: consume picture, size, limit, progress: progress) { pixels += $0 }
        return Raster(width: size.width, height: size.height, channels: channels, pixels: pixels)
    }

    private func rows<Sample>(
        of picture: consuming Raster<Sample>, _ size: (width: Int, height: Int), _ limit: Int,
        progress: (Double) -> Void,
        to sink: (UnsafeBufferPointer<Sample>) throws -> Void
    ) throws {
        let (sourceWidth, sourceHeight) = (picture.width, picture.height)
        do {
            try Expansion.rows(
                of: consume picture, width: size.width, height: size.height, with: generator,
                statistics: statistics.norms,
                memoryLimit: limit, in: workspace, progress: progress, to: sink)
        } catch let error as ExpansionError {
            throw failure(error, limit, sourceWidth, sourceHeight)
        }
    }

    /// Twice the size.
    public func doubled(_ image: Image) throws -> Image {
        let limit = memoryLimit(forWidth: 2 * image.width, height: 2 * image.height)
        return try withinMemory(limit, image.width, image.height) {
            try Expansion.expand(
                image, with: generator, statistics: statistics.norms, memoryLimit: limit, in: workspace)
        }
    }

    /// Bytes for features and scratch.
    private func memoryLimit(forWidth width: Int, height: Int) -> Int {
        var wanted = memoryMiB.map { $0 << 20 } ?? availableBytes / 4 * 3
        let isLarge = !ImageLimits.standard.allow(width: width, height: height)
        if memoryMiB == nil, isLarge, !generator.measures(for: statistics.norms) {
            wanted = min(wanted, Self.largeResultMiB << 20)
        }
        // Less than the limit where address space is limited.
        return max(0, min(wanted, Expansion.memoryLimit(in: workspace)))
    }

    private func withinMemory<Result>(
        _ limit: Int, _ width: Int, _ height: Int, _ body: () throws -> Result
    ) throws -> Result {
        do {
            return try body()
        } catch let error as ExpansionError {
            throw failure(error, limit, width, height)
        }
    }

    private func failure(_ error: ExpansionError, _ limit: Int, _ width: Int, _ height: Int) -> ExpansionFailure {
        ExpansionFailure(
            "\(width)x\(height) pixels do not fit in the \(limit >> 20) MiB of --memory: expected at least "
                + "\((error.neededBytes >> 20) + 1) MiB"
                + (statistics == .image ? ", or --statistics running, which can use smaller pieces" : ""))
    }
}

/// A picture that an expansion has made.
public struct ExpandedPicture: Sendable {
    public let width: Int
    public let height: Int
    /// Bits of a channel.
    public let depth: Int
    /// From the input to the complete file.
    public let seconds: Double
    /// Along which it tiles.
    public let axes: TorusAxes
    /// Nil if it does not tile.
    public let seam: Seam?
}

/// Takes a picture's rows from the top.
public protocol PictureSink {
    /// Comes before the first row.
    func open() throws
    func write<Sample: PictureSample>(_ rows: UnsafeBufferPointer<Sample>) throws
    /// Comes after the last row.
    func finish() throws
}

/// What was asked for cannot be computed.
public struct ExpansionFailure: Error, Sendable, CustomStringConvertible {
    /// What was found, what was expected, what to do.
    public let message: String
    public var description: String { message }

    public init(_ message: String) { self.message = message }
}

extension Raster {
    /// The upper 8 bits of the first three channels: of a material, the albedo.
    var eightBits: Image {
        if let image = self as? Image, channels == 3 { return image }
        let shift = Sample.bitWidth - 8
        guard channels > 3 else {
            return Image(width: width, height: height, pixels: pixels.map { UInt8($0 >> shift) })
        }
        let colours = (0..<width * height * 3).map { UInt8(pixels[$0 / 3 * channels + $0 % 3] >> shift) }
        return Image(width: width, height: height, pixels: colours)
    }
}
