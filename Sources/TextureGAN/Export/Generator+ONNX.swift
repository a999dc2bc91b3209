import Foundation
import NNCore

extension Generator {
    /// The generator as an ONNX model of opset 15.
    ///
    /// Input `image`: `[1, channels, height, width]`, red, green and blue (or the maps of a material, `layout`) in [-1, 1], sides multiples of 4 and at least 16.
    /// Output `expanded`: `[1, channels, 2 height, 2 width]` in [-1, 1].
    /// - Parameters:
    ///   - statistics: `.image` writes norms as InstanceNormalization, `.running` as BatchNormalization. Without norms,
    ///     both are the same.
    ///   - metadata: added to the model's properties.
    public func onnx(statistics: BatchNorm.Statistics, metadata: [(String, String)]) -> Data {
        var graph = ONNXGraph()
        var features = "image"
        for unit in [head] + down { features = unit.write(features, statistics, to: &graph) }
        for block in blocks {
            let inner = block.first.write(features, statistics, to: &graph)
            features = graph.node("Add", [block.second.write(inner, statistics, to: &graph), features])
        }
        for unit in [widen] + up { features = unit.write(features, statistics, to: &graph) }
        features = tail.write(features, to: &graph)
        let output = graph.node("Tanh", [features], output: "expanded")
        return graph.model(
            opset: 15, input: ("image", ["height", "width"]), output: (output, ["2*height", "2*width"]),
            channels: channels,
            metadata: [
                ("scale", "2"), ("multiple", "4"), ("margin", String(Expansion.margin(for: self))),
                ("layout", layout.isMaterial ? "NCHW" : "NCHW RGB"), ("range", "[-1, 1]"),
            ] + (layout.isMaterial ? [("maps", layout.description)] : []) + metadata)
    }
}

extension ConvolutionUnit {
    fileprivate func write(_ input: String, _ statistics: BatchNorm.Statistics, to graph: inout ONNXGraph) -> String {
        var result = convolution.writeLayer(input, to: &graph)
        if let norm { result = norm.write(result, statistics, to: &graph) }
        switch activation {
        case .identity: return result
        case .relu: return graph.node("Relu", [result])
        case .leakyReLU: preconditionFailure("no generator has one")
        }
    }
}

extension ConvolutionLayer {
    fileprivate func writeLayer(_ input: String, to graph: inout ONNXGraph) -> String {
        switch self {
        case let layer as Convolution: return layer.write(input, to: &graph)
        case let layer as TransposedConvolution: return layer.write(input, to: &graph)
        default: preconditionFailure("no generator has a \(Self.self)")
        }
    }
}

extension Convolution {
    fileprivate func write(_ input: String, to graph: inout ONNXGraph) -> String {
        var input = input
        if padding.enlargement > 1 {
            let size = Float(padding.enlargement)
            let scales = graph.constant("\(weight.name).scales", [1, 1, size, size])
            input = graph.node(
                "Resize", [input, "", scales],
                [
                    ("mode", .text("nearest")), ("coordinate_transformation_mode", .text("asymmetric")),
                    ("nearest_mode", .text("floor")),
                ])
        }
        var pads = padding.amount
        if pads > 0, padding.mode != .zero {
            let amounts = graph.constant(
                "\(weight.name).pads", [0, 0, pads, pads, 0, 0, pads, pads].map { Int64($0) })
            input = graph.node(
                "Pad", [input, amounts], [("mode", .text(padding.mode == .reflect ? "reflect" : "edge"))])
            pads = 0
        }
        return graph.node(
            "Conv", [input, graph.weight(weight)] + (bias.map { [graph.weight($0)] } ?? []),
            [
                ("kernel_shape", .integers([kernelSize, kernelSize])), ("strides", .integers([stride, stride])),
                ("pads", .integers([pads, pads, pads, pads])),
            ])
    }
}

extension TransposedConvolution {
    fileprivate func write(_ input: String, to graph: inout ONNXGraph) -> String {
        graph.node(
            "ConvTranspose", [input, graph.weight(weight)] + (bias.map { [graph.weight($0)] } ?? []),
            [
                ("kernel_shape", .integers([3, 3])), ("strides", .integers([2, 2])),
                ("pads", .integers([1, 1, 1, 1])), ("output_padding", .integers([1, 1])),
            ])
    }
}

extension BatchNorm {
    fileprivate func write(_ input: String, _ statistics: Statistics, to graph: inout ONNXGraph) -> String {
        // What BatchNorm itself adds to a variance.
        let epsilon = ("epsilon", ONNXGraph.Attribute.number(ChannelStatistics.epsilon))
        let scale = [graph.weight(gamma), graph.weight(beta)]
        guard case .running = statistics, let runningMean, let runningVariance else {
            return graph.node("InstanceNormalization", [input] + scale, [epsilon])
        }
        return graph.node(
            "BatchNormalization", [input] + scale + [graph.weight(runningMean), graph.weight(runningVariance)],
            [epsilon])
    }
}
