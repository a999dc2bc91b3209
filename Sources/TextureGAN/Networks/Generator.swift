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
    /// The channels of input and output.
    public let layout: MapLayout

    /// - Parameters:
    ///   - layout: the channels of input and output.
    ///   - stream: draws the initial weights in the order of `parameters`; nil leaves them zero, for loading.
    ///   - trained: false for a generator that is only used: a quarter of the memory.
    public init(
        _ recipe: Recipe, _ layout: MapLayout = .picture, initialisedFrom stream: RandomStream? = nil,
        trained: Bool = true
    ) {
        self.layout = layout
        let mode = recipe.padding
        let bias = recipe.norm == .without
        func unit(
            _ convolution: any ConvolutionLayer, _ norm: String, _ channels: Int, _ activation: Activation = .relu
        ) -> ConvolutionUnit {
            ConvolutionUnit(
                convolution: convolution,
                norm: recipe.norm == .without
                    ? nil
                    : BatchNorm(
                        norm, channels: channels, tracksStatistics: recipe.norm == .batch, trained: trained),
                activation: activation)
        }
        var channels = recipe.generatorWidth
        head = unit(
            Convolution(
                "head", inputChannels: layout.channels, outputChannels: channels, kernelSize: 7,
                padding: Padding(3, mode),
                bias: bias, trained: trained
            ),
            "head_bn", channels)
        down = (0..<2).map { index in
            defer { channels *= 2 }
            return unit(
                Convolution(
                    "down.\(index)", inputChannels: channels, outputChannels: 2 * channels, kernelSize: 3, stride: 2,
                    padding: Padding(1), bias: bias, trained: trained),
                "down_bn.\(index)", 2 * channels)
        }
        let wide = channels
        blocks = (0..<recipe.residualBlocks).map { index in
            func half(_ number: Int, _ activation: Activation) -> ConvolutionUnit {
                unit(
                    Convolution(
                        "blocks.\(index).conv\(number)", inputChannels: wide, outputChannels: wide, kernelSize: 3,
                        padding: Padding(1, mode), bias: bias, trained: trained),
                    "blocks.\(index).bn\(number)", wide, activation)
            }
            return ResidualBlock(first: half(1, .relu), second: half(2, .identity))
        }
        widen = unit(
            Convolution(
                "widen", inputChannels: channels, outputChannels: 2 * channels, kernelSize: 3, padding: Padding(1),
                bias: bias,
                trained: trained),
            "widen_bn", 2 * channels)
        channels *= 2
        up = (0..<3).map { index in
            defer { channels /= 2 }
            let layer: any ConvolutionLayer =
                switch recipe.upsample {
                case .transposed:
                    TransposedConvolution(
                        "up.\(index)", inputChannels: channels, outputChannels: channels / 2, bias: bias,
                        trained: trained)
                case .nearest:
                    Convolution.upsampled(
                        "up.\(index)", inputChannels: channels, outputChannels: channels / 2, bias: bias,
                        trained: trained)
                }
            return unit(layer, "up_bn.\(index)", channels / 2)
        }
        tail = Convolution(
            "tail", inputChannels: channels, outputChannels: layout.channels, kernelSize: 7,
            padding: Padding(3, mode), bias: true, trained: trained)
        dropoutRate = recipe.dropout
        guard var stream else { return }
        initialise(parameters, from: &stream) { parameter in
            if recipe.norm != .without || parameter.name == "tail.weight" { return publishedDeviation }
            // Without norms a residual block begins almost as the identity.
            return parameter.name.hasSuffix("conv2.weight") ? 0.005 : parameter.heDeviation
        }
    }

    /// Of input and output.
    public var channels: Int { layout.channels }

    /// Channels of the residual blocks, at a quarter of the size.
    var blockChannels: Int { widen.convolution.outputChannels / 2 }

    public var parameters: [Parameter] {
        let middle = blocks.flatMap { $0.first.parameters + $0.second.parameters }
        return head.parameters + down.flatMap(\.parameters) + middle + widen.parameters + up.flatMap(\.parameters)
            + tail.parameters
    }

    /// What a forward pass leaves for `backward`.
    public struct Saved {
        /// `[2h, 2w, channels]` in [-1, 1].
        public let output: Tensor
        let head: ConvolutionUnit.Saved
        let down: ArenaArray<ConvolutionUnit.Saved>
        let blocks: ArenaArray<ResidualBlock.Saved>
        let widen: ConvolutionUnit.Saved
        let up: ArenaArray<ConvolutionUnit.Saved>
    }

    /// - Parameters:
    ///   - input: `[h, w, channels]` in [-1, 1], h and w multiples of 4.
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

    /// Adds to the gradients of all parameters. Overwrites `saved`.
    /// - Parameter dOutput: the gradient of `saved.output`; overwritten.
    public func backward(_ saved: Saved, dOutput: Tensor, in workspace: Workspace) {
        let all: Gradients = [.input, .parameters]
        workspace.arena.scoped {
            let places = GradientPlaces(count: largestNeededOutput(saved), in: workspace.arena)
            tanhGradient(output: saved.output, dOutput: dOutput, in: workspace)
            let last = saved.up[up.count - 1].output
            tail.accumulateGradients(input: last, dOutput: dOutput, in: workspace)
            // From here on, the gradient of the output of the unit that comes next.
            var gradient = places.place(for: last, of: up[up.count - 1])
            tail.inputGradient(dOutput: dOutput, dInput: gradient, in: workspace)
            for index in up.indices.reversed() {
                let next = places.place(for: saved.up[index].input, of: index > 0 ? up[index - 1] : widen)
                up[index].backward(saved.up[index], dOutput: gradient, all, dInput: next, in: workspace)
                gradient = next
            }
            let beforeWiden = places.place(for: saved.widen.input, of: blocks[blocks.count - 1].second)
            widen.backward(saved.widen, dOutput: gradient, all, dInput: beforeWiden, in: workspace)
            gradient = beforeWiden
            for index in blocks.indices.reversed() {
                let (block, saved) = (blocks[index], saved.blocks[index])
                let inner = places.place(for: saved.first.output, of: block.first)
                block.second.backward(saved.second, dOutput: gradient, all, dInput: inner, in: workspace)
                saved.dropout?.apply(to: inner, in: workspace)
                let next = places.place(
                    for: saved.first.input, of: index > 0 ? blocks[index - 1].second : down[down.count - 1])
                block.first.backward(saved.first, dOutput: inner, all, dInput: next, in: workspace)
                // The gradient of the skip connection.
                add(gradient, to: next, in: workspace)
                gradient = next
            }
            for index in down.indices.reversed() {
                let next = places.place(for: saved.down[index].input, of: index > 0 ? down[index - 1] : head)
                down[index].backward(saved.down[index], dOutput: gradient, all, dInput: next, in: workspace)
                gradient = next
            }
            head.backward(saved.head, dOutput: gradient, .parameters, dInput: nil, in: workspace)
        }
    }

    /// Floats of the largest output that its gradient must not overwrite.
    private func largestNeededOutput(_ saved: Saved) -> Int {
        guard head.needsOutput else { return 0 }
        var most = max(saved.head.output.count, saved.widen.output.count)
        for unit in saved.down { most = max(most, unit.output.count) }
        for block in saved.blocks { most = max(most, block.first.output.count) }
        for unit in saved.up { most = max(most, unit.output.count) }
        return most
    }
}

/// The standard deviation of the published method's initial convolution weights.
let publishedDeviation: Float = 0.02

/// Draws the initial weights of a network: convolutions N(0, `deviation`), gamma N(1, 0.02). Others keep their values.
func initialise(
    _ parameters: [Parameter], from stream: inout RandomStream, deviation: (Parameter) -> Float
) {
    for parameter in parameters where parameter.isTrained {
        switch parameter.layout {
        case .convolution: parameter.fillNormal(mean: 0, deviation: deviation(parameter), from: &stream)
        case .vector where parameter.name.hasSuffix(".weight"):
            parameter.fillNormal(mean: 1, deviation: publishedDeviation, from: &stream)
        case .vector: break
        }
    }
}
