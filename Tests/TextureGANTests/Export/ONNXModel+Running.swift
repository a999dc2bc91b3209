import Foundation
import Testing

/// Runs the operators that a generator may have, as ONNX's operator reference of opset 15 defines them: plain loops, which
/// share no code with texloom's layers.
extension ONNXModel {
    /// - Throws: `Unexpected` for an operator or an attribute that is not read here, and for a shape that does not fit.
    func run(_ input: Values) throws -> Values {
        var known = constants
        let name = try #require(inputs.keys.first)
        known[name] = input
        for node in nodes {
            var reader = Arguments(node: node, values: node.inputs.map { $0.isEmpty ? nil : known[$0] })
            known[node.outputs[0]] = try Self.result(node.operation, &reader)
            guard reader.node.attributes.isEmpty else {
                throw Unexpected(text: "\(node.operation) with \(reader.node.attributes)")
            }
        }
        let output = try #require(outputs.keys.first)
        return try #require(known[output])
    }

    /// A node's inputs and attributes; each attribute is taken once.
    private struct Arguments {
        var node: Node
        let values: [Values?]

        func value(_ index: Int) throws -> Values {
            guard values.indices.contains(index), let value = values[index] else {
                throw Unexpected(text: "\(node.operation) lacks input \(index)")
            }
            return value
        }

        var count: Int { values.count }

        mutating func integers(_ name: String, _ count: Int) throws -> [Int] {
            guard case .integers(let values)? = node.attributes.removeValue(forKey: name), values.count == count else {
                throw Unexpected(text: "\(node.operation) lacks \(name)")
            }
            return values
        }

        mutating func text(_ name: String) throws -> String {
            guard case .text(let text)? = node.attributes.removeValue(forKey: name) else {
                throw Unexpected(text: "\(node.operation) lacks \(name)")
            }
            return text
        }

        mutating func number(_ name: String) throws -> Float {
            guard case .number(let number)? = node.attributes.removeValue(forKey: name) else {
                throw Unexpected(text: "\(node.operation) lacks \(name)")
            }
            return number
        }
    }

    private static func result(_ operation: String, _ node: inout Arguments) throws -> Values {
        let input = try node.value(0)
        switch operation {
        case "Relu": return input.mapped { max(0, $0) }
        case "Tanh": return input.mapped { Float(tanh(Double($0))) }
        case "Add":
            let other = try node.value(1)
            guard other.shape == input.shape else { throw Unexpected(text: "Add of unlike shapes") }
            return Values(shape: input.shape, values: zip(input.values, other.values).map { $0 + $1 })
        case "Pad": return try padded(input, try node.value(1), mode: try node.text("mode"))
        case "Resize":
            guard try node.text("mode") == "nearest", try node.text("coordinate_transformation_mode") == "asymmetric",
                try node.text("nearest_mode") == "floor", try node.value(2).values == [1, 1, 2, 2]
            else { throw Unexpected(text: "another Resize") }
            return Values.filled([1, input.shape[1], 2 * input.shape[2], 2 * input.shape[3]]) { channel, y, x in
                input[channel, y / 2, x / 2]
            }
        case "Conv": return try convolved(input, &node)
        case "ConvTranspose": return try spread(input, &node)
        case "InstanceNormalization": return try normalised(input, &node, ofTraining: false)
        case "BatchNormalization": return try normalised(input, &node, ofTraining: true)
        default: throw Unexpected(text: "the operator \(operation)")
        }
    }

    private static func padded(_ input: Values, _ amounts: Values, mode: String) throws -> Values {
        let pads = amounts.values.map(Int.init)
        guard pads.count == 8, pads[0] == 0, pads[1] == 0, pads[4] == 0, pads[5] == 0 else {
            throw Unexpected(text: "Pad by \(pads)")
        }
        let (height, width) = (input.shape[2], input.shape[3])
        func source(_ place: Int, _ length: Int) throws -> Int {
            switch mode {
            case "edge": return min(max(place, 0), length - 1)
            case "reflect": return place < 0 ? -place : place < length ? place : 2 * (length - 1) - place
            default: throw Unexpected(text: "Pad with \(mode)")
            }
        }
        return try Values.filled([1, input.shape[1], height + pads[2] + pads[6], width + pads[3] + pads[7]]) {
            input[$0, try source($1 - pads[2], height), try source($2 - pads[3], width)]
        }
    }

    private static func convolved(_ input: Values, _ node: inout Arguments) throws -> Values {
        let weight = try node.value(1)
        let bias = node.count > 2 ? try node.value(2).values : nil
        let (kernel, strides) = (try node.integers("kernel_shape", 2), try node.integers("strides", 2))
        let pads = try node.integers("pads", 4)
        let (height, width) = (input.shape[2], input.shape[3])
        guard weight.shape == [weight.shape[0], input.shape[1], kernel[0], kernel[1]] else {
            throw Unexpected(text: "Conv of \(input.shape) with \(weight.shape)")
        }
        let rows = (height + pads[0] + pads[2] - kernel[0]) / strides[0] + 1
        let columns = (width + pads[1] + pads[3] - kernel[1]) / strides[1] + 1
        return Values.filled([1, weight.shape[0], rows, columns]) { output, row, column in
            var sum = bias.map { Double($0[output]) } ?? 0
            for channel in 0..<input.shape[1] {
                for y in 0..<kernel[0] {
                    for x in 0..<kernel[1] {
                        let (sourceY, sourceX) = (row * strides[0] + y - pads[0], column * strides[1] + x - pads[1])
                        guard (0..<height).contains(sourceY), (0..<width).contains(sourceX) else { continue }
                        let factor = weight.values[
                            ((output * input.shape[1] + channel) * kernel[0] + y) * kernel[1] + x]
                        sum += Double(factor) * Double(input[channel, sourceY, sourceX])
                    }
                }
            }
            return Float(sum)
        }
    }

    /// The transposed convolution: each pixel adds the kernel to the output.
    private static func spread(_ input: Values, _ node: inout Arguments) throws -> Values {
        let weight = try node.value(1)
        let bias = node.count > 2 ? try node.value(2).values : nil
        let (kernel, strides) = (try node.integers("kernel_shape", 2), try node.integers("strides", 2))
        let (pads, extra) = (try node.integers("pads", 4), try node.integers("output_padding", 2))
        let (height, width) = (input.shape[2], input.shape[3])
        guard weight.shape == [input.shape[1], weight.shape[1], kernel[0], kernel[1]] else {
            throw Unexpected(text: "ConvTranspose of \(input.shape) with \(weight.shape)")
        }
        let rows = (height - 1) * strides[0] + kernel[0] + extra[0] - pads[0] - pads[2]
        let columns = (width - 1) * strides[1] + kernel[1] + extra[1] - pads[1] - pads[3]
        var result = Values.filled([1, weight.shape[1], rows, columns]) { channel, _, _ in bias?[channel] ?? 0 }
        for channel in 0..<input.shape[1] {
            for y in 0..<height {
                for x in 0..<width {
                    for output in 0..<weight.shape[1] {
                        for j in 0..<kernel[0] {
                            for i in 0..<kernel[1] {
                                let (row, column) = (y * strides[0] + j - pads[0], x * strides[1] + i - pads[1])
                                guard (0..<rows).contains(row), (0..<columns).contains(column) else { continue }
                                let factor = weight.values[
                                    ((channel * weight.shape[1] + output) * kernel[0] + j) * kernel[1] + i]
                                result.values[(output * rows + row) * columns + column] +=
                                    factor * input[channel, y, x]
                            }
                        }
                    }
                }
            }
        }
        return result
    }

    private static func normalised(_ input: Values, _ node: inout Arguments, ofTraining: Bool) throws -> Values {
        let epsilon = Double(try node.number("epsilon"))
        let (scale, shift) = (try node.value(1).values, try node.value(2).values)
        let area = input.shape[2] * input.shape[3]
        var means: [Double] = []
        var variances: [Double] = []
        for channel in 0..<input.shape[1] {
            if ofTraining {
                means.append(Double(try node.value(3).values[channel]))
                variances.append(Double(try node.value(4).values[channel]))
            } else {
                let values = input.values[channel * area..<(channel + 1) * area].map(Double.init)
                let mean = values.reduce(0, +) / Double(area)
                means.append(mean)
                variances.append(values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(area))
            }
        }
        return Values.filled(input.shape) { channel, y, x in
            let value = (Double(input[channel, y, x]) - means[channel]) / (variances[channel] + epsilon).squareRoot()
            return Float(value * Double(scale[channel]) + Double(shift[channel]))
        }
    }
}

extension ONNXModel.Values {
    /// Of the first image.
    subscript(channel: Int, y: Int, x: Int) -> Float { values[(channel * shape[2] + y) * shape[3] + x] }

    /// One image.
    static func filled(
        _ shape: [Int], _ value: (_ channel: Int, _ y: Int, _ x: Int) throws -> Float
    ) rethrows -> Self {
        var values: [Float] = []
        values.reserveCapacity(shape.reduce(1, *))
        for channel in 0..<shape[1] {
            for y in 0..<shape[2] {
                for x in 0..<shape[3] { values.append(try value(channel, y, x)) }
            }
        }
        return Self(shape: shape, values: values)
    }

    func mapped(_ change: (Float) -> Float) -> Self { Self(shape: shape, values: values.map(change)) }
}
