import Foundation
import Testing

/// An ONNX model as a file says it. Field numbers are those of onnx.proto3.
struct ONNXModel {
    struct Node {
        let operation: String
        let inputs: [String]
        let outputs: [String]
        var attributes: [String: Attribute]
    }

    enum Attribute: Equatable {
        case number(Float)
        case integer(Int)
        case text(String)
        case integers([Int])
    }

    /// `[...]` in row-major order. Integers are held as floats.
    struct Values {
        var shape: [Int]
        var values: [Float]
    }

    /// Of the graph's input or output: -1 and a name stand for a free side.
    struct Side: Equatable {
        let count: Int
        let name: String
    }

    let irVersion: Int
    let opset: Int
    let metadata: [String: String]
    let inputs: [String: [Side]]
    let outputs: [String: [Side]]
    var nodes: [Node]
    var constants: [String: Values]

    struct Unexpected: Error { let text: String }

    init(_ data: Data) throws {
        let model = try ProtobufReader([UInt8](data)[...])
        irVersion = try model.integers(1)[0]
        opset = try model.messages(8)[0].integers(2)[0]
        metadata = Dictionary(
            uniqueKeysWithValues: try model.messages(14).map { ($0.text(1), $0.text(2)) })
        let graph = try model.messages(7)[0]
        inputs = try Self.sides(graph.messages(11))
        outputs = try Self.sides(graph.messages(12))
        nodes = try graph.messages(1).map { node in
            Node(
                operation: node.text(4), inputs: node.texts(1), outputs: node.texts(2),
                attributes: Dictionary(
                    uniqueKeysWithValues: try node.messages(5).map { ($0.text(1), try Self.attribute($0)) }))
        }
        constants = Dictionary(
            uniqueKeysWithValues: try graph.messages(5).map { ($0.text(8), try Self.values($0)) })
    }

    private static func attribute(_ field: ProtobufReader) throws -> Attribute {
        switch try field.integers(20) {
        case [1]: return .number(field.number(2) ?? 0)
        case [2]: return .integer(try field.integers(3).first ?? 0)
        case [3]: return .text(field.text(4))
        case [7]: return .integers(try field.integers(8))
        case let type: throw Unexpected(text: "an attribute of type \(type)")
        }
    }

    private static func values(_ tensor: ProtobufReader) throws -> Values {
        let shape = try tensor.integers(1)
        let raw = Array(try #require(tensor.bytes(9).first))
        let values: [Float]
        switch try tensor.integers(2) {
        case [1]:
            values = stride(from: 0, to: raw.count, by: 4).map { start in
                Float(bitPattern: raw[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) })
            }
        case [7]:
            values = stride(from: 0, to: raw.count, by: 8).map { start in
                Float(Int64(bitPattern: raw[start..<start + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }))
            }
        case let type: throw Unexpected(text: "a tensor of type \(type)")
        }
        guard values.count == shape.reduce(1, *) else { throw Unexpected(text: "\(tensor.text(8)) is torn") }
        return Values(shape: shape, values: values)
    }

    private static func sides(_ fields: [ProtobufReader]) throws -> [String: [Side]] {
        Dictionary(
            uniqueKeysWithValues: try fields.map { field in
                let tensor = try field.messages(2)[0].messages(1)[0]
                guard try tensor.integers(1) == [1] else { throw Unexpected(text: "no float") }
                let sides = try tensor.messages(2)[0].messages(1).map {
                    Side(count: try $0.integers(1).first ?? -1, name: $0.text(2))
                }
                return (field.text(1), sides)
            })
    }
}
