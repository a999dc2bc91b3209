import Crypto
import Foundation
import Logging
import Testing

@testable import ClusterCore
@testable import Protocol
@testable import Transport

@Suite(.timeLimit(.minutes(10)))
final class TransferOverSocketsTests {
    /// With a short name: the path of a socket has at most 107 bytes.
    private let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("texloom-\(UUID().uuidString.prefix(8))")
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(at: folder) }

    /// Sockets that send what waits when they are closed, however slow this machine is.
    private func router(_ endpoint: String = "tcp://127.0.0.1:*") throws -> RouterSocket {
        var configuration = RouterSocket.Configuration(endpoint: endpoint)
        configuration.closingPatience = .seconds(600)
        return try RouterSocket(configuration, logger: logger)
    }

    private func dealer(_ endpoint: String) throws -> DealerSocket {
        var configuration = DealerSocket.Configuration(endpoint: endpoint)
        configuration.closingPatience = .seconds(600)
        return try DealerSocket(configuration, logger: logger)
    }

    /// Sends the first message from the dealer and waits for it at the router, which then knows the dealer as a peer.
    private static func greet(_ router: RouterSocket, from dealer: DealerSocket) async throws -> Peer {
        dealer.send(message(.heartbeat(WireHeartbeat())))
        var incoming = router.incoming.makeAsyncIterator()
        guard case .message(_, let peer)? = await incoming.next() else { throw NoMessage() }
        return peer
    }

    private struct NoMessage: Error {}

    private static let smallChunk: WireMessage = {
        var chunk = WireArtifactChunk()
        chunk.crc32 = CRC32.checksum([1])
        return message(.artifactChunk(chunk), [1])
    }()

    private static func offer(_ artifact: Artifact) -> WireArtifactOffer {
        var offer = WireArtifactOffer()
        offer.attempt = WireAttemptRef(jobID: "job", attempt: 1)
        offer.transferID = 77
        offer.kind = .checkpoint
        offer.artifact = artifact.wire
        return offer
    }

    /// Sends a file as a worker does: it sends chunks as credit comes, and repeats the offer when nothing moves. It
    /// reconnects once a third has arrived.
    private static func send(_ file: URL, _ offer: WireArtifactOffer, over dealer: DealerSocket) async throws {
        let reminder = Task {
            while !Task.isCancelled {
                dealer.send(message(.artifactOffer(offer)))
                try await Task.sleep(for: .milliseconds(500))
            }
        }
        defer { reminder.cancel() }
        var sender = ArtifactSender(transferID: offer.transferID, sizeBytes: offer.artifact.sizeBytes)
        var hasRecreated = false
        for await incoming in dealer.incoming {
            switch incoming.body {
            case .artifactReceipt: return
            case .artifactCredit(let credit):
                sender.grant(ArtifactCredit(credit))
                while let part = sender.next() {
                    let payload = try ArtifactFile.read(part, of: file)
                    let chunk = ArtifactChunk(
                        transferID: offer.transferID, offset: part.offset, isLast: part.isLast)
                    dealer.send(message(.artifactChunk(chunk.wire(payload)), payload))
                }
                if !hasRecreated, sender.acknowledged > offer.artifact.sizeBytes / 3 {
                    // A window of chunks is on its way, and so is the credit for them.
                    dealer.recreate()
                    hasRecreated = true
                }
            default: Issue.record("unexpected \(incoming)")
            }
        }
    }

    @Test func twentyMebibytesArriveOverASocketThatIsMadeAnewInTheMiddle() async throws {
        // A prime length, so that no two chunks are equal.
        let pattern = (0..<4099).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        var content = Data()
        while content.count < 20 * Limits.chunkBytes { content.append(contentsOf: pattern) }
        let source = folder.appendingPathComponent("source")
        let target = folder.appendingPathComponent("target")
        try content.write(to: source)
        let offer = Self.offer(try ArtifactFile.identify(source))

        let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
        let dealer = try DealerSocket(.init(endpoint: router.endpoint), logger: logger)
        async let sending: Void = Self.send(source, offer, over: dealer)
        var receiver = ArtifactReceiver(transferID: offer.transferID, artifact: Artifact(offer.artifact))
        var peers: Set<Peer> = []
        receiving: for await case .message(let incoming, let peer) in router.incoming {
            peers.insert(peer)
            switch incoming.body {
            case .artifactOffer: router.send(message(.artifactCredit(receiver.credit(rewind: true).wire)), to: peer)
            case .artifactChunk(let chunk):
                let window = UInt64(Limits.windowChunks) * UInt64(Limits.chunkBytes)
                #expect(chunk.offset < receiver.nextOffset + window)
                let payload = incoming.payload ?? []
                let decision = receiver.receive(ArtifactChunk(chunk, payload), byteCount: payload.count)
                switch decision {
                case .ignore: continue
                case .rewind: break
                case .write(let offset), .writeLast(let offset):
                    try ArtifactFile.write(incoming.payload ?? [], at: offset, of: target)
                }
                router.send(message(.artifactCredit(receiver.credit(rewind: decision == .rewind).wire)), to: peer)
                guard case .writeLast = decision else { continue }
                var receipt = WireArtifactReceipt()
                receipt.transferID = offer.transferID
                receipt.sha256 = offer.artifact.sha256
                router.send(message(.artifactReceipt(receipt)), to: peer)
                break receiving
            default: Issue.record("unexpected \(incoming)")
            }
        }
        try await sending
        #expect(peers.count == 2)
        #expect(try ArtifactFile.identify(target).wire == offer.artifact)
        await dealer.close()
        await router.close()
    }

    @Test func aHeartbeatOvertakesTheChunksThatWait() async throws {
        let endpoint = "ipc://\(folder.path)/s"
        let dealer = try DealerSocket(.init(endpoint: endpoint), logger: logger)
        let payload = [UInt8](repeating: 1, count: 1000)
        var chunk = WireArtifactChunk()
        chunk.crc32 = CRC32.checksum(payload)
        // No socket listens yet, so all of it waits.
        for _ in 0..<8 { dealer.send(message(.artifactChunk(chunk), payload)) }
        dealer.send(message(.heartbeat(WireHeartbeat())))
        let router = try RouterSocket(.init(endpoint: endpoint), logger: logger)
        var chunksBefore = 0
        arriving: for await case .message(let incoming, _) in router.incoming {
            if case .heartbeat = incoming.body { break arriving }
            chunksBefore += 1
        }
        // One chunk may have left the queue before the heartbeat came.
        #expect(chunksBefore <= 1)
        await dealer.close()
        await router.close()
    }

    @Test func whatWaitsIsSentBeforeClosing() async throws {
        let router = try router()
        let dealer = try dealer(router.endpoint)
        _ = try await Self.greet(router, from: dealer)
        // More than libzmq takes at once.
        for _ in 0..<200 { dealer.send(Self.smallChunk) }
        await dealer.close()
        try #require(dealer.counters.sent == 201)
        var incoming = router.incoming.makeAsyncIterator()
        var arrived = 0
        while arrived < 200, case .message? = await incoming.next() { arrived += 1 }
        #expect(arrived == 200)
        await router.close()
    }

    @Test func whatWaitsForAPeerIsSentBeforeClosing() async throws {
        let router = try router()
        let dealer = try dealer(router.endpoint)
        let peer = try await Self.greet(router, from: dealer)
        let chunk = Self.smallChunk
        // More than libzmq takes at once.
        for _ in 0..<30 { router.send(chunk, to: peer) }
        await router.close()
        try #require(router.counters.sent == 30)
        var atDealer = dealer.incoming.makeAsyncIterator()
        for _ in 0..<30 { #expect(await atDealer.next() == chunk) }
        await dealer.close()
    }

    @Test func whatHasArrivedIsReadAfterTheConnectionEnds() async throws {
        let endpoint = "ipc://\(folder.path)/s"
        let router = try router(endpoint)
        var configuration = DealerSocket.Configuration(endpoint: endpoint)
        // One message fills it, so that the others wait in libzmq.
        configuration.inboxBytes = 1
        let dealer = try DealerSocket(configuration, logger: logger)
        let peer = try await Self.greet(router, from: dealer)
        let chunk = Self.smallChunk
        for _ in 0..<10 { router.send(chunk, to: peer) }
        await router.close()

        // What the next router receives has come over another connection.
        let next = try RouterSocket(.init(endpoint: endpoint), logger: logger)
        var atNext = next.incoming.makeAsyncIterator()
        dealer.send(message(.heartbeat(WireHeartbeat())))
        _ = await atNext.next()
        var atDealer = dealer.incoming.makeAsyncIterator()
        for _ in 0..<10 { try #require(await atDealer.next() == chunk) }
        await dealer.close()
        await next.close()
    }
}

private func message(_ body: WireMessage.Body, _ payload: [UInt8]? = nil) -> WireMessage {
    WireMessage(body, session: 5, version: 1, payload: payload)
}
