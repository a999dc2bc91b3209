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
        let down: [ConvolutionUnit.Saved]
        let blocks: [(first: ConvolutionUnit.Saved, dropout: Dropout?, second: ConvolutionUnit.Saved)]
        let widen: ConvolutionUnit.Saved
        let up: [ConvolutionUnit.Saved]
    }

    /// - Parameters:
    ///   - input: `[h, w, 3]` in [-1, 1], h and w multiples of 4.
    ///   - dropout: the stream of masks.
    public func forward(_ input: Tensor, dropout: inout RandomStream, in workspace: Workspace) -> Saved {
        let head = self.head.forward(input, in: workspace)
        var features = head.output
        let down = self.down.map { unit in
            let saved = unit.forward(features, in: workspace)
            features = saved.output
            return saved
        }
        let blocks = self.blocks.map { block in
            let first = block.first.forward(features, in: workspace)
            var mask: Dropout?
            if dropoutRate > 0 {
                mask = Dropout(rate: dropoutRate, count: first.output.count, from: &dropout)
                mask!.apply(to: first.output, in: workspace)
            }
            let second = block.second.forward(first.output, adding: features, in: workspace)
            features = second.output
            return (first: first, dropout: mask, second: second)
        }
        let widen = self.widen.forward(features, in: workspace)
        features = widen.output
        let up = self.up.map { unit in
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
        for (unit, saved) in zip(up, saved.up).reversed() {
            unit.backward(saved, [.input, .parameters], in: workspace)
        }
        widen.backward(saved.widen, [.input, .parameters], in: workspace)
        for (block, saved) in zip(blocks, saved.blocks).reversed() {
            block.second.backward(saved.second, [.input, .parameters], in: workspace)
            saved.dropout?.apply(to: saved.first.output, in: workspace)
            block.first.backward(saved.first, [.input, .parameters], in: workspace)
            // The gradient that came past the block.
            add(saved.second.output, to: saved.first.input, in: workspace)
        }
        for (unit, saved) in zip(down, saved.down).reversed() {
            unit.backward(saved, [.input, .parameters], in: workspace)
        }
        head.backward(saved.head, .parameters, in: workspace)
    }

    /// The output for `input` without what a backward pass would need, in the workspace's arena. Dropout is off.
    ///
    /// Besides the output there are never more than a layer's input and output at a time: each layer's output is moved
    /// down over what came before it, which costs a hundredth of the time and more than half the memory.
    /// - Parameter input: `[h, w, 3]`, h and w multiples of 4.
    public func infer(_ input: Tensor, statistics: BatchNorm.Statistics, in workspace: Workspace) -> Tensor {
        precondition(input.height % 4 == 0 && input.width % 4 == 0)
        let arena = workspace.arena
        let output = Tensor(in: arena, height: 2 * input.height, width: 2 * input.width, channels: 3)
        arena.scoped {
            let bottom = arena.mark
            var features = input
            func proceed(to next: Tensor) {
                arena.release(to: bottom)
                features = Tensor(in: arena, like: next)
                features.data.update(from: next.data, count: next.count)
            }
            for unit in [head] + down {
                proceed(to: unit.infer(features, statistics: statistics, in: workspace))
            }
            for block in blocks {
                let inner = block.first.infer(features, statistics: statistics, in: workspace)
                proceed(to: block.second.infer(inner, adding: features, statistics: statistics, in: workspace))
            }
            for unit in [widen] + up {
                proceed(to: unit.infer(features, statistics: statistics, in: workspace))
            }
            tail.forward(features, into: output, in: workspace)
        }
        tanh(output, in: workspace)
        return output
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
