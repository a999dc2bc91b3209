import Foundation
import TensorChecks
import Testing

@testable import NNCore

@Suite struct SafetensorsTests {
    private let folder = FileManager.default.temporaryDirectory

    private func temporaryFile() -> URL { folder.appendingPathComponent("texloom-\(UUID().uuidString).safetensors") }

    /// A file of a header and data, with the right header length or a given one.
    static func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> Data {
        var bytes = Data()
        withUnsafeBytes(of: (length ?? UInt64(header.utf8.count)).littleEndian) { bytes.append(contentsOf: $0) }
        return bytes + Data(header.utf8) + Data(count: data)
    }

    private func problem(_ data: Data) -> String? {
        do {
            _ = try Safetensors(data, file: "some.safetensors")
            return nil
        } catch {
            return error.code == .malformed ? error.description : "\(error.code)"
        }
    }

    private func small() throws -> Data {
        var writer = SafetensorsWriter(metadata: ["format": "test", "text": "a \"quoted\" \\ line\nand é"])
        writer.add("weight", shape: [2, 3, 1, 1]) { [1, -2, .nan, .infinity, .leastNonzeroMagnitude, 0] }
        writer.add("history", shape: [1, 2], [0.1, -1e300])
        writer.add("none", shape: [0, 7]) { [] }
        let url = temporaryFile()
        defer { try? FileManager.default.removeItem(at: url) }
        try writer.write(to: url)
        return try Data(contentsOf: url)
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let file = try Safetensors(try small(), file: "small")
        #expect(file.metadata == ["format": "test", "text": "a \"quoted\" \\ line\nand é"])
        let weight = try file.floats("weight", shape: [2, 3, 1, 1])
        let expected: [Float] = [1, -2, .nan, .infinity, .leastNonzeroMagnitude, 0]
        #expect(weight.map(\.bitPattern) == expected.map(\.bitPattern))
        #expect(try file.doubles("history") == [0.1, -1e300])
        #expect(try file.floats("none", shape: [0, 7]) == [])
        #expect(Set(file.entries.keys) == ["weight", "history", "none"])
    }

    @Test func equalContentsAreEqualBytes() throws {
        let (first, second) = (try small(), try small())
        #expect(first == second)
        // The header's length is a multiple of 8, which keeps the data aligned.
        #expect(first[0] % 8 == 0)
    }

    /// Written by safetensors 0.8 for Python: every type that texloom reads, a scalar, an empty tensor, non-ASCII
    /// metadata.
    static let fromPython =
        Data(
            base64Encoded: """
                qAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJjb25maWciOiJ7XCJrXCI6IDI0LCBcIsOpXCI6IFwiXFxuXCJ9In0sImhpc3Rvcnki
                OnsiZHR5cGUiOiJGNjQiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOlswLDE2XX0sImVtcHR5Ijp7ImR0eXBlIjoiRjMyIiwi
                c2hhcGUiOlswLDNdLCJkYXRhX29mZnNldHMiOlsxNiwxNl19LCJzY2FsYXIiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6W10sImRh
                dGFfb2Zmc2V0cyI6WzE2LDIwXX0sIndlaWdodCI6eyJkdHlwZSI6IkYzMiIsInNoYXBlIjpbMiwzXSwiZGF0YV9vZmZzZXRzIjpb
                MjAsNDRdfSwiY3JvcHMiOnsiZHR5cGUiOiJJMzIiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOls0NCw1Nl19LCJwaXhlbHMi
                OnsiZHR5cGUiOiJVOCIsInNoYXBlIjpbMSwyXSwiZGF0YV9vZmZzZXRzIjpbNTYsNThdfX0gICAgmpmZmZmZuT+cdQCIPOQ3fgAA
                kEAAAMA/AAAAwLAPoTQAAAAAAADgQAAAgL4BAAAA/v///////38A/w==
                """, options: .ignoreUnknownCharacters)!

    @Test func aFileOfThePythonPackageIsRead() throws {
        let file = try Safetensors(Self.fromPython, file: "python")
        #expect(file.metadata["config"] == "{\"k\": 24, \"é\": \"\\n\"}")
        #expect(try file.floats("weight", shape: [2, 3]) == [1.5, -2, 3e-7, 0, 7, -0.25])
        #expect(try file.integers("crops", shape: [3]) == [1, -2, .max])
        #expect(try file.bytes("pixels", shape: [1, 2]) == [0, 255])
        #expect(try file.doubles("history") == [0.1, 1e300])
        #expect(try file.floats("empty", shape: [0, 3]) == [])
        #expect(try file.floats("scalar", shape: []) == [4.5])
    }

    @Test func slicesOfALargerBufferAreReadFromTheirOwnStart() throws {
        let padded = Data([1, 2, 3]) + Self.fromPython
        let file = try Safetensors(padded.dropFirst(3), file: "slice")
        #expect(try file.floats("weight") == [1.5, -2, 3e-7, 0, 7, -0.25])
    }

    @Test func everyTruncationIsRefused() throws {
        for data in [try small(), Self.fromPython] {
            for length in 0..<data.count {
                let problem = problem(data.prefix(length))
                #expect(problem?.hasPrefix("some.safetensors: ") == true, "cut to \(length) of \(data.count) bytes")
            }
            #expect(problem(data + Data([0])) != nil, "a byte too many")
        }
    }

    @Test(
        "Hostile headers are refused with a reason",
        arguments: [
            ("", 0, "not safetensors JSON"), ("null", 0, "not safetensors JSON"), ("[]", 0, "not safetensors JSON"),
            ("{", 0, "not safetensors JSON"), ("\u{0}\u{1}", 0, "not safetensors JSON"),
            (#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, "not safetensors JSON"),
            (#"{"a":{"dtype":"F32","shape":"1","data_offsets":[0,4]}}"#, 4, "not safetensors JSON"),
            (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, 4, "not safetensors JSON"),
            (#"{"a":{"dtype":"F32","shape":[1e30],"data_offsets":[0,4]}}"#, 4, "not safetensors JSON"),
            (#"{"__metadata__":{"a":1}}"#, 0, "not safetensors JSON"),
            (#"{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}"#, 4, "the type Q4"),
            (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, 4, "claims bytes [0]"),
            (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, 8, "claims bytes"),
            (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, 4, "claims bytes [-4, 0]"),
            (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "claims bytes [4, 0]"),
            (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4, "truncated file?"),
            (
                #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775803,9223372036854775807]}}"#, 4,
                "claims bytes"
            ),
            (#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8, "needs 12 bytes and has 8"),
            (#"{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}"#, 8, "has the shape [-1, -2]"),
            (#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#, 0, "has the shape"),
            (#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, "has the shape"),
            (
                #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12, "overlapping"
            ),
            (
                #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4, "overlapping"
            ),
            (
                #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
                12, "holes at byte 4"
            ),
            (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8, "4 bytes that belong to no tensor"),
        ])
    func hostileHeadersAreRefused(_ header: String, _ data: Int, _ reason: String) {
        let problem = problem(Self.file(header, data: data))
        #expect(problem?.contains(reason) == true, "\(problem ?? "accepted")")
    }

    @Test func headerLengthsBeyondTheFileOrTheLimitAreRefusedBeforeAnythingIsAllocated() {
        for length in [3, 100, UInt64(Safetensors.maxHeaderBytes) + 1, UInt64(Int.max), UInt64.max] {
            let problem = problem(Self.file("{}", length: length))
            #expect(problem?.contains("declares a header of \(length) bytes") == true)
        }
    }

    @Test func deeplyNestedHeadersAreRefused() {
        let depth = 100_000
        let nested = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        #expect(problem(Self.file("{\"a\":\(nested)}")) != nil)
    }

    @Test func missingTensorsWrongTypesAndWrongShapesAreNamed() throws {
        let file = try Safetensors(Self.fromPython, file: "python.safetensors")
        func message(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "no error"
            } catch { return "\(error)" }
        }
        #expect(message { _ = try file.floats("bias") }.contains("python.safetensors: has no tensor bias"))
        #expect(message { _ = try file.floats("pixels") }.contains("U8 [1, 2], expected F32"))
        #expect(message { _ = try file.floats("weight", shape: [3, 2]) }.contains("[2, 3], expected F32 [3, 2]"))
    }

    @Test func filesThatCannotBeReadOrWrittenAreNamedWithTheSystemsReason() {
        let missing = folder.appendingPathComponent("no-such-folder/x.safetensors")
        let unread = #expect(throws: SafetensorsError.self) { try Safetensors(contentsOf: missing) }
        #expect(unread?.code == .unreadable)
        #expect(unread?.description == "\(missing.path): cannot be read: No such file or directory")
        let unwritten = #expect(throws: SafetensorsError.self) {
            try SafetensorsWriter(metadata: [:]).write(to: missing)
        }
        #expect(unwritten?.code == .notWritten)
        #expect(unwritten?.description == "\(missing.path): cannot be written: No such file or directory")
    }

    @Test func aFileThatCannotBePutInPlaceLeavesNothingBeside() throws {
        let place = folder.appendingPathComponent("texloom-\(UUID().uuidString)")
        let taken = place.appendingPathComponent("a.safetensors")
        try FileManager.default.createDirectory(at: taken, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let error = #expect(throws: SafetensorsError.self) { try SafetensorsWriter(metadata: [:]).write(to: taken) }
        #expect(error?.description == "\(taken.path): cannot be written: Is a directory")
        #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["a.safetensors"])
    }

    @Test func writingReplacesTheFileAndLeavesNothingBeside() throws {
        let place = folder.appendingPathComponent("texloom-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: place) }
        let url = place.appendingPathComponent("a.safetensors")
        try Data("old".utf8).write(to: url)
        for hasChecksum in [false, true] {
            var writer = SafetensorsWriter(metadata: [:], hasChecksum: hasChecksum)
            writer.add("x", shape: [1]) { [3] }
            try writer.write(to: url)
            #expect(try Safetensors(contentsOf: url).floats("x") == [3])
            #expect(try Data(contentsOf: url) == writer.encoded())
            #expect(try Safetensors(contentsOf: url).hasValidChecksum == (hasChecksum ? true : nil))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["a.safetensors"])
    }

    @Test("Five thousand mutated files are read or refused, never worse")
    func mutatedFilesAreReadOrRefused() throws {
        var stream = RandomStream(seed: 2024, purpose: 0)
        let seeds = [try small(), Self.fromPython]
        let interesting: [UInt8] = [0, 0x22, 0x2C, 0x2D, 0x30, 0x39, 0x5B, 0x5D, 0x7B, 0x7D, 0x7F, 0x80, 0xFF]
        var refused = 0
        for round in 0..<5000 {
            var data = seeds[round % 2]
            let headerEnd = 8 + Int(data.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
            for _ in 0...stream.integer(through: 3) {
                let place = stream.integer(through: headerEnd - 1)
                switch stream.integer(through: 3) {
                case 0: data[place] = UInt8(stream.integer(through: 255))
                case 1: data[place] = interesting[stream.integer(through: interesting.count - 1)]
                case 2: data.remove(at: place)
                default: data.insert(interesting[stream.integer(through: interesting.count - 1)], at: place)
                }
            }
            do {
                let file = try Safetensors(data, file: "mutant")
                // An accepted file is readable to its last byte.
                for (name, entry) in file.entries {
                    switch entry.type {
                    case .float32: #expect(try file.floats(name).count == entry.count)
                    case .float64: #expect(try file.doubles(name).count == entry.count)
                    case .uint8: #expect(try file.bytes(name).count == entry.count)
                    case .int32: #expect(try file.integers(name).count == entry.count)
                    case .int64, .float16: break
                    }
                }
            } catch {
                refused += 1
            }
        }
        #expect(refused > 3000 && refused < 5000)
    }
}
