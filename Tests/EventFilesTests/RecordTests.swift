import Base
import EventReader
import Foundation
import Testing

@testable import EventFiles

@Suite("Records and their sums")
struct RecordTests {
    @Test func knownSumsComeOut() {
        // From RFC 3720, appendix B.4, and the usual check value for "123456789".
        #expect(CRC32C.checksum(Data(repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum(Data(repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum(Data(0..<32)) == 0x46DD_794E)
        #expect(CRC32C.checksum(Data((0..<32).reversed())) == 0x113F_DB5C)
        #expect(CRC32C.checksum(Data("123456789".utf8)) == 0xE306_9283)
        #expect(CRC32C.checksum(Data()) == 0)
    }

    @Test func theTablesAgreeWithTheDefinitionAtEveryLength() {
        let bytes = Data((0..<100).map { UInt8(truncatingIfNeeded: $0 * $0 + 7) })
        for start in 0..<9 {
            for end in start...bytes.count {
                #expect(CRC32C.checksum(bytes[start..<end]) == ReadEvent.crc32c(bytes[start..<end]))
            }
        }
    }

    /// The first record of any file that TensorFlow writes at time 1.0.
    @Test func aRecordHasTheBytesThatTensorFlowWrites() {
        let record = RecordFraming.frame(Event.version(wallTime: 1))
        let expected: [UInt8] =
            [24, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22]
            + [0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x1A, 13] + Array("brain.Event:2".utf8)
        #expect(Array(record.dropLast(4)) == expected)
    }

    @Test func numbersOfEverySizeAreReadBack() {
        for value in [0, 1, 127, 128, 300, 1 << 31, UInt64(Int64.max), .max] {
            var message = ProtobufWriter()
            message.add(2, value)
            message.add(9, Data([5]))
            let fields = Array(ProtobufFields(message.data))
            guard fields.count == 2, case .number(value) = fields[0].value, fields[0].field == 2 else {
                Issue.record("\(value) is read back as \(fields)")
                continue
            }
        }
    }

    @Test func whatIsNoMessageEndsTheReading() {
        for bytes: [UInt8] in [[0x80], [0x0A, 5, 1], [0x0B], [0x09, 1, 2], [UInt8](repeating: 0xFF, count: 30)] {
            #expect(Array(ProtobufFields(Data(bytes))).isEmpty)
        }
    }
}
