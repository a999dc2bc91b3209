import ClusterFixtures
import Foundation
import Testing

@testable import ClusterCore
@testable import Protocol

struct WireMessageTests {
    private func chunk(_ payload: [UInt8]?) -> WireMessage {
        var chunk = WireArtifactChunk()
        chunk.transferID = 7
        chunk.crc32 = CRC32.checksum(payload ?? [])
        chunk.last = true
        return WireMessage(.artifactChunk(chunk), session: 3, payload: payload)
    }

    private func heartbeat(jobID: String) -> WireMessage {
        var status = WireAttemptStatus()
        status.attempt = WireAttemptRef(jobID: jobID, attempt: 1)
        var beat = WireHeartbeat()
        beat.running = [status]
        return WireMessage(.heartbeat(beat), session: 3)
    }

    @Test func aMessageAndItsPayloadSurviveTheWire() throws {
        let message = chunk([1, 2, 3])
        #expect(try WireMessage(frames: message.frames()) == message)
    }

    @Test func theChecksumIsTheOneOfZlib() {
        #expect(CRC32.checksum(Array("123456789".utf8)) == 0xCBF4_3926)
    }

    @Test func payloadsBelongToChunksAlone() {
        #expect(throws: ProtocolError.self) { try chunk(nil).frames() }
        var message = heartbeat(jobID: "a")
        message.payload = [1]
        #expect(throws: ProtocolError.self) { try message.frames() }
    }

    @Test(arguments: ["", "..", ".hidden", "a/b", "ä", String(repeating: "a", count: 65)])
    func identifiersThatAreNoFileNamesAreRefused(jobID: String) throws {
        let bytes: [UInt8] = try heartbeat(jobID: jobID).envelope.serializedBytes()
        #expect(throws: ProtocolError.self) { try WireMessage(frames: [bytes]) }
    }

    @Test func aLoadBeyondTheLimitsIsRefused() throws {
        func frames(_ change: (inout WireWorkerLoad) -> Void) throws -> [[UInt8]] {
            var beat = WireHeartbeat()
            change(&beat.load)
            return try WireMessage(.heartbeat(beat), session: 3).frames()
        }
        _ = try frames {
            $0.residentBytes = Limits.maxLoadBytes
            $0.spoolBytes = Limits.maxLoadBytes
        }
        let impossible: [(inout WireWorkerLoad) -> Void] = [
            { $0.coresBusy = .nan }, { $0.coresBusy = -1 }, { $0.loadAverage = .infinity },
            { $0.residentBytes = Limits.maxLoadBytes + 1 }, { $0.spoolBytes = .max },
        ]
        for change in impossible { #expect(throws: ProtocolError.self) { try frames(change) } }
    }

    @Test func anotherVersionIsToldFromGarbage() throws {
        var message = heartbeat(jobID: "a")
        message.envelope.version = 99
        let bytes: [UInt8] = try message.envelope.serializedBytes()
        let error = #expect(throws: ProtocolError.self) { try WireMessage(frames: [bytes]) }
        #expect(error?.code == .versionUnsupported)
    }

    @Test(
        arguments: [(0, true), (1e6, true), (1.1e6, false), (1e308, false), (-1, false), (.nan, false)]
            as [(Double, Bool)])
    func anIterationTakesATimeThatCanBeCountedWith(seconds: Double, isTaken: Bool) throws {
        var beat = WireHeartbeat()
        beat.running = [
            .with {
                $0.attempt = WireAttemptRef(jobID: "a", attempt: 1)
                $0.secondsPerIteration = seconds
            }
        ]
        #expect(((try? WireMessage(.heartbeat(beat), session: 1).frames()) != nil) == isTaken)
    }

    @Test(arguments: [(1.8e9, true), (1e11, true), (1e12, false), (1e300, false)] as [(Double, Bool)])
    func timesAreOnesThatADateCanShow(seconds: Double, isTaken: Bool) throws {
        var lines = WireLogBatch()
        lines.attempt = WireAttemptRef(jobID: "a", attempt: 1)
        lines.lines = [.with { $0.unixSeconds = seconds }]
        var rows = WireMetricBatch()
        rows.attempt = lines.attempt
        rows.rows = [.with { $0.unixSeconds = seconds }]
        for body in [WireMessage.Body.log(lines), .metrics(rows)] {
            #expect(((try? WireMessage(body, session: 1).frames()) != nil) == isTaken)
        }
    }

    @Test func mutatedBytesNeverTrap() throws {
        // Seeded, so that a failure can be replayed.
        var generator = SeededRandom(seed: 17)
        let good = try heartbeat(jobID: "job-1").frames()[0]
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            // An accepted message can be sent again.
            if let message = try? WireMessage(frames: [bytes]) { _ = try message.frames() }
        }
    }

    @Test func versionsAreNegotiatedToTheNewestCommonOne() {
        #expect(ProtocolVersion.negotiate(min: 1, max: 9) == .speak(ProtocolVersion.newest))
        #expect(ProtocolVersion.negotiate(min: ProtocolVersion.newest + 1, max: 9) == .upgradeCoordinator)
    }

    @Test(
        arguments: [
            (1, 2, ProtocolVersion.Outcome.upgradeWorker), (1, 3, .speak(3)), (4, 4, .speak(4)), (2, 9, .speak(5)),
            (6, 7, .upgradeCoordinator),
        ] as [(UInt32, UInt32, ProtocolVersion.Outcome)])
    func aCoordinatorOfVersionsThreeToFiveSaysWhichSideToUpgrade(
        min: UInt32, max: UInt32, expected: ProtocolVersion.Outcome
    ) {
        #expect(ProtocolVersion.negotiate(min: min, max: max, supported: 3...5) == expected)
    }

    /// A peer with newer software may send more fields in the same version. The fields that this side knows still
    /// count.
    @Test func fieldsThatThisSoftwareDoesNotKnowChangeNothing() throws {
        let known = heartbeat(jobID: "a")
        // Field 500, length-delimited, after the envelope's own fields: a later optional field.
        let bytes = try known.frames()[0] + [0xA2, 0x1F, 0x03, 1, 2, 3]
        let message = try WireMessage(frames: [bytes])
        #expect(message.body == known.body && message.session == known.session)
        #expect(try message.frames() == [bytes], "and is passed on as it came")
    }

    /// The bytes of version 1 in the specification, for other implementations.
    @Test func theHelloOfTheSpecificationIsWhatIsEncoded() throws {
        let specification = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("docs/wire-protocol.md")
        let text = try String(contentsOf: specification, encoding: .utf8)
        let block = try #require(text.components(separatedBy: "```hex\n").last?.components(separatedBy: "```").first)
        let bytes = block.split(separator: "\n").flatMap { line in
            // Each byte is two digits. The text ends at the first word that is not a byte.
            line.split(separator: " ").prefix { $0.count == 2 && UInt8($0, radix: 16) != nil }
                .compactMap { UInt8($0, radix: 16) }
        }
        var hello = WireHello()
        hello.minVersion = 1
        hello.maxVersion = 1
        hello.workerID = "worker-1"
        hello.name = "forge:42"
        hello.softwareVersion = "1.0.0"
        hello.slots = 2
        hello.threadsPerSlot = 1
        hello.cpu = "Zen 4"
        let message = WireMessage(.hello(hello), session: 0x0123_4567_89ab_cdef, version: 1)
        #expect(try message.frames() == [bytes])
        #expect(try WireMessage(frames: [bytes]) == message)
    }
}
