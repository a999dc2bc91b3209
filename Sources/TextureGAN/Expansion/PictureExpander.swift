import Imaging
import NNCore

/// Doubles pictures within a memory limit.
public struct PictureExpander {
    let generator: Generator
    let statistics: NormStatistics
    /// Along which results tile; nil for results that do not.
    let axes: TorusAxes?
    /// Of the whole process; nil for a limit that depends on the process and on the result.
    let memoryMiB: Int?
    /// The memory that the process has for this.
    let availableBytes: Int
    let workspace: Workspace

    /// MiB of features for results of more than the standard size, unless the norms need more.
    private static let largeResultMiB = 512

    /// - Parameters:
    ///   - axes: along which results tile; nil for results that do not.
    ///   - memoryMiB: of the whole process; nil for a limit that depends on `availableBytes` and on the result.
    ///   - availableBytes: the memory that the process has for this.
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
    /// - Parameters:
    ///   - memory: of this plan.
    ///   - progress: called with the finished share, piece by piece. What it throws ends the expansion.
    /// - Throws: `MemoryShortage` before any work, or what `progress` or the sink throws.
    func expand<Sample>(
        _ input: consuming Raster<Sample>, by plan: DoublingPlan, _ memory: ExpansionMemory,
        to output: some PictureSink, progress: @escaping (Double) throws -> Void
    ) throws -> ExpandedPicture {
        let began = ContinuousClock.now
        func share(_ doubling: Int) -> (Double) throws -> Void {
            { try progress(plan.share(after: doubling - 1, and: $0)) }
        }
        try require(memory)
        try output.open()
        var picture = input
        for doubling in 1..<plan.doublings {
            picture = try doubled(consume picture, by: plan, doubling, memory, progress: share(doubling))
            // The next picture needs the memory more.
            workspace.arena.returnPages(above: 0)
        }
        var seam: Seam?
        if axes != nil {
            let tile = try doubled(
                consume picture, by: plan, plan.doublings, memory, progress: share(plan.doublings))
            workspace.arena.returnPages(above: 0)
            seam = Seam(tile.eightBits)
            try tile.pixels.withUnsafeBufferPointer { try output.write($0) }
        } else {
            try rows(
                of: consume picture, by: plan, plan.doublings, memory, progress: share(plan.doublings)
            ) {
                try output.write($0)
            }
        }
        try output.finish()
        return ExpandedPicture(
            width: plan.width, height: plan.height, depth: Sample.bitWidth,
            seconds: (ContinuousClock.now - began) / .seconds(1), axes: axes ?? [], seam: seam)
    }

    private func doubled<Sample>(
        _ picture: consuming Raster<Sample>, by plan: DoublingPlan, _ doubling: Int, _ memory: ExpansionMemory,
        progress: (Double) throws -> Void
    ) throws -> Raster<Sample> {
        let size = plan.size(after: doubling)
        if let axes {
            let limit = featureLimit(of: doubling, memory)
            let (width, height) = (2 * picture.width, 2 * picture.height)
            let result = try withinMemory(memory) {
                try Expansion.seamless(
                    picture, along: axes, with: generator, statistics: statistics.norms, memoryLimit: limit,
                    rowBytes: memory.rowBytes, in: workspace, progress: progress)
            }
            return (width, height) == size ? result : result.cropped(x: 0, y: 0, width: size.width, height: size.height)
        }
        var pixels: [Sample] = []
        let channels = picture.channels
        pixels.reserveCapacity(size.width * size.height * channels)
        try rows(of: consume picture, by: plan, doubling, memory, progress: progress) { pixels += $0 }
        return Raster(width: size.width, height: size.height, channels: channels, pixels: pixels)
    }

    private func rows<Sample>(
        of picture: consuming Raster<Sample>, by plan: DoublingPlan, _ doubling: Int, _ memory: ExpansionMemory,
        progress: (Double) throws -> Void, to sink: (UnsafeBufferPointer<Sample>) throws -> Void
    ) throws {
        let size = plan.size(after: doubling)
        do {
            try Expansion.rows(
                of: consume picture, width: size.width, height: size.height, with: generator,
                statistics: statistics.norms, memoryLimit: featureLimit(of: doubling, memory),
                rowBytes: memory.rowBytes, in: workspace, progress: progress, to: sink)
        } catch is ExpansionError {
            throw shortage(memory)
        }
    }

    /// Twice the size.
    public func doubled(_ image: Image) throws -> Image {
        let memory = ExpansionMemory(
            generator: generator, statistics: statistics,
            plan: DoublingPlan(doubling: image.width, image.height, times: 1), axes: nil, sampleBytes: 1,
            source: .init(width: image.width, height: image.height), input: .image, isPeriodic: false)
        return try withinMemory(memory) {
            try Expansion.expand(
                image, with: generator, statistics: statistics.norms, memoryLimit: featureLimit(of: 1, memory),
                in: workspace)
        }
    }

    /// - Throws: `MemoryShortage` if there is less.
    func require(_ memory: ExpansionMemory) throws(MemoryShortage) {
        guard memory.leastBudget <= budget else { throw shortage(memory) }
    }

    /// Bytes for features, pictures and weights.
    private var budget: Int {
        memoryMiB.map { max(0, $0 << 20 - ExpansionMemory.programBytes) }
            ?? ExpansionMemory.budget(ofBytes: availableBytes)
    }

    /// Bytes for features and scratch, and for the rows of a piece.
    func featureLimit(of doubling: Int, _ memory: ExpansionMemory) -> Int {
        var limit = memory.featureLimit(of: doubling, within: budget)
        let isLarge = !ImageLimits.standard.allow(width: memory.plan.width, height: memory.plan.height)
        if memoryMiB == nil, isLarge, !generator.measures(for: statistics.norms) {
            limit = min(limit, max(Self.largeResultMiB << 20, memory.leastFeatures(of: doubling)))
        }
        // Less than the limit where address space is limited.
        return max(0, min(limit, Expansion.memoryLimit(in: workspace)))
    }

    private func withinMemory<Result>(_ memory: ExpansionMemory, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch is ExpansionError {
            throw shortage(memory)
        }
    }

    private func shortage(_ memory: ExpansionMemory) -> MemoryShortage {
        let least = memory.leastBudget
        let needed =
            memoryMiB == nil ? ExpansionMemory.bytes(forBudget: least) : least + ExpansionMemory.programBytes
        var (available, limit) = (availableBytes, MemoryShortage.Limit.memory)
        if let memoryMiB { (available, limit) = (memoryMiB << 20, .chosen) }
        // The budget would do, so what is left is the limit that it does not know.
        if least <= budget { (available, limit) = (Expansion.memoryLimit(in: workspace), .addresses) }
        return MemoryShortage(
            width: memory.plan.width, height: memory.plan.height, neededBytes: needed, availableBytes: available,
            limit: limit,
            averagesWouldDo: statistics == .image && generator.measures(for: .image)
                && !generator.measures(for: .running))
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
