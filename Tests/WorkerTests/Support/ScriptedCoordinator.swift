import Base
import Crypto
import Foundation
import Logging
import Testing
import Transport

@testable import ClusterCore
@testable import Protocol

/// A coordinator on a real socket that follows a test, message by message. It answers heartbeats on its own.
struct ScriptedCoordinator: ~Copyable {
    struct Silence: Error {}

    let socket: RouterSocket
    private var incoming: AsyncStream<RouterSocket.Incoming>.Iterator
    private var peer = Peer(routingID: [])
    private var session: UInt64 = 0
    /// The sessions that ``welcome()`` has answered.
    private var greeted: Set<UInt64> = []
    /// Messages that arrived during a wait for another one: lanes may overtake each other.
    private var backlog: [WireMessage] = []

    init() throws {
        socket = try RouterSocket(
            .init(endpoint: "tcp://127.0.0.1:*"), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        incoming = socket.incoming.makeAsyncIterator()
    }

    func say(_ body: WireMessage.Body, payload: [UInt8]? = nil) {
        socket.send(WireMessage(body, session: session, version: 1, payload: payload), to: peer)
    }

    func grant(_ credit: ArtifactCredit) {
        socket.send(WireMessage(MessageToWorker.credit(credit), session: session, version: 1), to: peer)
    }

    /// The next message of the given kind.
    mutating func expect<Value>(_ pick: (WireMessage.Body) -> Value?) async throws -> Value {
        for (index, message) in backlog.enumerated() {
            if let value = message.body.flatMap(pick) {
                backlog.remove(at: index)
                return value
            }
        }
        while true {
            let message = try await next()
            if let value = message.body.flatMap(pick) { return value }
            backlog.append(message)
        }
    }

    private mutating func next() async throws -> WireMessage {
        while let event = await incoming.next() {
            guard case .message(let message, let peer) = event else { continue }
            self.peer = peer
            session = message.session
            // A worker that got no answer for a second has repeated its HELLO.
            if case .hello? = message.body, greeted.contains(session) {
                greet()
                continue
            }
            guard case .heartbeat(let beat)? = message.body else { return message }
            #expect(beat.load.residentBytes > 0, "a heartbeat says what the worker takes")
            var reply = WireHeartbeatReply()
            reply.sequence = beat.sequence
            say(.heartbeatReply(reply))
        }
        throw Silence()
    }

    mutating func welcome() async throws -> WireHello {
        let hello = try await expect { if case .hello(let hello) = $0 { hello } else { nil } }
        greeted.insert(session)
        greet()
        return hello
    }

    private func greet() {
        var welcome = WireWelcome()
        welcome.version = 1
        welcome.coordinatorID = "test"
        // Long, so that nothing is repeated while a busy machine stalls.
        welcome.heartbeatMilliseconds = 60_000
        welcome.leaseMilliseconds = 240_000
        say(.welcome(welcome))
    }

    mutating func assign(_ ref: AttemptReference, exemplar: [UInt8]) async throws {
        let request = try await expect { if case .workRequest(let request) = $0 { request } else { nil } }
        var assign = WireAssign()
        assign.requestID = request.requestID
        assign.attempt = ref.wire
        assign.name = "test"
        assign.recipeYaml = "recipe"
        assign.exemplar = Self.identify(exemplar)
        assign.exemplarFileName = "exemplar.png"
        say(.assign(assign))
    }

    /// Sends the requested artifact, chunk by chunk as credit comes, after `damage` has changed it.
    mutating func serve(_ content: [UInt8], damage: (inout [UInt8]) -> Void = { _ in }) async throws {
        let request = try await expect { if case .artifactRequest(let request) = $0 { request } else { nil } }
        #expect(request.artifact == Self.identify(content))
        var content = content
        damage(&content)
        var sender = ArtifactSender(transferID: request.transferID, sizeBytes: request.artifact.sizeBytes)
        sender.grant(
            ArtifactCredit(
                transferID: request.transferID, nextOffset: request.offset, windowChunks: request.windowChunks,
                isRewind: true))
        while !sender.isComplete {
            while let part = sender.next() {
                let payload = Array(content[Int(part.offset)..<Int(part.offset) + part.count])
                let chunk = ArtifactChunk(
                    transferID: request.transferID, offset: part.offset, isLast: part.isLast)
                socket.send(WireMessage(MessageToWorker.chunk(chunk, payload), session: session, version: 1), to: peer)
            }
            let credit = try await expect { if case .artifactCredit(let credit) = $0 { credit } else { nil } }
            sender.grant(ArtifactCredit(credit))
        }
    }

    /// Receives the next artifact completely and sends its receipt.
    mutating func receiveArtifact() async throws -> (WireArtifactOffer, [UInt8]) {
        let offer = try await expect { if case .artifactOffer(let offer) = $0 { offer } else { nil } }
        var receiver = ArtifactReceiver(transferID: offer.transferID, artifact: Artifact(offer.artifact))
        var content: [UInt8] = []
        grant(receiver.credit(rewind: true))
        while !receiver.isComplete {
            let message = try await next()
            guard case .artifactChunk(let chunk)? = message.body else {
                backlog.append(message)
                continue
            }
            let payload = message.payload ?? []
            let decision = receiver.receive(ArtifactChunk(chunk, payload), byteCount: payload.count)
            if case .rewind = decision { grant(receiver.credit(rewind: true)) }
            guard decision == .write(offset: chunk.offset) || decision == .writeLast(offset: chunk.offset) else {
                continue
            }
            content += payload
            grant(receiver.credit(rewind: false))
        }
        #expect(Self.identify(content) == offer.artifact)
        var receipt = WireArtifactReceipt()
        receipt.transferID = offer.transferID
        receipt.sha256 = offer.artifact.sha256
        say(.artifactReceipt(receipt))
        return (offer, content)
    }

    func acknowledge(_ id: UInt64) {
        var answer = WireAcknowledgement()
        answer.requestID = id
        say(.acknowledgement(answer))
    }

    /// Asks the worker to stop, and waits for its goodbye.
    mutating func drain() async throws {
        say(.drain(WireDrain()))
        try await expectGoodbye()
    }

    mutating func expectGoodbye() async throws {
        _ = try await expect { if case .goodbye(let goodbye) = $0 { goodbye } else { nil } }
    }

    static func identify(_ content: [UInt8]) -> WireArtifact {
        WireArtifact(sha256: hexadecimal(SHA256.hash(data: content)), sizeBytes: UInt64(content.count))
    }
}
