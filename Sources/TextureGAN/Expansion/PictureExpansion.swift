import Imaging
import NNCore

/// All results that some options ask for, one after another. `texloom expand` and workers run it.
public struct PictureExpansion {
    private let options: ExpansionOptions
    private let frame: ExpansionFrame
    private let expander: PictureExpander

    /// - Parameters:
    ///   - options: without a ``ExpansionOptions/mistake``.
    ///   - name: the image's, for messages.
    ///   - memoryMiB: of the whole process; nil for a limit that depends on `availableBytes` and on the result.
    ///   - availableBytes: the memory that the process has for this.
    public init(
        _ options: ExpansionOptions, of name: String, with generator: Generator, memoryMiB: Int? = nil,
        availableBytes: Int, workspace: Workspace
    ) {
        self.options = options
        frame = ExpansionFrame(
            name: name, times: options.times, size: options.size, axes: options.axes, isPeriodic: options.isPeriodic)
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
        for index in 0..<options.count {
            let source = try options.input.made(
                of: picture, name: frame.name, variation: options.variations == nil ? nil : index + 1,
                seed: options.seed ?? 1)
            let (part, plan) = try frame.prepared(source)
            let target = try sink(index, plan)
            let memory = Self.memory(
                of: options, expander.generator, plan, sampleBytes: MemoryLayout<Sample>.size, width: picture.width,
                height: picture.height)
            let result = try expander.expand(part, by: plan, memory, to: target) { share in
                try progress((Double(index) + share) / Double(options.count))
            }
            try finished(index, target, result)
        }
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

    /// Checks that an image is large enough and the results are not too large, without any work.
    /// - Returns: The plan of the largest result.
    /// - Throws: `ExpansionFailure` if ``run(_:to:progress:finished:)`` would.
    @discardableResult
    public static func check(
        _ options: ExpansionOptions, of name: String, width: Int, height: Int
    ) throws -> DoublingPlan {
        var (width, height) = (width, height)
        switch options.input {
        case .image where options.variations != nil: (width, height) = ((width + 1) / 2, (height + 1) / 2)
        case .tiles(let count):
            try ExpansionInput.requireRoom(for: count, name: name, width: width, height: height)
            (width, height) = (width / count * count, height / count * count)
        case .image, .noise: break
        }
        let frame = ExpansionFrame(
            name: name, times: options.times, size: options.size, axes: options.axes, isPeriodic: options.isPeriodic)
        return try frame.checkedPlan(width: width, height: height)
    }
}
