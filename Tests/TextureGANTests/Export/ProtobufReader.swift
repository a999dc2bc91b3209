/// The fields of a protobuf message, by number. Shares no code with the writer.
/// - Source: protobuf.dev/programming-guides/encoding.
struct ProtobufReader {
    enum Value {
        case varint(UInt64)
        case four(UInt32)
        case bytes(ArraySlice<UInt8>)
    }

    struct Damage: Error { let place: Int }

    private(set) var fields: [(number: Int, value: Value)] = []

    /// - Throws: `Damage` for a torn field, and for a wire type that ONNX does not use.
    init(_ bytes: ArraySlice<UInt8>) throws {
        var rest = bytes
        while !rest.isEmpty {
            let key = try Self.varint(&rest)
            let value: Value
            switch key & 7 {
            case 0: value = .varint(try Self.varint(&rest))
            case 2:
                let count = Int(try Self.varint(&rest))
                guard count <= rest.count else { throw Damage(place: rest.startIndex) }
                value = .bytes(rest.prefix(count))
                rest = rest.dropFirst(count)
            case 5:
                guard rest.count >= 4 else { throw Damage(place: rest.startIndex) }
                value = .four(rest.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) })
                rest = rest.dropFirst(4)
            default: throw Damage(place: rest.startIndex)
            }
            fields.append((Int(key >> 3), value))
        }
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) throws -> UInt64 {
        var (result, shift) = (UInt64(0), UInt64(0))
        while let byte = rest.popFirst() {
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
        throw Damage(place: rest.startIndex)
    }

    func bytes(_ number: Int) -> [ArraySlice<UInt8>] {
        fields.compactMap { field in
            if field.number == number, case .bytes(let bytes) = field.value { bytes } else { nil }
        }
    }

    func texts(_ number: Int) -> [String] { bytes(number).map { String(decoding: $0, as: UTF8.self) } }
    func text(_ number: Int) -> String { texts(number).first ?? "" }
    func messages(_ number: Int) throws -> [ProtobufReader] { try bytes(number).map { try ProtobufReader($0) } }

    /// A repeated field, one by one or packed.
    func integers(_ number: Int) throws -> [Int] {
        try fields.filter { $0.number == number }.flatMap { field -> [Int] in
            switch field.value {
            case .varint(let value): return [Int(Int64(bitPattern: value))]
            case .four: throw Damage(place: 0)
            case .bytes(var rest):
                var values: [Int] = []
                while !rest.isEmpty { values.append(Int(Int64(bitPattern: try Self.varint(&rest)))) }
                return values
            }
        }
    }

    func number(_ number: Int) -> Float? {
        for field in fields where field.number == number {
            if case .four(let bits) = field.value { return Float(bitPattern: bits) }
        }
        return nil
    }
}
