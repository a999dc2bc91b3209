import NNCore

/// The patch discriminator: one logit for each overlapping patch of an image (14x14 for 256x256 and 4 layers).
///
/// 4x4 convolutions with LeakyReLU 0.2; batch norm but in the first and the last; it sees the image alone.
public struct Discriminator: Sendable {
    static let activation = Activation.leakyReLU(slope: 0.2)

    let first: Convolution
    let units: [ConvolutionUnit]
    let last: Convolution

    public init(_ recipe: Recipe, initialisedFrom stream: RandomStream? = nil) {
        var channels = recipe.discriminatorWidth
        let layers = recipe.discriminatorLayers
        first = Convolution(
            "first", inputs: 3, outputs: channels, kernel: 4, stride: 2, padding: Padding(1), bias: true)
        units = (0..<layers).map { index in
            let outputs = recipe.discriminatorWidth * min(2 << index, 8)
            defer { channels = outputs }
            return ConvolutionUnit(
                convolution: Convolution(
                    "convs.\(index)", inputs: channels, outputs: outputs, kernel: 4,
                    stride: index < layers - 1 ? 2 : 1, padding: Padding(1)),
                norm: BatchNorm("norms.\(index)", channels: outputs, tracksStatistics: recipe.norm == .batch),
                activation: Self.activation)
        }
        last = Convolution("last", inputs: channels, outputs: 1, kernel: 4, padding: Padding(1), bias: true)
        if var stream { initialise(parameters, from: &stream) }
    }

    public var parameters: [Parameter] { first.parameters + units.flatMap(\.parameters) + last.parameters }

    /// The smallest image side that leaves a logit behind `layers` layers.
    public static func smallestSide(layers: Int) -> Int {
        // The last two 4x4 convolutions of stride 1 take a pixel each; every layer before them halves.
        3 << layers
    }

    /// What a forward pass leaves for `backward`.
    public struct Saved {
        public let logits: Tensor
        let input: Tensor
        let first: Tensor
        let units: ArenaArray<ConvolutionUnit.Saved>
    }

    /// - Parameter image: `[h, w, 3]` in [-1, 1], one or several.
    public func forward(_ image: Tensor, in workspace: Workspace) -> Saved {
        let first = self.first.forward(image, in: workspace)
        activate(first, Self.activation, in: workspace)
        var features = first
        let units = workspace.arena.map(self.units) { unit in
            let saved = unit.forward(features, in: workspace)
            features = saved.output
            return saved
        }
        return Saved(logits: last.forward(features, in: workspace), input: image, first: first, units: units)
    }

    /// Uses up `saved`.
    /// - Parameters:
    ///   - wanted: `.parameters` adds to the gradients; `.input` writes `dInput`.
    ///   - dInput: the gradient of the image, overwritten; for `.input`.
    public func backward(
        _ saved: Saved, dLogits: Tensor, _ wanted: Gradients, dInput: Tensor? = nil, in workspace: Workspace
    ) {
        let deepest = saved.units[saved.units.count - 1].output
        if wanted.contains(.parameters) {
            last.accumulateGradients(input: deepest, dOutput: dLogits, in: workspace)
        }
        last.inputGradient(dOutput: dLogits, dInput: deepest, in: workspace)
        let through: Gradients = wanted.contains(.parameters) ? [.input, .parameters] : .input
        for index in units.indices.dropFirst().reversed() {
            units[index].backward(saved.units[index], through, in: workspace)
        }
        workspace.arena.scoped {
            // The first layer has no norm that could redo its activation, so its output has to outlive its gradient.
            let dFirst = Tensor(in: workspace.arena, like: saved.first)
            units[0].backward(saved.units[0], through, dInput: dFirst, in: workspace)
            activationGradient(output: saved.first, dOutput: dFirst, Self.activation, in: workspace)
            if wanted.contains(.parameters) {
                first.accumulateGradients(input: saved.input, dOutput: dFirst, in: workspace)
            }
            if wanted.contains(.input), let dInput {
                first.inputGradient(dOutput: dFirst, dInput: dInput, in: workspace)
            }
        }
    }
}
