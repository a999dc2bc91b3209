import Base
import Foundation
import NNCore

/// Collects the nodes and weights of an ONNX graph in order.
/// - Source: onnx.proto3 of ONNX 1.10, whose field numbers stand beside each value.
struct ONNXGraph {
    enum Attribute {
        case integers([Int])
        case integer(Int)
        case number(Float)
        case text(String)
    }

    private enum ElementType: UInt64 {
        case float = 1
        case int64 = 7
    }

    private var graph = ProtobufWriter()
    private var nodes = 0

    /// Adds a node. Returns the name of its output.
    mutating func node(
        _ operation: String, _ inputs: [String], _ attributes: [(String, Attribute)] = [], output: String? = nil
    ) -> String {
        let output = output ?? "\(operation.lowercased())_\(nodes)"
        nodes += 1
        graph.add(1) { node in
            for input in inputs { node.add(1, input) }
            node.add(2, output)
            node.add(3, output)
            node.add(4, operation)
            for (name, value) in attributes { node.add(5) { Self.write(name, value, to: &$0) } }
        }
        return output
    }

    private static func write(_ name: String, _ value: Attribute, to writer: inout ProtobufWriter) {
        writer.add(1, name)
        switch value {
        case .number(let number):
            writer.add(2, number)
            writer.add(20, 1 as UInt64)
        case .integer(let integer):
            writer.add(3, UInt64(integer))
            writer.add(20, 2 as UInt64)
        case .text(let text):
            writer.add(4, text)
            writer.add(20, 3 as UInt64)
        case .integers(let integers):
            for integer in integers { writer.add(8, UInt64(integer)) }
            writer.add(20, 7 as UInt64)
        }
    }

    /// Adds a parameter in PyTorch's layout, which is also ONNX's. Returns its name.
    mutating func weight(_ parameter: Parameter) -> String {
        let bytes = parameter.fileOrder().reduce(into: Data(capacity: 4 * parameter.count)) { data, value in
            withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
        }
        return constant(parameter.name, parameter.layout.fileShape, .float, bytes)
    }

    mutating func constant(_ name: String, _ values: [Float]) -> String {
        let bytes = values.reduce(into: Data()) { data, value in
            withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
        }
        return constant(name, [values.count], .float, bytes)
    }

    mutating func constant(_ name: String, _ values: [Int64]) -> String {
        let bytes = values.reduce(into: Data()) { data, value in
            withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) }
        }
        return constant(name, [values.count], .int64, bytes)
    }

    private mutating func constant(_ name: String, _ shape: [Int], _ type: ElementType, _ bytes: Data) -> String {
        graph.add(5) { tensor in
            for side in shape { tensor.add(1, UInt64(side)) }
            tensor.add(2, type.rawValue)
            tensor.add(8, name)
            tensor.add(9, bytes)
        }
        return name
    }

    /// The complete model.
    /// - Parameter sides: names of the height and width of input and output, which are free.
    func model(
        opset: Int, input: (name: String, sides: [String]), output: (name: String, sides: [String]),
        channels: Int, metadata: [(String, String)]
    ) -> Data {
        var graph = graph
        graph.add(2, "generator")
        graph.add(11) { Self.write(input.name, channels, input.sides, to: &$0) }
        graph.add(12) { Self.write(output.name, channels, output.sides, to: &$0) }
        var model = ProtobufWriter()
        // The IR version of ONNX 1.10, the first with opset 15.
        model.add(1, 8 as UInt64)
        model.add(2, "texloom")
        model.add(3, texloomVersion)
        model.add(7, graph.data)
        model.add(8) { $0.add(2, UInt64(opset)) }
        for (key, value) in metadata {
            model.add(14) { entry in
                entry.add(1, key)
                entry.add(2, value)
            }
        }
        return model.data
    }

    /// `[1, channels, height, width]` of floats.
    private static func write(
        _ name: String, _ channels: Int, _ sides: [String], to writer: inout ProtobufWriter
    ) {
        writer.add(1, name)
        writer.add(2) { type in
            type.add(1) { tensor in
                tensor.add(1, ElementType.float.rawValue)
                tensor.add(2) { shape in
                    for side in [1, UInt64(channels)] { shape.add(1) { $0.add(1, side) } }
                    for side in sides { shape.add(1) { $0.add(2, side) } }
                }
            }
        }
    }
}
