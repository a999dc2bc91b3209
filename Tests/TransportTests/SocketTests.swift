import CZeroMQ
import ClusterFixtures
import Logging
import Protocol
import Testing

@testable import ClusterCore
@testable import Transport

@Suite(.timeLimit(.minutes(10)))
struct SocketTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func beat(_ sequence: UInt64) -> WireMessage {
        var beat = WireHeartbeat()
        beat.sequence = sequence
        return WireMessage(.heartbeat(beat), session: 5)
    }

    private func chunk(_ bytes: Int) -> WireMessage {
        let payload = [UInt8](repeating: 1, count: bytes)
        var chunk = WireArtifactChunk()
        chunk.crc32 = CRC32.checksum(payload)
        return WireMessage(.artifactChunk(chunk), session: 5, payload: payload)
    }

    private static func smallInbox(_ endpoint: String) -> DealerSocket.Configuration {
        var configuration = DealerSocket.Configuration(endpoint: endpoint)
        configuration.inboxBytes = 1000
        return configuration
    }

    @Test func messagesGoBothWaysAndOverARecreatedSocket() async throws {
        let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
        let dealer = try DealerSocket(.init(endpoint: router.endpoint), logger: logger)
        var atRouter = router.incoming.makeAsyncIterator()
        var atDealer = dealer.incoming.makeAsyncIterator()
        for sequence in 1...2 as ClosedRange<UInt64> {
            dealer.send(beat(sequence))
            guard case .message(let message, let peer)? = await atRouter.next() else {
                Issue.record("no message")
                return
            }
            #expect(message == beat(sequence))
            router.send(chunk(Limits.chunkBytes), to: peer)
            #expect(await atDealer.next() == chunk(Limits.chunkBytes))
            dealer.recreate()
        }
        await dealer.close()
        await router.close()
        #expect(await atDealer.next() == nil)
    }

    @Test func anAnswerOvertakesTheChunksThatWaitForAPeer() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        configuration.outboxBytesPerPeer = 128 << 20
        let router = try RouterSocket(configuration, logger: logger)
        // Its inbox holds one chunk. The router keeps what libzmq and the system do not take.
        let dealer = try DealerSocket(Self.smallInbox(router.endpoint), logger: logger)
        var atRouter = router.incoming.makeAsyncIterator()
        dealer.send(beat(1))
        guard case .message(_, let peer)? = await atRouter.next() else {
            Issue.record("no message")
            return
        }
        let count = 80
        for _ in 0..<count { router.send(chunk(Limits.chunkBytes), to: peer) }
        // The router has sent everything that the system's buffers take.
        var sent = -1
        while router.counters.sent != sent {
            sent = router.counters.sent
            try await Task.sleep(for: .milliseconds(200))
        }
        router.send(beat(2), to: peer)
        var atDealer = dealer.incoming.makeAsyncIterator()
        var before = 0
        while await atDealer.next() != beat(2) { before += 1 }
        #expect(before < count, "it came behind every chunk")
        for _ in before..<count { #expect(await atDealer.next() == chunk(Limits.chunkBytes)) }
        await dealer.close()
        await router.close()
    }

    @Test func aConsumerThatIsAwayForAWhileMissesNothing() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        configuration.inboxBytes = Limits.chunkBytes
        let router = try RouterSocket(configuration, logger: logger)
        let dealer = try DealerSocket(.init(endpoint: router.endpoint), logger: logger)
        let count = 12
        for _ in 0..<count { dealer.send(chunk(Limits.chunkBytes)) }
        // The router's connection takes all, although its inbox is full after one.
        while dealer.counters.sent < count { try await Task.sleep(for: .milliseconds(1)) }
        #expect(router.counters.received < count)
        var atRouter = router.incoming.makeAsyncIterator()
        for _ in 0..<count {
            guard case .message(chunk(Limits.chunkBytes), _)? = await atRouter.next() else {
                Issue.record("no chunk")
                return
            }
        }
        #expect(router.counters.discarded == 0)
        await dealer.close()
        await router.close()
    }

    @Test func messagesThatComeFasterThanTheyAreTakenAreDiscarded() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        // One message fills it. The others wait in libzmq, which bounds only their bytes.
        configuration.inboxBytes = 1
        let router = try RouterSocket(configuration, logger: logger)
        let dealer = try DealerSocket(.init(endpoint: router.endpoint), logger: logger)
        let count = 3 * RouterSocket.maxBacklog
        for sequence in 1...count { dealer.send(beat(UInt64(sequence))) }
        while dealer.counters.sent < count { try await Task.sleep(for: .milliseconds(1)) }
        // The connection goes on.
        let later = Task {
            while !Task.isCancelled {
                dealer.send(beat(0))
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        defer { later.cancel() }
        var atRouter = router.incoming.makeAsyncIterator()
        var taken = 0
        while case .message(let message, _)? = await atRouter.next(), message != beat(0) { taken += 1 }
        #expect(taken >= RouterSocket.maxBacklog && taken + router.counters.discarded >= count, "\(taken)")
        #expect(router.counters.discarded > 0)
        await dealer.close()
        await router.close()
    }

    @Test func whatWaitsForAllPeersTogetherIsBounded() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        configuration.outboxBytesPerPeer = 128 << 20
        configuration.maxWaitingChunkBytes = 8 * Limits.chunkBytes
        let router = try RouterSocket(configuration, logger: logger)
        let dealers = try (0..<3).map { _ in
            try DealerSocket(Self.smallInbox(router.endpoint), logger: logger)
        }
        var atRouter = router.incoming.makeAsyncIterator()
        for dealer in dealers {
            dealer.send(beat(1))
            // First come the reports of messages dropped for the other peers.
            var peer: Peer?
            while peer == nil, let incoming = await atRouter.next() {
                if case .message(_, let sender) = incoming { peer = sender }
            }
            let receiver = try #require(peer)
            for _ in 0..<80 { router.send(chunk(Limits.chunkBytes), to: receiver) }
            // A small message still gets through.
            router.send(beat(2), to: receiver)
        }
        #expect(router.counters.dropped > 0)
        for dealer in dealers {
            var atDealer = dealer.incoming.makeAsyncIterator()
            while await atDealer.next() != beat(2) {}
            await dealer.close()
        }
        await router.close()
    }

    @Test func aPeerThatIsNotThereIsReported() async throws {
        let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
        var incoming = router.incoming.makeAsyncIterator()
        let stranger = Peer(routingID: [0, 1, 2, 3, 4])
        router.send(beat(1), to: stranger)
        guard case .gone(stranger)? = await incoming.next() else {
            Issue.record("not reported")
            return
        }
        #expect(router.counters.dropped == 1)
        await router.close()
    }

    @Test func malformedFramesAreCountedAndTheNextMessageArrives() async throws {
        let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
        let raw = try ZeroMQSocket(type: ZMQ_DEALER)
        try raw.connect(router.endpoint)
        var random = SeededRandom(seed: 4)
        for count in 0..<12 {
            let frames = (0...(count % 5)).map { _ in (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            }
            while case .wouldBlock = raw.send(frames) { await Task.yield() }
        }
        while case .wouldBlock = raw.send(try beat(9).frames()) { await Task.yield() }
        var incoming = router.incoming.makeAsyncIterator()
        guard case .message(let message, _)? = await incoming.next() else {
            Issue.record("no message")
            return
        }
        #expect(message == beat(9))
        #expect(router.counters.malformed.count == 12)
        raw.close(linger: .zero)
        await router.close()
    }

    @Test func aMessageOfAnotherVersionIsAnsweredNamingWhoHasToUpgrade() async throws {
        let router = try RouterSocket(.init(endpoint: "tcp://127.0.0.1:*"), logger: logger)
        let raw = try ZeroMQSocket(type: ZMQ_DEALER)
        try raw.connect(router.endpoint)
        var frames = try beat(1).frames()
        // The version is the envelope's first field.
        try #require(frames[0].prefix(2) == [8, UInt8(ProtocolVersion.newest)])
        frames[0][1] = 9
        while case .wouldBlock = raw.send(frames) { await Task.yield() }
        var answer = raw.receive(maxFrames: 2)?.frames
        while answer == nil {
            await Task.yield()
            answer = raw.receive(maxFrames: 2)?.frames
        }
        let message = try WireMessage(frames: answer!)
        guard case .refusal(let refusal)? = message.body else {
            Issue.record("\(message)")
            return
        }
        #expect(message.session == 5 && message.envelope.version == 1 && refusal.code == .versionUnsupported)
        #expect(refusal.message.contains("version 9") && refusal.message.contains("upgrade the coordinator"))
        raw.close(linger: .zero)
        await router.close()
    }

    @Test func aPeerThatDoesNotReadFillsItsOutboxAndNoMore() async throws {
        var configuration = RouterSocket.Configuration(endpoint: "tcp://127.0.0.1:*")
        configuration.outboxBytesPerPeer = 4 << 20
        let router = try RouterSocket(configuration, logger: logger)
        let raw = try ZeroMQSocket(type: ZMQ_DEALER)
        try raw.connect(router.endpoint)
        while case .wouldBlock = raw.send(try beat(1).frames()) { await Task.yield() }
        var incoming = router.incoming.makeAsyncIterator()
        guard case .message(_, let peer)? = await incoming.next() else {
            Issue.record("no message")
            return
        }
        // Far more than both high-water marks, the kernel's buffers and the outbox hold.
        for _ in 0..<200 { router.send(chunk(Limits.chunkBytes), to: peer) }
        guard case .slow(peer)? = await incoming.next() else {
            Issue.record("not reported as slow")
            return
        }
        #expect(router.counters.dropped > 0)
        raw.close(linger: .zero)
        await router.close()
    }

    @Test(arguments: ["tcp://localhost:*"] + ipv6Addresses("tcp://[::1]:*", "tcp://[::ffff:127.0.0.1]:*"))
    func addressesOfEveryKindConnect(_ address: String) async throws {
        let router = try RouterSocket(.init(endpoint: address), logger: logger)
        // Connects by the name too, if the address was a name.
        let port = try #require(router.endpoint.split(separator: ":").last)
        let endpoint = address.hasPrefix("tcp://[") ? router.endpoint : "tcp://localhost:\(port)"
        let dealer = try DealerSocket(.init(endpoint: endpoint), logger: logger)
        var arrivals = router.incoming.makeAsyncIterator()
        dealer.send(beat(1))
        guard case .message(let message, _)? = await arrivals.next() else {
            Issue.record("nothing arrived")
            return
        }
        #expect(message == beat(1))
        await dealer.close()
        await router.close()
    }

    /// The coordinator listens on one of its host name's addresses.
    @Test func aNameIsTriedByAllItsAddressesIPv4First() throws {
        let local = try Endpoint.resolve("tcp://localhost:7741")
        #expect(local.first == "tcp://127.0.0.1:7741" && local.dropFirst().allSatisfy { $0 == "tcp://[::1]:7741" })
        #expect(try Endpoint.resolve("tcp://[::1]:*") == ["tcp://[::1]:*"])
        #expect(try Endpoint.resolve("tcp://127.0.0.2:1") == ["tcp://127.0.0.2:1"])
        #expect(try Endpoint.resolve("tcp://*:7741") == ["tcp://*:7741"])
        // The name may resolve later, so libzmq keeps trying.
        #expect(try Endpoint.resolve("tcp://no-such-name.invalid:7741") == ["tcp://no-such-name.invalid:7741"])
    }

    @Test(arguments: [
        "127.0.0.1:7741", "tcp://::1:7741", "tcp://[::1]", "tcp://host", "tcp://host:70000", "tcp://:7741",
    ])
    func anAddressOfAnotherFormIsAnErrorThatShowsTheForms(_ address: String) {
        let error = #expect(throws: TransportError.self) { try DealerSocket(.init(endpoint: address), logger: logger) }
        #expect(error?.code == .badEndpoint && error?.message.contains("[::1]") == true, "\(error?.message ?? "")")
    }

    @Test(arguments: [
        ("tcp://127.0.0.1:1", true), ("tcp://127.1.2.3:1", true), ("tcp://[::1]:1", true), ("tcp://localhost:1", true),
        ("tcp://[::ffff:127.0.0.1]:1", true), ("tcp://[::]:1", false), ("tcp://[::ffff:10.0.0.1]:1", false),
        ("tcp://[fe80::1]:1", false), ("tcp://*:1", false), ("tcp://no-such-name.invalid:1", false),
    ])
    func onlyAddressesOfThisMachineAreLoopback(_ address: String, _ isLoopback: Bool) {
        #expect(Endpoint.isLoopback(address) == isLoopback)
    }

    @Test(arguments: ["tcp://*:7741", "tcp://0.0.0.0:7741", "tcp://10.0.0.1:7741", "tcp://127.example.org:7741"])
    func listeningBeyondThisMachineIsRefused(endpoint: String) {
        let error = #expect(throws: TransportError.self) {
            try RouterSocket(.init(endpoint: endpoint), logger: logger)
        }
        #expect(error?.code == .unencryptedEndpoint)
    }
}
