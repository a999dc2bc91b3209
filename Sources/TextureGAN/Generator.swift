import NNCore

/// The generator: fully convolutional, its output twice the size of its input.
///
/// pad 3, conv 7x7 | 2 convs 3x3 stride 2 | residual blocks | conv 3x3 | 3 doublings 3x3 | pad 3, conv 7x7 | tanh.
/// Two halvings and three doublings: the input's sides are multiples of 4.
/// - Source: Zhou et al., "Non-stationary Texture Synthesis by Adversarial Expansion", SIGGRAPH 2018.
public struct Generator: Sendable {
    struct ResidualBlock: Sendable {
        let first: ConvolutionUnit
        let second: ConvolutionUnit

        struct Saved: BitwiseCopyable {
            let first: ConvolutionUnit.Saved
            let dropout: Dropout?
            let second: ConvolutionUnit.Saved
        }
    }

    let head: ConvolutionUnit
    let down: [ConvolutionUnit]
    let blocks: [ResidualBlock]
    let widen: ConvolutionUnit
    let up: [ConvolutionUnit]
    let tail: Convolution
    let dropoutRate: Float

    /// With initial weights from `stream`, in the order of `parameters`; nil leaves them zero, for loading.
    /// - Parameter trained: false for a generator that is only used: a quarter of the memory.
    public init(_ recipe: Recipe, initialisedFrom stream: RandomStream? = nil, trained: Bool = true) {
        let mode = recipe.padding
        let tracks = recipe.norm == .batch
        func unit(
            _ convolution: any ConvolutionLayer, _ norm: String, _ channels: Int, _ activation: Activation = .relu
        ) -> ConvolutionUnit {
            ConvolutionUnit(
                convolution: convolution,
                norm: BatchNorm(norm, channels: channels, tracksStatistics: tracks, trained: trained),
                activation: activation)
        }
        var channels = recipe.generatorWidth
        head = unit(
            Convolution(
                "head", inputs: 3, outputs: channels, kernel: 7, padding: Padding(3, mode), trained: trained),
            "head_bn", channels)
        down = (0..<2).map { index in
            defer { channels *= 2 }
            return unit(
                Convolution(
                    "down.\(index)", inputs: channels, outputs: 2 * channels, kernel: 3, stride: 2,
                    padding: Padding(1), trained: trained),
                "down_bn.\(index)", 2 * channels)
        }
        let wide = channels
        blocks = (0..<recipe.residualBlocks).map { index in
            func half(_ number: Int, _ activation: Activation) -> ConvolutionUnit {
                unit(
                    Convolution(
                        "blocks.\(index).conv\(number)", inputs: wide, outputs: wide, kernel: 3,
                        padding: Padding(1, mode), trained: trained),
                    "blocks.\(index).bn\(number)", wide, activation)
            }
            return ResidualBlock(first: half(1, .relu), second: half(2, .identity))
        }
        widen = unit(
            Convolution(
                "widen", inputs: channels, outputs: 2 * channels, kernel: 3, padding: Padding(1), trained: trained),
            "widen_bn", 2 * channels)
        channels *= 2
        up = (0..<3).map { index in
            defer { channels /= 2 }
            let layer: any ConvolutionLayer =
                switch recipe.upsample {
                case .transposed:
                    TransposedConvolution(
                        "up.\(index)", inputs: channels, outputs: channels / 2, trained: trained)
                case .nearest:
                    UpsampledConvolution("up.\(index)", inputs: channels, outputs: channels / 2, trained: trained)
                }
            return unit(layer, "up_bn.\(index)", channels / 2)
        }
        tail = Convolution(
            "tail", inputs: channels, outputs: 3, kernel: 7, padding: Padding(3, mode), bias: true, trained: trained)
        dropoutRate = recipe.dropout
        if var stream { initialise(parameters, from: &stream) }
    }

    public var parameters: [Parameter] {
        let middle = blocks.flatMap { $0.first.parameters + $0.second.parameters }
        return head.parameters + down.flatMap(\.parameters) + middle + widen.parameters + up.flatMap(\.parameters)
            + tail.parameters
    }

    /// What a forward pass leaves for `backward`.
    public struct Saved {
        /// `[2h, 2w, 3]` in [-1, 1].
        public let output: Tensor
        let head: ConvolutionUnit.Saved
        let down: ArenaArray<ConvolutionUnit.Saved>
        let blocks: ArenaArray<ResidualBlock.Saved>
        let widen: ConvolutionUnit.Saved
        let up: ArenaArray<ConvolutionUnit.Saved>
    }

    /// - Parameters:
    ///   - input: `[h, w, 3]` in [-1, 1], h and w multiples of 4.
    ///   - dropout: the stream of masks.
    public func forward(_ input: Tensor, dropout: inout RandomStream, in workspace: Workspace) -> Saved {
        let head = self.head.forward(input, in: workspace)
        var features = head.output
        let down = workspace.arena.map(self.down) { unit in
            let saved = unit.forward(features, in: workspace)
            features = saved.output
            return saved
        }
        let blocks = workspace.arena.map(self.blocks) { block in
            let first = block.first.forward(features, in: workspace)
            var mask: Dropout?
            if dropoutRate > 0 {
                mask = Dropout(rate: dropoutRate, count: first.output.count, from: &dropout)
                mask!.apply(to: first.output, in: workspace)
            }
            let second = block.second.forward(first.output, adding: features, in: workspace)
            features = second.output
            return ResidualBlock.Saved(first: first, dropout: mask, second: second)
        }
        let widen = self.widen.forward(features, in: workspace)
        features = widen.output
        let up = workspace.arena.map(self.up) { unit in
            let saved = unit.forward(features, in: workspace)
            features = saved.output
            return saved
        }
        let output = tail.forward(features, in: workspace)
        tanh(output, in: workspace)
        return Saved(output: output, head: head, down: down, blocks: blocks, widen: widen, up: up)
    }

    /// Adds to the gradients of all parameters. Uses up `saved`.
    /// - Parameter dOutput: the gradient of `saved.output`; overwritten.
    public func backward(_ saved: Saved, dOutput: Tensor, in workspace: Workspace) {
        tanhGradient(output: saved.output, dOutput: dOutput, in: workspace)
        let last = saved.up[saved.up.count - 1].output
        tail.accumulateGradients(input: last, dOutput: dOutput, in: workspace)
        tail.inputGradient(dOutput: dOutput, dInput: last, in: workspace)
        for index in up.indices.reversed() {
            up[index].backward(saved.up[index], [.input, .parameters], in: workspace)
        }
        widen.backward(saved.widen, [.input, .parameters], in: workspace)
        for index in blocks.indices.reversed() {
            let (block, saved) = (blocks[index], saved.blocks[index])
            block.second.backward(saved.second, [.input, .parameters], in: workspace)
            saved.dropout?.apply(to: saved.first.output, in: workspace)
            block.first.backward(saved.first, [.input, .parameters], in: workspace)
            // The gradient that came past the block.
            add(saved.second.output, to: saved.first.input, in: workspace)
        }
        for index in down.indices.reversed() {
            down[index].backward(saved.down[index], [.input, .parameters], in: workspace)
        }
        head.backward(saved.head, .parameters, in: workspace)
    }
}

/// The initial weights of both networks: convolutions N(0, 0.02), gamma N(1, 0.02), all else as made.
func initialise(_ parameters: [Parameter], from stream: inout RandomStream) {
    for parameter in parameters where parameter.isTrained {
        switch parameter.layout {
        case .convolution: parameter.fillNormal(mean: 0, deviation: 0.02, from: &stream)
        case .vector where parameter.name.hasSuffix(".weight"):
            parameter.fillNormal(mean: 1, deviation: 0.02, from: &stream)
        case .vector: break
        }
    }
}
