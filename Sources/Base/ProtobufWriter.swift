import Foundation

/// Writes the fields of a protobuf message.
///
/// By hand: TensorBoard's events and ONNX models have a dozen fields of a few kinds. Generated code would be longer, and
/// would need the schemas of others beside it.
/// - Source: protobuf.dev/programming-guides/encoding.
public struct ProtobufWriter {
    /// The fields so far.
    public private(set) var data = Data()

    public init() {}

    /// Adds a varint.
    public mutating func add(_ field: UInt64, _ value: UInt64) {
        addVarint(field << 3 | 0)
        addVarint(value)
    }

    /// Adds eight bytes, little-endian.
    public mutating func add(_ field: UInt64, _ value: Double) {
        addVarint(field << 3 | 1)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
    }

    /// Adds four bytes, little-endian.
    public mutating func add(_ field: UInt64, _ value: Float) {
        addVarint(field << 3 | 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
    }

    /// Adds bytes with their length.
    public mutating func add(_ field: UInt64, _ value: Data) {
        addVarint(field << 3 | 2)
        addVarint(UInt64(value.count))
        data.append(value)
    }

    /// Adds a text as UTF-8.
    public mutating func add(_ field: UInt64, _ value: String) { add(field, Data(value.utf8)) }

    /// Adds a message within the message.
    public mutating func add(_ field: UInt64, _ fill: (inout ProtobufWriter) -> Void) {
        var message = ProtobufWriter()
        fill(&message)
        add(field, message.data)
    }

    private mutating func addVarint(_ value: UInt64) {
        var rest = value
        while rest > 0x7F {
            data.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        data.append(UInt8(rest))
    }
}
