import Foundation

/// An event in TensorBoard's own schema. The reader shares no code with the writer: it computes bit by bit what the
/// writer takes from tables, and uses field numbers where the writer has names.
public struct ReadEvent: Equatable {
    public var wallTime = 0.0
    public var step = 0
    public var fileVersion: String?
    /// The status and message of a session log.
    public var session: (status: Int, message: String)?
    public var scalars: [String: Float] = [:]
    public var images: [String: Image] = [:]

    public struct Image: Equatable {
        public var width = 0
        public var height = 0
        public var colourSpace = 0
        public var encoded: [UInt8] = []

        public init(width: Int = 0, height: Int = 0, colourSpace: Int = 0, encoded: [UInt8] = []) {
            self.width = width
            self.height = height
            self.colourSpace = colourSpace
            self.encoded = encoded
        }
    }

    public struct Damage: Error, CustomStringConvertible {
        public let description: String

        public init(description: String) { self.description = description }
    }

    public static func == (a: ReadEvent, b: ReadEvent) -> Bool {
        a.wallTime == b.wallTime && a.step == b.step && a.fileVersion == b.fileVersion && a.scalars == b.scalars
            && a.images == b.images && a.session?.status == b.session?.status
            && a.session?.message == b.session?.message
    }

    /// Every event of a file.
    /// - Throws: `Damage` if a record is incomplete or a checksum is wrong.
    public static func all(in file: URL) throws -> [ReadEvent] {
        let bytes = [UInt8](try Data(contentsOf: file))
        var events: [ReadEvent] = []
        var at = 0
        while at < bytes.count {
            guard at + 12 <= bytes.count else { throw Damage(description: "a torn head at byte \(at)") }
            let length = (0..<8).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
            try check(bytes[at..<at + 8], sumAt: at + 8, in: bytes)
            guard length <= bytes.count - at - 16 else { throw Damage(description: "a torn record at byte \(at)") }
            let record = bytes[at + 12..<at + 12 + length]
            try check(record, sumAt: at + 12 + length, in: bytes)
            events.append(try ReadEvent(record))
            at += 16 + length
        }
        return events
    }

    /// The events of a file that count. A session start cancels earlier events of its step and of later steps.
    public static func counting(_ events: [ReadEvent]) -> [ReadEvent] {
        events.reduce(into: []) { kept, event in
            if event.session?.status == 1 { kept.removeAll { $0.step >= event.step && $0.fileVersion == nil } }
            kept.append(event)
        }
    }

    // MARK: Sums

    /// CRC-32C by its definition: reflected polynomial 0x82F63B78, one bit at a time.
    public static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var value: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? (value >> 1) ^ 0x82F6_3B78 : value >> 1 }
        }
        return value ^ 0xFFFF_FFFF
    }

    private static func check(_ part: ArraySlice<UInt8>, sumAt at: Int, in bytes: [UInt8]) throws {
        let stored = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << (8 * UInt32($1)) }
        let sum = crc32c(part)
        let masked = ((sum >> 15) | (sum << 17)) &+ 0xa282_ead8
        guard stored == masked else { throw Damage(description: "a wrong sum at byte \(at)") }
    }

    // MARK: Messages

    private init(_ message: ArraySlice<UInt8>) throws {
        try Self.fields(message) { number, value, bytes in
            switch number {
            case 1: wallTime = Double(bitPattern: value)
            case 2: step = Int(value)
            case 3: fileVersion = Self.text(bytes)
            case 5:
                try Self.fields(bytes) { number, _, bytes in
                    guard number == 1 else { throw Damage(description: "field \(number) in a summary") }
                    try readValue(bytes)
                }
            case 7:
                var log = (status: 0, message: "")
                try Self.fields(bytes) { number, value, bytes in
                    if number == 1 { log.status = Int(value) } else { log.message = Self.text(bytes) }
                }
                session = log
            default: throw Damage(description: "field \(number) in an event")
            }
        }
    }

    private mutating func readValue(_ message: ArraySlice<UInt8>) throws {
        var tag = ""
        var scalar: Float?
        var image: Image?
        try Self.fields(message) { number, value, bytes in
            switch number {
            case 1: tag = Self.text(bytes)
            case 2: scalar = Float(bitPattern: UInt32(value))
            case 4:
                var read = Image()
                try Self.fields(bytes) { number, value, bytes in
                    switch number {
                    case 1: read.height = Int(value)
                    case 2: read.width = Int(value)
                    case 3: read.colourSpace = Int(value)
                    case 4: read.encoded = Array(bytes)
                    default: throw Damage(description: "field \(number) in an image")
                    }
                }
                image = read
            default: throw Damage(description: "field \(number) in a value")
            }
        }
        guard scalars[tag] == nil, images[tag] == nil else { throw Damage(description: "\(tag) twice in an event") }
        scalars[tag] = scalar
        images[tag] = image
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Calls `take` with each field's number and value: a number, or bytes.
    private static func fields(
        _ message: ArraySlice<UInt8>, _ take: (Int, UInt64, ArraySlice<UInt8>) throws -> Void
    ) throws {
        var at = message.startIndex
        func fixed(_ count: Int) throws -> UInt64 {
            guard at + count <= message.endIndex else { throw Damage(description: "a torn number") }
            defer { at += count }
            return (0..<count).reduce(UInt64(0)) { $0 | UInt64(message[at + $1]) << (8 * UInt64($1)) }
        }
        func varint() throws -> UInt64 {
            var (value, shift): (UInt64, UInt64) = (0, 0)
            while true {
                let byte = try fixed(1)
                value |= (byte & 127) << shift
                shift += 7
                if byte < 128 { return value }
            }
        }
        while at < message.endIndex {
            let key = try varint()
            switch key % 8 {
            case 0: try take(Int(key / 8), try varint(), [])
            case 1: try take(Int(key / 8), try fixed(8), [])
            case 5: try take(Int(key / 8), try fixed(4), [])
            case 2:
                let count = Int(try varint())
                guard count <= message.endIndex - at else { throw Damage(description: "torn bytes") }
                at += count
                try take(Int(key / 8), 0, message[at - count..<at])
            default: throw Damage(description: "wire type \(key % 8)")
            }
        }
    }
}
