import ClusterFixtures
import Base
import Crypto
import Foundation
import Protocol
import Transport

@testable import ClusterCore

/// A worker over a real socket that does exactly what the test says, in version 1 of the protocol.
final class ScriptedWorker {
    struct Unanswered: Error { var wanted: String }

    let socket: DealerSocket
    let session: UInt64
    let curve: Curve.Client?
    private var messages: AsyncStream<WireMessage>.AsyncIterator
    private var nextID: UInt64 = 100

    init(_ endpoint: String, session: UInt64, curve: Curve.Client? = nil) throws {
        self.session = session
        self.curve = curve
        var configuration = DealerSocket.Configuration(endpoint: endpoint)
        configuration.curve = curve
        socket = try DealerSocket(configuration, logger: .silent)
        messages = socket.incoming.makeAsyncIterator()
    }

    func send(_ body: WireMessage.Body, payload: [UInt8]? = nil) {
        socket.send(WireMessage(body, session: session, version: 1, payload: payload))
    }

    /// The next matching message; skips others. The test's time limit guards against silence.
    func next<Value>(_ wanted: String, _ pick: (WireMessage) -> Value?) async throws -> Value {
        while let message = await messages.next() {
            if let value = pick(message) { return value }
        }
        throw Unanswered(wanted: wanted)
    }

    func id() -> UInt64 {
        nextID += 1
        return nextID
    }

    /// - Parameter version: The version of the HELLO message itself.
    func hello(
        id: String? = nil, versions: ClosedRange<UInt32> = 1...1, in version: UInt32 = 1,
        running: [WireAttemptStatus] = [], secret: String = "", slots: UInt32 = 1
    ) {
        var hello = WireHello()
        hello.minVersion = versions.lowerBound
        hello.maxVersion = versions.upperBound
        hello.workerID = id ?? "worker-\(session)"
        hello.name = "scripted"
        hello.softwareVersion = "test"
        hello.slots = slots
        hello.secret = secret
        hello.threadsPerSlot = 1
        hello.cpu = "test"
        hello.running = running
        socket.send(WireMessage(.hello(hello), session: session, version: version))
    }

    func welcome() async throws -> WireWelcome {
        try await next("WELCOME") { if case .welcome(let welcome)? = $0.body { welcome } else { nil } }
    }

    func refusal() async throws -> WireRefusal {
        try await next("REFUSAL") { if case .refusal(let refusal)? = $0.body { refusal } else { nil } }
    }

    func askForWork() async throws -> WireAssign {
        var request = WireWorkRequest()
        request.requestID = id()
        request.freeSlots = 1
        send(.workRequest(request))
        return try await next("ASSIGN") { if case .assign(let assign)? = $0.body { assign } else { nil } }
    }

    func credit(of transferID: UInt64) async throws -> WireArtifactCredit {
        try await next("CREDIT") { message in
            guard case .artifactCredit(let credit)? = message.body, credit.transferID == transferID else { return nil }
            return credit
        }
    }

    func handBack(_ attempt: WireAttemptRef) async throws {
        var handBack = WireHandBack()
        handBack.attempt = attempt
        handBack.requestID = id()
        handBack.reason = "test"
        send(.handBack(handBack))
        _ = try await next("ACKNOWLEDGEMENT") { message -> Void? in
            guard case .acknowledgement(let answer)? = message.body, answer.requestID == handBack.requestID else {
                return nil
            }
            return ()
        }
    }

    func acknowledgement() async throws -> WireAcknowledgement {
        try await next("ACKNOWLEDGEMENT") { if case .acknowledgement(let answer)? = $0.body { answer } else { nil } }
    }

    /// Asks for the checkpoint of an assignment, without waiting for it.
    func requestCheckpoint(of assign: WireAssign) {
        var request = WireArtifactRequest()
        request.transferID = id()
        request.artifact = assign.checkpoint
        request.windowChunks = 8
        request.attempt = assign.attempt
        send(.artifactRequest(request))
    }

    /// Fetches an artifact by credit.
    func download(_ artifact: WireArtifact, of attempt: WireAttemptRef) async throws -> [UInt8] {
        var request = WireArtifactRequest()
        request.transferID = id()
        request.artifact = artifact
        request.windowChunks = 2
        request.attempt = attempt
        send(.artifactRequest(request))
        var bytes: [UInt8] = []
        while true {
            let (chunk, payload) = try await next("CHUNK") { message -> (WireArtifactChunk, [UInt8])? in
                guard case .artifactChunk(let chunk)? = message.body else { return nil }
                return (chunk, message.payload ?? [])
            }
            guard chunk.transferID == request.transferID, chunk.offset == UInt64(bytes.count) else { continue }
            bytes += payload
            var credit = WireArtifactCredit()
            credit.transferID = request.transferID
            credit.nextOffset = UInt64(bytes.count)
            credit.windowChunks = 2
            send(.artifactCredit(credit))
            if chunk.last { return bytes }
        }
    }

    static func artifact(_ bytes: [UInt8]) -> WireArtifact {
        WireArtifact(sha256: hexadecimal(SHA256.hash(data: bytes)), sizeBytes: UInt64(bytes.count))
    }

    /// Offers an artifact and sends chunks as credit allows, again if the coordinator asks.
    /// - Parameters:
    ///   - repeats: Whether it repeats the offer every 5 s, as every worker does: the coordinator may have removed an
    ///     equal file of another job just then. After a repeated offer the coordinator asks again for what is on its way.
    ///   - spoil: May change a chunk on its way. It gets the index among all chunks sent.
    func upload(
        _ bytes: [UInt8], _ kind: WireArtifactKind, iteration: UInt64, of attempt: WireAttemptRef,
        announced: WireArtifact? = nil, repeats: Bool = false, spoil: (Int, inout [UInt8]) -> Void = { _, _ in }
    ) async throws -> WireMessage.Body {
        var offer = WireArtifactOffer()
        offer.attempt = attempt
        offer.transferID = id()
        offer.kind = kind
        offer.artifact = announced ?? Self.artifact(bytes)
        offer.iteration = iteration
        send(.artifactOffer(offer))
        let repetition = Task { [socket, session, offer] in
            while repeats {
                try await Task.sleep(for: .seconds(5))
                socket.send(WireMessage(.artifactOffer(offer), session: session, version: 1))
            }
        }
        defer { repetition.cancel() }
        var sent = 0
        var chunksSent = 0
        while true {
            let body = try await next("credit or receipt") { message -> WireMessage.Body? in
                switch message.body {
                case .artifactCredit(let credit) where credit.transferID == offer.transferID: message.body
                case .artifactReceipt(let receipt) where receipt.transferID == offer.transferID: message.body
                case .acknowledgement(let answer) where answer.requestID == offer.transferID: message.body
                default: nil
                }
            }
            guard case .artifactCredit(let credit) = body else { return body }
            if credit.rewind { sent = Int(credit.nextOffset) }
            let end = min(bytes.count, Int(credit.nextOffset) + Int(credit.windowChunks) * Limits.chunkBytes)
            while sent < end {
                var payload = Array(bytes[sent..<min(sent + Limits.chunkBytes, bytes.count)])
                var chunk = WireArtifactChunk()
                chunk.transferID = offer.transferID
                chunk.offset = UInt64(sent)
                chunk.crc32 = CRC32.checksum(payload)
                sent += payload.count
                chunk.last = sent == bytes.count
                spoil(chunksSent, &payload)
                chunksSent += 1
                send(.artifactChunk(chunk), payload: payload)
            }
        }
    }
}
