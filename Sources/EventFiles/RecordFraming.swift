import Foundation

/// The framing of TensorBoard's files (TFRecord): the length in eight bytes, its masked CRC-32C, the bytes, their masked
/// CRC-32C; all numbers little-endian.
enum RecordFraming {
    /// No record here is longer; a larger length is damage.
    static let maxBytes = 64 << 20

    static func frame(_ data: Data) -> Data {
        let length = littleEndian(UInt64(data.count))
        return length + littleEndian(CRC32C.masked(length)) + data + littleEndian(CRC32C.masked(data))
    }

    /// The next record of a file; nil at its end, or where the rest is torn or damaged.
    static func next(in file: FileHandle) throws -> Data? {
        guard let head = try read(12, in: file) else { return nil }
        let length = head.prefix(8)
        guard CRC32C.masked(length) == number(head.suffix(4)), let count = Int(exactly: number(length) as UInt64),
            count <= maxBytes, let body = try read(count + 4, in: file)
        else { return nil }
        let data = body.prefix(count)
        return CRC32C.masked(data) == number(body.suffix(4)) ? data : nil
    }

    private static func read(_ count: Int, in file: FileHandle) throws -> Data? {
        guard let data = try file.read(upToCount: count), data.count == count else { return nil }
        return data
    }

    private static func littleEndian(_ value: some FixedWidthInteger) -> Data {
        withUnsafeBytes(of: value.littleEndian) { Data($0) }
    }

    private static func number<Number: FixedWidthInteger>(_ bytes: Data) -> Number {
        bytes.reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }
}
