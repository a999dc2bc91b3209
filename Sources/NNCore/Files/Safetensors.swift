import Foundation
import OperatingSystem

/// What is wrong with a safetensors file.
public struct SafetensorsError: Error, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The system does not give the file's bytes. They may be good.
        case unreadable
        /// The system does not take the file.
        case notWritten
        /// The file's contents are not what the reader expects.
        case malformed
    }

    public let code: Code
    public let file: String
    public let problem: String

    public init(_ code: Code, file: String, problem: String) {
        self.code = code
        self.file = file
        self.problem = problem
    }

    public var description: String { "\(file): \(problem)" }
}

/// A safetensors file: named arrays behind a JSON header.
///
/// Layout: `[header length: 8 bytes LE][header JSON][data]`. Files come from other machines, so reading checks every
/// claim of the header against the file before it returns any value.
/// - Source: the format description of the safetensors project, version 0.4 and later.
public struct Safetensors: Sendable {
    public enum ElementType: String, Sendable {
        case float32 = "F32"
        case uint8 = "U8"
        case int32 = "I32"
        case int64 = "I64"
        case float64 = "F64"
        case float16 = "F16"

        var size: Int {
            switch self {
            case .uint8: 1
            case .float16: 2
            case .float32, .int32: 4
            case .int64, .float64: 8
            }
        }
    }

    public struct Entry: Sendable {
        public let type: ElementType
        public let shape: [Int]
        let bytes: Range<Int>
        public var count: Int { bytes.count / type.size }
    }

    public static let maxHeaderBytes = 64 << 20
    /// Files given by mistake, by their first bytes. Read as a header's length, each of them would exceed any file.
    private static let otherFormats: [(String, [UInt8])] = [
        ("a PNG image", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]), ("a JPEG image", [0xFF, 0xD8, 0xFF]),
        ("a zip archive, as PyTorch writes them", [0x50, 0x4B, 0x03, 0x04]),
        ("a Git LFS pointer, whose content has to be fetched ('git lfs pull')", Array("version https://git-lfs".utf8)),
    ]

    /// What a file is that is given by mistake: "a PNG image"; nil if its first bytes do not say.
    public static func otherFormat(of data: Data) -> String? {
        otherFormats.first { data.starts(with: $0.1) }?.0
    }

    public let metadata: [String: String]
    public let entries: [String: Entry]
    private let file: String
    private let data: Data
    private let dataStart: Int

    /// Maps a file into memory.
    public init(contentsOf url: URL) throws(SafetensorsError) {
        let data: Data
        do {
            data = try Data(contentsOf: url, options: .mappedIfSafe)
        } catch {
            throw SafetensorsError(.unreadable, file: url.path, problem: "cannot be read: \(error.systemReason)")
        }
        try self.init(data, file: url.path)
    }

    /// - Parameter file: the name in errors.
    public init(_ data: Data, file: String) throws(SafetensorsError) {
        func fail(_ problem: String) -> SafetensorsError {
            SafetensorsError(.malformed, file: file, problem: problem)
        }
        if let format = Self.otherFormat(of: data) {
            throw fail(
                "is \(format), not a safetensors file; expected a network or a checkpoint, such as "
                    + "generator.safetensors (were two arguments exchanged?)")
        }
        guard data.count >= 8 else {
            throw fail("is \(data.count) bytes long, too short for a safetensors file (truncated?)")
        }
        let length = data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(Self.maxHeaderBytes), Int(length) + 8 <= data.count else {
            throw fail(
                "declares a header of \(length) bytes in a file of \(data.count): not a safetensors file, or truncated")
        }
        let header: Header
        do {
            header = try JSONDecoder().decode(
                Header.self, from: data.subdata(in: data.startIndex + 8..<data.startIndex + 8 + Int(length)))
        } catch {
            throw fail("has a header that is not safetensors JSON")
        }
        var entries: [String: Entry] = [:]
        let available = data.count - 8 - Int(length)
        var claimed: [Range<Int>] = []
        for (name, description) in header.tensors {
            guard let type = ElementType(rawValue: description.dtype) else {
                throw fail("tensor \(name) has the type \(description.dtype), which texloom does not read")
            }
            let offsets = description.data_offsets
            guard offsets.count == 2, offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= available else {
                throw fail("tensor \(name) claims bytes \(offsets) of \(available) (truncated file?)")
            }
            var size = type.size
            for extent in description.shape {
                let (product, overflow) = size.multipliedReportingOverflow(by: extent)
                guard extent >= 0, !overflow else { throw fail("tensor \(name) has the shape \(description.shape)") }
                size = product
            }
            guard size == offsets[1] - offsets[0] else {
                throw fail(
                    "tensor \(name) of shape \(description.shape) needs \(size) bytes and has \(offsets[1] - offsets[0])"
                )
            }
            entries[name] = Entry(type: type, shape: description.shape, bytes: offsets[0]..<offsets[1])
            claimed.append(offsets[0]..<offsets[1])
        }
        // The format allows no holes: the tensors together cover the data, in any order.
        var end = 0
        for range in claimed.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
            guard range.lowerBound == end else { throw fail("has overlapping tensors or holes at byte \(end)") }
            end = range.upperBound
        }
        guard end == available else { throw fail("has \(available - end) bytes that belong to no tensor") }
        self.metadata = header.metadata
        self.entries = entries
        self.file = file
        self.data = data
        dataStart = data.startIndex + 8 + Int(length)
    }

    /// Whether the checksum in the header matches the file; nil without a checksum.
    public var hasValidChecksum: Bool? {
        guard let stated = metadata[SafetensorsWriter.checksumKey] else { return nil }
        let header = data.subdata(in: data.startIndex..<dataStart)
        guard let place = SafetensorsWriter.placeOfChecksum(in: header) else { return false }
        var sum = CRC64()
        sum.update(SafetensorsWriter.withoutChecksum(header, at: place))
        sum.update(data[dataStart...])
        return stated == sum.text
    }

    /// The values of a float32 tensor.
    /// - Parameter shape: the expected shape; nil accepts any.
    public func floats(_ name: String, shape: [Int]? = nil) throws(SafetensorsError) -> [Float] {
        try values(name, type: .float32, shape: shape)
    }

    /// The values of a float16 tensor.
    public func halves(_ name: String, shape: [Int]? = nil) throws(SafetensorsError) -> [Float] {
        let values: [Float16] = try values(name, type: .float16, shape: shape)
        return values.map(Float.init)
    }

    public func doubles(_ name: String, shape: [Int]? = nil) throws(SafetensorsError) -> [Double] {
        try values(name, type: .float64, shape: shape)
    }

    public func bytes(_ name: String, shape: [Int]? = nil) throws(SafetensorsError) -> [UInt8] {
        try values(name, type: .uint8, shape: shape)
    }

    public func integers(_ name: String, shape: [Int]? = nil) throws(SafetensorsError) -> [Int32] {
        try values(name, type: .int32, shape: shape)
    }

    private func values<Element: BitwiseCopyable>(
        _ name: String, type: ElementType, shape: [Int]?
    ) throws(SafetensorsError) -> [Element] {
        guard let entry = entries[name] else {
            let known = entries.keys.sorted().prefix(5).joined(separator: ", ")
            throw SafetensorsError(
                .malformed, file: file, problem: "has no tensor \(name) (it has \(known), ...)")
        }
        guard entry.type == type, shape == nil || entry.shape == shape else {
            throw SafetensorsError(
                .malformed, file: file,
                problem: "tensor \(name) is \(entry.type.rawValue) \(entry.shape), expected \(type.rawValue) "
                    + (shape.map { "\($0)" } ?? "of any shape"))
        }
        return [Element](unsafeUninitializedCapacity: entry.count) { buffer, used in
            data.copyBytes(
                to: UnsafeMutableRawBufferPointer(buffer),
                from: dataStart + entry.bytes.lowerBound..<dataStart + entry.bytes.upperBound)
            used = entry.count
        }
    }

    private struct Header: Decodable {
        struct Description: Decodable {
            let dtype: String
            let shape: [Int]
            let data_offsets: [Int]
        }

        struct Key: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        var metadata: [String: String] = [:]
        var tensors: [String: Description] = [:]

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            for key in container.allKeys {
                if key.stringValue == "__metadata__" {
                    metadata = try container.decode([String: String].self, forKey: key)
                } else {
                    tensors[key.stringValue] = try container.decode(Description.self, forKey: key)
                }
            }
        }
    }
}
