import NNCore

extension Generator {
    /// The output for `input`, in the workspace's arena, without saving anything for a backward pass. Dropout is off.
    ///
    /// Besides the output, memory holds only one layer's input and output at a time (and a residual block's skip):
    /// layers alternate between the two ends of one buffer.
    /// - Parameter input: `[h, w, channels]`, h and w multiples of 4.
    public func infer(_ input: Tensor, statistics: BatchNorm.Statistics, in workspace: Workspace) -> Tensor {
        withoutFailure { try infer(input, statistics: statistics, in: workspace) { _ in } }
    }

    /// - Parameter progress: the share of the layers that are done. What it throws ends the inference.
    func infer(
        _ input: Tensor, statistics: BatchNorm.Statistics, in workspace: Workspace,
        progress: (Double) throws -> Void
    ) throws -> Tensor {
        precondition(input.height % 4 == 0 && input.width % 4 == 0)
        let output = Tensor(in: workspace.arena, height: 2 * input.height, width: 2 * input.width, channels: channels)
        let start = workspace.arena.mark
        defer { workspace.arena.release(to: start) }
        var memory = TwoEnds(count: inferenceCount(height: input.height, width: input.width), in: workspace.arena)
        var features = input
        var done = 0.0
        let layers = Double(down.count + blocks.count + up.count + 3)
        func stepped() throws {
            done += 1
            try progress(done / layers)
        }
        for unit in [head] + down {
            features = unit.infer(features, statistics: statistics, into: &memory, in: workspace)
            try stepped()
        }
        for block in blocks {
            features = block.infer(features, statistics: { _ in statistics }, into: &memory, in: workspace)
            try stepped()
        }
        for unit in [widen] + up {
            features = unit.infer(features, statistics: statistics, into: &memory, in: workspace)
            try stepped()
        }
        tail.forward(features, into: output, in: workspace)
        tanh(output, in: workspace)
        try stepped()
        return output
    }

    /// Whether the norms have to measure an image: there are norms, and no averages to use instead.
    public func measures(for statistics: BatchNorm.Statistics) -> Bool {
        guard let norm = head.norm else { return false }
        if case .running = statistics { return norm.runningMean == nil }
        return true
    }

    /// Floats that `infer` takes for its features.
    func inferenceCount(height: Int, width: Int) -> Int {
        let middle = TwoEnds.count(through: [head] + down, height: height, width: width)
        let block = height / 4 * (width / 4) * blockChannels
        let end = TwoEnds.count(through: [widen] + up, height: height / 4, width: width / 4, entering: block)
        return max(middle, 3 * block, end)
    }
}

extension Generator.ResidualBlock {
    /// - Parameter statistics: of the first (0) and second (1) norm.
    func infer(
        _ features: Tensor, statistics: (Int) -> BatchNorm.Statistics, into memory: inout TwoEnds,
        in workspace: Workspace
    ) -> Tensor {
        let inner = memory.middle(like: features)
        let result = memory.next(like: features)
        first.infer(features, statistics: statistics(0), into: inner, in: workspace)
        second.infer(inner, adding: features, statistics: statistics(1), into: result, in: workspace)
        return result
    }
}

extension ConvolutionUnit {
    func infer(
        _ input: Tensor, statistics: BatchNorm.Statistics, into memory: inout TwoEnds, in workspace: Workspace
    ) -> Tensor {
        let output = memory.next(for: convolution, of: input)
        infer(input, statistics: statistics, into: output, in: workspace)
        return output
    }
}

/// A buffer for a chain of layers: each reads at one end and writes at the other.
struct TwoEnds {
    private let memory: UnsafeMutablePointer<Float>
    private let count: Int
    private var atEnd = false

    init(count: Int, in arena: Arena) {
        // Both ends begin on a cache line.
        self.count = Arena.alignedCount(count)
        memory = arena.floats(self.count)
    }

    /// Floats for a chain of layers: the most that a layer's input and output need together.
    /// - Parameter entering: floats of the chain's input, if it lies in the same buffer.
    static func count(through units: [ConvolutionUnit], height: Int, width: Int, entering: Int = 0) -> Int {
        var (height, width, before, most) = (height, width, entering, 0)
        for unit in units {
            let shape = unit.convolution.outputShape(height: height, width: width)
            let count = Arena.alignedCount(shape.height * shape.width * shape.channels)
            most = max(most, before + count)
            (height, width, before) = (shape.height, shape.width, count)
        }
        return most
    }

    /// A tensor at the end opposite to the previous one.
    mutating func next(height: Int, width: Int, channels: Int) -> Tensor {
        let needed = Arena.alignedCount(height * width * channels)
        precondition(needed <= count)
        let start = atEnd ? count - needed : 0
        atEnd.toggle()
        return Tensor(memory + start, height: height, width: width, channels: channels)
    }

    mutating func next(like tensor: Tensor) -> Tensor {
        next(height: tensor.height, width: tensor.width, channels: tensor.channels)
    }

    mutating func next(for convolution: any ConvolutionLayer, of input: Tensor) -> Tensor {
        let shape = convolution.outputShape(height: input.height, width: input.width)
        return next(height: shape.height, width: shape.width, channels: shape.channels)
    }

    /// A tensor between two tensors of the same shape at both ends.
    func middle(like tensor: Tensor) -> Tensor {
        let needed = Arena.alignedCount(tensor.count)
        precondition(3 * needed <= count)
        return Tensor(memory + needed, height: tensor.height, width: tensor.width, channels: tensor.channels)
    }
}
