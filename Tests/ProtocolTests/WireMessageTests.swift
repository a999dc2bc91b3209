import Testing

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

    @Test func anotherVersionIsToldFromGarbage() throws {
        var message = heartbeat(jobID: "a")
        message.envelope.version = 99
        let bytes: [UInt8] = try message.envelope.serializedBytes()
        let error = #expect(throws: ProtocolError.self) { try WireMessage(frames: [bytes]) }
        #expect(error?.code == .versionUnsupported)
    }

    @Test func mutatedBytesNeverTrap() throws {
        var generator = SystemRandomNumberGenerator()
        let good = try heartbeat(jobID: "job-1").frames()[0]
        for _ in 0..<20_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            // Whatever is accepted can be sent again.
            if let message = try? WireMessage(frames: [bytes]) { _ = try message.frames() }
        }
    }

    @Test func versionsAreNegotiatedToTheNewestCommonOne() {
        #expect(ProtocolVersion.negotiate(min: 1, max: 9) == ProtocolVersion.newest)
        #expect(ProtocolVersion.negotiate(min: ProtocolVersion.newest + 1, max: 9) == nil)
        #expect(ProtocolVersion.negotiate(min: 2, max: 1) == nil)
    }
}
