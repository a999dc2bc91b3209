import NNCore

/// Inference of images whose features do not fit in memory.
///
/// Memory holds only the features at a quarter of the size as a whole, those between the halvings and the doublings.
/// Larger features are computed piece by piece with a margin, and dropped after use. Pieces start where the kernels'
/// tiles start, so that without norms, or with running averages, the result is bit for bit that of `Generator.infer`.
///
/// With the image's own statistics, each norm on features in pieces costs a pass over all pieces to measure them: about
/// 1.6 times the work. Mean and variance are then summed in another order, so the result differs from the whole image's
/// in the last rounding.
struct PiecewiseInference {
    let generator: Generator
    let statistics: BatchNorm.Statistics
    let workspace: Workspace

    /// Sides of a piece, and its margin: in pixels of the image before the halvings, in a quarter of that after them.
    /// A margin holds every tile whose rounding an edge could change, which is more than the receptive field.
    private static let before = (side: 256, margin: 16)
    private static let after = (side: 48, margin: 8)

    /// The source of pieces: a tensor, or an image that becomes one piece by piece.
    struct Source {
        let height: Int
        let width: Int
        let channels: Int
        /// Fills a crop whose first pixel is at (y, x).
        let fill: (_ crop: Tensor, _ y: Int, _ x: Int) -> Void

        init(height: Int, width: Int, channels: Int, fill: @escaping (_ crop: Tensor, _ y: Int, _ x: Int) -> Void) {
            self.height = height
            self.width = width
            self.channels = channels
            self.fill = fill
        }

        init(_ tensor: Tensor) {
            self.init(height: tensor.height, width: tensor.width, channels: tensor.channels) { crop, y, x in
                let count = crop.width * crop.channels
                for row in 0..<crop.height {
                    (crop.data + row * count)
                        .update(
                            from: tensor.data + ((y + row) * tensor.width + x) * tensor.channels, count: count)
                }
            }
        }
    }

    /// A part of the output: rows and columns of `piece` that belong at (y, x) of the whole.
    struct Part {
        let piece: Tensor
        let rows: Range<Int>
        let columns: Range<Int>
        let y: Int
        let x: Int
    }

    /// Floats that the inference of an image needs, most of them for three tensors at a quarter of its size.
    static func count(_ generator: Generator, height: Int, width: Int) -> Int {
        let quarter = height / 4 * (width / 4) * generator.blockChannels
        let front = Self.before.side + 2 * Self.before.margin
        let back = Self.after.side + 2 * Self.after.margin
        let pieces = max(
            TwoEnds.count(through: [generator.head] + generator.down, height: front, width: front),
            TwoEnds.count(through: generator.up, height: back, width: back) + 64 * back * back * generator.channels)
        return 3 * quarter + pieces + Division.scratchFloats
    }

    /// - Parameters:
    ///   - input: h and w are multiples of 4.
    ///   - progress: the share of the steps that are done, each a piece of a pass or a block. What it throws ends the run.
    ///   - body: gets the output, `[2h, 2w, channels]`, part by part; the memory is reused after it returns.
    func run(
        _ input: Source, progress: (Double) throws -> Void, _ body: (Part) -> Void
    ) throws {
        let arena = workspace.arena
        let start = arena.mark
        defer { arena.release(to: start) }
        let (height, width) = (input.height / 4, input.width / 4)
        let channels = generator.blockChannels
        var memory = TwoEnds(count: 3 * Arena.alignedCount(height * width * channels), in: arena)
        var features = memory.next(height: height, width: width, channels: channels)

        let front = [generator.head] + generator.down
        let steps =
            Self.windows(of: input, Self.before.side) * (measures ? front.count : 1) + generator.blocks.count
            + Self.windows(of: Source(features), Self.after.side) * (measures ? generator.up.count + 1 : 1)
        var done = 0
        func stepped() throws {
            done += 1
            try progress(Double(done) / Double(steps))
        }
        let known = try measured(
            front, of: input, side: Self.before.side, margin: Self.before.margin, keeping: features, stepped)
        if front[front.count - 1].norm != nil {
            front[front.count - 1].normalise(features, statistics: known[front.count - 1], in: workspace)
        }
        for block in generator.blocks {
            features = block.infer(features, statistics: { _ in statistics }, into: &memory, in: workspace)
            try stepped()
        }
        features = generator.widen.infer(features, statistics: statistics, into: &memory, in: workspace)
        let upKnown = try measured(
            generator.up, of: Source(features), side: Self.after.side, margin: Self.after.margin, keeping: nil,
            stepped)
        try Self.forEachWindow(of: Source(features), side: Self.after.side, margin: Self.after.margin, in: arena) {
            window in
            var result = window.crop
            var memory = TwoEnds(
                count: TwoEnds.count(through: generator.up, height: result.height, width: result.width), in: arena)
            for (unit, known) in zip(generator.up, upKnown) {
                result = unit.infer(result, statistics: known, into: &memory, in: workspace)
            }
            let output = generator.tail.forward(result, in: workspace)
            tanh(output, in: workspace)
            body(window.part(of: output))
            try stepped()
        }
    }

    /// Whether norms take the image's own statistics, which costs passes.
    private var measures: Bool { generator.measures(for: statistics) }

    private static func windows(of source: Source, _ side: Int) -> Int {
        ((source.height + side - 1) / side) * ((source.width + side - 1) / side)
    }

    /// The statistics of each unit of a chain. A chain that is measured runs once for each of its units.
    /// - Parameter keeping: the last unit's convolution, whole and not yet normalised (its output, if it has no norm);
    ///   nil if it is not needed.
    private func measured(
        _ units: [ConvolutionUnit], of source: Source, side: Int, margin: Int, keeping: Tensor?,
        _ stepped: () throws -> Void
    ) throws -> [BatchNorm.Statistics] {
        var known = [BatchNorm.Statistics](repeating: statistics, count: units.count)
        let targets = units.map {
            ChannelStatistics(in: workspace.arena, channels: $0.convolution.outputChannels)
        }
        for (index, unit) in units.enumerated() {
            let kept = index == units.count - 1 ? keeping : nil
            if !measures && kept == nil { continue }
            var sum = MomentSum(channels: unit.convolution.outputChannels)
            try Self.forEachWindow(of: source, side: side, margin: margin, in: workspace.arena) { window in
                var result = window.crop
                var memory = TwoEnds(
                    count: TwoEnds.count(
                        through: Array(units[...index]), height: result.height, width: result.width),
                    in: workspace.arena)
                for earlier in 0..<index {
                    result = units[earlier].infer(result, statistics: known[earlier], into: &memory, in: workspace)
                }
                let output = memory.next(for: unit.convolution, of: result)
                if unit.norm == nil {
                    unit.infer(result, statistics: statistics, into: output, in: workspace)
                } else {
                    unit.convolution.forward(result, into: output, in: workspace)
                }
                let part = window.part(of: output)
                if measures { sum.add(output, rows: part.rows, columns: part.columns, in: workspace) }
                if let kept { copy(part, to: kept) }
                try stepped()
            }
            if measures {
                sum.write(to: targets[index])
                known[index] = .measured(targets[index])
            }
        }
        return known
    }

    /// A piece of a tensor with its margin.
    private struct Window {
        let crop: Tensor
        /// Without the margin, in the crop's coordinates.
        let rows: Range<Int>
        let columns: Range<Int>
        let y: Int
        let x: Int

        /// What belongs to the window of a result of the crop.
        func part(of result: Tensor) -> Part {
            func scaled(_ value: Int) -> Int { value * result.height / crop.height }
            return Part(
                piece: result, rows: scaled(rows.lowerBound)..<scaled(rows.upperBound),
                columns: scaled(columns.lowerBound)..<scaled(columns.upperBound), y: scaled(y), x: scaled(x))
        }
    }

    private static func forEachWindow(
        of source: Source, side: Int, margin: Int, in arena: Arena, _ body: (Window) throws -> Void
    ) throws {
        for y in stride(from: 0, to: source.height, by: side) {
            for x in stride(from: 0, to: source.width, by: side) {
                let rows = max(0, y - margin)..<min(source.height, y + side + margin)
                let columns = max(0, x - margin)..<min(source.width, x + side + margin)
                let start = arena.mark
                defer { arena.release(to: start) }
                let crop = Tensor(in: arena, height: rows.count, width: columns.count, channels: source.channels)
                source.fill(crop, rows.lowerBound, columns.lowerBound)
                try body(
                    Window(
                        crop: crop,
                        rows: y - rows.lowerBound..<min(y + side, source.height) - rows.lowerBound,
                        columns: x - columns.lowerBound..<min(x + side, source.width) - columns.lowerBound,
                        y: y, x: x))
            }
        }
    }

    private func copy(_ part: Part, to whole: Tensor) {
        let channels = whole.channels
        for row in part.rows {
            let target = (part.y + row - part.rows.lowerBound) * whole.width + part.x
            (whole.data + target * channels)
                .update(
                    from: part.piece.data + (row * part.piece.width + part.columns.lowerBound) * channels,
                    count: part.columns.count * channels)
        }
    }
}
