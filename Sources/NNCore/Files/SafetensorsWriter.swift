import Foundation
import OperatingSystem

/// Writes a safetensors file tensor by tensor, so that a checkpoint is never in memory twice.
public struct SafetensorsWriter {
    private struct Item {
        let name: String
        let type: Safetensors.ElementType
        let shape: [Int]
        let bytes: () -> Data
    }

    /// The metadata field of the checksum: CRC-64 of the whole file, with zeros in place of its own sixteen digits.
    static let checksumKey = "crc64"

    private var items: [Item] = []
    private let metadata: [String: String]
    private let hasChecksum: Bool

    /// - Parameter hasChecksum: whether the header gets a checksum of the file, by which a reader detects damage.
    public init(metadata: [String: String], hasChecksum: Bool = false) {
        self.metadata = hasChecksum ? metadata.merging([Self.checksumKey: CRC64.blank]) { $1 } : metadata
        self.hasChecksum = hasChecksum
    }

    static func placeOfChecksum(in header: Data) -> Range<Data.Index>? {
        guard let key = header.range(of: Data("\"\(checksumKey)\":\"".utf8)) else { return nil }
        let end = key.upperBound + CRC64.blank.utf8.count
        return end <= header.endIndex ? key.upperBound..<end : nil
    }

    static func withoutChecksum(_ header: Data, at place: Range<Data.Index>) -> Data {
        var header = header
        header.replaceSubrange(place, with: Data(CRC64.blank.utf8))
        return header
    }

    /// Adds a float32 tensor; `values` is called when the file is written.
    public mutating func add(_ name: String, shape: [Int], _ values: @escaping () -> [Float]) {
        items.append(
            Item(name: name, type: .float32, shape: shape) { values().withUnsafeBytes { Data($0) } })
    }

    /// Adds a float64 tensor.
    public mutating func add(_ name: String, shape: [Int], _ values: [Double]) {
        items.append(
            Item(name: name, type: .float64, shape: shape) { values.withUnsafeBytes { Data($0) } })
    }

    /// The whole file in memory.
    public func encoded() -> Data {
        let header = header()
        var bytes = items.reduce(into: header) { $0 += $1.bytes() }
        if hasChecksum, let place = Self.placeOfChecksum(in: header) {
            var sum = CRC64()
            sum.update(bytes)
            bytes.replaceSubrange(place, with: Data(sum.text.utf8))
        }
        return bytes
    }

    /// Writes the file under a temporary name, syncs it, then renames it: the file appears complete or not at all.
    /// - Throws: `SafetensorsError` (notWritten) with the system's reason.
    public func write(to url: URL) throws(SafetensorsError) {
        do throws(FileFailure) {
            try DurableFile.replace(url, mode: 0o666) { (file) throws(FileFailure) in try write(into: file) }
        } catch {
            throw SafetensorsError(.notWritten, file: url.path, problem: "cannot be written: \(error.reason)")
        }
    }

    private func write(into file: DurableFile.Partial) throws(FileFailure) {
        let header = header()
        var sum = CRC64()
        sum.update(header)
        try file.write(header)
        for item in items {
            let bytes = item.bytes()
            if hasChecksum { sum.update(bytes) }
            try file.write(bytes)
        }
        if hasChecksum, let place = Self.placeOfChecksum(in: header) {
            try file.seek(to: place.lowerBound - header.startIndex)
            try file.write(Data(sum.text.utf8))
        }
    }

    /// The header in a fixed order of keys, so that equal contents are equal bytes; padded to a multiple of 8.
    private func header() -> Data {
        var fields = [
            "\"__metadata__\":{"
                + metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
                .joined(separator: ",") + "}"
        ]
        var offset = 0
        for item in items {
            let size = item.shape.reduce(item.type.size, *)
            let shape = item.shape.map(String.init).joined(separator: ",")
            fields.append(
                "\(quoted(item.name)):{\"dtype\":\"\(item.type.rawValue)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(offset),\(offset + size)]}")
            offset += size
        }
        var text = Data("{\(fields.joined(separator: ","))}".utf8)
        while text.count % 8 != 0 { text.append(0x20) }
        var result = Data()
        var length = UInt64(text.count).littleEndian
        withUnsafeBytes(of: &length) { result.append(contentsOf: $0) }
        return result + text
    }

    private func quoted(_ string: String) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes]
        return String(decoding: (try? encoder.encode(string)) ?? Data("\"\"".utf8), as: UTF8.self)
    }
}
