import Imaging
import NNCore

/// All results that some options ask for, one after another. `texloom expand` and workers run it.
public struct PictureExpansion {
    /// A second picture, which decides what is expanded of the image.
    public enum Guide {
        /// Variations come from the crops that are most like it.
        case near(GuidePicture)
        /// Its light and dark are followed, ``LayoutTransfer``. Strengths are 0 to 1.
        case layout(GuidePicture, strength: Double, seed: UInt64)
    }

    private let options: ExpansionOptions
    /// The image's, for messages.
    private let name: String
    private let frame: ExpansionFrame
    private let expander: PictureExpander
    private let guide: Guide?

    /// - Parameters:
    ///   - options: without a ``ExpansionOptions/mistake``.
    ///   - name: the image's, for messages.
    ///   - memoryMiB: of the whole process; nil for a limit that depends on `availableBytes` and on the result.
    ///   - availableBytes: the memory that the process has for this.
    ///   - guide: goes with `options.input == .image`; `.near` with variations.
    public init(
        _ options: ExpansionOptions, of name: String, with generator: Generator, memoryMiB: Int? = nil,
        availableBytes: Int, guide: Guide? = nil, workspace: Workspace
    ) {
        precondition(guide == nil || options.input == .image)
        self.options = options
        self.guide = guide
        self.name = name
        frame = ExpansionFrame(
            name: Self.part(of: name, options, guide), times: options.times, size: options.size, axes: options.axes,
            isPeriodic: options.isPeriodic)
        expander = PictureExpander(
            generator: generator, statistics: options.statistics, axes: options.axes.isEmpty ? nil : options.axes,
            memoryMiB: memoryMiB, availableBytes: availableBytes, workspace: workspace)
    }

    /// - Parameters:
    ///   - picture: its samples are as deep as the results.
    ///   - sink: gives the place of a result, from its index and its plan.
    ///   - progress: called with the finished share of all results, piece by piece. What it throws ends the work.
    ///   - finished: called when a result is complete.
    /// - Throws: `ExpansionFailure`, `MemoryShortage`, or what a sink or `progress` throws.
    public func run<Sample, Sink: PictureSink>(
        _ picture: Raster<Sample>, to sink: (Int, DoublingPlan) throws -> Sink,
        progress: @escaping (Double) throws -> Void, finished: (Int, Sink, ExpandedPicture) throws -> Void
    ) throws {
        let sampleBytes = MemoryLayout<Sample>.size
        try require(width: picture.width, height: picture.height, sampleBytes: sampleBytes)
        let input = try inputs(of: picture)
        for index in 0..<options.count {
            let source = try input(index)
            let (part, plan) = try frame.prepared(source)
            let target = try sink(index, plan)
            let memory = memory(of: plan, width: picture.width, height: picture.height, sampleBytes: sampleBytes)
            let result = try expander.expand(part, by: plan, memory, to: target) { share in
                try progress((Double(index) + share) / Double(options.count))
            }
            try finished(index, target, result)
        }
    }

    /// What ``run(_:to:progress:finished:)`` checks before any work, for a picture that has yet to be read.
    /// - Parameters:
    ///   - sampleBytes: of a sample of the results.
    ///   - readingBytes: the most that reading the picture takes.
    /// - Throws: `ExpansionFailure` if the picture is too small, a result too large, or if the generator lacks the
    ///   statistics; `MemoryShortage`.
    public func require(width: Int, height: Int, sampleBytes: Int, readingBytes: Int = 0) throws {
        try options.statistics.require(of: expander.generator, named: "the generator")
        let plan =
            try layoutSize.map { try frame.checkedPlan(width: $0.width, height: $0.height) }
            ?? Self.check(options, of: name, width: width, height: height)
        // Making the input takes memory, too.
        var memory = memory(of: plan, width: width, height: height, sampleBytes: sampleBytes)
        memory.readingBytes = readingBytes
        try expander.require(memory)
    }

    private func memory(of plan: DoublingPlan, width: Int, height: Int, sampleBytes: Int) -> ExpansionMemory {
        var memory = Self.memory(
            of: options, expander.generator, plan, sampleBytes: sampleBytes, width: width, height: height)
        switch guide {
        case .near(let wanted):
            let (width, height) = ExpansionInput.cropSize(of: width, height)
            memory.guideBytes = wanted.bytes(toFill: width, height: height)
            memory.nearPixels = width * height
        case .layout(let layout, _, _):
            let (width, height) = layoutSize ?? (layout.width, layout.height)
            memory.guideBytes = layout.bytes(toFill: width, height: height)
            memory.layoutPixels = LayoutTransfer<UInt8>.mostCovered(width) * LayoutTransfer<UInt8>.mostCovered(height)
        case nil: break
        }
        return memory
    }

    private static func memory(
        of options: ExpansionOptions, _ generator: Generator, _ plan: DoublingPlan, sampleBytes: Int, width: Int,
        height: Int
    ) -> ExpansionMemory {
        ExpansionMemory(
            generator: generator, statistics: options.statistics, plan: plan,
            axes: options.axes.isEmpty ? nil : options.axes, sampleBytes: sampleBytes,
            source: .init(width: width, height: height), input: options.input, isPeriodic: options.isPeriodic)
    }

    /// The memory of the smallest process that can expand a picture so, in bytes.
    /// - Parameter generator: may be untrained.
    /// - Throws: `ExpansionFailure` like ``check(_:of:width:height:)``.
    public static func neededBytes(
        for options: ExpansionOptions, of name: String, width: Int, height: Int, with generator: Generator
    ) throws -> Int {
        let plan = try check(options, of: name, width: width, height: height)
        // A material is computed with 16 bits, whatever its files have.
        let sampleBytes = generator.layout.isMaterial ? 2 : (options.depth ?? 8) / 8
        let memory = memory(of: options, generator, plan, sampleBytes: sampleBytes, width: width, height: height)
        return ExpansionMemory.bytes(forBudget: memory.leastBudget)
    }

    /// The size to which the guide's layout is scaled: one doubling brings it to the result's. Nil without a layout.
    private var layoutSize: (width: Int, height: Int)? {
        guard case .layout(let layout, _, _) = guide else { return nil }
        guard let size = options.size else { return (width: layout.width, height: layout.height) }
        // Rounded up. The sides have yet to be checked and may be the largest Int.
        return (width: (size.width - 1) / 2 + 1, height: (size.height - 1) / 2 + 1)
    }

    /// What becomes a result, by its index.
    private func inputs<Sample>(of picture: Raster<Sample>) throws -> (Int) throws -> Raster<Sample> {
        switch guide {
        case .near(let wanted):
            let (width, height) = ExpansionInput.cropSize(of: picture.width, picture.height)
            let places = try corners(in: picture.eightBits, near: wanted)
            return { picture.cropped(x: places[$0].x, y: places[$0].y, width: width, height: height) }
        case .layout(let whole, let strength, let seed):
            guard min(picture.width, picture.height) >= LayoutTransfer<Sample>.minSide else {
                throw ExpansionFailure(
                    "\(name) has \(picture.width)x\(picture.height) pixels; --layout expects at least "
                        + "\(LayoutTransfer<Sample>.minSide) a side: give the image that the generator was trained on")
            }
            let (width, height) = layoutSize ?? (whole.width, whole.height)
            let layout = try whole.filling(width: width, height: height)
            let transfer = LayoutTransfer(picture)
            return { index in
                var stream = RandomStream(seed: seed, purpose: UInt32(index + 1))
                return transfer.laid(by: layout, strength: strength, from: &stream)
            }
        case nil:
            return { index in
                try options.input.made(
                    of: picture, name: name, variation: options.variations == nil ? nil : index + 1,
                    seed: options.seed ?? 1)
            }
        }
    }

    /// What is expanded, for messages.
    private static func part(of name: String, _ options: ExpansionOptions, _ guide: Guide? = nil) -> String {
        switch (options.input, guide) {
        case (_, .layout): "the layout"
        case (.image, _): options.variations == nil ? name : "a crop of \(name)"
        case (.tiles, _): "the shuffled \(name)"
        case (.noise, _): name
        }
    }

    /// - Throws: `ExpansionFailure` if the image has too few crops.
    private func corners(in picture: Image, near wanted: GuidePicture) throws -> [NearestCrops.Corner] {
        let (width, height) = ExpansionInput.cropSize(of: picture.width, picture.height)
        let crop = try wanted.filling(width: width, height: height)
        let corners = NearestCrops(in: picture, like: crop).corners(options.count)
        guard corners.count == options.count else {
            throw ExpansionFailure(
                "--variations \(options.count) --near \(wanted.name): \(name) has \(corners.count) crops that lie a quarter "
                    + "of their sides apart; expected at most --variations \(corners.count)")
        }
        return corners
    }

    /// Checks that an image is large enough and the results are not too large, without any work.
    /// - Returns: The plan of the largest result.
    /// - Throws: `ExpansionFailure` if ``run(_:to:progress:finished:)`` would.
    @discardableResult
    public static func check(
        _ options: ExpansionOptions, of name: String, width: Int, height: Int
    ) throws -> DoublingPlan {
        var (width, height) = (width, height)
        switch options.input {
        case .image where options.variations != nil: (width, height) = ExpansionInput.cropSize(of: width, height)
        case .tiles(let count):
            try ExpansionInput.requireRoom(for: count, name: name, width: width, height: height)
            (width, height) = (width / count * count, height / count * count)
        case .image, .noise: break
        }
        let frame = ExpansionFrame(
            name: part(of: name, options), times: options.times, size: options.size, axes: options.axes,
            isPeriodic: options.isPeriodic)
        return try frame.checkedPlan(width: width, height: height)
    }
}
