import Foundation

/// Writes the fields of a protobuf message.
///
/// EventFiles has the same for its own fields. The training core does not depend on it, and both are shorter than generated
/// code with the schemas of others.
/// - Source: protobuf.dev/programming-guides/encoding.
struct ProtobufWriter {
    private(set) var data = Data()

    mutating func add(_ field: UInt64, _ value: UInt64) {
        addVarint(field << 3 | 0)
        addVarint(value)
    }

    mutating func add(_ field: UInt64, _ value: Float) {
        addVarint(field << 3 | 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { data.append(contentsOf: $0) }
    }

    mutating func add(_ field: UInt64, _ value: Data) {
        addVarint(field << 3 | 2)
        addVarint(UInt64(value.count))
        data.append(value)
    }

    mutating func add(_ field: UInt64, _ value: String) { add(field, Data(value.utf8)) }

    mutating func add(_ field: UInt64, _ fill: (inout ProtobufWriter) -> Void) {
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
