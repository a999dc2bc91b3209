import Foundation

/// The fields of a protobuf message in order; ends at the first bytes that are not a field.
/// - Source: protobuf.dev/programming-guides/encoding.
struct ProtobufFields: Sequence, IteratorProtocol {
    enum Value {
        case number(UInt64)
        case bytes(Data)
    }

    private var rest: Data

    init(_ data: Data) { rest = data }

    mutating func next() -> (field: UInt64, value: Value)? {
        guard let key = takeVarint() else { return nil }
        switch key & 7 {
        case 0: return takeVarint().map { (key >> 3, .number($0)) }
        case 1: return take(8).map { (key >> 3, .bytes($0)) }
        case 2: return takeVarint().flatMap(Int.init(exactly:)).flatMap { take($0) }.map { (key >> 3, .bytes($0)) }
        case 5: return take(4).map { (key >> 3, .bytes($0)) }
        default: return nil
        }
    }

    private mutating func takeVarint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }

    private mutating func take(_ count: Int) -> Data? {
        guard count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}
