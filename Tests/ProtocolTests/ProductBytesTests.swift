import ClusterCore
import Testing

@testable import Protocol

/// The bytes of version 2 for work other than training: other software writes and reads them.
struct ProductBytesTests {
    private static let attempt = AttemptReference(job: JobID("00000c00ze")!, number: 3)
    private static let artifact = Artifact(sha256: String(repeating: "a", count: 64), sizeBytes: 300)

    private static let digest = String(repeating: "61", count: 64)
    private static let envelope = "080211efcdab8967452301"
    private static let reference = "0a0e0a0a30303030306330307a651003"

    private func hex(_ message: WireMessage) throws -> String {
        try message.frames()[0].map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    @Test func workOnAGeneratorIsAssignedInTheseBytes() throws {
        let assignment = Assignment(
            attempt: Self.attempt, kind: .expand, name: "w", spec: "times=1",
            inputs: [
                JobInput(name: JobInput.exemplar, artifact: Self.artifact, fileName: "w.png"),
                JobInput(name: JobInput.generator, artifact: Self.artifact, fileName: "g"),
            ])
        let message = WireMessage(
            MessageToWorker.assign(requestID: 7, assignment), session: 0x0123_4567_89ab_cdef, version: 2)
        let artifact = "12450a40" + Self.digest + "10ac02"
        let exemplar = "0a086578656d706c6172" + artifact + "1a05772e706e67"
        let generator = "0a0967656e657261746f72" + artifact + "1a0167"
        let body =
            "090700000000000000" + "12" + Self.reference.dropFirst(2) + "1a0177" + "4a06657870616e64"
            + "520774696d65733d31" + "5a58" + exemplar + "5a55" + generator
        #expect(try hex(message) == Self.envelope + "d202" + "de01" + body)
        #expect(MessageToWorker(try WireMessage(frames: message.frames())) == .assign(requestID: 7, assignment))
    }

    @Test func aPictureIsOfferedInTheseBytes() throws {
        let offer = ArtifactOffer(
            attempt: Self.attempt, transferID: 9, role: .picture, artifact: Self.artifact, iteration: 2)
        let message = WireMessage(MessageToCoordinator.offer(offer), session: 0x0123_4567_89ab_cdef, version: 2)
        let body =
            Self.reference + "110900000000000000" + "22450a40" + Self.digest + "10ac02" + "2802" + "320770696374757265"
        #expect(try hex(message) == Self.envelope + "7a" + "6b" + body)
    }
}
